"""Visualizations from the request to their end, as the database has them.

pending -> running -> done | failed | cancelled. A job that is running when the server stops is
pending when it starts again. One that is to be cancelled, or deleted, is marked, and ends so
whatever its worker says; its run is removed before that is written.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tbgrid.errors import UsageError
from tbgrid.serve.errors import Refused
from tbgrid.serve.idempotency import Once
from tbgrid.serve.limits import Limits
from tbgrid.serve.paths import Places
from tbgrid.serve.photos import find_application, moment, refuse_full
from tbgrid.serve.store import Reader, Row, Store, Writing

CODES = {"done": 10000, "pending": 10001, "running": 10002, "cancelled": 10003, "failed": 10004}
_TRIES = 2  # of a job whose workers die
FEWEST = 3  # photos that make a map


@dataclass(frozen=True)
class Ending:
    """How a worker's job ended: its `result`, or why there is none. `died`: with its worker."""

    result: Mapping[str, Any] | None = None
    details: str = ""
    weight: int = 0
    died: bool = False


def create(
    store: Store,
    places: Places,
    limits: Limits,
    application: str,
    name: str | None,
    options: Mapping[str, Any],
    once: Once,
) -> tuple[int, Any]:
    """A new job over the inputs that the application has now; the status and JSON of the answer.

    Raises:
        Refused: no such application, fewer than 3 inputs, the name is taken, a limit is reached,
            or the key came with another request.
    """

    def operation(writing: Writing) -> tuple[int, Any]:
        before = once.given(writing)
        if before is not None:
            return before
        count = find_application(writing, application)["inputs"]
        if count < FEWEST:
            raise Refused(
                422, f"{application} has {count} inputs, and a map needs at least {FEWEST}"
            )
        waiting = writing.one(
            "SELECT COUNT(*) AS n FROM visualizations WHERE status IN ('pending', 'running')"
        )
        if waiting is not None and waiting["n"] >= limits.queue:
            raise Refused(
                429, f"{waiting['n']} visualizations wait: try again later", {"Retry-After": "10"}
            )
        refuse_full(writing, places, limits)
        id = uuid4().hex
        chosen = name or id
        if writing.one(
            "SELECT 1 FROM visualizations WHERE application = ? AND name = ?", application, chosen
        ):
            raise Refused(409, f"{application} has a visualization {chosen}: give another name")
        last = writing.one("SELECT MAX(seq) AS seq FROM inputs WHERE application = ?", application)
        writing.execute(
            "INSERT INTO visualizations (id, application, name, options, upto, status, created)"
            " VALUES (?, ?, ?, ?, ?, 'pending', ?)",
            id,
            application,
            chosen,
            json.dumps(options),
            last["seq"] if last is not None else 0,
            time.time(),
        )
        body = {"output": told(find(writing, id))}
        once.keep(writing, 202, body)
        return 202, body

    return store.write(operation)


def find(source: Reader | Writing, id: str) -> Row:
    """The row of a visualization that a client may see.

    Raises:
        Refused: there is none.
    """
    row = source.one("SELECT * FROM visualizations WHERE id = ? AND NOT deleted", id)
    if row is None:
        raise Refused(404, f"no visualization {id}")
    return row


def photos_of(store: Reader, row: Row) -> list[Row]:
    """The inputs of a job that are still there, in the order in which they came."""
    return store.all(
        "SELECT * FROM inputs WHERE application = ? AND seq <= ? ORDER BY seq",
        row["application"],
        row["upto"],
    )


def told(row: Row) -> dict[str, Any]:
    """What a client is told of a visualization."""
    status: dict[str, Any] = {"code": CODES[row["status"]], "description": row["status"]}
    if row["details"]:
        status["details"] = row["details"]
    output = {
        "id": row["id"],
        "application": row["application"],
        "name": row["name"],
        "status": status,
        "options": json.loads(row["options"]),
        "created_at": moment(row["created"]),
    }
    if row["ended"] is not None:
        output["ended_at"] = moment(row["ended"])
    if row["status"] == "done":
        result = json.loads(row["result"])
        output["data"] = {
            "image": {"url": f"/v2/visualizations/{row['id']}/image", **result["image"]},
            **{key: result[key] for key in ("run", "photos", "left_out", "embedded", "report")},
        }
    return output


def recover(store: Store, places: Places) -> None:
    """What was running when the server ended is pending again; what was to go goes."""
    for row in store.all(
        "SELECT * FROM visualizations WHERE status = 'running' OR cancel OR deleted"
    ):
        if row["status"] in ("pending", "running") and (row["cancel"] or row["deleted"]):
            finish(store, places, row["id"], Ending())
        elif row["deleted"]:
            _remove(store, places, row)
        elif row["status"] == "running":
            store.write(lambda writing, id=row["id"]: _set(writing, id, "pending"))  # type: ignore[misc]


def like_of(source: Reader, places: Places, application: str, id: str | None) -> Path | None:
    """The run that a map is to begin at, by the id of its visualization; None for none.

    Raises:
        UsageError: there is none in the application, or it is not done.
    """
    if id is None:
        return None
    row = source.one(
        "SELECT * FROM visualizations WHERE id = ? AND application = ? AND status = 'done'"
        " AND NOT deleted",
        id,
        application,
    )
    if row is None:
        raise UsageError(f"like {id}", f"give a finished visualization of {application}")
    return run_of(places, row)


