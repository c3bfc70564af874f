"""How far photos move, and how good the map is, if it begins at an earlier one (--like).

    python -m tests.benchmarks.like PHOTOS [--model NAME] [--count N] [--seeds 5] [--changes 1 ...]

For each seed COUNT of the photos (default: all) are drawn. For each of the changes, in per cent of
the earlier map, a map of the first of them is made, and then two of all: one from scratch and one
like the first. A negative change removes photos. Prints medians over the seeds; moves are in cells
of the earlier grid, DPQ_16 is that of the report card.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np

import tbgrid
from tbgrid.choices import Metric
from tbgrid.mapping.arrange import arrange
from tbgrid.mapping.warm_start import WarmStart, measure_stability
from tbgrid.options import ExportOptions
from tbgrid.types import Float32Array
from tbgrid.util.cache import Cache

CHANGES = (1, 30, 100, -1, -30)
NEAR = 0.01  # of DPQ_16


@dataclass(frozen=True)
class Found:
    """DPQ_16, moves and CPU seconds of a map like another one, and of one from scratch."""

    quality: float
    fresh: float
    median: float
    most: float
    unmoved: float
    fresh_median: float
    seconds: float
    fresh_seconds: float


def compared(vectors: Float32Array, metric: Metric, change: int, seed: int) -> Found:
    """Map some of the vectors, then more or fewer of them in both ways."""
    count = len(vectors)
    before = round(count / (1 + change / 100)) if change > 0 else count
    after = count if change > 0 else round(count * (1 + change / 100))
    options, nothing = ExportOptions(tsne=tbgrid.TsneOptions(seed=seed)), Cache(None)
    old = arrange(vectors[:before], None, metric, options, nothing)
    start = WarmStart(
        run="the first",
        previous_rows=np.array([row if row < before else -1 for row in range(after)]),
        rows=old.grid.rows,
        columns=old.grid.columns,
        cells=old.grid.cells,
        places=old.grid.places,
        positions=old.layout.positions,
        cost=old.grid.cost,
    )
    clock = time.process_time()
    fresh = arrange(vectors[:after], None, metric, options, nothing)
    middle = time.process_time()
    like = arrange(vectors[:after], None, metric, options, nothing, start=start)
    end = time.process_time()
    assert like.stability
    assert like.card.dpq_16
    assert fresh.card.dpq_16
    return Found(
        like.card.dpq_16,
        fresh.card.dpq_16,
        like.stability.move_median,
        like.stability.move_p95,
        like.stability.unmoved_share,
        measure_stability(fresh.grid, start).move_median,
        end - middle,
        middle - clock,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.like", description=__doc__.splitlines()[0]
    )
    parser.add_argument("photos")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--changes", type=int, nargs="*", default=CHANGES, help="in per cent")
    given = parser.parse_args()
    model = tbgrid.load_embedder(given.model)
    source = tbgrid.open_source(given.photos, tbgrid.SourceOptions(sample=given.count))
    images = tbgrid.embed(source, model)
    print("| change | DPQ_16, fresh | median move | 95 % | unmoved | fresh | CPU-s, fresh |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for change in given.changes:
        found = []
        for seed in range(given.seeds):
            order = np.random.default_rng(seed).permutation(len(images.vectors))
            found.append(compared(images.vectors[order], model.metric, change, seed))

        def middle(name: str, found: list[Found] = found) -> float:
            return float(statistics.median(getattr(each, name) for each in found))

        print(
            f"| {len(images.vectors):,}: {change:+} % "
            f"| {middle('quality'):.4f}, {middle('fresh'):.4f} "
            f"| {middle('median'):.2f} | {middle('most'):.2f} | {middle('unmoved'):.2f} "
            f"| {middle('fresh_median'):.2f} "
            f"| {middle('seconds'):.1f}, {middle('fresh_seconds'):.1f} |",
            flush=True,
        )
    print(f"| at most {NEAR} below; with 1 % new at most 1 | | | | | | |")


if __name__ == "__main__":
    main()
