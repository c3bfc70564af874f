"""The mosaic as a Deep Zoom image, an image pyramid that viewers load tile by tile.

Each level is half as large as the next, rounded up; level 0 is one pixel. A level is cut into
square tiles, `<level>/<column>_<row>.jpg`. As a photo's side in the last level is a power of two,
no border of a tile cuts a photo, and photos do not blend until they are smaller than a pixel.
"""

from __future__ import annotations

import io
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tbgrid import run_format
from tbgrid.grid.cells import Grid
from tbgrid.types import UInt8Array
from tbgrid.writers.mosaic import BACKGROUND, resized

QUALITY = 80
SHARP = 32  # px: photos smaller than this are encoded without chroma subsampling
_TILES_AHEAD = 4  # per thread, which bounds the memory


def cell_side(tile: int) -> int:
    """Side in pixels of a photo in the last level: the largest power of two up to `tile`."""
    least, most = run_format.CELLS_SIDE
    return max(least, min(most, 1 << (tile.bit_length() - 1)))


def write_pyramid(folder: Path, thumbnails: UInt8Array, grid: Grid) -> int:
    """Write `mosaic.dzi` and its tiles. Empty cells are white.

    The whole mosaic is never in memory: each tile is made from the four that it covers in the next
    level, and a few tiles of each level are held at a time.

    Args:
        folder: where to write.
        thumbnails: uint8[n, t, t, 3].
        grid: the cells.

    Returns:
        Side in pixels of a photo in the last level.

    Raises:
        OSError: a file cannot be written.
    """
    cell = cell_side(thumbnails.shape[1])
    (folder / run_format.PYRAMID).write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
        f'Format="jpg" Overlap="0" TileSize="{run_format.TILE}">\n'
        f'  <Size Width="{grid.columns * cell}" Height="{grid.rows * cell}"/>\n</Image>\n',
        "utf-8",
        newline="\n",
    )
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, "tbgrid-tiles") as pool:
        try:
            _Tiles(folder / run_format.TILES, thumbnails, grid, cell, pool, workers).write()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return cell


class _Tiles:
    """Writes the tiles of one pyramid; `pool` encodes them."""

    def __init__(
        self,
        folder: Path,
        thumbnails: UInt8Array,
        grid: Grid,
        cell: int,
        pool: ThreadPoolExecutor,
        workers: int,
    ) -> None:
        self.folder, self.thumbnails, self.cell, self.pool = folder, thumbnails, cell, pool
        self.width, self.height = grid.columns * cell, grid.rows * cell
        self.last = run_format.last_level(self.width, self.height)
        self.board = np.full((grid.rows, grid.columns), -1, np.int32)  # the photo in each cell
        self.board.flat[grid.cells] = np.arange(len(grid.cells))
        self.ahead = _TILES_AHEAD * workers
        self.waiting: deque[Future[None]] = deque()
        self.white: dict[tuple[int, int, bool], bytes] = {}

    def write(self) -> None:
        """Write all tiles of all levels."""
        for level in range(self.last + 1):
            (self.folder / str(level)).mkdir(parents=True)
        self._write_tile(0, 0, 0)
        while self.waiting:
            self.waiting.popleft().result()

    def _write_tile(self, level: int, column: int, row: int) -> UInt8Array | None:
        """Write a tile and all that it covers in higher levels; return its pixels uint8[h, w, 3].

        None for a white tile, so that large empty parts of a grid cost little.
        """
        scale = 1 << (self.last - level)
        height = min(run_format.TILE, -(-self.height // scale) - row * run_format.TILE)
        width = min(run_format.TILE, -(-self.width // scale) - column * run_format.TILE)
        if min(height, width) <= 0:
            return None
        if level == self.last:
            picture = self._draw(column, row)
        else:
            picture, half = None, run_format.TILE // 2
            for down in (0, 1):
                for across in (0, 1):
                    part = self._write_tile(level + 1, 2 * column + across, 2 * row + down)
                    if part is None:
                        continue
                    if picture is None:
                        picture = np.full((height, width, 3), BACKGROUND, np.uint8)
                    small = np.asarray(Image.fromarray(part).reduce(2))
                    top, left = down * half, across * half
                    picture[top : top + len(small), left : left + small.shape[1]] = small
        path = self.folder / str(level) / run_format.tile_file(column, row)
        sharp = self.cell < SHARP * scale
        if picture is None:
            if (height, width, sharp) not in self.white:
                blank = np.full((height, width, 3), BACKGROUND, np.uint8)
                self.white[height, width, sharp] = _jpeg(blank, sharp)
            path.write_bytes(self.white[height, width, sharp])
            return None
        self.waiting.append(self.pool.submit(_save, path, picture, sharp))
        if len(self.waiting) > self.ahead:
            self.waiting.popleft().result()
        return picture

    def _draw(self, column: int, row: int) -> UInt8Array | None:
        """The pixels of a tile of the last level; None for a white one."""
        across = run_format.TILE // self.cell
        top, left = row * across, column * across
        block = self.board[top : top + across, left : left + across]
        filled = block >= 0
        if not filled.any():
            return None
        rows, columns = block.shape
        tiles = np.full((rows, columns, self.cell, self.cell, 3), BACKGROUND, np.uint8)
        tiles[filled] = resized(self.thumbnails[block[filled]], self.cell)
        height, width = rows * self.cell, columns * self.cell
        return np.asarray(tiles.swapaxes(1, 2).reshape(height, width, 3), np.uint8)


def _save(path: Path, picture: UInt8Array, sharp: bool) -> None:
    path.write_bytes(_jpeg(picture, sharp))


def _jpeg(picture: UInt8Array, sharp: bool) -> bytes:
    """`picture` as a JPEG; `sharp` without chroma subsampling, which would blur small photos."""
    buffer = io.BytesIO()
    options = {"quality": QUALITY, "subsampling": 0 if sharp else 2}
    Image.fromarray(picture).save(buffer, "JPEG", **options)
    return buffer.getvalue()
