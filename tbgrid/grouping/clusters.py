"""Named clusters of photos, from their positions in the plane.

They are found in the plane because t-SNE has already separated dense regions there: on photos and
digits these clusters agree with labels far better than clusters of the vectors or of their
principal components, where HDBSCAN takes most points for noise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tbgrid.types import Float64Array, IntArray
from tbgrid.util.unique_names import unique_name

NO_CLUSTER = ""  # a name that no label has, and that viewers show grey
MIN_SIZE = 5  # photos of a cluster by default, at least
MIN_SAMPLES = 3  # neighbors by which HDBSCAN estimates density, the point itself included
MAX_CLUSTERED = 30_000  # points given to HDBSCAN, whose time grows with their square


@dataclass(frozen=True)
class Clusters:
    """Clusters of n photos.

    Attributes:
        labels: int64[n], the number of each photo's cluster, -1 for none; 0 is the largest.
        names: one per cluster, all different.
        min_size: the smallest number of photos that made a cluster.
    """

    labels: IntArray
    names: tuple[str, ...]
    min_size: int

    @property
    def label_names(self) -> list[str]:
        """The name of each photo's cluster, "" for none."""
        return [self.names[number] if number >= 0 else NO_CLUSTER for number in self.labels]

    @property
    def noise_share(self) -> float:
        """The share of photos in no cluster."""
        return float((self.labels < 0).mean())


def default_min_size(count: int) -> int:
    """The default smallest cluster among `count` photos: half the square root."""
    return max(MIN_SIZE, round(math.sqrt(count) / 2))


def find_clusters(
    positions: Float64Array,
    names: Sequence[str],
    labels: Sequence[str] | None = None,
    min_size: int | None = None,
) -> Clusters:
    """Find clusters by HDBSCAN (Campello, Moulavi and Sander, 2013) and name them.

    A cluster is named after the label of more than half of its photos, or else after the file of
    its medoid, the photo with the smallest total distance to the others (sampled). A name that is
    taken gets a number. Of more than `MAX_CLUSTERED` positions HDBSCAN gets an even sample, and
    each other photo joins the cluster of the nearest sampled one.

    Args:
        positions: float64[n, 2].
        names: of the photos.
        labels: of the photos; None if they have none.
        min_size: photos of the smallest cluster; None for `default_min_size`.
    """
    count = len(positions)
    min_size = default_min_size(count) if min_size is None else min_size
    found = _run_hdbscan(positions, min_size)
    order = sorted(
        range(found.max() + 1), key=lambda number: (-int((found == number).sum()), number)
    )
    renumbered = np.full(len(order) + 1, -1)
    renumbered[order] = np.arange(len(order))
    found = renumbered[found]
    unique_names: list[str] = []
    for number in range(len(order)):
        name = _name(np.flatnonzero(found == number), positions, names, labels)
        unique_names.append(unique_name(name, unique_names))
    return Clusters(found, tuple(unique_names), min_size)


def _run_hdbscan(positions: Float64Array, min_size: int) -> IntArray:
    """int64[n]: cluster numbers in any order, -1 for noise."""
    from scipy.spatial import cKDTree
    from sklearn.cluster import HDBSCAN

    count = len(positions)
    if count < 2 * min_size:  # too few for two clusters
        return np.full(count, -1)
    step = -(-count // MAX_CLUSTERED)
    # Sampled in the order of positions, so that the order of the photos does not matter.
    seen = np.lexsort(positions.T)[::step] if step > 1 else np.arange(count)
    sampled = max(2, round(min_size / step))
    engine = HDBSCAN(min_cluster_size=sampled, min_samples=min(MIN_SAMPLES, sampled), copy=True)
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
        label, number = counted.most_common(1)[0]
        if 2 * number > len(rows):
            return label
    inside = positions[rows]
    sample = inside[:: -(-len(inside) // 500)]
    apart = np.linalg.norm(inside[:, None] - sample, axis=2).sum(axis=1)
    return names[int(rows[apart.argmin()])].rpartition("/")[2]
