"""Random samples, stratified by label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from tbgrid.types import IntArray


def stratified_sample(labels: Sequence[Hashable], count: int, seed: int) -> IntArray:
    """Draw rows at random, from each label in proportion to its rows (largest remainders).

    Args:
        labels: the label of each of n rows.
        count: rows to draw, at most n.
        seed: equal seeds give equal samples.

    Returns:
        int64[count], ascending.
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
