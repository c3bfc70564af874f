"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence

from tbgrid.types import Json


def format_table(rows: Sequence[Json]) -> tuple[list[str], list[list[str]]]:
    """Format rows as the header and the lines of a table.

    Args:
        rows: values by key. Each key of any row becomes a column.

    Returns:
        The header, and the cells of each line: numbers to three decimals, and an empty cell where
        a row has no value.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))

    def cell(value: object) -> str:
        if value is None:
            return ""
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    header = [format_key(key) for key in keys]
    return header, [[cell(row.get(key)) for key in keys] for row in rows]


def format_key(key: str) -> str:
    """Write `sum_before` with spaces; a name such as DPQ_16 stays."""
    return key.replace("_", " ") if key.islower() else key
