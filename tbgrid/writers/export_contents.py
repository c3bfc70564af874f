"""The parts of a finished export, from which its files, events and report are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tbgrid.embedding.image_set import ImageSet
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.grouping.groups import Groups
from tbgrid.mapping.arrange import MapResult
from tbgrid.options import ExportOptions
from tbgrid.types import Float32Array, IntArray, Json, UInt8Array
from tbgrid.vectors.neighbors import Neighbors
from tbgrid.vectors.pca import principal_components
from tbgrid.writers import mosaic as pictures
from tbgrid.writers.scatter import point_colours

IMAGE_SIDE = 4096  # px: the longest side of a picture in the Images tab


@dataclass(frozen=True, kw_only=True)
class ExportContents:
    """All that is known when writing begins. Row i of n is the same photo everywhere.

    Attributes:
        title: the name of the source.
        images: the photos with their vectors.
        precomputed: whether the source brought the vectors.
        model: what gave the vectors, with the metric that was applied.
        options: as they were applied.
        tiles: uint8[n, t, t, 3], the thumbnails, or plain tiles for points without pictures.
        projected: int64[m], the rows that the Projector shows.
        tensors: what the checkpoint holds, by name.
        map_result: layout, grid and report card.
        neighbors: the nearest neighbors of each photo by its vector.
        harmony: float32[n], see `tbgrid.metrics.harmony`.
        groups: duplicates and clusters.
        tables: further tables at the top of the report, by title.
        notes: what the user should know.
        seconds: wall time of each stage so far.
    """

    title: str
    images: ImageSet
    precomputed: bool
    model: ModelInfo
    options: ExportOptions
    tiles: UInt8Array
    projected: IntArray
    tensors: dict[str, Float32Array]
    map_result: MapResult
    neighbors: Neighbors
    harmony: Float32Array
    groups: Groups
    tables: Mapping[str, Sequence[Json]]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    _mosaics: dict[int, bytes] = field(default_factory=dict, repr=False, init=False)

    @property
    def preview(self) -> int:
        """The side of the previews in pixels, 0 if there are none."""
        return self.options.preview if len(self.images.previews) else 0

    @property
    def aspect(self) -> float:
        """The width / height that the grid was meant to have, for a later map like this one."""
        grid, stability = self.options.grid, self.map_result.stability
        if grid.shape is not None:
            return grid.shape[1] / grid.shape[0]
        return stability.aspect if stability else grid.aspect

    def mosaic(self, tile: int) -> bytes:
        """The mosaic as JPEG, `tile` px per photo; of the Images tab's size it is kept."""
        if tile in self._mosaics:
            return self._mosaics[tile]
        grid = self.map_result.grid
        encoded = pictures.jpeg(pictures.mosaic(self.tiles, grid, tile))
        if tile * max(grid.rows, grid.columns) <= IMAGE_SIDE:
            self._mosaics[tile] = encoded
        return encoded


def plain_tiles(images: ImageSet, side: int) -> UInt8Array:
    """uint8[n, side, side, 3]: a tile of one colour for each point that has no picture."""
    components = principal_components(images.vectors, 3)
    span = np.ptp(components, axis=0)
    # Components of almost no spread are rounding errors, which would be stretched to full range.
    colours = point_colours(images.labels, np.where(span > 1e-4 * span.max(), components, 0))
    return np.broadcast_to(colours[:, None, None, :], (len(colours), side, side, 3))
