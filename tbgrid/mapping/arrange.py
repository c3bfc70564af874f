"""Vectors become a map: a layout in the plane, a grid, and a report card of its quality.

The only module in which layout, grid and quality meet. It knows nothing about photos and files.
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
from tbgrid.mapping.warm_start import (
    Stability,
    WarmStart,
    lay_out_like,
    measure_stability,
    snap_like,
)
from tbgrid.metrics.report_card import ReportCard, report_card
from tbgrid.options import DEFAULT_BUDGET, ExportOptions, TsneOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, Json
from tbgrid.util.cache import Cache, key_of
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.timing import Times

# Raise it when a change of `layouts.tsne`, `layouts.methods`, `layouts.tsne_engines` or of modules
# that they use moves points.
LAYOUT_CACHE_VERSION = 4
DPQ_TOLERANCE = 0.01  # of DPQ_16: its noise when photos are sampled


@dataclass(frozen=True)
class Candidate:
    """A layout that the layout `best` considered.

    Attributes:
        title: its name and perplexity.
        card: its report card; None if it was not tried.
        seconds: CPU seconds; None if it was not tried.
        remark: "kept", or why it was not tried.
    """

    title: str
    card: ReportCard | None = None
    seconds: float | None = None
    remark: str = ""

    @property
    def row(self) -> Json:
        """Its row in the table of candidates."""
        row: Json = {"layout": self.title}
        if self.card is not None:
            row |= self.card.comparable_scores()
            row["cpu_seconds"] = self.seconds
        return {**row, "remark": self.remark}


@dataclass(frozen=True, kw_only=True)
class MapResult:
    """A finished map of n points.

    Attributes:
        layout: positions in the plane.
        grid: the cells, refined if asked for.
        card: the report card.
        candidates: of the layout `best`, all in the order of trying; else empty.
        stability: how far photos moved; None without a previous map.
    """

    layout: Layout
    grid: Grid
    card: ReportCard
    candidates: tuple[Candidate, ...] = ()
    stability: Stability | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how options were applied."""
        stability = self.stability.notes if self.stability else ()
        stopped = ("refinement was stopped when its time was up",)
        refinement = self.grid.refinement
        late = stopped if refinement is not None and refinement.stopped else ()
        return (*self.layout.notes, *self.grid.notes, *stability, *late)

    def summary_rows(self) -> list[tuple[str, str]]:
        """(name, value) texts for the terminal, notebooks and the Grid tab."""
        return [
            *self.card.summary_rows(),
            *(self.stability.summary_rows() if self.stability else []),
        ]


def arrange(
    vectors: Float32Array,
    labels: Sequence[str] | None,
    metric: Metric,
    options: ExportOptions,
    cache: Cache,
    *,
    towards: Float64Array | None = None,
    start: WarmStart | None = None,
    times: Times | None = None,
    progress: Progress = silent,
) -> MapResult:
    """Make the map of n vectors.

    Args:
        vectors: float32[n, d].
        labels: of the photos, for the report card only; None if they have none.
        metric: of the vectors.
        options: of layout, grid and refinement.
        cache: of layouts.
        towards: float64[n, 2], positions of another map of the same photos, towards which this one
            is rotated, and mirrored if need be, before the snap.
        start: a previous map from which t-SNE starts.
        times: gets the time of each stage.
        progress: see `tbgrid.progress`.

    Raises:
        UsageError: the grid is too small, the perplexity too large for n, or the layout is not
            installed.
        TbgridError: too few vectors, or vectors that are not finite.
    """
    builder = _MapBuilder(
        vectors=vectors,
        labels=labels,
        metric=metric,
        options=options,
        shape=shape_for(len(vectors), options.grid),  # fails before a layout takes its time
        cache=cache,
        towards=towards,
        start=start,
        times=times or Times(),
        progress=progress,
    )
    if options.layout != "best":
        methods.require_method(options.layout, builder.shape)
        return builder.build(options.layout, options.tsne)[0]
    return _build_best(builder, DEFAULT_BUDGET if options.budget is None else options.budget)


def _build_best(builder: _MapBuilder, budget: float) -> MapResult:
    """The best of all candidates that fit into `budget`, in CPU seconds."""
    built: dict[int, MapResult] = {}  # by their index in `candidates`
    candidates: list[Candidate] = []
    spent = 0.0
    for method, tsne in methods.candidates(builder.options.tsne, len(builder.vectors)):
        name = layout_title(method, tsne.perplexity)
        try:
            methods.require_method(method, builder.shape)
        except UsageError as error:
            candidates.append(Candidate(name, remark=f"not tried: {error}"))
            continue
        if built and spent >= budget:
            remark = f"not tried: the budget of {budget:g} CPU seconds is used up"
            candidates.append(Candidate(name, remark=remark))
            continue
        found, seconds = builder.build(method, tsne)
        spent += seconds
        built[len(candidates)] = found
        candidates.append(Candidate(found.layout.title, found.card, round(seconds, 2)))
    index, best = list(built.items())[best_index([found.card for found in built.values()])]
    candidates[index] = replace(candidates[index], remark="kept")
    return replace(best, candidates=tuple(candidates))


