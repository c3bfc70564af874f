"""Tables name photos, or tell more of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tbgrid import tables
from tbgrid.errors import TbgridError
from tbgrid.types import Photo, Rejected, Source, printable


def read_manifest(path: Path, *, pictured: bool) -> Source:
    """A row a photo: `path` (relative to the manifest), optional `label`, any further columns."""
    table = tables.read_table(path)
    at, label = table.column("path"), table.column("label")
    name = printable(path.stem)
    if at < 0 and pictured:
        raise TbgridError(
            f"{table.name} has no column path (found {', '.join(table.columns)})",
            "name the column that holds each photo's path path",
        )
    rest = [index for index in range(len(table.columns)) if index not in (at, label)]
    columns = tuple(table.columns[index] for index in rest)
    photos: list[Photo] = []
    rejected: list[Rejected] = []
    seen: dict[str, int] = {}
    given = [row[at] if at >= 0 else f"{number:06}" for number, row in enumerate(table.rows)]
    names = _names(given) if at >= 0 else given
    for row, (values, line) in enumerate(zip(table.rows, table.lines, strict=True)):
        file = path.parent / given[row] if at >= 0 else None
        reason = _unusable(file, given[row]) if file is not None else ""
        if not reason and given[row] in seen:
            reason = f"stands in the manifest twice (lines {seen[given[row]]} and {line})"
        seen.setdefault(given[row], line)
        if reason:
            rejected.append(Rejected(names[row] or f"line {line}", reason))
            continue
        fields = tuple(values[index] for index in rest)
        text = values[label].strip() if label >= 0 else ""
        photos.append(Photo(file, names[row], text or None, fields=fields, row=row))
    if not photos:
        example = f" ({rejected[0].name}: {rejected[0].reason})" if rejected else ""
        raise TbgridError(
            f"{table.name} names no photo that is there{example}",
            "paths are relative to the manifest's own folder",
        )
    return Source(name, tuple(photos), tuple(rejected), len(table.rows), columns, pictured=at >= 0)


def _unusable(file: Path, given: str) -> str:
    """Why a manifest's entry cannot be tried, or ""."""
    if not given.strip():
        return "no path"
    if "://" in given:
        return "a URL: download it and give the file's path"
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        return (error.strerror if isinstance(error, OSError) else str(error)) or "not found"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _names(given: Sequence[str]) -> list[str]:
    """Names to show for a manifest's paths, with nothing absolute in them."""
    shown = [path.replace("\\", "/").removeprefix("./") for path in given]
    outside = [path for path in shown if Path(path).is_absolute() or path.startswith("../")]
    if not outside:
        return shown
    absolute = [os.path.abspath(path) for path in shown]
    common = os.path.commonpath([os.path.dirname(path) for path in absolute])
    return [printable(os.path.relpath(path, common)) for path in absolute]


def with_metadata(found: Source, path: str | os.PathLike[str]) -> Source:
    """Columns of a table joined by path or file name; a column `label` gives the labels."""
    table = tables.read_table(path)
    columns, rows, count = tables.joined(table, [photo.name for photo in found.photos])
    if not count:
        raise TbgridError(
            f"{table.name} names none of the {len(found.photos)} photos "
            f"(the first is {found.photos[0].name})",
            "its column path holds paths relative to the source, or file names",
        )
    lowered = [column.lower() for column in columns]
    at = lowered.index("label") if "label" in lowered else -1
    kept = [index for index in range(len(columns)) if index != at]
    photos = [
        replace(
            photo,
            label=(values[at].strip() or photo.label) if at >= 0 else photo.label,
            fields=photo.fields + tuple(values[index] for index in kept),
        )
        for photo, values in zip(found.photos, rows, strict=True)
    ]
    notes = found.notes
    if count < len(photos):
        notes += (f"{table.name} says nothing of {len(photos) - count} photos",)
    new = tuple(columns[index] for index in kept)
    return replace(found, photos=tuple(photos), columns=found.columns + new, notes=notes)
