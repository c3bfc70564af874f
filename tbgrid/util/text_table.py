"""Tables of rows as text."""

from __future__ import annotations

from collections.abc import Sequence

from tbgrid.types import Json


def as_text(rows: Sequence[Json]) -> tuple[list[str], list[list[str]]]:
    """The header and the lines of a table of `rows`: a column for each key of any row, and nothing
    where a row has no value for it; numbers to three decimals."""
    keys = list(dict.fromkeys(key for row in rows for key in row))

    def cell(value: object) -> str:
        if value is None:
            return ""
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    return [spoken(key) for key in keys], [[cell(row.get(key)) for key in keys] for row in rows]


def spoken(key: str) -> str:
    """`left_out` in words; a name such as DPQ_16 as it is."""
    return key.replace("_", " ") if key.islower() else key
