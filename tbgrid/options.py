"""How an export is made: the options of all stages, refused at once if they cannot be meant."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tbgrid import tab
from tbgrid.arrangement import MapOptions
from tbgrid.cache import Cache, default_directory
from tbgrid.errors import UsageError
from tbgrid.grid import GridOptions
from tbgrid.groups import GroupOptions
from tbgrid.layout import TsneOptions
from tbgrid.methods import LayoutName
from tbgrid.refinement import RefineOptions
from tbgrid.sources import SourceOptions
from tbgrid.types import Distance, Fit, InputRange

# The options that decide upon vectors and pictures, and cannot be others once photos are embedded.
EMBEDDING = ("model", "image_size", "input_range", "fit", "tile", "preview")


@dataclass(frozen=True)
class ExportOptions:
    """How an export is made. `model` names the embedder (`load_embedder`); `image_size` its input
    side in pixels; `distance` None is the model's own; `tile` the side of a photo in the mosaic;
    `preview` that of the larger pictures in the Grid tab, at most, 0 for none.

    `layout`, `budget`, `tsne`, `grid`, `refine`: see `tbgrid.arrangement.MapOptions`.
    `like`: the directory of an earlier run, whose places the map begins at (`tbgrid.stability`).
    `cache`: the directory of the cache, None for the user's own; `use_cache` False for none.
    """

    model: str = "builtin"
    image_size: int | None = None
    input_range: InputRange = "unit"
    distance: Distance | None = None
    fit: Fit = "crop"
    tile: int = 64
    preview: int = tab.DEFAULT_PREVIEW
    batch: int = 32
    cache: str | os.PathLike[str] | None = None
    use_cache: bool = True
    like: str | os.PathLike[str] | None = None
    source: SourceOptions = field(default_factory=SourceOptions)
    layout: LayoutName = "tsne"
    budget: float | None = None
    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)
    refine: RefineOptions | None = field(default_factory=RefineOptions)
    groups: GroupOptions = field(default_factory=GroupOptions)

    def __post_init__(self) -> None:
        if self.distance not in (None, "cosine", "euclidean"):
            raise UsageError(f"distance {self.distance}", "expected cosine or euclidean")
        if self.fit not in ("crop", "pad", "squash"):
            raise UsageError(f"fit {self.fit}", "expected crop, pad or squash")
        if self.input_range not in ("unit", "signed", "bytes"):
            raise UsageError(f"input range {self.input_range}", "expected unit, signed or bytes")
        if not 8 <= self.tile <= 512:
            raise UsageError(f"tile {self.tile}", "give a number of pixels from 8 to 512")
        least, most = tab.PREVIEW_SIDE
        if self.preview != 0 and not least <= self.preview <= most:
            raise UsageError(
                f"preview {self.preview}",
                f"give a number of pixels from {least} to {most}, or 0 for none",
            )
        if not 1 <= self.batch <= 4096:
            raise UsageError(f"batch {self.batch}", "give a number of photos from 1 to 4096")
        _ = self.map_options  # which refuses what cannot be meant
        if self.like is not None and self.layout != "tsne":
            raise UsageError(
                f"layout {self.layout} cannot begin at the places of an earlier run",
                "leave out --layout or --like",
            )
        if self.like is not None and self.tsne.engine != "opentsne":
            raise UsageError(
                f"engine {self.tsne.engine} cannot begin at the places of an earlier run",
                "leave out --engine or --like",
            )
        if self.like is not None and self.grid.aspect != GridOptions().aspect:
            raise UsageError(
                "an aspect for a map whose grid is that of an earlier run",
                "leave out --aspect or --like, or give --grid ROWSxCOLS",
            )

    @property
    def map_options(self) -> MapOptions:
        """How vectors become a map."""
        return MapOptions(self.layout, self.tsne, self.grid, self.budget, self.refine)

    def open_cache(self) -> Cache:
        """The cache that these options name."""
        if not self.use_cache:
            return Cache(None)
        return Cache(Path(self.cache) if self.cache is not None else default_directory())
