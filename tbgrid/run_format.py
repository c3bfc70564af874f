"""What the Grid tab reads of an export: names, number formats and limits.

The exporter writes these files and TensorBoard's plugin serves them; this is all they share. All
numbers are little-endian. Row i is the same photo in every file. Later exports read positions and
pictures to begin where this one ended. `n` photos lie on a grid of
`rows` x `columns` cells; each has `k` nearest neighbours.

| file                            | content                                                       |
| ------------------------------- | ------------------------------------------------------------- |
| manifest.json                   | what there is; `format` changes when a reader must            |
| places.f32                      | float32[n, 2], the layout in cells: x = column, y = row        |
| positions.f32                   | float32[n, 2], the same as t-SNE gave them: x, y, y upwards   |
| cells.u32                       | uint32[n], row * columns + column; no cell twice              |
| pictures.u64                    | uint64[n], equal for photos whose pictures are, or no file    |
| neighbours.u32                  | uint32[n, k], nearest photos by embedding, nearest first      |
| distances.f32                   | float32[n, k], how far they are                               |
| harmony.f32                     | float32[n], how well a photo sits among its neighbours        |
| column-I.json, column-I.u32     | category: its values; uint32[n], which one                    |
| column-I.f64                    | number: float64[n], NaN where there is none                   |
| column-I.utf8, column-I.u32     | text: UTF-8; uint32[n + 1], where each begins                 |
| mosaic.dzi, mosaic_files/       | the mosaic as Deep Zoom image: tiles of 512 px, no overlap    |
| previews.bin, previews.u64      | JPEGs in one file; uint64[n + 1], where each begins           |
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

HOME = Path("plugins", "tbgrid")
CONFIG, CHECKPOINT, CURRENT = "projector_config.pbtxt", "checkpoint", "current"
OVERRIDE = Path("plugins", "org_tensorflow_tensorboard_projector", CONFIG)
EVENTS, EVENTS_END = "events.out.tfevents.", ".tbgrid"
STAGING = "staging-"
URL_UNSAFE = re.compile(r"[&#+%?\\]")
MOSAIC, LEDGER, REPORT = "mosaic.jpg", "ledger.tsv", "report.json"
DUPLICATES = "duplicates.tsv"
SPRITE_LIMIT = 8192  # px a side, vz_projector/data-provider.ts: WebGL's common texture limit

FORMAT = 1  # to be raised when an older reader would misread the files
FOLDER = "map"  # within the export's directory
MANIFEST = "manifest.json"
PLACES, CELLS = "places.f32", "cells.u32"
POSITIONS, PICTURES = "positions.f32", "pictures.u64"
NEIGHBOURS, DISTANCES = "neighbours.u32", "distances.f32"
HARMONY = "harmony.f32"
PREVIEWS, PREVIEW_OFFSETS = "previews.bin", "previews.u64"
PYRAMID, TILES = "mosaic.dzi", "mosaic_files"

NEAREST = 12  # neighbours of each photo
TILE = 512  # px: side of a tile of the pyramid
CELLS_SIDE = (8, 256)  # px: the photo's side in the pyramid's last level, a power of two
PREVIEW_SIDE = (32, 2048)  # px; 0 for none
DEFAULT_PREVIEW = 256  # px

# Limits of what a reader accepts, so that no claim of a file makes it run out of memory.
MOST_PHOTOS = 2_000_000
MOST_CELLS = 50_000_000
MOST_COLUMNS = 1000
MOST_MANIFEST = 8 << 20  # bytes
MOST_TEXT = 1 << 30  # bytes of one column
MOST_PICTURE = 64 << 20  # bytes of one tile or preview


def printable(path: str | os.PathLike[str]) -> str:
    """`path` with slashes, in valid UTF-8: bytes that are not become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace").replace(os.sep, "/")


def natural_order(text: str) -> tuple[tuple[Any, ...], str]:
    """A key to sort by as people do: "b2" before "b10", "a" beside "A"."""
    parts = re.split("([0-9]+)", text)
    bare = [part.lstrip("0") for part in parts[1::2]]
    numbers = [(len(digits), digits) for digits in bare]
    keys: list[Any] = [part.casefold() for part in parts]
    keys[1::2] = numbers
    return tuple(keys), text