def claim(store: Store) -> Row | None:
    """The next job, which is running then; None if none waits."""

    def operation(writing: Writing) -> Row | None:
        row = writing.one(
            "SELECT * FROM visualizations WHERE status = 'pending' ORDER BY seq LIMIT 1"
        )
        if row is not None:
            _set(writing, row["id"], "running")
        return row

    if store.one("SELECT 1 FROM visualizations WHERE status = 'pending'") is None:
        return None
    return store.write(operation)


def put_back(store: Store, id: str) -> None:
    """A job that its worker has to leave, through no fault of its own, waits again."""
    store.write(lambda writing: _set(writing, id, "pending"))


def _set(writing: Writing, id: str, status: str) -> None:
    writing.execute("UPDATE visualizations SET status = ? WHERE id = ?", status, id)


def finish(store: Store, places: Places, id: str, ending: Ending) -> None:
    """Write how a running job ended, or that it is to be tried again."""
    row = store.one("SELECT * FROM visualizations WHERE id = ?", id)
    if row is None:
        return
    stays = ending.result is not None and not row["cancel"] and not row["deleted"]
    if not stays:
        remove_run(places, row)

    def operation(writing: Writing) -> bool:
        row = writing.one("SELECT * FROM visualizations WHERE id = ?", id)
        if row is None:
            return True
        if stays and (row["cancel"] or row["deleted"]):
            return False  # since this moment; its run must go first
        deaths = row["deaths"] + ending.died
        if row["deleted"]:
            writing.execute("DELETE FROM visualizations WHERE id = ?", id)
        elif row["cancel"]:
            _end(writing, id, "cancelled", "", None, 0, deaths)
        elif ending.result is not None:
            result = json.dumps(ending.result)
            _end(writing, id, "done", "", result, ending.weight, deaths)
        elif ending.died and deaths < _TRIES:
            writing.execute(
                "UPDATE visualizations SET status = 'pending', deaths = ? WHERE id = ?", deaths, id
            )
        else:
            _end(writing, id, "failed", ending.details, None, 0, deaths)
        return True

    if not store.write(operation):
        finish(store, places, id, ending)


def _end(
    writing: Writing,
    id: str,
    status: str,
    details: str,
    result: str | None,
    weight: int,
    deaths: int,
) -> None:
    writing.execute(
        "UPDATE visualizations SET status = ?, details = ?, result = ?, weight = ?, deaths = ?,"
        " ended = ? WHERE id = ?",
        status,
        details,
        result,
        weight,
        deaths,
        time.time(),
        id,
    )


def cancel(store: Store, id: str, once: Once) -> tuple[int, Any, bool]:
    """Cancel a job: at once if it waits, else as soon as its worker stops. The status and JSON of
    the answer, and whether a worker must be told.

    Raises:
        Refused: there is none, or it has ended (409).
    """

    def operation(writing: Writing) -> tuple[int, Any, bool]:
        before = once.given(writing)
        if before is not None:
            return *before, False
        row = find(writing, id)
        if row["status"] == "pending":
            _end(writing, id, "cancelled", "", None, 0, row["deaths"])
        elif row["status"] == "running":
            writing.execute("UPDATE visualizations SET cancel = 1 WHERE id = ?", id)
        elif row["status"] != "cancelled":
            raise Refused(409, f"this visualization is {row['status']} already")
        body = {"output": told(find(writing, id))}
        once.keep(writing, 202, body)
        return 202, body, row["status"] == "running"

    return store.write(operation)


def delete(store: Store, places: Places, id: str) -> bool:
    """Delete a visualization and its run; one that runs goes as soon as its worker stops, which
    must be told if this is true.

    Raises:
        Refused: there is none.
    """

    def operation(writing: Writing) -> Row:
        row = find(writing, id)
        writing.execute("UPDATE visualizations SET deleted = 1 WHERE id = ?", id)
        if row["status"] == "pending":
            _set(writing, id, "cancelled")
        return row

    row = store.write(operation)
    if row["status"] == "running":
        return True
    _remove(store, places, row)
    return False


def _remove(store: Store, places: Places, row: Row) -> None:
    remove_run(places, row)
    store.write(
        lambda writing: writing.execute("DELETE FROM visualizations WHERE id = ?", row["id"])
    )


def remove_run(places: Places, row: Row) -> None:
    """Remove a job's run directory, which is its alone, and the lock of a worker that died."""
    shutil.rmtree(run_of(places, row), ignore_errors=True)
    with contextlib.suppress(OSError):
        places.lock_of(row["id"]).unlink(missing_ok=True)


def run_of(places: Places, row: Row) -> Path:
    """A job's run directory."""
    return places.runs / str(row["application"]) / str(row["name"])


def mosaic_of(places: Places, row: Row) -> Path | None:
    """The file of a finished visualization's picture, None if it is not finished."""
    if row["status"] != "done":
        return None
    return run_of(places, row) / str(json.loads(row["result"])["mosaic"])
