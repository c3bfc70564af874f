"""The Projector's rules for a metadata TSV (vz_projector of TensorBoard 2.21)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tbgrid.check.findings import Finding, enumerate_items, error, warning

# What JavaScript's trim() removes, which decides whether a line is blank (data-provider.ts).
_TRIMMED = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_HEADERS = {"class", "filename", "id", "image", "label", "labels", "name", "path", "target", "word"}
_SEQUENCE = ("__next__", "__seq_next__")  # data.ts: columns that draw lines between points
_CHUNK = 1_000_000  # data-provider.ts, streamParse: bytes that the page reads at once


def check_metadata(path: Path, subject: str, counts: Sequence[int]) -> Iterator[Finding]:
    """Findings on a metadata TSV.

    Args:
        path: the file.
        subject: its name in findings.
        counts: numbers of points of the tensors that it belongs to.
    """
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        message = f"line {line} is not UTF-8 (byte {data[bad.start]:#04x}); answered by code 500"
        yield error(subject, message, "save the file as UTF-8")
        return
    if "\r" in text:
        found = [number for number, line in enumerate(text.split("\n"), 1) if "\r" in line]
        message = f"carriage return in {enumerate_items('line', found)}"
        message += ": dropped if TensorFlow is installed, else part of the value"
        cure = "end lines by a single line feed, and remove carriage returns from values"
        yield warning(subject, message, cure)
    lines = text.replace("\r", "").split("\n")
    if not lines[-1]:
        lines.pop()
    elif b"\n" not in data[max(0, len(data) - 2) // _CHUNK * _CHUNK :]:
        # streamParse asks for further parts until one holds a line end, even past the file's end.
        message = "no line feed near the end: the page never stops searching for one"
        yield error(subject, message, "end the last line by a line feed")
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip(_TRIMMED)]
    # The header rule of data-provider.ts and projector_plugin.py: line 1 holds a tab.
    names = kept[0][1].lstrip("\ufeff").split("\t") if kept and "\t" in kept[0][1] else []
    rows = kept[1:] if names else kept
    blank = [number for number, line in enumerate(lines, 1) if not line.strip(_TRIMMED)]
    if kept and len(rows) in counts:
        blank = [number for number in blank if number < kept[-1][0]]
    for count in counts:
        if len(rows) != count:
            yield _miscounted(subject, count, len(rows), bool(names), blank)
    if blank and set(counts) <= {len(rows)}:
        message = f"{enumerate_items('line', blank)} blank, which the page drops"
        yield warning(subject, message, "remove blank lines")
    first = rows[0][1].strip(_TRIMMED) if rows and not names else ""
    if first.lower() in _HEADERS and len(rows) in counts:
        message = f"line 1, {first!r}, looks like a header, but a single column has none"
        yield warning(
            subject, message, "remove it, or add a second column, which makes it a header"
        )
    yield from _cells(subject, names, rows)


def _miscounted(subject: str, count: int, rows: int, headed: bool, blank: Sequence[int]) -> Finding:
    """data.ts, mergeMetadata: two kinds of off-by-one are refused, others shift the labels."""
    why, cure = "", "write one line per point"
    if blank:
        why, cure = (
            f"; {enumerate_items('line', blank)} blank, which the page drops",
            "fill blank lines",
        )
    elif not headed and rows == count + 1:
        why, cure = "; a single column has no header", "remove line 1, or add a second column"
    elif headed and rows == count - 1:
        why, cure = "; line 1 has a tab, so it is the header", "add a line of column names"
    return error(subject, f"{rows:,} rows for the {count:,} points of the tensor{why}", cure)


def _cells(
    subject: str, names: Sequence[str], rows: Sequence[tuple[int, str]]
) -> Iterator[Finding]:
    tabs = max(0, len(names) - 1)
    ragged = [number for number, line in rows if line.count("\t") != tabs]
    if ragged:
        message = (
            f"{enumerate_items('line', ragged)}: not {tabs + 1} cells between tabs, as in line 1"
        )
        yield error(subject, message, "write one cell per column, without tabs in values")
    empty = [
        number
        for number, line in rows
        if tabs and line.count("\t") == tabs and "\t\t" in f"\t{line}\t"
    ]
    if empty:
        message = (
            f"empty cell in {enumerate_items('line', empty)}: the search of its column fails on it"
        )
        yield warning(subject, message, "write something, such as -")
    if len(set(names)) < len(names) or "" in names:
        twice = sorted({name for name in names if names.count(name) > 1 or not name})
        message = f"{enumerate_items('column name', twice, repr)} empty or repeated"
        message += ": the last one is shown"
        yield warning(subject, message, "give each column a name of its own")
    for name in set(names) & set(_SEQUENCE):
        message = f"column {name}: draws lines from each point to the row that it names"
        yield warning(subject, message, "rename the column unless the lines are intended")
