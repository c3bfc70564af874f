"""Lists that come in pages."""

from __future__ import annotations

from typing import Literal

from tbgrid.serve.errors import Refused
from tbgrid.serve.photos import find_application
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
        Refused: no such application, or nothing of it has the id `after`, so that a client whose
            page has lost its last row does not take the first page for the next.
    """
    find_application(source, application)
    shown, beyond, order, begin = _ORDERS[table]
    if after is not None:
        last = source.one(
            f"SELECT seq FROM {table} WHERE id = ? AND application = ?", after, application
        )
        if last is None:
            raise Refused(404, f"{after} is not among the {table} of {application} (any more)")
        begin = last["seq"]
    rows = source.all(
        f"SELECT * FROM {table} WHERE application = ? AND {shown} AND seq {beyond} ?"
        f" ORDER BY seq {order} LIMIT ?",
        application,
        begin,
        limit + 1,
    )
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
