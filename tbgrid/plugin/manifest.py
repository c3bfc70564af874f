"""Parses and rewrites the manifest of an export.

The file itself is never passed on: clients get known keys with values of known types and bounded
sizes. Texts that are only displayed are cut if they are too long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tbgrid import run_format
from tbgrid.plugin.files import BrokenError
from tbgrid.run_format import ColumnKind

_MAX_NEIGHBORS = 1000
_MAX_LINES = 1000  # of the report, the notes and the summary, each
_MAX_CHARACTERS = 4000  # of a text that is displayed
_MAX_SAFE = 1 << 53  # up to which JavaScript represents every integer

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest of an export.

    Attributes:
        title: the name of the source.
        photos: their number.
        rows: of the grid.
        columns: of the grid.
        neighbors: of each photo.
        kinds: of the metadata columns.
        values: number of distinct values of each column, 0 unless it is a category.
        cell: side of a photo in the pyramid's last level, in pixels.
        preview: side of the previews in pixels, 0 for none.
        text: the JSON that clients get.
    """

    title: str
    photos: int
    rows: int
    columns: int
    neighbors: int
    kinds: tuple[ColumnKind, ...]
    values: tuple[int, ...]
    cell: int
    preview: int
    text: bytes

    def sizes(self) -> dict[str, int]:
        """Size in bytes of each file whose size follows from the manifest."""
        return run_format.array_sizes(self.photos, self.neighbors, self.kinds, self.preview)

    def tiles(self, level: int) -> tuple[int, int]:
        """Columns and rows of tiles at a level of the pyramid; (0, 0) if it has no such level."""
        return run_format.tile_counts(self.columns * self.cell, self.rows * self.cell, level)


def parse(data: bytes) -> Manifest:
    """Parse a manifest.

    Raises:
        BrokenError: it is not a manifest, or has invalid values.
    """
    found = _current_format(data)
    photos = _whole(found, "photos", 1, run_format.MAX_PHOTOS)
    rows, columns = _grid(found)
    if rows * columns < photos:
        raise _wrong("grid", f"room for {photos} photos")
    if rows * columns > run_format.MAX_CELLS:
        raise _wrong("grid", f"at most {run_format.MAX_CELLS:,} cells")
    neighbors = _whole(found, "neighbours", 0, min(_MAX_NEIGHBORS, photos - 1))
    metadata = _list(found, "columns", run_format.MAX_COLUMNS, lambda item: _column(item, photos))
    low, high = run_format.CELLS_SIDE
    cell = found.get("cell")
    if type(cell) is not int or cell & (cell - 1) or not low <= cell <= high:
        raise _wrong("cell", f"a power of two from {low} to {high}")
    preview = _whole(found, "preview", 0, run_format.PREVIEW_SIDE[1])
    if 0 < preview < run_format.PREVIEW_SIDE[0]:
        raise _wrong("preview", "0, or from {} to {}".format(*run_format.PREVIEW_SIDE))
    title = _text(found, "title")
    clean = {
        "format": run_format.FORMAT,
        "title": title,
        "photos": photos,
        "grid": [rows, columns],
        "pictured": _flag(found, "pictured"),
        "model": _text(found, "model"),
        "layout": _text({"layout": "t-SNE", **found}, "layout"),  # early versions wrote none
        "metric": _one_of(found, "metric", run_format.METRICS),
        "neighbours": neighbors,
        "neighbours_exact": _flag(found, "neighbours_exact"),
        "columns": metadata,
        "key": _whole(found, "key", 0, len(metadata) - 1),
        "cell": cell,
        "tile": _whole(found, "tile", run_format.TILE, run_format.TILE),
        "preview": preview,
        "skipped": _whole(found, "skipped", 0, _MAX_SAFE),
        "report": _list(found, "report", _MAX_LINES, _pair),
        "notes": _list(found, "notes", _MAX_LINES, _line),
        "summary": _list(found, "summary", _MAX_LINES, _pair),
    }
    return Manifest(
        title=title,
        photos=photos,
        rows=rows,
        columns=columns,
        neighbors=neighbors,
        kinds=tuple(column["kind"] for column in metadata),
        values=tuple(column.get("values", 0) for column in metadata),
        cell=cell,
        preview=preview,
        text=json.dumps(clean, separators=(",", ":")).encode(),
    )


