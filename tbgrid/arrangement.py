"""Vectors become a map: places in the plane, cells of a grid, and numbers that say how good it is.

The one place where layout, grid and quality meet; it knows nothing of photos and files.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tbgrid import engines
from tbgrid.cache import Cache, key_of
from tbgrid.grid import Grid, GridOptions, shape_for, snap
from tbgrid.layout import Layout, TsneOptions, tsne
from tbgrid.quality import ReportCard, report_card
from tbgrid.spools import release
from tbgrid.stability import Stability, Start, lay_out_like, measured, snap_like
from tbgrid.times import Times
from tbgrid.types import Distance, Float32Array, Progress, silent

LAYOUT = 2  # to be raised when a change of `tbgrid.layout` or `tbgrid.engines` moves points


@dataclass(frozen=True)
class MapOptions:
    """How vectors become a map."""

    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)


@dataclass(frozen=True)
class Arrangement:
    """A finished map of n points: its `layout` in the plane, its `grid`, its report `card`; its
    `stability` where it began at an earlier one."""

    layout: Layout
    grid: Grid
    card: ReportCard
    stability: Stability | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about how the options were applied."""
        stability = self.stability.notes if self.stability else ()
        return (*self.layout.notes, *self.grid.notes, *stability)

    def lines(self) -> list[tuple[str, str]]:
        """(name, value) of all that is measured, for people."""
        return [*self.card.lines(), *(self.stability.lines() if self.stability else [])]


def arrange(
    vectors: Float32Array,
    labels: Sequence[str] | None,
    distance: Distance,
    options: MapOptions,
    cache: Cache,
    *,
    start: Start | None = None,
    times: Times | None = None,
    progress: Progress = silent,
) -> Arrangement:
    """The map of float32[n, d] vectors.

    `labels`, n of them or None, only count in the report card. `start`: the earlier map that this
    one begins at. `times` is told of each stage.

    Raises:
        UsageError: the grid is too small, or the perplexity too large for so many.
        TbgridError: too few vectors, or vectors that are not finite.
    """
    times = times or Times()
    shape_for(len(vectors), options.grid)  # before t-SNE takes its time
    with times.stage("t-SNE"):
        if start is None:
            layout = _layout(vectors, distance, options.tsne, cache, progress)
        else:
            layout = lay_out_like(
                vectors, start, options.tsne, distance=distance, progress=progress
            )
    release(vectors)
    with times.stage("grid"):
        if start is None:
            grid = snap(layout.positions, options.grid, progress=progress)
        else:
            grid = snap_like(layout, start, options.grid, progress=progress)
    with times.stage("quality"):
        card = report_card(
            vectors,
            layout.positions,
            grid,
            labels,
            distance=distance,
            kl=layout.kl,
            progress=progress,
        )
    return Arrangement(layout, grid, card, None if start is None else measured(grid, start))


def _layout(
    vectors: Float32Array,
    distance: Distance,
    options: TsneOptions,
    cache: Cache,
    progress: Progress,
) -> Layout:
    """The t-SNE layout, from the cache if these very vectors were laid out so before."""
    key = key_of(
        "t-SNE",
        engines.version(options.engine),
        LAYOUT,
        vectors.shape,
        np.ascontiguousarray(vectors).data,
        options,
        distance,
    )
    held = cache.get([key]).get(key)
    if held is not None:
        with np.load(io.BytesIO(held)) as kept:
            return Layout(
                kept["positions"],
                float(kept["perplexity"]),
                float(kept["kl"]),
                str(kept["engine"]),
                int(kept["components"]),
                tuple(kept["notes"].tolist()),
            )
    layout = tsne(vectors, options, distance=distance, progress=progress)
    buffer = io.BytesIO()
    np.savez(buffer, **{**dataclasses.asdict(layout), "notes": np.array(layout.notes, str)})
    cache.put("layout", [(key, buffer.getvalue())])
    return layout
