"""Cursor pagination of lists."""

from __future__ import annotations

from typing import Literal

from tbgrid.serve.errors import RequestError
from tbgrid.serve.photos import find_application
from tbgrid.serve.store import Reader, Row

# Of a table: condition on the rows shown, comparison with the cursor, order, and the value that
# the first page begins after.
_ORDERS = {
    "inputs": ("1", ">", "ASC", 0),
    "visualizations": ("NOT deleted", "<", "DESC", 1 << 62),
}


def list_page(
    source: Reader,
    table: Literal["inputs", "visualizations"],
    application: str,
    limit: int,
    after: str | None,
) -> tuple[list[Row], str | None]:
    """One page of an application's rows: inputs the oldest first, visualizations the newest first.

    Args:
        source: the service's database.
        table: which rows.
        application: name of the application.
        limit: number of rows of the page, at most.
        after: id of the last row of the page before, None for the first page.

    Returns:
        The rows, and the id that the next page comes after, None on the last page.

    Raises:
        RequestError: if there is no such application, or no row of the id `after`: a client whose
            cursor was deleted must not take the first page for the next one.
    """
    find_application(source, application)
    shown, comparison, order, begin = _ORDERS[table]
    if after is not None:
        last = source.one(
            f"SELECT seq FROM {table} WHERE id = ? AND application = ?", after, application
        )
        if last is None:
            raise RequestError(
                404, f"{after} is not (or no longer) in the {table} of {application}"
            )
        begin = last["seq"]
    rows = source.all(
        f"SELECT * FROM {table} WHERE application = ? AND {shown} AND seq {comparison} ?"
        f" ORDER BY seq {order} LIMIT ?",
        application,
        begin,
        limit + 1,
    )
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
