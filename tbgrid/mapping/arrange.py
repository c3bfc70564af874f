"""Vectors become a map: places in the plane, cells of a grid, and numbers that say how good it is.

The one place where layout, grid and quality meet; it knows nothing of photos and files.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tbgrid.choices import NAMES, Method, Metric
from tbgrid.errors import UsageError
from tbgrid.grid.cells import Grid, cell_centers, grid_from_cells, shape_for
from tbgrid.grid.layout import Layout, layout_title
from tbgrid.grid.refine import refine
from tbgrid.grid.snap import snap
from tbgrid.layouts import methods
from tbgrid.layouts.procrustes import aligned, aligned_cells
from tbgrid.mapping.warm_start import Stability, Start, lay_out_like, measured, snap_like
from tbgrid.metrics.report_card import ReportCard, report_card
from tbgrid.options import DEFAULT_BUDGET, ExportOptions, TsneOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, Json
from tbgrid.util.cache import Cache, key_of
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.timing import Times

# To be raised when a change of `layouts.tsne`, `layouts.methods`, `layouts.tsne_engines` or what
# these use moves points.
LAYOUT = 4
ALIKE = 0.01  # of DPQ_16: by so much it strays where photos are sampled


@dataclass(frozen=True)
class Candidate:
    """A layout that `best` thought of: its `title`; its report `card` and the CPU `seconds` that it
    took, None if it was not tried; a `remark`, that it was kept or why it was not tried."""

    title: str
    card: ReportCard | None = None
    seconds: float | None = None
    remark: str = ""

    @property
    def row(self) -> Json:
        """A row of the table of all that were tried."""
        told: Json = {"layout": self.title}
        if self.card is not None:
            told |= self.card.comparable_scores()
            told["cpu_seconds"] = self.seconds
        return {**told, "remark": self.remark}


@dataclass(frozen=True)
class Arrangement:
    """A finished map of n points: its `layout` in the plane, its `grid`, its report `card`.

    `candidates`: where it is the best of several, all of them, in the order of trying. `stability`:
    where it began at an earlier map, how far it is from that.
    """

    layout: Layout
    grid: Grid
    card: ReportCard
    candidates: tuple[Candidate, ...] = ()
    stability: Stability | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how the options were applied."""
        stability = self.stability.notes if self.stability else ()
        refinement = self.grid.refinement
        stopped = ("refinement was stopped when its time was up",)
        late = stopped if refinement is not None and refinement.stopped else ()
        return (*self.layout.notes, *self.grid.notes, *stability, *late)

    def lines(self) -> list[tuple[str, str]]:
        """(name, value) of all that is measured, for people."""
        return [*self.card.summary_rows(), *(self.stability.lines() if self.stability else [])]


def arrange(
    vectors: Float32Array,
    labels: Sequence[str] | None,
    metric: Metric,
    options: ExportOptions,
    cache: Cache,
    *,
    towards: Float64Array | None = None,
    start: Start | None = None,
    times: Times | None = None,
    progress: Progress = silent,
) -> Arrangement:
    """The map of float32[n, d] vectors.

    `labels`, n of them or None, only count in the report card. `towards`: float64[n, 2] places of
    another map of the same photos, to which this one is turned, and mirrored if need be, before
    the snap. `start`: the earlier map that this one begins at, by t-SNE. `times` is told of each
    stage.

    Raises:
        UsageError: the grid is too small, the perplexity too large for so many, or the layout is
            not installed.
        TbgridError: too few vectors, or vectors that are not finite.
    """
    work = _Work(
        vectors, labels, metric, options, cache, towards, start, times or Times(), progress
    )
    if options.layout != "best":
        methods.require_method(options.layout, work.shape)
        return work.arranged(options.layout, options.tsne)[0]
    return _best(work, options)


def _best(work: _Work, options: ExportOptions) -> Arrangement:
    budget = DEFAULT_BUDGET if options.budget is None else options.budget
    found: dict[int, Arrangement] = {}  # by their place among those that were thought of
    thought_of: list[Candidate] = []
    spent = 0.0
    for method, tsne in methods.candidates(options.tsne, len(work.vectors)):
        told = layout_title(method, tsne.perplexity)
        try:
            methods.require_method(method, work.shape)
        except UsageError as error:
            thought_of.append(Candidate(told, remark=f"not tried: {error}"))
            continue
        if found and spent >= budget:
            thought_of.append(Candidate(told, remark=f"not tried: --budget {budget:g} is used up"))
            continue
        one, seconds = work.arranged(method, tsne)
        spent += seconds
        found[len(thought_of)] = one
        thought_of.append(Candidate(one.layout.title, one.card, round(seconds, 2)))
    kept = best_of([one.card for one in found.values()])
    at, best = list(found.items())[kept]
    thought_of[at] = replace(thought_of[at], remark="kept")
    return replace(best, candidates=tuple(thought_of))


