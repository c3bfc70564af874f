"""The report card of a map: its quality measures, each with that of random orders."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tbgrid.choices import Metric
from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.grid.assignment import total_cost
from tbgrid.grid.cells import Grid, format_gap
from tbgrid.grid.layout import Layout, positions_of
from tbgrid.metrics.quality import (
    N_NEIGHBORS,
    DpqAccumulator,
    TrustworthinessAccumulator,
    equal_share,
    label_codes,
)
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.distances import DistanceBlock, iter_distance_blocks
from tbgrid.vectors.pca import normalize_for

ORDERS = 5  # random orders whose mean is the baseline
SAMPLE = 5000  # photos up to which each is compared with each
_MIN_ROWS = 200  # rows of a sample, however many photos there are
_MIN_ORDER_ROWS = 100
_ORDER_PAIRS = 5_000_000  # distances that are sorted for one random order


@dataclass(frozen=True, kw_only=True)
class ReportCard:
    """How good a map is. A number is None if it is undefined.

    Attributes:
        photos: number of photos.
        rows: number of photos that were compared with all others, for the first six numbers.
        neighbors: k, 10 or the largest number below photos / 2.
        dpq_16: see `metrics.quality.distance_preservation`; 1 at best.
        dpq_16_random: the mean of five random orders; so are all names in "_random".
        dpq_2: the same with power 2, which measures more of the whole.
        dpq_2_random: see `dpq_16_random`.
        trustworthiness: see `metrics.quality.neighbors_in_plane`; 1 at best.
        neighbors_kept: see `metrics.quality.neighbors_in_plane`; 1 at best.
        agreement: the share of adjacent cells with equal labels.
        agreement_random: see `dpq_16_random`.
        kl: the Kullback-Leibler divergence of t-SNE, in nats.
        cost: of the assignment to cells, before refinement.
        gap: the proven gap between cost and optimum (`grid.cells.Grid`).
        displacement: root mean square of the distance from places to cells, in cells, before
            refinement.
        layout: name of the layout.
        dpq_16_snap: the number before refinement; so are all names in "_snap". None if the cells
            were not refined.
        dpq_2_snap: see `dpq_16_snap`.
        agreement_snap: see `dpq_16_snap`.
    """

    photos: int
    rows: int
    neighbors: int
    dpq_16: float | None
    dpq_16_random: float | None
    dpq_2: float | None
    dpq_2_random: float | None
    trustworthiness: float | None
    neighbors_kept: float | None
    agreement: float | None
    agreement_random: float | None
    kl: float | None
    cost: float
    gap: float | None
    displacement: float
    layout: str = "layout"
    dpq_16_snap: float | None = None
    dpq_2_snap: float | None = None
    agreement_snap: float | None = None

    def comparable_scores(self) -> dict[str, float | None]:
        """Give the numbers by which maps of the same photos are compared; higher is better."""
        named = {
            "DPQ_16": self.dpq_16,
            "DPQ_2": self.dpq_2,
            f"trustworthiness_{self.neighbors}": self.trustworthiness,
        }
        # Without labels none of the maps has this number.
        return named if self.agreement is None else {**named, "neighbour_agreement": self.agreement}

    def scalars(self) -> dict[str, float]:
        """Give the numbers that are defined, by their names in TensorBoard tags and JSON."""
        named = {
            "DPQ_16": self.dpq_16,
            "DPQ_16_snap": self.dpq_16_snap,
            "DPQ_16_random": self.dpq_16_random,
            "DPQ_2": self.dpq_2,
            "DPQ_2_snap": self.dpq_2_snap,
            "DPQ_2_random": self.dpq_2_random,
            f"trustworthiness_{self.neighbors}": self.trustworthiness,
            f"neighbours_kept_{self.neighbors}": self.neighbors_kept,
            "neighbour_agreement": self.agreement,
            "neighbour_agreement_snap": self.agreement_snap,
            "neighbour_agreement_random": self.agreement_random,
            "KL_divergence": self.kl,
            "assignment_cost": self.cost,
            "assignment_gap": self.gap,
            "assignment_displacement": self.displacement,
        }
        return {name: value for name, value in named.items() if value is not None}

    def summary_rows(self) -> list[tuple[str, str]]:
        """Give (name, value) for people, with baselines in brackets."""
        name, near = self.layout, self.neighbors
        rows = [
            ("grid, DPQ_16", _with_baselines(self.dpq_16, self.dpq_16_random, self.dpq_16_snap)),
            ("grid, DPQ_2", _with_baselines(self.dpq_2, self.dpq_2_random, self.dpq_2_snap)),
            (f"{name}, trustworthiness at {near}", _with_baselines(self.trustworthiness)),
            (f"{name}, share of {near} nearest kept", _with_baselines(self.neighbors_kept)),
            (
                "adjacent cells with equal labels",
                _with_baselines(self.agreement, self.agreement_random, self.agreement_snap),
            ),
            (f"{name}, KL divergence", _with_baselines(self.kl)),
            ("assignment, cost", f"{self.cost:.6g}, {format_gap(self.gap)}"),
            ("displacement to cell (RMS)", f"{self.displacement:.3f} cells"),
        ]
        if self.rows < self.photos and self.photos > 2:
            measured = f"{self.rows} of {self.photos} photos, drawn at random, against all"
            rows.append(("DPQ and neighbours measured on", measured))
        return [(name, value) for name, value in rows if value is not None]


def report_card(
    vectors: Float32Array,
    layout: Layout | npt.ArrayLike,
    grid: Grid,
    labels: Sequence[Hashable] | None = None,
    *,
    metric: Metric = "cosine",
    seed: int = 0,
    sample: int = SAMPLE,
    progress: Progress = silent,
) -> ReportCard:
    """Measure how well a map shows the vectors.

    All photos are compared with all others, which takes 250 MB in addition to normalized vectors.
    Above `sample` photos this is done for a random sample of max(200, sample**2 / n); with 200, DPQ
    and trustworthiness vary by about 0.01.

    Args:
        vectors: float32[n, d].
        layout: their layout, or its positions, float64[n, 2].
        grid: their cells, by `snap` or `refine`.
        labels: the label of each of the n photos, if they have labels.
        metric: the distance between vectors.
        seed: of the sample and the random orders.
        sample: number of photos up to which all are compared with all.
        progress: called as the comparison proceeds.

    Raises:
        TbgridError: positions that are not finite.
    """
    points, count = normalize_for(vectors, metric), len(vectors)
    rows, order_rows = _sample_sizes(count, sample)
    near = max(0, min(N_NEIGHBORS, (count - 1) // 2))
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(count)[:rows]
    orders = [rng.permutation(count) for _ in range(ORDERS)]
    measures = _Measures(positions_of(layout), grid, near, orders)
    measures.add_all(points, chosen, order_rows, progress)
    agreement, agreement_random, agreement_snap = _agreements(labels, grid, orders)
    return ReportCard(
        photos=count,
        rows=rows,
        neighbors=near,
        dpq_16=measures.grid.quality(16),
        dpq_16_random=_mean([sums.quality(16) for sums in measures.random]),
        dpq_2=measures.grid.quality(2),
        dpq_2_random=_mean([sums.quality(2) for sums in measures.random]),
        trustworthiness=measures.plane.trustworthiness(),
        neighbors_kept=measures.plane.kept(),
        agreement=agreement,
        agreement_random=agreement_random,
        kl=_divergence(layout),
        cost=grid.snapped.cost,
        gap=grid.snapped.gap,
        displacement=_displacement(grid.snapped),
        layout=layout.name if isinstance(layout, Layout) else "layout",
        dpq_16_snap=measures.snapped.quality(16) if measures.snapped else None,
        dpq_2_snap=measures.snapped.quality(2) if measures.snapped else None,
        agreement_snap=agreement_snap,
    )


def _sample_sizes(count: int, sample: int) -> tuple[int, int]:
    """How many photos are compared with all, and how many of these for random orders.

    For a random order it is the number that makes `_ORDER_PAIRS` distances, at least 100, which is
    all photos up to 2,236.
    """
    rows = count
    if count > sample:
        rows = min(count, max(_MIN_ROWS, sample**2 // count))
    return rows, min(rows, max(_MIN_ORDER_ROWS, _ORDER_PAIRS // count))


class _Measures:
    """What is computed from blocks of distances."""

    def __init__(
        self, positions: Float64Array, grid: Grid, near: int, orders: Sequence[IntArray]
    ) -> None:
        self.grid = DpqAccumulator(grid.cells, grid.columns)
        self.snapped = DpqAccumulator(grid.snapped.cells, grid.columns) if grid.refinement else None
        self.random = [DpqAccumulator(grid.cells[order], grid.columns) for order in orders]
        self.plane = TrustworthinessAccumulator(positions, near)

    def add_all(
        self, points: Float32Array, chosen: IntArray, order_rows: int, progress: Progress
    ) -> None:
        """Add the `chosen` points; for random orders, the first `order_rows` of them."""
        done = 0
        progress("quality", done, len(chosen))
        for block in iter_distance_blocks(points, chosen):
            self._add(block, block.first(order_rows - done))
            done += len(block.chosen)
            progress("quality", done, len(chosen))

    def _add(self, block: DistanceBlock, for_orders: DistanceBlock) -> None:
        self.grid.add(block)
        if self.snapped is not None:
            self.snapped.add(block)
        self.plane.add(block)
        for sums in self.random:
            sums.add(for_orders)


def _agreements(
    labels: Sequence[Hashable] | None, grid: Grid, orders: Sequence[IntArray]
) -> tuple[float | None, float | None, float | None]:
    """The shares of adjacent cells with equal labels: of the grid, random orders and the snap."""
    if labels is None:
        return None, None, None
    codes = label_codes(labels)
    pairs = adjacent_pairs(grid.cells, grid.rows, grid.columns)
    snap = None
    if grid.refinement is not None:
        snap = equal_share(codes, adjacent_pairs(grid.snapped.cells, grid.rows, grid.columns))
    by_chance = _mean([equal_share(codes[order], pairs) for order in orders])
    return equal_share(codes, pairs), by_chance, snap


def _divergence(layout: Layout | npt.ArrayLike) -> float | None:
    found = layout.kl if isinstance(layout, Layout) else None
    return found if found is not None and math.isfinite(found) else None


def _displacement(grid: Grid) -> float:
    """Root mean square of the distance from places to cells."""
    squares = total_cost(grid.places, grid.cells, grid.columns, "squared")
    return math.sqrt(squares / len(grid.cells))


def _with_baselines(
    value: float | None, chance: float | None = None, snap: float | None = None
) -> str | None:
    if value is None:
        return None
    baselines = [
        f"{name} {number:.3f}"
        for name, number in (("before refinement", snap), ("random order", chance))
        if number is not None
    ]
    return f"{value:.3f}" + (f" ({', '.join(baselines)})" if baselines else "")


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
