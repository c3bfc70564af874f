"""Reads CSV and TSV files as text, and joins their rows to photos by path."""

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
MAX_FIELD = 1 << 20  # characters of a value; the limit of csv itself is an eighth of it
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "name")
_BINARY = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SEPARATOR_LINE = re.compile(
    r"sep=(.)\r?\n?"
)  # the first line of files that Excel saves in many countries


@dataclass(frozen=True)
class Table:
    """A header and its rows.

    Attributes:
        name: the name of the file.
        columns: the header.
        rows: values as text, each row as long as the header.
        lines: the line of the file where each row begins, from 1.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> int:
        """Return the index of the column of that name, ignoring case; -1 if there is none."""
        lowered = [column.lower() for column in self.columns]
        return lowered.index(name.lower()) if name.lower() in lowered else -1


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a CSV (comma or semicolon) or TSV file with a header.

    The encoding is UTF-8, UTF-16 with a byte order mark, or else Windows-1252. Blank lines and
    columns without a name and values are dropped; a column of values without a name gets a name. A
    row that is shorter than the header is filled with empty values.

    Args:
        path: the file; ".tsv" means tabs.

    Raises:
        TbgridError: the file cannot be read, has no header or two columns of one name, or a row is
            longer than the header.
    """
    file = Path(path)
    name = printable(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TbgridError(
            f"cannot read {name} ({error.strerror})", "use a CSV or TSV file"
        ) from error
    text = _decoded(data)
    if _BINARY.search(text):
        raise TbgridError(f"{name} is not a text file", "expected a CSV or TSV file with a header")
    rows, lines = _parsed(text, file, name)
    if not rows:
        raise TbgridError(f"{name} is empty", "expected a header and one line per photo")
    header = [cell.strip() for cell in rows[0]]
    for row, line in zip(rows, lines, strict=True):
        while len(row) > len(header) and not row[-1].strip():  # spreadsheets add empty cells
            row.pop()
        if len(row) > len(header):
            raise TbgridError(
                f"{name}, line {line}: {len(row)} values under {len(header)} columns",
                "quote values that contain the separator",
            )
        row.extend([""] * (len(header) - len(row)))
    for index in [index for index, cell in enumerate(header) if not cell]:
        if any(row[index].strip() for row in rows[1:]):
            header[index] = f"column {index + 1}"
    kept = [index for index, cell in enumerate(header) if cell]
    columns = tuple(header[index] for index in kept)
    repeated = [column for column, n in Counter(map(str.lower, columns)).items() if n > 1]
    if repeated:
        raise TbgridError(f"{name} has two columns named {repeated[0]!r}", "rename one of them")
    complete = len(kept) == len(header)
    cells = tuple(tuple(row if complete else [row[index] for index in kept]) for row in rows[1:])
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
    """The rows that are not blank, and the line of the file where each begins."""
    declared = _SEPARATOR_LINE.match(text)
    stream = io.StringIO(text, newline="")
    begin = 1
    if declared:
        stream.seek(declared.end())
        begin += 1
    header = next((line for line in text[stream.tell() :].splitlines() if line.strip()), "")
    delimiter = declared.group(1) if declared else _delimiter(file, header)
    csv.field_size_limit(MAX_FIELD)
    # Strict, since a quote that is not closed would swallow all rows below it.
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
            "close each quote, and double quotes within quotes",
        ) from error
    return rows, lines


def _delimiter(file: Path, header: str) -> str:
    if file.suffix.lower() == ".tsv" or "\t" in header:
        return "\t"
    return ";" if header.count(";") > header.count(",") else ","


@dataclass(frozen=True)
class JoinResult:
    """The rows of a table, in the order of photos.

    Attributes:
        columns: the names of the columns, without the one that the table was joined by.
        rows: for each photo its values, or None if it is not in the table.
        ambiguous: how many photos without values share a file name that the table has.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...] | None]
    ambiguous: int


def join_by_path(table: Table, names: Sequence[str]) -> JoinResult:
    """Find the row of each photo by its path, or by the end of its path.

    The longest end that the paths of a photo and a row have in common, at least the file name,
    decides, unless it matches other photos or other values too.

    Args:
        table: its column `path` (or `file`, `filename`, `file_name`, `name`) names photos.
        names: the photos.

    Raises:
        TbgridError: the table has no such column, or lists a photo twice with different values.
    """
    key = next((i for word in _PATH_COLUMNS if (i := table.column(word)) >= 0), -1)
    if key < 0:
        raise TbgridError(
            f"{table.name} has no column path (found {', '.join(table.columns)})",
            'rename the column with the photo paths or file names to "path"',
        )
    rest = [index for index in range(len(table.columns)) if index != key]
    by_path: dict[str, tuple[str, ...]] = {}
    by_end: dict[str, tuple[str, ...] | None] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        path = _normalize(row[key])
        if not path:
            continue
        values = tuple([row[index] for index in rest])
        if by_path.setdefault(path, values) != values:
            raise TbgridError(
                f"{table.name}, line {line}: {path} is listed twice with different values",
                "keep one line per photo",
            )
        for end in _ends(path):
            if by_end.setdefault(end, values) != values:
                by_end[end] = None
    photos = [_normalize(name) for name in names]
    sharing = Counter(end for photo in photos for end in _ends(photo))
    rows: list[tuple[str, ...] | None] = []
    ambiguous = 0
    for photo in photos:
        found = by_path.get(photo)
        shared = next((end for end in _ends(photo) if end in by_end), None)
        if found is None and shared is not None:
            found = by_end[shared] if sharing[shared] == 1 else None
            ambiguous += found is None
        rows.append(found)
    return JoinResult(tuple(table.columns[index] for index in rest), rows, ambiguous)


def _normalize(path: str) -> str:
    """With slashes, and composed letters (NFC): some systems store them decomposed."""
    plain = path.strip().replace("\\", "/").removeprefix("./")
    return plain if plain.isascii() else unicodedata.normalize("NFC", plain)


def _ends(path: str) -> Iterator[str]:
    """`a/b/c`, `b/c`, `c`."""
    yield path
    while "/" in path:
        path = path.partition("/")[2]
        yield path