def best_of(cards: Sequence[ReportCard]) -> int:
    """Which map is the best: of those whose DPQ_16 is within `ALIKE` of the highest the one with
    the highest DPQ_2, the first of equals.

    DPQ_16 follows people's judgement of sorted maps better than other numbers (Barthel et al.,
    2023), but sees hardly more than the nearest photos, in which several layouts may be alike;
    DPQ_2 sees more of the whole. Neither needs labels. A number that does not exist is the worst.
    """
    scores = [(card.dpq_16 or 0.0, card.dpq_2 or 0.0) for card in cards]
    highest = max(near for near, _ in scores)
    whole = [far if near >= highest - ALIKE else -1.0 for near, far in scores]
    return whole.index(max(whole))


class _Work:
    """What all layouts of the same vectors have in common."""

    def __init__(
        self,
        vectors: Float32Array,
        labels: Sequence[str] | None,
        metric: Metric,
        options: ExportOptions,
        cache: Cache,
        towards: Float64Array | None,
        start: Start | None,
        times: Times,
        progress: Progress,
    ) -> None:
        self.vectors, self.labels, self.metric = vectors, labels, metric
        self.options, self.refine = options.grid, options.refine
        self.cache, self.times, self.progress = cache, times, progress
        self.towards, self.start = towards, start
        self.shape = shape_for(len(vectors), options.grid)  # before a layout takes its time

    def arranged(self, method: Method, tsne: TsneOptions) -> tuple[Arrangement, float]:
        """The map by one method, and the CPU seconds that it took."""
        with self.times.stage(NAMES[method]):
            layout, seconds = self._layout(method, tsne)
        start = time.process_time()
        drop_pages(self.vectors)
        if self.towards is not None:
            layout = _turned(layout, self.shape, self.towards)
        with self.times.stage("grid"):
            if self.start is not None:
                snapped = snap_like(layout, self.start, self.options, progress=self.progress)
            elif layout.cells is None:
                snapped = snap(layout, self.options, progress=self.progress)
            else:
                snapped = grid_from_cells(layout.cells, *self.shape, layout.engine)
        layout, grid = self._refined(layout, snapped)
        with self.times.stage("quality"):
            card = report_card(
                self.vectors, layout, grid, self.labels, metric=self.metric, progress=self.progress
            )
        stability = None if self.start is None else measured(grid, self.start)
        seconds += time.process_time() - start
        return Arrangement(layout, grid, card, stability=stability), seconds

    def _refined(self, layout: Layout, snapped: Grid) -> tuple[Layout, Grid]:
        """The grid with refined cells, and the layout, which goes along if its places are cells."""
        if self.refine is None:
            return layout, snapped
        with self.times.stage("refine"):
            grid = refine(
                snapped,
                self.vectors,
                self.refine,
                metric=self.metric,
                gentle=self.start is not None,
                progress=self.progress,
            )
        drop_pages(self.vectors)
        if layout.cells is None:
            return layout, grid
        positions = cell_centers(grid.cells, grid.columns)
        on_cells = grid_from_cells(grid.cells, *self.shape, layout.engine)
        layout = replace(layout, cells=grid.cells, positions=positions)
        return layout, replace(on_cells, refinement=grid.refinement)

    def _layout(self, method: Method, tsne: TsneOptions) -> tuple[Layout, float]:
        """The layout, and the CPU seconds that it took; from the cache if these very vectors were
        laid out so before."""
        begin = time.process_time()
        if self.start is not None:
            layout = lay_out_like(
                self.vectors, self.start, tsne, metric=self.metric, progress=self.progress
            )
            return layout, time.process_time() - begin
        key = key_of(
            NAMES[method],
            methods.layout_version(method, tsne),
            LAYOUT,
            self.vectors.shape,
            np.ascontiguousarray(self.vectors).data,
            tsne,
            self.metric,
            *([self.shape] if method == "flas" else []),
        )
        held = self.cache.get([key]).get(key)
        if held is not None:
            return _unpacked(held)
        layout = methods.layout(
            self.vectors,
            method,
            options=tsne,
            shape=self.shape,
            metric=self.metric,
            progress=self.progress,
        )
        seconds = time.process_time() - begin
        self.cache.put("layout", [(key, _packed(layout, seconds))])
        return layout, seconds


def _turned(layout: Layout, shape: tuple[int, int], towards: Float64Array) -> Layout:
    """`layout` turned towards other places of the same points; distances in it stay."""
    if layout.cells is None:
        return replace(layout, positions=aligned(layout.positions, towards))
    cells = aligned_cells(layout.cells, *shape, towards)
    return replace(layout, cells=cells, positions=cell_centers(cells, shape[1]))


def _packed(layout: Layout, seconds: float) -> bytes:
    facts = {name: value for name, value in vars(layout).items() if name not in _ARRAYS}
    arrays = {name: getattr(layout, name) for name in _ARRAYS}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        facts=np.array(json.dumps({"seconds": seconds, "layout": facts})),
        **{name: array for name, array in arrays.items() if array is not None},
    )
    return buffer.getvalue()


def _unpacked(held: bytes) -> tuple[Layout, float]:
    with np.load(io.BytesIO(held)) as kept:
        facts = json.loads(str(kept["facts"]))
        arrays = {name: kept[name] for name in _ARRAYS if name in kept}
    layout = facts["layout"]
    return Layout(**{**layout, "notes": tuple(layout["notes"])}, **arrays), facts["seconds"]


_ARRAYS = ("positions", "cells")
