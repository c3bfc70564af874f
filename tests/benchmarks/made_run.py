"""Runs of any size for the Grid tab, without embedding and t-SNE: photos of coloured shapes.

    python -m tests.benchmarks.made_run LOGDIR PHOTOS...

writes one run for each number of photos, named by it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tbgrid import run_format
from tbgrid.embedding.image_set import ImageSet
from tbgrid.grid.cells import Grid, choose_shape
from tbgrid.photos import Photo
from tbgrid.types import Float64Array, UInt8Array
from tbgrid.vectors.neighbors import Neighbors
from tbgrid.writers import deep_zoom, grid_tab, run_directory
from tbgrid.writers.event_file import ImageSummary, write_events

SIDE = 32  # px of a photo
LABELS = [f"shape {number}" for number in range(40)]


def places_of(count: int) -> Float64Array:
    """float64[n, 2] (row, column): clusters in a grid of the size for `count` photos."""
    rng = np.random.default_rng(0)
    rows, columns = choose_shape(count)
    centres = rng.random((len(LABELS), 2)) * (rows, columns)
    spread = rng.standard_normal((count, 2)) * (rows * 0.05, columns * 0.05)
    return np.clip(centres[np.arange(count) % len(LABELS)] + spread, 0, (rows - 1, columns - 1))


def cells_of(places: Float64Array, rows: int, columns: int) -> np.ndarray:
    """int64[n]: photos sorted into rows and, within a row, into columns: quick, not optimal."""
    by_row = np.argsort(places[:, 0], kind="stable")
    cells = np.empty(len(places), np.int64)
    for row in range(rows):
        here = by_row[row * columns : (row + 1) * columns]
        cells[here[np.argsort(places[here, 1])]] = row * columns + np.arange(len(here))
    return cells


def pictures(count: int) -> UInt8Array:
    """uint8[n, 32, 32, 3]: a disc or a bar in the colour of the label, on noise."""
    rng = np.random.default_rng(1)
    tiles = rng.integers(0, 90, (count, SIDE, SIDE, 3), np.uint8)
    row, column = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    hues = np.arange(len(LABELS)) * 255 // len(LABELS)
    colours = np.asarray(
        Image.fromarray(
            np.stack([hues, 0 * hues + 220, 0 * hues + 255], 1).astype(np.uint8)[None], "HSV"
        ).convert("RGB")
    )[0]
    for label in range(len(LABELS)):
        mask = np.hypot(row, column) < 6 + label % 8 if label % 2 else abs(row) < 3 + label % 8
        tiles[label :: len(LABELS), mask] = colours[label]
    return tiles


def write_run(logdir: Path, count: int, tiles: UInt8Array | None = None) -> Path:
    """A run of `count` photos that the tab can show; returns its directory.

    `tiles`: uint8[n, 32, 32, 3], other photos than `pictures`.
    """
    places = places_of(count)
    rows, columns = choose_shape(count)
    grid = Grid(
        rows=rows,
        columns=columns,
        cells=cells_of(places, rows, columns),
        places=places,
        cost=0.0,
        solver="windows",
        gap=0.0,
    )
    tiles = pictures(count) if tiles is None else tiles
    labels = [LABELS[row % len(LABELS)] for row in range(count)]
    names = [f"{label.replace(' ', '_')}/photo_{row:06d}.jpg" for row, label in enumerate(labels)]
    photos = tuple(
        Photo(path=None, name=name, label=label) for name, label in zip(names, labels, strict=True)
    )
    rng = np.random.default_rng(2)
    previews = np.zeros(count + 1, np.int64)
    directory = logdir / str(count)
    with run_directory.claim_run(directory) as staging:
        folder = staging / run_format.FOLDER
        folder.mkdir()
        with (folder / run_format.PREVIEWS).open("wb") as spool:
            for row, tile in enumerate(tiles):
                Image.fromarray(tile).save(spool, "JPEG", quality=85)
                previews[row + 1] = spool.tell()
        images = ImageSet(
            photos=photos,
            vectors=np.zeros((count, 2), np.float32),
            thumbnails=tiles,
            sizes=np.full((count, 2), SIDE),
            previews=previews,
        )
        near = Neighbors(
            rng.integers(0, count, (count, run_format.N_NEIGHBORS)),
            np.sort(rng.random((count, run_format.N_NEIGHBORS), np.float32), axis=1),
            False,
        )
        table = {
            "label": labels,
            "path": names,
            "width": [SIDE] * count,
            "score": rng.random(count).round(4).tolist(),
        }
        manifest = {
            "title": f"{count} shapes",
            "model": "none",
            "metric": "cosine",
            "cell": deep_zoom.write_pyramid(folder, tiles, grid),
            "preview": 256,
            "summary": [["photos", str(count)]],
            "report": [["none", "made for a benchmark"]],
            "notes": [],
        }
        harmony = rng.random(count, np.float32)
        grid_tab.write_tab_files(folder, images, grid, near, harmony, table, manifest)
        events = staging.with_name(staging.name + ".events")
        longest = pyramid_picture(tiles, grid)
        write_events(events, [ImageSummary("tbgrid/mosaic", 0, longest, "")], time.time())
        run_directory.publish(directory, staging, events, [], 0)
    return directory


def pyramid_picture(tiles: UInt8Array, grid: Grid) -> bytes:
    """The mosaic as the Images tab of an export has it."""
    from tbgrid.writers import mosaic
    from tbgrid.writers.export_contents import IMAGE_SIDE

    side = mosaic.tile_within(grid, SIDE, IMAGE_SIDE)
    return mosaic.jpeg(mosaic.mosaic(tiles, grid, side))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.made_run", description=__doc__
    )
    parser.add_argument("logdir", type=Path)
    parser.add_argument("photos", type=int, nargs="+")
    chosen = parser.parse_args()
    for number in chosen.photos:
        print(write_run(chosen.logdir, number))