def _current_format(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, which must have this version's format."""
    found = _json(data)
    if not isinstance(found, dict):
        raise BrokenError(f"{run_format.MANIFEST} is not a JSON object")
    version = found.get("format")
    if type(version) is int and version > run_format.FORMAT:
        shown = f"format {version}" if version < 1_000_000 else "an unknown format"
        raise BrokenError(f"written by a newer tbgrid ({shown})", "upgrade tbgrid")
    if type(version) is not int or version != run_format.FORMAT:
        raise BrokenError(f"{run_format.MANIFEST} has no format that this tbgrid can read")
    return found


def values(data: bytes, count: int, shown: str) -> bytes:
    """Parse and rewrite the `count` values of a category, a JSON list of texts.

    Raises:
        BrokenError: `data` is something else.
    """
    found = _json(data, shown)
    if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
        raise BrokenError(f"{shown} is not a list of texts")
    if len(found) != count:
        raise BrokenError(f"{shown} holds {len(found)} values, not {count}")
    return json.dumps(found, separators=(",", ":")).encode()


def checked_object(data: bytes, shown: str) -> bytes:
    """Return `data` unchanged if it is a JSON object.

    Raises:
        BrokenError: it is something else.
    """
    found = _json(data, shown)
    if not isinstance(found, dict):
        raise BrokenError(f"{shown} is not a JSON object")
    return data


def _json(data: bytes, shown: str = run_format.MANIFEST) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(data.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = str(error)[:200]
    raise BrokenError(f"{shown} is not JSON ({reason})")


def _wrong(key: str, expected: str) -> BrokenError:
    return BrokenError(f"{run_format.MANIFEST}: {key!r} must be {expected}")


def _whole(found: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = found.get(key)
    if type(value) is not int or not low <= value <= high:  # bool is a subclass of int
        raise _wrong(key, f"an integer from {low} to {high}" if low < high else str(low))
    return value


def _flag(found: Mapping[str, Any], key: str) -> bool:
    value = found.get(key)
    if not isinstance(value, bool):
        raise _wrong(key, "true or false")
    return value


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        raise _wrong(key, "a text")
    return _cut(value)


def _one_of(found: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = found.get(key)
    if not isinstance(value, str) or value not in choices:
        raise _wrong(key, " or ".join(choices))
    return value


def _list(
    found: Mapping[str, Any], key: str, most: int, convert: Callable[[Any], T | None]
) -> list[T]:
    value = found.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise _wrong(key, f"a list of at most {most}")
    converted = []
    for number, item in enumerate(value):
        clean = convert(item)
        if clean is None:
            raise BrokenError(f"{run_format.MANIFEST}: {key!r} is wrong at {number}")
        converted.append(clean)
    return converted


def _grid(found: Mapping[str, Any]) -> tuple[int, int]:
    sides = _list(found, "grid", 2, lambda item: item if _is_side(item) else None)
    if len(sides) != 2:
        raise _wrong("grid", "rows and columns")
    return sides[0], sides[1]


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= run_format.MAX_CELLS


def _column(item: Any, photos: int) -> dict[str, Any] | None:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in run_format.COLUMN_KINDS:
        return None
    clean: dict[str, Any] = {"name": _cut(item["name"]), "kind": kind}
    if kind == "category":
        count = item.get("values")
        if type(count) is not int or not 1 <= count <= photos:
            return None
        clean["values"] = count
    return clean


def _line(item: Any) -> str | None:
    return _cut(item) if isinstance(item, str) else None


def _pair(item: Any) -> list[str] | None:
    if not isinstance(item, list) or len(item) != 2:
        return None
    name, value = _line(item[0]), _line(item[1])
    return None if name is None or value is None else [name, value]


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"