def best_index(cards: Sequence[ReportCard]) -> int:
    """The index of the best map: of those within `DPQ_TOLERANCE` of the highest DPQ_16 the one
    with the highest DPQ_2, and the first of equals.

    DPQ_16 agrees best with people's judgement of sorted maps (Barthel et al., 2023), but looks at
    little more than the nearest photos, where several layouts may be equal; DPQ_2 sees more of the
    whole. Neither needs labels. A missing number counts as the worst.
    """
    scores = [(card.dpq_16 or 0.0, card.dpq_2 or 0.0) for card in cards]
    highest = max(near for near, _ in scores)
    whole = [far if near >= highest - DPQ_TOLERANCE else -1.0 for near, far in scores]
    return whole.index(max(whole))


@dataclass(frozen=True, kw_only=True)
class _MapBuilder:
    """What all candidates have in common; see `arrange`. `shape`: rows and columns."""

    vectors: Float32Array
    labels: Sequence[str] | None
    metric: Metric
    options: ExportOptions
    shape: tuple[int, int]
    cache: Cache
    towards: Float64Array | None
    start: WarmStart | None
    times: Times
    progress: Progress

    def build(self, method: Method, tsne: TsneOptions) -> tuple[MapResult, float]:
        """The map by one method, and its CPU seconds."""
        with self.times.stage(NAMES[method]):
            layout, seconds = self._lay_out(method, tsne)
        start = time.process_time()
        drop_pages(self.vectors)
        if self.towards is not None:
            layout = _align(layout, self.shape, self.towards)
        with self.times.stage("grid"):
            if self.start is not None:
                snapped = snap_like(layout, self.start, self.options.grid, progress=self.progress)
            elif layout.cells is None:
                snapped = snap(layout, self.options.grid, progress=self.progress)
            else:
                snapped = grid_from_cells(layout.cells, *self.shape, layout.engine)
        layout, grid = self._refine(layout, snapped)
        with self.times.stage("quality"):
            card = report_card(
                self.vectors, layout, grid, self.labels, metric=self.metric, progress=self.progress
            )
        stability = None if self.start is None else measure_stability(grid, self.start)
        seconds += time.process_time() - start
        result = MapResult(layout=layout, grid=grid, card=card, stability=stability)
        return result, seconds

    def _refine(self, layout: Layout, snapped: Grid) -> tuple[Layout, Grid]:
        """The refined grid, and the layout, which follows if its positions are cells."""
        if self.options.refine is None:
            return layout, snapped
        with self.times.stage("refine"):
            grid = refine(
                snapped,
                self.vectors,
                self.options.refine,
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

    def _lay_out(self, method: Method, tsne: TsneOptions) -> tuple[Layout, float]:
        """The layout, from the cache if possible, and the CPU seconds that it took."""
        begin = time.process_time()
        if self.start is not None:
            layout = lay_out_like(
                self.vectors, self.start, tsne, metric=self.metric, progress=self.progress
            )
            return layout, time.process_time() - begin
        key = key_of(
            NAMES[method],
            methods.layout_version(method, tsne),
            LAYOUT_CACHE_VERSION,
            self.vectors.shape,
            np.ascontiguousarray(self.vectors).data,
            tsne,
            self.metric,
            *([self.shape] if method == "flas" else []),
        )
        held = self.cache.get([key]).get(key)
        if held is not None:
            return _deserialize(held)
        layout = methods.layout(
            self.vectors,
            method,
            options=tsne,
            shape=self.shape,
            metric=self.metric,
            progress=self.progress,
        )
        seconds = time.process_time() - begin
        self.cache.put("layout", [(key, _serialize(layout, seconds))])
        return layout, seconds


def _align(layout: Layout, shape: tuple[int, int], towards: Float64Array) -> Layout:
    """`layout` rotated or mirrored towards other positions of the same points."""
    if layout.cells is None:
        return replace(layout, positions=aligned(layout.positions, towards))
    cells = aligned_cells(layout.cells, *shape, towards)
    return replace(layout, cells=cells, positions=cell_centers(cells, shape[1]))


def _serialize(layout: Layout, seconds: float) -> bytes:
    facts = {name: value for name, value in vars(layout).items() if name not in _ARRAYS}
    arrays = {name: getattr(layout, name) for name in _ARRAYS}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        facts=np.array(json.dumps({"seconds": seconds, "layout": facts})),
        **{name: array for name, array in arrays.items() if array is not None},
    )
    return buffer.getvalue()


def _deserialize(held: bytes) -> tuple[Layout, float]:
    with np.load(io.BytesIO(held)) as kept:
        facts = json.loads(str(kept["facts"]))
        arrays = {name: kept[name] for name in _ARRAYS if name in kept}
    layout = facts["layout"]
    return Layout(**{**layout, "notes": tuple(layout["notes"])}, **arrays), facts["seconds"]


_ARRAYS = ("positions", "cells")
