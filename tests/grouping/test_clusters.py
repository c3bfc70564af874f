"""Clusters are found, named, and the same in any order."""

from __future__ import annotations

import numpy as np
import pytest

from tbgrid.grouping import clusters
from tbgrid.grouping.clusters import NO_CLUSTER, default_min_size, find_clusters
from tbgrid.types import Float64Array


def blobs(each: int = 40, count: int = 5, stray: int = 6) -> Float64Array:
    """Round heaps far from each other, and single points farther away, apart."""
    rng = np.random.default_rng(0)
    heaps = [rng.normal((100 * number, 0), 1, (each, 2)) for number in range(count)]
    alone = np.column_stack([300 * np.arange(stray), np.full(stray, 5000.0)])
    return np.concatenate([*heaps, alone])


def names(count: int) -> list[str]:
    return [f"folder/{row:04}.jpg" for row in range(count)]


def test_heaps_are_clusters_and_strays_are_none() -> None:
    places = blobs()
    found = find_clusters(places, names(len(places)))
    assert len(found.names) == 5
    for number in range(5):
        assert len(set(found.labels[40 * number : 40 * number + 40].tolist()) - {-1}) == 1
    assert (found.labels[200:] == -1).all()
    assert found.label_names[-1] == NO_CLUSTER
    assert (found.labels[:200] >= 0).mean() > 0.9
    assert found.noise_share == pytest.approx((found.labels < 0).mean())


def test_names_by_label_and_by_the_photo_in_the_middle() -> None:
    places = blobs(stray=0)
    labels = ["cat"] * 80 + ["dog"] * 40 + ["ant", "bee"] * 20 + ["none"] * 40
    found = find_clusters(places, names(200), labels)
    called = {name for name in found.label_names if name != NO_CLUSTER}
    (by_file,) = (name for name in called if name.endswith(".jpg"))
    assert called - {by_file} == {"cat", "cat 2", "dog", "none"}
    row = int(by_file[:4])
    heap = places[120:160]
    assert 120 <= row < 160
    assert np.linalg.norm(places[row] - heap.mean(axis=0)) < 1


def test_the_order_of_photos_does_not_matter() -> None:
    places = blobs()
    order = np.random.default_rng(1).permutation(len(places))
    one = find_clusters(places, names(len(places)))
    other = find_clusters(places[order], [names(len(places))[row] for row in order])
    assert {frozenset(np.flatnonzero(one.labels == n).tolist()) for n in range(5)} == {
        frozenset(order[other.labels == n].tolist()) for n in range(5)
    }
    assert set(one.names) == set(other.names)


def test_of_many_points_a_part_is_clustered(monkeypatch: pytest.MonkeyPatch) -> None:
    places = blobs(each=200)
    monkeypatch.setattr(clusters, "MAX_CLUSTERED", 400)
    found = find_clusters(places, names(len(places)))
    assert len(found.names) == 5
    assert (found.labels[:1000] >= 0).mean() > 0.9


def test_few_points_are_in_no_cluster() -> None:
    found = find_clusters(np.zeros((3, 2)), names(3))
    assert found.label_names == [NO_CLUSTER] * 3
    assert not found.names


def test_how_many_make_a_cluster() -> None:
    assert [default_min_size(count) for count in (3, 1024, 10_000)] == [5, 16, 50]
    assert len(find_clusters(blobs(), names(206), min_size=60).names) < 5
