"""CSV and TSV files become columns of text."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tbgrid.errors import TbgridError
from tbgrid.types import printable

SUFFIXES = (".csv", ".tsv")
LONGEST_FIELD = 1 << 20  # characters; csv's own limit is an eighth of it


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
    """A CSV (comma or semicolon) or TSV file with a header, in UTF-8 or else Latin-1.

    Blank lines are dropped. A row that is shorter than the header ends in empty values.

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
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise TbgridError(f"{name} is no text", "expected a CSV or TSV file with a header")
    rows, lines = _parsed(text, _delimiter(file, text), name)
    if not rows:
        raise TbgridError(f"{name} is empty", "expected a header and a line a photo")
    columns = tuple(cell.strip() for cell in rows[0])
    lowered = [column.lower() for column in columns]
    twice = next((column for column in lowered if lowered.count(column) > 1), None)
    if twice is not None:
        raise TbgridError(f"{name} has two columns named {twice!r}", "give each its own name")
    for row, line in zip(rows[1:], lines[1:], strict=True):
        if len(row) > len(columns):
            raise TbgridError(
                f"{name}, line {line}: {len(row)} values under {len(columns)} columns",
                "put quotes around values that hold the separator",
            )
    filled = tuple((*row, *[""] * (len(columns) - len(row))) for row in rows[1:])
    return Table(file.name, columns, filled, tuple(lines[1:]))


def _delimiter(file: Path, text: str) -> str:
    header = text.partition("\n")[0]
    if file.suffix.lower() == ".tsv" or "\t" in header:
        return "\t"
    return ";" if header.count(";") > header.count(",") else ","


def _parsed(text: str, delimiter: str, name: str) -> tuple[list[list[str]], list[int]]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, lines, before = list[list[str]](), list[int](), 0
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        raise TbgridError(f"{name}, line {reader.line_num}: {error}", "mend the quotes") from error
    return rows, lines


def joined(
    table: Table, names: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]], int]:
    """The columns of `table` for the photos `names`, by path or else by file name.

    Returns the names of the columns that are not the key, a row of values for each name (empty
    where the table has none) and how many names were found.

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
    by_name: dict[str, tuple[str, ...] | None] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        path = row[key].replace("\\", "/").removeprefix("./")
        values = tuple(row[index] for index in rest)
        if by_path.setdefault(path, values) != values:
            raise TbgridError(
                f"{table.name}, line {line}: {path} stands there before with other values",
                "keep one line a photo",
            )
        base = path.rpartition("/")[2]
        # Two photos of one file name in two folders: only the whole path tells them apart.
        by_name[base] = values if by_name.get(base, values) == values else None
    found, nothing = 0, ("",) * len(rest)
    rows = []
    for name in names:
        values_or_none = by_path.get(name) or by_name.get(name.rpartition("/")[2])
        found += values_or_none is not None
        rows.append(values_or_none or nothing)
    return tuple(table.columns[index] for index in rest), rows, found


_KEYS = ("path", "file", "filename", "file_name", "name")
