"""Photos in named clusters, from their places in the plane.

In the plane, since t-SNE has already moved apart there what is dense: on photos and digits the
clusters agree with labels far better than those of the vectors or of their principal components,
most of which HDBSCAN takes for noise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tbgrid.types import Float64Array, IntArray
from tbgrid.util.unique_names import unique_name

NONE = ""  # of what is in no cluster; so no label is called the same, and viewers show it grey
LEAST = 5  # photos of a cluster, whatever their number
NEAR = 3  # neighbours by which density is told, itself among them
MOST = 30_000  # points that HDBSCAN sees: its time grows with their square


@dataclass(frozen=True)
class Clusters:
    """`of` int64[n]: the number of each photo's cluster, -1 for none; the largest is 0. `names`:
    of each cluster, all different. `least`: photos that made a cluster at least."""

    of: IntArray
    names: tuple[str, ...]
    least: int

    @property
    def named(self) -> list[str]:
        """The name of each photo's cluster, "" where it is in none."""
        return [self.names[number] if number >= 0 else NONE for number in self.of]

    @property
    def share_in_none(self) -> float:
        """The share of photos in no cluster."""
        return float((self.of < 0).mean())


def least_by_count(count: int) -> int:
    """How many photos make a cluster of `count`, unless told: half the square root."""
    return max(LEAST, round(math.sqrt(count) / 2))


def find_clusters(
    positions: Float64Array,
    names: Sequence[str],
    labels: Sequence[str] | None = None,
    least: int | None = None,
) -> Clusters:
    """The clusters of float64[n, 2] places, by HDBSCAN (Campello, Moulavi and Sander, 2013).

    `names`: the photos' own. A cluster is called by the label of more than half its photos, with a
    number from the second such on; else by the file name of its medoid, the photo with the least
    total distance to the others, up to sampling. Of more than `MOST` places it sees some, drawn
    evenly, and the others belong where the nearest of these does.
    """
    count = len(positions)
    least = least_by_count(count) if least is None else least
    of = _numbers(positions, least)
    order = sorted(range(of.max() + 1), key=lambda number: (-int((of == number).sum()), number))
    renamed = np.full(len(order) + 1, -1)
    renamed[order] = np.arange(len(order))
    of = renamed[of]
    called: list[str] = []
    for number in range(len(order)):
        name = _name(np.flatnonzero(of == number), positions, names, labels)
        called.append(unique_name(name, called))
    return Clusters(of, tuple(called), least)


def _numbers(positions: Float64Array, least: int) -> IntArray:
    from scipy.spatial import cKDTree
    from sklearn.cluster import HDBSCAN

    count = len(positions)
    if count < 2 * least:  # no two clusters
        return np.full(count, -1)
    step = -(-count // MOST)
    # In the order of places, so that it does not matter in which order the photos come.
    seen = np.lexsort(positions.T)[::step] if step > 1 else np.arange(count)
    wanted = max(2, round(least / step))
    engine = HDBSCAN(min_cluster_size=wanted, min_samples=min(NEAR, wanted), copy=True)
    found = np.asarray(engine.fit_predict(positions[seen]), np.int64)
    if step == 1:
        return found
    _, nearest = cKDTree(positions[seen]).query(positions)
    return np.asarray(found[nearest], np.int64)


def _name(
    rows: IntArray,
    positions: Float64Array,
    names: Sequence[str],
    labels: Sequence[str] | None,
) -> str:
    if labels is not None:
        counted = Counter([labels[int(row)] for row in rows])
        label, many = counted.most_common(1)[0]
        if 2 * many > len(rows):
            return label
    inside = positions[rows]
    some = inside[:: -(-len(inside) // 500)]
    apart = np.linalg.norm(inside[:, None] - some, axis=2).sum(axis=1)
    return names[int(rows[apart.argmin()])].rpartition("/")[2]
