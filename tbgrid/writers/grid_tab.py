"""Writes the files that the Grid tab reads; see `tbgrid.run_format` for their format."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tbgrid import run_format
from tbgrid.embedding.image_set import ImageSet
from tbgrid.grid.cells import Grid
from tbgrid.grouping.picture_keys import picture_keys
from tbgrid.run_format import ColumnKind, column_file, natural_order
from tbgrid.types import Float32Array, Float64Array, Json
from tbgrid.vectors.neighbors import Neighbors

KEY = "path"  # the column that names a photo
CATEGORY_VALUES = 256  # distinct values of a category, at most
MAX_NAME = 1000  # characters of a column's name, so that the manifest stays small
# An exponent must have a sign, as programs write it: 1e5 may be a name.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-][0-9]+)?")
# How programs write a missing number.
_MISSING = {"", "nan", "-nan", "na", "n/a", "none", "null", "inf", "-inf", "infinity", "-infinity"}
_WHOLE = 2**53  # float64 holds every integer up to this one; longer ones are names anyway


@dataclass(frozen=True)
class Column:
    """A metadata column as the tab reads it.

    Attributes:
        name: of the column.
        kind: category, number or text.
        files: extension -> bytes, see `run_format.COLUMN_FILES`.
        values: number of distinct values of a category, else 0.
    """

    name: str
    kind: ColumnKind
    files: Mapping[str, bytes]
    values: int = 0

    @property
    def entry(self) -> Json:
        """Its entry in the manifest."""
        entry: Json = {"name": self.name[:MAX_NAME], "kind": self.kind}
        return {**entry, "values": self.values} if self.kind == "category" else entry


def write_tab_files(
    folder: Path,
    images: ImageSet,
    grid: Grid,
    neighbors: Neighbors,
    harmony: Float32Array,
    columns: Mapping[str, Sequence[object]],
    manifest: Json,
    *,
    categories: Collection[str] = (),
) -> None:
    """Write all files except the mosaic's pyramid and the previews themselves.

    Args:
        folder: where to write.
        images: the photos, n.
        grid: their cells.
        neighbors: the nearest neighbors of each photo.
        harmony: float32[n].
        columns: the metadata, name -> n values.
        manifest: its texts; numbers, columns and further notes are added.
        categories: names of columns that are categories, whatever their values.

    Raises:
        OSError: a file cannot be written.
    """
    count = len(images.photos)
    _numbers(folder / run_format.PLACES, grid.places[:, ::-1], "<f4")
    _numbers(folder / run_format.CELLS, grid.cells, "<u4")
    _numbers(folder / run_format.NEIGHBORS, neighbors.rows, "<u4")
    _numbers(folder / run_format.DISTANCES, neighbors.distances, "<f4")
    _numbers(folder / run_format.HARMONY, harmony, "<f4")
    if len(images.previews):
        _numbers(folder / run_format.PREVIEW_OFFSETS, images.previews, "<u8")
    kept, notes = _write_columns(folder, columns, categories)
    names = [made.name for made in kept]
    complete = {
        "format": run_format.FORMAT,
        "photos": count,
        "pictured": images.pictured,
        "grid": [grid.rows, grid.columns],
        "neighbours": neighbors.rows.shape[1],
        "neighbours_exact": neighbors.exact,
        "columns": [made.entry for made in kept],
        "key": names.index(KEY),
        "tile": run_format.TILE,
        "skipped": len(images.skipped),
        **manifest,
        "notes": [*manifest["notes"], *notes],
    }
    (folder / run_format.MANIFEST).write_text(
        json.dumps(complete, indent=1, allow_nan=False) + "\n", "utf-8", newline="\n"
    )


def _write_columns(
    folder: Path, columns: Mapping[str, Sequence[object]], categories: Collection[str]
) -> tuple[list[Column], list[str]]:
    """Write the files of the columns; return the columns within the limits, and notes."""
    kept: list[Column] = []
    notes: list[str] = []
    for name, values in columns.items():
        made = make_column(name, values, name in categories)
        if len(kept) == run_format.MAX_COLUMNS:
            notes.append(f"the Grid tab has only the first {len(kept)} of {len(columns)} columns")
            break
        if max(map(len, made.files.values())) > run_format.MAX_TEXT:
            shown = name[:MAX_NAME]
            notes.append(f"the Grid tab does not have column {shown}: more than 1 GiB of text")
            continue
        for extension, data in made.files.items():
            (folder / column_file(len(kept), extension)).write_bytes(data)
        kept.append(made)
    return kept, notes


def write_warm_start_files(folder: Path, positions: Float64Array, images: ImageSet) -> None:
    """Write the files from which a later export can start: positions and keys of the pictures.

    Raises:
        OSError: a file cannot be written.
    """
    _numbers(folder / run_format.POSITIONS, positions, "<f4")
    if images.pictured:
        _numbers(folder / run_format.PICTURES, picture_keys(images.thumbnails), "<u8")


def make_column(name: str, values: Sequence[object], category: bool = False) -> Column:
    """Choose the kind of a column and encode its values.

    Labels and explicit categories are categories, and paths are text, whatever their values. Any
    other column is numeric if all its values are plain decimals or missing (empty, nan, NA, none,
    null, inf), and not all are missing. "007" is not a number, nor is an integer too long for
    float64. Else it is a category if it has at most `CATEGORY_VALUES` distinct values and fewer
    than half the number of rows; else it is text. Only the spelling of numbers and of missing ones
    is lost.

    Args:
        name: of the column.
        values: one per photo.
        category: make it a category.
    """
    category = category or name == "label"
    numbers = None if category or name == KEY else _as_numbers(values)
    if numbers is not None:
        return Column(name, "number", {"f64": numbers.astype("<f8").tobytes()})
    texts = [str(value) for value in values]
    distinct = sorted(dict.fromkeys(texts), key=natural_order)
    few = len(distinct) <= CATEGORY_VALUES and 2 * len(distinct) < len(texts)
    if category or (few and name != KEY):
        number = {text: place for place, text in enumerate(distinct)}
        which = np.array([number[text] for text in texts], "<u4")
        files = {"json": json.dumps(distinct).encode(), "u32": which.tobytes()}
        return Column(name, "category", files, len(distinct))
    # Lone surrogates, which UTF-8 cannot encode, become U+FFFD.
    encoded = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
    parts = [text.encode() for text in encoded]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.uint64)
    data = b"".join(parts)
    offsets = np.minimum(ends, np.uint64(2**32 - 1)).astype("<u4")
    return Column(name, "text", {"utf8": data, "u32": offsets.tobytes()})


def _as_numbers(values: Sequence[object]) -> Float64Array | None:
    """float64[n], NaN if missing; None if a value is not a number, or all are missing."""
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        text = str(value)
        if text.lower() in _MISSING:
            continue
        if not _NUMBER.fullmatch(text):
            return None
        found[row] = float(text)
        whole = len(text) < 20 and text.lstrip("-").isdecimal()
        if abs(found[row]) >= _WHOLE and not (whole and abs(int(text)) <= _WHOLE):
            return None
    return None if np.isnan(found).all() else found


def _numbers(path: Path, values: NDArray[Any], kind: str) -> None:
    path.write_bytes(np.ascontiguousarray(values, kind).tobytes())
