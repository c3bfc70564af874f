"""The files of a run: their names, formats, limits and the rules that writer and readers share.

The exporter writes a run, TensorBoard's plugin serves it and `tbgrid check` reads it. This module
is all that they share, and each fact stands here once. It is imported when TensorBoard starts, so
it imports nothing heavy.

A run is a directory below TensorBoard's logdir:

| path                                 | content                                                  |
| ------------------------------------ | -------------------------------------------------------- |
| projector_config.pbtxt               | the Projector's config                                   |
| checkpoint                           | names the newest checkpoint, by its prefix               |
| events.out.tfevents.*.tbgrid         | what the Images, Text, Scalars and HParams tabs show     |
| plugins/tbgrid/current               | the fingerprint of the export that is shown              |
| plugins/tbgrid/<fingerprint>/        | the export: the Projector's files, mosaic and report     |
| plugins/tbgrid/<fingerprint>/map/    | what the Grid tab reads, see below                       |

The folder `map`. All numbers are little-endian. Row i is the same photo in every file. `n` photos
lie on a grid of `rows` x `columns` cells; each has `k` nearest neighbors. A later export may read
positions and pictures to start from this one.

| file                            | content                                                       |
| ------------------------------- | ------------------------------------------------------------- |
| manifest.json                   | the sizes and texts; `format` grows when readers must change  |
| places.f32                      | float32[n, 2], the layout in cells: x = column, y = row        |
| positions.f32                   | float32[n, 2], the layout as computed: x, y, y upwards         |
| cells.u32                       | uint32[n], row * columns + column; no cell twice              |
| pictures.u64                    | uint64[n], equal for photos with equal pictures; or no file   |
| neighbours.u32                  | uint32[n, k], nearest photos by embedding, nearest first      |
| distances.f32                   | float32[n, k], their distances                                |
| harmony.f32                     | float32[n], how well a photo fits its neighbors on the grid  |
| column-I.json, column-I.u32     | category: its values; uint32[n], the index of each value      |
| column-I.f64                    | number: float64[n], NaN where missing                         |
| column-I.utf8, column-I.u32     | text: UTF-8; uint32[n + 1], where each begins                 |
| mosaic.dzi, mosaic_files/       | the mosaic as Deep Zoom image: tiles of 512 px, no overlap    |
| previews.bin, previews.u64      | JPEGs in one file; uint64[n + 1], where each begins           |
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from tbgrid.choices import Metric

# The run's directory.
CONFIG = "projector_config.pbtxt"
OVERRIDE = Path("plugins", "org_tensorflow_tensorboard_projector", CONFIG)  # takes precedence
CHECKPOINT_STATE = "checkpoint"
EVENTS_PREFIX, EVENTS_SUFFIX = "events.out.tfevents.", ".tbgrid"
HOME = Path("plugins", "tbgrid")
CURRENT = "current"  # in HOME
STAGING_PREFIX = "staging-"  # in HOME: a directory of an export that is being written
FINGERPRINT = re.compile(r"[0-9a-f]{16}\Z")  # the name of an export's directory

# The export's directory.
CHECKPOINT_PREFIX = "embedding.ckpt"
METADATA, SPRITE, BOOKMARKS = "metadata.tsv", "sprite.png", "bookmarks.json"
MOSAIC, REPORT = "mosaic.jpg", "report.json"
SKIPPED, DUPLICATES = "skipped.tsv", "duplicates.tsv"

# The Projector. MAX_SPRITE_SIDE: MAX_SPRITE_IMAGE_SIZE_PX of vz_projector/data-provider.ts;
# MAX_POINTS: LIMIT_NUM_POINTS of data-provider-server.ts, how many rows the page asks for.
MAX_SPRITE_SIDE = 8192  # px
MAX_POINTS = 100_000
TENSOR_DIGEST = 6  # hexadecimal digits at the end of a tensor's name, after a dash
# The page puts the names of run and tensor into its URLs as they are, where these characters have
# a meaning (data-provider-server.ts).
URL_UNSAFE = re.compile(r"[&#+%]")
# TensorFlow looks for a checkpoint by a glob pattern, in which a backslash escapes and [...] is a
# set (tensorflow#34290). A question mark and a star match themselves.
GLOB_UNSAFE = re.compile(r"\\|\[(?=.*\])")

# The folder that the Grid tab reads.
FORMAT = 1  # raise it when an older reader would misread the files
FOLDER = "map"  # in the export's directory
MANIFEST = "manifest.json"
PLACES, CELLS = "places.f32", "cells.u32"
POSITIONS, PICTURES = "positions.f32", "pictures.u64"
NEIGHBORS, DISTANCES = "neighbours.u32", "distances.f32"
HARMONY = "harmony.f32"
PREVIEWS, PREVIEW_OFFSETS = "previews.bin", "previews.u64"
PYRAMID, TILES = "mosaic.dzi", "mosaic_files"

ColumnKind = Literal["category", "number", "text"]
COLUMN_KINDS: tuple[ColumnKind, ...] = get_args(ColumnKind)
COLUMN_FILES: dict[ColumnKind, tuple[str, ...]] = {
    "category": ("json", "u32"),
    "number": ("f64",),
    "text": ("utf8", "u32"),
}
METRICS: tuple[Metric, ...] = get_args(Metric)

N_NEIGHBORS = 12  # neighbors of each photo
TILE = 512  # px: side of a tile of the pyramid
CELLS_SIDE = (8, 256)  # px: smallest and largest side of a photo in the last level, a power of two
PREVIEW_SIDE = (32, 2048)  # px: smallest and largest; 0 for none
DEFAULT_PREVIEW = 256  # px

# Limits of what a reader accepts, so that no value in a file makes it run out of memory.
MAX_PHOTOS = 2_000_000
MAX_CELLS = 50_000_000
MAX_COLUMNS = 1000
MAX_MANIFEST = 8 << 20  # bytes
MAX_TEXT = 1 << 30  # bytes of one column
MAX_PICTURE = 64 << 20  # bytes of one tile or preview


def column_file(number: int, extension: str) -> str:
    """The name of a file of column `number`; `extension` is one of `COLUMN_FILES`."""
    return f"column-{number}.{extension}"


def array_sizes(
    photos: int, neighbors: int, kinds: Sequence[ColumnKind], preview: int
) -> dict[str, int]:
    """Name and size in bytes of each file whose size follows from the manifest.

    Args:
        photos: their number n.
        neighbors: of each photo, k.
        kinds: of the metadata columns, in their order.
        preview: side of the previews in pixels, 0 for none.
    """
    sizes = {
        PLACES: 8 * photos,
        CELLS: 4 * photos,
        NEIGHBORS: 4 * photos * neighbors,
        DISTANCES: 4 * photos * neighbors,
        HARMONY: 4 * photos,
    }
    for number, kind in enumerate(kinds):
        if kind == "number":
            sizes[column_file(number, "f64")] = 8 * photos
        else:
            sizes[column_file(number, "u32")] = 4 * (photos + (kind == "text"))
    if preview:
        sizes[PREVIEW_OFFSETS] = 8 * (photos + 1)
    return sizes


def last_level(width: int, height: int) -> int:
    """The number of the pyramid's level that has the full `width` x `height` pixels."""
    return (max(width, height) - 1).bit_length()


