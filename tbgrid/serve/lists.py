"""Lists that come in pages."""

from __future__ import annotations

from typing import Literal

from tbgrid.serve.inputs import find_application
from tbgrid.serve.store import Reader, Row

# Which rows of a table are shown, which lie behind another, and in what order; where it begins.
_ORDERS = {
    "inputs": ("1", ">", "ASC", 0),
    "visualizations": ("NOT deleted", "<", "DESC", 1 << 62),
}


def page(
    source: Reader,
    table: Literal["inputs", "visualizations"],
    application: str,
    limit: int,
    after: str | None,
) -> tuple[list[Row], str | None]:
    """At most `limit` rows of an application, of those behind the id `after`, None for the first;
    and the id that the rest is behind, None where there is none. Inputs come in the order in which
    they were added, visualizations the newest first.

    Raises:
        Refused: no such application.
    """
    find_application(source, application)
    shown, beyond, order, begin = _ORDERS[table]
    rows = source.all(
        f"SELECT * FROM {table} WHERE application = ? AND {shown} AND seq {beyond}"
        f" COALESCE((SELECT seq FROM {table} WHERE id = ?), ?) ORDER BY seq {order} LIMIT ?",
        application,
        after,
        begin,
        limit + 1,
    )
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
