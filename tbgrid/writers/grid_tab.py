"""The files that the Grid tab reads of an export; see `tbgrid.run_format` for their format."""

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
CATEGORY_VALUES = 256  # distinct values up to which a column is a category
LONGEST_NAME = 1000  # characters of a column's name, so that the manifest stays small
# An exponent has its sign, as programs write it: 1e5 may be the name of something.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-][0-9]+)?")
# As programs write that there is no number, among numbers.
_MISSING = {"", "nan", "-nan", "na", "n/a", "none", "null", "inf", "-inf", "infinity", "-infinity"}
_WHOLE = 2**53  # above, float64 does not keep each whole number; such long ones are names anyway


@dataclass(frozen=True)
class Column:
    """One value a photo, as the tab keeps it. `files`: the end of each file's name, and its bytes;
    `values`: how many different ones a category has."""

    name: str
    kind: ColumnKind
    files: Mapping[str, bytes]
    values: int = 0

    @property
    def told(self) -> Json:
        """What the manifest says of it."""
        told: Json = {"name": self.name[:LONGEST_NAME], "kind": self.kind}
        return {**told, "values": self.values} if self.kind == "category" else told


def write_tab_files(
    folder: Path,
    images: ImageSet,
    grid: Grid,
    alike: Neighbors,
    harmony: Float32Array,
    columns: Mapping[str, Sequence[object]],
    manifest: Json,
    *,
    categories: Collection[str] = (),
) -> None:
    """Write all but the mosaic's pyramid and the previews themselves into `folder`.

    `columns`: name -> one value a photo. `manifest`: what it says beside the number of photos,
    the neighbours and the columns, which are added; notes are added to its `notes`. `categories`:
    columns that are categories, whatever they hold.

    Raises:
        OSError: a file cannot be written.
    """
    count = len(images.photos)
    _numbers(folder / run_format.PLACES, grid.places[:, ::-1], "<f4")
    _numbers(folder / run_format.CELLS, grid.cells, "<u4")
    _numbers(folder / run_format.NEIGHBOURS, alike.rows, "<u4")
    _numbers(folder / run_format.DISTANCES, alike.distances, "<f4")
    _numbers(folder / run_format.HARMONY, harmony, "<f4")
    if len(images.previews):
        _numbers(folder / run_format.PREVIEW_OFFSETS, images.previews, "<u8")
    kept: list[Column] = []
    notes = list(manifest["notes"])
    for name, values in columns.items():
        made = column(name, values, name in categories)
        if len(kept) == run_format.MAX_COLUMNS:
            notes.append(f"the Grid tab has the first {len(kept)} of {len(columns)} columns")
            break
        if max(map(len, made.files.values())) > run_format.MAX_TEXT:
            notes.append(
                f"the Grid tab lacks column {name[:LONGEST_NAME]}: more than 1 GiB of text"
            )
            continue
        for end, data in made.files.items():
            (folder / column_file(len(kept), end)).write_bytes(data)
        kept.append(made)
    names = [made.name for made in kept]
    told = {
        "format": run_format.FORMAT,
        "photos": count,
        "pictured": images.pictured,
        "grid": [grid.rows, grid.columns],
        "neighbours": alike.rows.shape[1],
        "neighbours_exact": alike.exact,
        "columns": [made.told for made in kept],
        "key": names.index(KEY),
        "tile": run_format.TILE,
        "skipped": len(images.skipped),
        **manifest,
        "notes": notes,
    }
    (folder / run_format.MANIFEST).write_text(
        json.dumps(told, indent=1, allow_nan=False) + "\n", "utf-8", newline="\n"
    )


def write_warm_start_files(folder: Path, positions: Float64Array, images: ImageSet) -> None:
    """Write what a later export needs, beside the rest, to begin at this one's places.

    Raises:
        OSError: a file cannot be written.
    """
    _numbers(folder / run_format.POSITIONS, positions, "<f4")
    if images.pictured:
        _numbers(folder / run_format.PICTURES, picture_keys(images.thumbnails), "<u8")


def column(name: str, values: Sequence[object], category: bool = False) -> Column:
    """A column of `values`, one a photo, of the kind that serves best.

    Labels, and what is told to be one, are a `category`, and paths are text, whatever they look
    like. Others are numbers if each
    value that is not missing (empty, nan, NA, none, null, inf) is one, as plain decimal, and one is
    there: "007" is none, nor is a whole number so long that float64 would change it. Else they are
    a category if they have few different values, `CATEGORY_VALUES` and less than half the rows;
    else text. Nothing is lost, but for how a number, or that there is none, was written.
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
    # Halves of surrogate pairs, which UTF-8 cannot hold, become U+FFFD.
    encoded = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
    parts = [text.encode() for text in encoded]
    ends = np.cumsum([0, *map(len, parts)], dtype=np.uint64)
    data = b"".join(parts)
    offsets = np.minimum(ends, np.uint64(2**32 - 1)).astype("<u4")
    return Column(name, "text", {"utf8": data, "u32": offsets.tobytes()})


def _as_numbers(values: Sequence[object]) -> Float64Array | None:
    """float64[n], NaN for missing ones; None if one is no number, or all are missing."""
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
