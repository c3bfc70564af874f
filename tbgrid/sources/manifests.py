"""Tables name photos, or tell more of them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tbgrid.errors import TbgridError
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.run_format import printable
from tbgrid.sources import tables

# A path of Windows from its root, on another system.
_FOREIGN = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def read_manifest(path: Path, *, pictured: bool) -> Source:
    """A row a photo: `path` (relative to the manifest), optional `label`, any further columns.

    Without a column `path` its rows are points without pictures, which `pictured` forbids.

    Raises:
        TbgridError: it is no table, has no column path or names no photo that is there.
    """
    table = tables.read_table(path)
    at = table.column("path")
    if at < 0 and pictured:
        raise TbgridError(
            f"{table.name} has no column path (found {', '.join(table.columns)})",
            "name the column that holds each photo's path path",
        )
    if at < 0:
        return read_points(path)
    columns, labels, fields = _columns(table)
    given = [row[at] for row in table.rows]
    folder = os.path.abspath(path.parent)
    files = [_file(folder, text) for text in given]
    names = _names(folder, given, files)
    photos: list[Photo] = []
    skipped: list[SkippedFile] = []
    seen: dict[str, int] = {}
    for row, (file, line) in enumerate(zip(files, table.lines, strict=True)):
        entry = Path(file)
        reason = _unusable(entry, given[row])
        if not reason and file in seen:
            reason = f"stands in the manifest twice (lines {seen[file]} and {line})"
        if reason:
            skipped.append(SkippedFile(names[row] or f"line {line}", reason))
            continue
        seen[file] = line
        photos.append(Photo(entry, names[row], labels[row], fields=fields[row], row=row))
    if not photos:
        example = f" ({skipped[0].name}: {skipped[0].reason})" if skipped else ""
        raise TbgridError(
            f"{table.name} names no photo that is there{example}",
            "paths are relative to the manifest's own folder",
        )
    return Source(printable(path.stem), tuple(photos), tuple(skipped), len(table.rows), columns)


def read_points(path: Path) -> Source:
    """A row a point without a picture; of a column `path` only the names are used."""
    table = tables.read_table(path)
    columns, labels, fields = _columns(table)
    at, count = table.column("path"), len(table.rows)
    if not count:
        raise TbgridError(f"{table.name} has no rows", "expected a line for each vector")
    names = row_names(count)
    if at >= 0:
        folder, given = os.path.abspath(path.parent), [row[at] for row in table.rows]
        named = _names(folder, given, [_file(folder, text) for text in given])
        names = [name or number for name, number in zip(named, names, strict=True)]
    photos = tuple(
        Photo(None, names[row], labels[row], fields=fields[row], row=row) for row in range(count)
    )
    return Source(printable(path.stem), photos, listed=count, columns=columns, pictured=False)


def row_names(count: int) -> list[str]:
    """Names for rows that have none: their numbers, in the order of names."""
    digits = len(str(max(0, count - 1)))
    return [f"{row:0{digits}}" for row in range(count)]


def _columns(
    table: tables.Table,
) -> tuple[tuple[str, ...], list[str | None], list[tuple[str, ...]]]:
    """The names of the further columns; the label and the further values of each row."""
    at, label = table.column("path"), table.column("label")
    rest = [index for index in range(len(table.columns)) if index not in (at, label)]
    labels = [(row[label].strip() or None) if label >= 0 else None for row in table.rows]
    fields = [tuple([row[index] for index in rest]) for row in table.rows]
    return tuple(table.columns[index] for index in rest), labels, fields


def _file(folder: str, given: str) -> str:
    """The file that an entry means: as written, or else without white space around it and with
    slashes for backslashes."""
    if given.startswith("file://"):
        given = url2pathname(urlsplit(given).path)
    exact = os.path.join(folder, given)
    plain = os.path.join(folder, given.strip().replace("\\", "/"))
    return os.path.normpath(exact if plain == exact or os.path.lexists(exact) else plain)


def _unusable(file: Path, given: str) -> str:
    """Why an entry cannot be tried, or ""."""
    if not given.strip():
        return "no path"
    if _is_url(given):
        return "a URL: download it and give the file's path"
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        return (error.strerror if isinstance(error, OSError) else str(error)) or "not found"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _is_url(given: str) -> bool:
    return "://" in given and not given.startswith("file://")


def _names(folder: str, given: Sequence[str], files: Sequence[str]) -> list[str]:
    """Names to show, with nothing in them of where the files lie: relative to `folder`; if some
    lie elsewhere, to what all have in common. "" for an empty entry."""
    names = [""] * len(files)
    own: list[int] = []
    for row, text in enumerate(given):
        if _is_url(text):
            names[row] = text
        elif os.name != "nt" and _FOREIGN.match(text):
            names[row] = re.split(r"[\\/]", text)[-1]
        elif text.strip():
            own.append(row)
    shown = _below(folder, [files[row] for row in own])
    for row, name in zip(own, shown, strict=True):
        names[row] = name
    return names


def _below(folder: str, files: Sequence[str]) -> list[str]:
    """Absolute paths, relative to the first of these that holds them all: `folder`, a folder that
    is not the root. Else as much of their ends as tells them apart."""
    top = os.path.join(folder, "")
    if not all(file.startswith(top) for file in files):
        try:
            top = os.path.join(os.path.commonpath([os.path.dirname(file) for file in files]), "")
        except ValueError:  # on several drives
            top = ""
    if os.path.splitdrive(top)[1].strip(os.sep):
        return [printable(file[len(top) :]) for file in files]
    parts = [Path(file).parts[1:] for file in files]
    count, whole = 1, len(set(parts))
    while len({part[-count:] for part in parts}) < whole:
        count += 1
    return ["/".join(map(printable, part[-count:])) for part in parts]


def with_metadata(found: Source, path: str | os.PathLike[str]) -> Source:
    """Columns of a table joined by path or file name; a column `label` gives the labels.

    Raises:
        TbgridError: it is no table, or tells of none of the photos.
    """
    table = tables.read_table(path)
    told = tables.joined(table, [photo.name for photo in found.photos])
    missing = told.rows.count(None)
    unclear = ""
    if told.unclear:
        unclear = f" ({told.unclear} of them share a file name: give their paths)"
    if missing == len(found.photos):
        raise TbgridError(
            f"{table.name} names none of the {missing} photos "
            f"(the first is {found.photos[0].name}){unclear}",
            "its column path holds paths relative to the source, or file names",
        )
    lowered = [column.lower() for column in told.columns]
    at = lowered.index("label") if "label" in lowered else -1
    kept = [index for index in range(len(told.columns)) if index != at]
    photos = []
    for photo, row in zip(found.photos, told.rows, strict=True):
        values = row or ("",) * len(told.columns)
        label = values[at].strip() if at >= 0 else ""
        fields = photo.fields + tuple([values[index] for index in kept])
        photos.append(replace(photo, label=label or photo.label, fields=fields))
    notes = found.notes
    if missing:
        notes += (f"{table.name} says nothing of {missing} photos{unclear}",)
    new = tuple(told.columns[index] for index in kept)
    return replace(found, photos=tuple(photos), columns=found.columns + new, notes=notes)
