"""Tables that list photos (manifests), or add labels and columns to photos (metadata)."""

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

# An absolute path of Windows, on another system.
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def read_manifest(path: Path, *, pictured: bool) -> Source:
    """Read a table with one row per photo: its `path`, a `label`, and any further columns.

    Paths are relative to the manifest. The column `label` is optional. Without a column `path` the
    rows are points without pictures.

    Args:
        path: a CSV or TSV file.
        pictured: whether rows must have pictures.

    Raises:
        TbgridError: it is not a table, has no column path, or none of its photos exists.
    """
    table = tables.read_table(path)
    at = table.column("path")
    if at < 0 and pictured:
        raise TbgridError(
            f"{table.name} has no column path (found {', '.join(table.columns)})",
            'rename the column with the photo paths to "path"',
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
            reason = f"is listed twice in the manifest (lines {seen[file]} and {line})"
        if reason:
            skipped.append(SkippedFile(names[row] or f"line {line}", reason))
            continue
        seen[file] = line
        photos.append(
            Photo(path=entry, name=names[row], label=labels[row], fields=fields[row], row=row)
        )
    if not photos:
        example = f" ({skipped[0].name}: {skipped[0].reason})" if skipped else ""
        raise TbgridError(
            f"{table.name} lists no photo that exists{example}",
            "paths are relative to the manifest's own folder",
        )
    return Source(
        name=printable(path.stem),
        photos=tuple(photos),
        skipped=tuple(skipped),
        listed=len(table.rows),
        columns=columns,
    )


def read_points(path: Path) -> Source:
    """Read a table with one row per point without a picture; a column `path` only names them.

    Raises:
        TbgridError: it is not a table, or has no rows.
    """
    table = tables.read_table(path)
    columns, labels, fields = _columns(table)
    at, count = table.column("path"), len(table.rows)
    if not count:
        raise TbgridError(f"{table.name} has no rows", "expected one line per vector")
    names = row_names(count)
    if at >= 0:
        folder, given = os.path.abspath(path.parent), [row[at] for row in table.rows]
        named = _names(folder, given, [_file(folder, text) for text in given])
        names = [name or number for name, number in zip(named, names, strict=True)]
    photos = tuple(
        Photo(path=None, name=names[row], label=labels[row], fields=fields[row], row=row)
        for row in range(count)
    )
    return Source(
        name=printable(path.stem), photos=photos, listed=count, columns=columns, pictured=False
    )


def row_names(count: int) -> list[str]:
    """Make names for rows that have none: their numbers, padded so that they sort as text."""
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
    """The file of an entry: as written, or else without surrounding white space and with slashes
    for backslashes."""
    if given.startswith("file://"):
        given = url2pathname(urlsplit(given).path)
    exact = os.path.join(folder, given)
    plain = os.path.join(folder, given.strip().replace("\\", "/"))
    return os.path.normpath(exact if plain == exact or os.path.lexists(exact) else plain)


def _unusable(file: Path, given: str) -> str:
    """Why an entry cannot be used, or ""."""
    if not given.strip():
        return "no path"
    if _is_url(given):
        return "a URL: download it and use the path of the file"
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        return (error.strerror if isinstance(error, OSError) else str(error)) or "not found"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def _is_url(given: str) -> bool:
    return "://" in given and not given.startswith("file://")


def _names(folder: str, given: Sequence[str], files: Sequence[str]) -> list[str]:
    """Names that do not show where the files lie: relative to `folder`, or to the folder that all
    have in common if some lie elsewhere. "" for an empty entry."""
    names = [""] * len(files)
    own: list[int] = []
    for row, text in enumerate(given):
        if _is_url(text):
            names[row] = text
        elif os.name != "nt" and _WINDOWS_PATH.match(text):
            names[row] = re.split(r"[\\/]", text)[-1]
        elif text.strip():
            own.append(row)
    shown = _below(folder, [files[row] for row in own])
    for row, name in zip(own, shown, strict=True):
        names[row] = name
    return names


def _below(folder: str, files: Sequence[str]) -> list[str]:
    """Make absolute paths relative to `folder`, or to the innermost folder that holds all of them
    and is not the root. Otherwise as many of their last parts as distinguish them."""
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


def with_metadata(source: Source, path: str | os.PathLike[str]) -> Source:
    """Join the columns of a table to the photos, by path or file name.

    A column `label` gives the labels.

    Args:
        source: the photos.
        path: a CSV or TSV file.

    Returns:
        The source with more columns.

    Raises:
        TbgridError: it is not a table, or matches none of the photos.
    """
    table = tables.read_table(path)
    joined = tables.join_by_path(table, [photo.name for photo in source.photos])
    missing = joined.rows.count(None)
    ambiguous = ""
    if joined.ambiguous:
        ambiguous = f" ({joined.ambiguous} of them share a file name: list their paths)"
    if missing == len(source.photos):
        raise TbgridError(
            f"{table.name} lists none of the {missing} photos "
            f"(the first is {source.photos[0].name}){ambiguous}",
            'put paths relative to the source, or file names, into its column "path"',
        )
    lowered = [column.lower() for column in joined.columns]
    at = lowered.index("label") if "label" in lowered else -1
    kept = [index for index in range(len(joined.columns)) if index != at]
    photos = []
    for photo, row in zip(source.photos, joined.rows, strict=True):
        values = row or ("",) * len(joined.columns)
        label = values[at].strip() if at >= 0 else ""
        fields = photo.fields + tuple([values[index] for index in kept])
        photos.append(replace(photo, label=label or photo.label, fields=fields))
    notes = source.notes
    if missing:
        notes += (f"{table.name} does not list {missing} of the photos{ambiguous}",)
    new = tuple(joined.columns[index] for index in kept)
    return replace(source, photos=tuple(photos), columns=source.columns + new, notes=notes)
