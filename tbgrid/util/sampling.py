"""Samples in which each label has its share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from tbgrid.types import IntArray


def stratified(labels: Sequence[Hashable], count: int, seed: int) -> IntArray:
    """int64[count]: rows in their order, from each label in proportion (largest remainders).

    `labels`: one of each of n rows, n >= `count`. Equal seeds give equal samples.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    exact = {label: count * len(rows) / len(labels) for label, rows in members.items()}
    quota = {label: int(share) for label, share in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (quota[label] - exact[label], str(label)))
    for label in by_remainder[: count - sum(quota.values())]:
        quota[label] += 1
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(rows, quota[label], replace=False) for label, rows in members.items()]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
