"""The report card of a map: its numbers, each beside what a random order would get."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from tbgrid.choices import Metric
from tbgrid.grid.adjacency import adjacent_pairs
from tbgrid.grid.assignment import total_cost
from tbgrid.grid.cells import Grid, format_gap
from tbgrid.metrics.quality import NEIGHBOURS, PlaneRanks, RankSums, codes_of, equal_share
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array
from tbgrid.vectors.distances import blocks
from tbgrid.vectors.pca import normalize_for

ORDERS = 5  # random orders whose mean is the baseline
SAMPLE = 5000  # photos up to which each is compared with each
_FEWEST_ROWS = 200  # rows of a sample, however many photos there are
_FEWEST_ORDER_ROWS = 100
_ORDER_PAIRS = 5_000_000  # distances that are sorted for one random order


@dataclass(frozen=True)
class ReportCard:
    """How good a layout is; None where a number does not exist.

    `photos`: n. `rows`: how many photos were compared with all n for the first six numbers; n
    where nothing was sampled. `neighbours`: k, 10 or the largest number below n / 2.

    `dpq_16`, `dpq_2`: see `distance_preservation`, 1 at best. `trustworthiness` and
    `neighbours_kept`: see `neighbours_in_plane`, 1 at best. `agreement`: the share of equal labels
    among adjacent cells. Names that end in `_random`: the mean of five random orders.

    `kl`: the Kullback-Leibler divergence of t-SNE, in nats. `cost`: the assignment's, and what
    `gap` to the least one is proven, if any (`grid.cells.Grid`). `displacement`: from a photo's
    place to its cell, root mean square, in cells; for squared costs the root of the cost per photo.
    `layout`: the name of what gave the places in the plane. Names that end in `_snap`: the same
    number for the cells that the snap gave, where they were refined since. The cost, its gap and
    the displacement are the snap's always.
    """

    photos: int
    rows: int
    neighbours: int
    dpq_16: float | None
    dpq_16_random: float | None
    dpq_2: float | None
    dpq_2_random: float | None
    trustworthiness: float | None
    neighbours_kept: float | None
    agreement: float | None
    agreement_random: float | None
    kl: float | None
    cost: float
    gap: float | None
    displacement: float
    layout: str = "t-SNE"
    dpq_16_snap: float | None = None
    dpq_2_snap: float | None = None
    agreement_snap: float | None = None

    def compared(self) -> dict[str, float | None]:
        """The numbers by which maps of the same photos are compared; higher is better."""
        named = {
            "DPQ_16": self.dpq_16,
            "DPQ_2": self.dpq_2,
            f"trustworthiness_{self.neighbours}": self.trustworthiness,
        }
        # Where there are no labels there is no such number in any of the maps.
        return named if self.agreement is None else {**named, "neighbour_agreement": self.agreement}

    def scalars(self) -> dict[str, float]:
        """The numbers that exist, by names for TensorBoard tags and JSON."""
        named = {
            "DPQ_16": self.dpq_16,
            "DPQ_16_snap": self.dpq_16_snap,
            "DPQ_16_random": self.dpq_16_random,
            "DPQ_2": self.dpq_2,
            "DPQ_2_snap": self.dpq_2_snap,
            "DPQ_2_random": self.dpq_2_random,
            f"trustworthiness_{self.neighbours}": self.trustworthiness,
            f"neighbours_kept_{self.neighbours}": self.neighbours_kept,
            "neighbour_agreement": self.agreement,
            "neighbour_agreement_snap": self.agreement_snap,
            "neighbour_agreement_random": self.agreement_random,
            "KL_divergence": self.kl,
            "assignment_cost": self.cost,
            "assignment_gap": self.gap,
            "assignment_displacement": self.displacement,
        }
        return {name: value for name, value in named.items() if value is not None}

    def lines(self) -> list[tuple[str, str]]:
        """(name, value with its baseline in brackets) for people."""

        def told(
            value: float | None, chance: float | None = None, snap: float | None = None
        ) -> str | None:
            if value is None:
                return None
            beside = [
                f"{name} {number:.3f}"
                for name, number in (("before refinement", snap), ("random order", chance))
                if number is not None
            ]
            return f"{value:.3f}" + (f" ({', '.join(beside)})" if beside else "")

        proof = format_gap(self.gap)
        name, near = self.layout, self.neighbours
        found = [
            ("grid, DPQ_16", told(self.dpq_16, self.dpq_16_random, self.dpq_16_snap)),
            ("grid, DPQ_2", told(self.dpq_2, self.dpq_2_random, self.dpq_2_snap)),
            (f"{name}, trustworthiness at {near}", told(self.trustworthiness)),
            (f"{name}, share of {near} nearest kept", told(self.neighbours_kept)),
            (
                "adjacent cells with equal labels",
                told(self.agreement, self.agreement_random, self.agreement_snap),
            ),
            (f"{name}, KL divergence", told(self.kl)),
            ("assignment, cost", f"{self.cost:.6g} ({proof})"),
            ("assignment, way to the cell", f"{self.displacement:.3f} cells (root mean square)"),
        ]
        lines = [(name, value) for name, value in found if value is not None]
        if self.rows < self.photos and self.photos > 2:
            measured = f"{self.rows} of {self.photos} photos, drawn at random, against all"
            lines.append(("DPQ and neighbours measured on", measured))
        return lines


def report_card(
    vectors: Float32Array,
    positions: Float64Array,
    grid: Grid,
    labels: Sequence[Hashable] | None,
    *,
    metric: Metric = "cosine",
    kl: float | None = None,
    layout: str = "t-SNE",
    snapped: Grid | None = None,
    seed: int = 0,
    sample: int = SAMPLE,
    progress: Progress = silent,
) -> ReportCard:
    """Measure the layout of float32[n, d] vectors at `positions`, snapped to `grid`; `snapped`:
    the grid as the snap left it, if the cells of `grid` are refined ones.

    Every photo is compared with every other. Above `sample` photos this is done for
    max(200, sample**2 / n) of them, drawn at random under `seed`, so that time stays bounded;
    at 200 DPQ and trustworthiness stray by about 0.01. Each random order is measured on the first
    of the photos so drawn: as many as make 5,000,000 distances, at least 100, which is all of
    them up to 2,236 photos. Held at a time: some 250 MB beside the comparable vectors.
    """
    points = normalize_for(vectors, metric)
    count = len(points)
    rows = count
    if count > sample:
        rows = min(count, max(_FEWEST_ROWS, sample**2 // count))
    order_rows = min(rows, max(_FEWEST_ORDER_ROWS, _ORDER_PAIRS // count))
    near = max(0, min(NEIGHBOURS, (count - 1) // 2))

    rng = np.random.default_rng(seed)
    chosen = rng.permutation(count)[:rows]
    orders = [rng.permutation(count) for _ in range(ORDERS)]
    on_grid = RankSums(grid.cells, grid.columns)
    before = None if snapped is None else RankSums(snapped.cells, grid.columns)
    by_chance = [RankSums(grid.cells[order], grid.columns) for order in orders]
    in_plane = PlaneRanks(positions, near)
    done = 0
    progress("quality", done, rows)
    for block in blocks(points, chosen):
        on_grid.add(block)
        if before is not None:
            before.add(block)
        in_plane.add(block)
        some = block.first(order_rows - done)
        for sums in by_chance:
            sums.add(some)
        done += len(block.chosen)
        progress("quality", done, rows)

    agreement = agreement_random = agreement_snap = None
    if labels is not None:
        pairs = adjacent_pairs(grid.cells, grid.rows, grid.columns)
        codes = codes_of(labels)
        agreement = equal_share(codes, pairs)
        if snapped is not None:
            agreement_snap = equal_share(
                codes, adjacent_pairs(snapped.cells, grid.rows, grid.columns)
            )
        agreement_random = _mean([equal_share(codes[order], pairs) for order in orders])
    snap = snapped or grid
    moved = total_cost(snap.places, snap.cells, snap.columns, "squared")
    return ReportCard(
        photos=count,
        rows=rows,
        neighbours=near,
        dpq_16=on_grid.quality(16),
        dpq_16_random=_mean([sums.quality(16) for sums in by_chance]),
        dpq_2=on_grid.quality(2),
        dpq_2_random=_mean([sums.quality(2) for sums in by_chance]),
        trustworthiness=in_plane.trustworthiness(),
        neighbours_kept=in_plane.kept(),
        agreement=agreement,
        agreement_random=agreement_random,
        kl=kl if kl is not None and math.isfinite(kl) else None,
        cost=snap.cost,
        gap=snap.gap,
        displacement=math.sqrt(moved / count),
        layout=layout,
        dpq_16_snap=None if before is None else before.quality(16),
        dpq_2_snap=None if before is None else before.quality(2),
        agreement_snap=agreement_snap,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
