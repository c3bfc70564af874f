"""CSV and TSV files become columns of text."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tbgrid.errors import TbgridError
from tbgrid.run_format import printable

SUFFIXES = (".csv", ".tsv")
LONGEST_FIELD = 1 << 20  # characters; csv's own limit is an eighth of it
_KEYS = ("path", "file", "filename", "file_name", "name")
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SEPARATOR = re.compile(r"sep=(.)\r?\n?")  # the first line of what Excel saves, in many countries


@dataclass(frozen=True)
class Table:
    """A header and the rows under it, each as long as the header. `lines`: where each row began."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> int:
        """The index of the column of that name, in whatever case; -1 if there is none."""
        lowered = [column.lower() for column in self.columns]
        return lowered.index(name.lower()) if name.lower() in lowered else -1


def read_table(path: str | os.PathLike[str]) -> Table:
    """A CSV (comma or semicolon) or TSV file with a header.

    In UTF-8, in UTF-16 with its mark, or else in Windows' Latin-1. Blank lines, and columns without
    a name or a value, are dropped; a column of values without a name gets one. A row that is
    shorter than the header ends in empty values.

    Raises:
        TbgridError: the file cannot be read, has no header or names a column twice, or a row is
            longer than the header.
    """
    file = Path(path)
    name = printable(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TbgridError(
            f"cannot read {name} ({error.strerror})", "give a CSV or TSV file"
        ) from error
    text = _decoded(data)
    if _NO_TEXT.search(text):
        raise TbgridError(f"{name} is no text", "expected a CSV or TSV file with a header")
    rows, lines = _parsed(text, file, name)
    if not rows:
        raise TbgridError(f"{name} is empty", "expected a header and a line a photo")
    header = [cell.strip() for cell in rows[0]]
    for row, line in zip(rows, lines, strict=True):
        while len(row) > len(header) and not row[-1].strip():  # spreadsheets add empty cells
            row.pop()
        if len(row) > len(header):
            raise TbgridError(
                f"{name}, line {line}: {len(row)} values under {len(header)} columns",
                "put quotes around values that hold the separator",
            )
        row.extend([""] * (len(header) - len(row)))
    for index in [index for index, cell in enumerate(header) if not cell]:
        if any(row[index].strip() for row in rows[1:]):
            header[index] = f"column {index + 1}"
    kept = [index for index, cell in enumerate(header) if cell]
    columns = tuple(header[index] for index in kept)
    twice = [column for column, n in Counter(map(str.lower, columns)).items() if n > 1]
    if twice:
        raise TbgridError(f"{name} has two columns named {twice[0]!r}", "give each its own name")
    whole = len(kept) == len(header)
    cells = tuple(tuple(row if whole else [row[index] for index in kept]) for row in rows[1:])
    return Table(printable(file.name), columns, cells, tuple(lines[1:]))


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _parsed(text: str, file: Path, name: str) -> tuple[list[list[str]], list[int]]:
    """The rows that are not blank, and the line where each begins."""
    told = _SEPARATOR.match(text)
    stream = io.StringIO(text, newline="")
    begin = 1
    if told:
        stream.seek(told.end())
        begin += 1
    header = next((line for line in text[stream.tell() :].splitlines() if line.strip()), "")
    delimiter = told.group(1) if told else _delimiter(file, header)
    csv.field_size_limit(LONGEST_FIELD)
    # Strict, since a quote that is never closed would swallow the rows below it.
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    rows, lines, before = list[list[str]](), list[int](), 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(before + begin)
            before = reader.line_num
    except csv.Error as error:
        raise TbgridError(
            f"{name}, line {before + begin}: {error}",
            "close each quote, and write a quote within quotes twice",
        ) from error
    return rows, lines


def _delimiter(file: Path, header: str) -> str:
    if file.suffix.lower() == ".tsv" or "\t" in header:
        return "\t"
    return ";" if header.count(";") > header.count(",") else ","


@dataclass(frozen=True)
class Joined:
    """What a table says of photos: `rows[i]` the values under `columns` of the i-th, None where it
    says nothing. `unclear`: of how many it cannot be told whether a row means them."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...] | None]
    unclear: int


def joined(table: Table, names: Sequence[str]) -> Joined:
    """The rows of `table` for the photos `names`: by path, or by the end of the path.

    The longest end that a photo's path and a row's have in common, at least the file name, decides,
    unless it fits other photos or other values too.

    Raises:
        TbgridError: the table has no column `path` (or `file`, `filename`, `name`), or names a
            photo twice with different values.
    """
    key = next((i for word in _KEYS if (i := table.column(word)) >= 0), -1)
    if key < 0:
        raise TbgridError(
            f"{table.name} has no column path (found {', '.join(table.columns)})",
            "name the column that holds each photo's path or file name path",
        )
    rest = [index for index in range(len(table.columns)) if index != key]
    by_path: dict[str, tuple[str, ...]] = {}
    by_end: dict[str, tuple[str, ...] | None] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        path = _comparable(row[key])
        if not path:
            continue
        values = tuple([row[index] for index in rest])
        if by_path.setdefault(path, values) != values:
            raise TbgridError(
                f"{table.name}, line {line}: {path} stands there before with other values",
                "keep one line a photo",
            )
        for end in _ends(path):
            if by_end.setdefault(end, values) != values:
                by_end[end] = None
    photos = [_comparable(name) for name in names]
    alike = Counter(end for photo in photos for end in _ends(photo))
    rows: list[tuple[str, ...] | None] = []
    unclear = 0
    for photo in photos:
        found = by_path.get(photo)
        shared = next((end for end in _ends(photo) if end in by_end), None)
        if found is None and shared is not None:
            found = by_end[shared] if alike[shared] == 1 else None
            unclear += found is None
        rows.append(found)
    return Joined(tuple(table.columns[index] for index in rest), rows, unclear)


def _comparable(path: str) -> str:
    """With slashes, and letters composed: some systems take them apart."""
    plain = path.strip().replace("\\", "/").removeprefix("./")
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)


def _ends(path: str) -> Iterator[str]:
    """`a/b/c`, `b/c`, `c`."""
    yield path
    while "/" in path:
        path = path.partition("/")[2]
        yield path