def tile_counts(width: int, height: int, level: int) -> tuple[int, int]:
    """Columns and rows of tiles at a level of a pyramid of `width` x `height` pixels.

    (0, 0) if the pyramid does not have this level.
    """
    last = last_level(width, height)
    if not 0 <= level <= last:
        return 0, 0
    side = TILE << (last - level)  # of a tile, in pixels of the last level
    return -(-width // side), -(-height // side)


def tile_file(column: int, row: int) -> str:
    """The name of a tile in the folder of its level."""
    return f"{column}_{row}.jpg"


def unsafe_run_name(name: str) -> str:
    """The first character for which the Projector cannot fetch a run of this name, or ""."""
    found = URL_UNSAFE.search(name) or GLOB_UNSAFE.search(name)
    return found.group() if found else ""


def printable(path: str | os.PathLike[str]) -> str:
    """`path` with slashes, in valid UTF-8; bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace").replace(os.sep, "/")


def natural_order(text: str) -> tuple[tuple[Any, ...], str]:
    """A sort key in natural order: "b2" before "b10", "a" next to "A"."""
    parts = re.split("([0-9]+)", text)
    bare = [part.lstrip("0") for part in parts[1::2]]
    numbers = [(len(digits), digits) for digits in bare]
    keys: list[Any] = [part.casefold() for part in parts]
    keys[1::2] = numbers
    return tuple(keys), text
