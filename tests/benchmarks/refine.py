"""How good refined maps are compared to others, by DPQ_16, DPQ_2 and the agreement of labels.

    python -m tests.benchmarks.refine PHOTOS [--model NAME] [--sample N] [--seeds 5]
    python -m tests.benchmarks.refine colours [--seeds 5]
    python -m tests.benchmarks.refine PHOTOS --growth 1024 5000 20000

For each seed 1,024 of the photos are drawn and put on a grid of 32 x 32: by scikit-learn's t-SNE of
perplexity 30, snapped ("plain"); by the best of three settings of vc-flas; by linear assignment
sorting from a random order, radius 16 to 0.5 ("LAS"); and as tbgrid does by default. "colours" are
random RGB, of which LAS is published with a DPQ_16 of .954 on one such set. Prints medians, the
differences from plain of each seed's map, and the CPU seconds of layout, snap and refinement.
With --growth: the CPU seconds of refinement alone, for these numbers of photos.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import tbgrid
from tbgrid.choices import Metric
from tbgrid.grid.refine import linear_assignment_sorting
from tbgrid.metrics.quality import distance_preservation, neighbor_agreement
from tbgrid.types import Float32Array, IntArray
from tbgrid.vectors.pca import normalize_for

COUNT, SIDE = 1024, 32
FLAS = (0.93, 0.99, 0.999)  # what is left of the radius from step to step


def flas(points: Float32Array, seed: int) -> IntArray:
    """The best that vc-flas gives, by DPQ_16."""
    from vc_flas import Grid, flas

    board = Grid.from_features(np.ascontiguousarray(points), size=(SIDE, SIDE))
    found = [
        np.argsort(flas(board, wrap=False, radius_decay=decay, seed=seed).sorting.ravel())
        for decay in FLAS
    ]
    return max(found, key=lambda cells: distance_preservation(points, cells, SIDE) or 0)


def made(way: str, vectors: Float32Array, metric: Metric, seed: int) -> tuple[IntArray, float]:
    """Cells by one way, and the CPU seconds that they took."""
    points = normalize_for(vectors, metric)
    start = time.process_time()
    if way == "plain":
        options = tbgrid.TsneOptions(30, seed, "sklearn")
        cells = tbgrid.snap(tbgrid.tsne(vectors, options, metric=metric)).cells
    elif way == "vc-flas":
        cells = flas(points, seed)
    elif way == "LAS":
        order = np.random.default_rng(seed).permutation(COUNT)
        cells = linear_assignment_sorting(points, order, SIDE, SIDE)
    else:
        layout = tbgrid.tsne(vectors, tbgrid.TsneOptions(seed=seed), metric=metric)
        cells = tbgrid.refine(tbgrid.snap(layout), vectors, metric=metric).cells
    return cells, time.process_time() - start


def scores(
    points: Float32Array, labels: list[str] | None, cells: IntArray
) -> tuple[float, float, float]:
    """DPQ_16, DPQ_2, agreement (NaN without labels)."""
    near, whole = (distance_preservation(points, cells, SIDE, power) for power in (16, 2))
    alike = neighbor_agreement(labels, cells, SIDE, SIDE) if labels else None
    return near or np.nan, whole or np.nan, np.nan if alike is None else alike


def compared(
    vectors: Float32Array | None, labels: list[str] | None, metric: Metric, seeds: int
) -> None:
    """Print the table."""
    ways = ("plain", "vc-flas", "LAS", "tbgrid")
    found = np.empty((len(ways), seeds, 3))
    seconds = np.empty((len(ways), seeds))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        if vectors is None:
            some, tags = rng.random((COUNT, 3)).astype(np.float32), None
        else:
            rows = rng.permutation(len(vectors))[:COUNT]
            some = np.ascontiguousarray(vectors[rows])
            tags = None if labels is None else [labels[row] for row in rows]
        points = normalize_for(some, metric)
        for way, name in enumerate(ways):
            cells, seconds[way, seed] = made(name, some, metric, seed)
            found[way, seed] = scores(points, tags, cells)
    print(f"medians of {seeds}: DPQ_16, DPQ_2, agreement; less those of plain; CPU seconds")
    for way, name in enumerate(ways):
        middle = np.median(found[way], axis=0)
        apart = np.median(found[way] - found[0], axis=0)
        numbers = [f"{value:.4f}" for value in middle] + [f"{value:+.4f}" for value in apart]
        print(f"{name:8}", *numbers, f"{np.median(seconds[way]):.1f}", sep="  ")


def growth(vectors: Float32Array, metric: Metric, counts: list[int]) -> None:
    """Print what refinement costs, for more and more points."""
    for count in counts:
        grid = tbgrid.snap(tbgrid.tsne(vectors[:count], metric=metric))
        start = time.process_time()
        found = tbgrid.refine(grid, vectors[:count], metric=metric).refinement
        seconds = time.process_time() - start
        assert found is not None
        print(
            f"{count:,} points: {seconds:.1f} CPU-s, {1e3 * seconds / count:.2f} ms a point, "
            f"sum {found.sum_before:.4f} to {found.sum_after:.4f}",
            flush=True,
        )


def main() -> None:
    """Compare, or time."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.refine", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("source", metavar="PHOTOS", help="a folder, an array, or colours")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sample", type=int, metavar="N", help="of the photos")
    parser.add_argument("--growth", type=int, nargs="+", metavar="N")
    given = parser.parse_args()
    if given.source == "colours":
        compared(None, None, "euclidean", given.seeds)
        return
    embedder = tbgrid.load_embedder(given.model)
    source = tbgrid.open_source(given.source, tbgrid.SourceOptions(sample=given.sample))
    images = tbgrid.embed(source, embedder, thumbnail=8)
    vectors = np.array(images.vectors)
    if given.growth:
        growth(vectors, embedder.metric, given.growth)
    else:
        compared(vectors, images.labels, embedder.metric, given.seeds)


if __name__ == "__main__":
    main()
