"""Visualization jobs in the database, from the request to the outcome.

pending -> running -> done | failed | cancelled. A job that is running when the server stops is
pending at the next start. A job that is being cancelled or deleted is marked, and ends that way
whatever its worker reports; its run is removed before the outcome is written.
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

from tbgrid.errors import UsageError, option
from tbgrid.options import MIN_PHOTOS
from tbgrid.serve.errors import RequestError
from tbgrid.serve.idempotency import IdempotentRequest
from tbgrid.serve.limits import Limits
from tbgrid.serve.paths import ServicePaths
from tbgrid.serve.photos import check_disk_space, find_application, iso_timestamp
from tbgrid.serve.store import Reader, Row, Store, Transaction

STATUS_CODES = {
    "done": 10000,
    "pending": 10001,
    "running": 10002,
    "cancelled": 10003,
    "failed": 10004,
}
_MAX_ATTEMPTS = 2  # of a job whose worker dies


@dataclass(frozen=True)
class NewJob:
    """A requested visualization.

    Attributes:
        application: name of the application.
        name: name of the run; None for the id of the job.
        options: JSON of `VisualizationRequest`, without the name.
    """

    application: str
    name: str | None
    options: Mapping[str, Any]


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: with a result, with an error, or cancelled.

    Attributes:
        result: JSON of the result; None if there is none.
        details: the error.
        size: bytes of the run.
        worker_died: whether the job ended because its worker died.
    """

    result: Mapping[str, Any] | None = None
    details: str = ""
    size: int = 0
    worker_died: bool = False


def create(
    store: Store,
    paths: ServicePaths,
    limits: Limits,
    job: NewJob,
    request: IdempotentRequest,
) -> tuple[int, Any]:
    """Create a job over the inputs that the application has now.

    Returns:
        Status and JSON body of the response.

    Raises:
        RequestError: if there is no such application, it has too few inputs, the name is taken, a
            limit is exceeded, or the idempotency key was used for a different request.
    """

    def operation(transaction: Transaction) -> tuple[int, Any]:
        stored = request.stored_response(transaction)
        if stored is not None:
            return stored
        _check_can_create(transaction, job.application, limits)
        check_disk_space(transaction, paths, limits)
        id = _insert(transaction, job)
        body = {"output": visualization_to_json(find(transaction, id))}
        request.store(transaction, 202, body)
        return 202, body

    return store.write(operation)


def _check_can_create(transaction: Transaction, application: str, limits: Limits) -> None:
    count = find_application(transaction, application)["inputs"]
    if count < MIN_PHOTOS:
        raise RequestError(
            422, f"{application} has {count} inputs, and a map needs at least {MIN_PHOTOS}"
        )
    queued = transaction.one(
        "SELECT COUNT(*) AS n FROM visualizations WHERE status IN ('pending', 'running')"
    )
    if queued is not None and queued["n"] >= limits.queue:
        raise RequestError(
            429,
            f"{queued['n']} visualizations are pending or running: try again later",
            {"Retry-After": "10"},
        )


def _insert(transaction: Transaction, job: NewJob) -> str:
    """Insert a pending job; its id."""
    application, id = job.application, uuid4().hex
    name = job.name or id
    if transaction.one(
        "SELECT 1 FROM visualizations WHERE application = ? AND name = ?", application, name
    ):
        raise RequestError(
            409, f"{application} already has a visualization {name}: use another name"
        )
    last = transaction.one("SELECT MAX(seq) AS seq FROM inputs WHERE application = ?", application)
    transaction.execute(
        "INSERT INTO visualizations (id, application, name, options, upto, status, created)"
        " VALUES (?, ?, ?, ?, ?, 'pending', ?)",
        id,
        application,
        name,
        json.dumps(job.options),
        last["seq"] if last is not None else 0,
        time.time(),
    )
    return id


def find(source: Reader | Transaction, id: str) -> Row:
    """The row of a visualization that is not deleted.

    Raises:
        RequestError: if there is none.
    """
    row = source.one("SELECT * FROM visualizations WHERE id = ? AND NOT deleted", id)
    if row is None:
        raise RequestError(404, f"no visualization {id}")
    return row


def list_inputs(store: Reader, row: Row) -> list[Row]:
    """The inputs of a job that still exist, the oldest first."""
    return store.all(
        "SELECT * FROM inputs WHERE application = ? AND seq <= ? ORDER BY seq",
        row["application"],
        row["upto"],
    )


def visualization_to_json(row: Row) -> dict[str, Any]:
    """A visualization as responses show it."""
    status: dict[str, Any] = {"code": STATUS_CODES[row["status"]], "description": row["status"]}
    if row["details"]:
        status["details"] = row["details"]
    output = {
        "id": row["id"],
        "application": row["application"],
        "name": row["name"],
        "status": status,
        "options": json.loads(row["options"]),
        "created_at": iso_timestamp(row["created"]),
    }
    if row["ended"] is not None:
        output["ended_at"] = iso_timestamp(row["ended"])
    if row["status"] == "done":
        result = json.loads(row["result"])
        output["data"] = {
            "image": {"url": f"/v2/visualizations/{row['id']}/image", **result["image"]},
            **{key: result[key] for key in ("run", "photos", "skipped", "embedded", "report")},
        }
    return output


def recover(store: Store, paths: ServicePaths) -> None:
    """After a restart, queue interrupted jobs again, and complete cancellations and deletions."""
    for row in store.all(
        "SELECT * FROM visualizations WHERE status = 'running' OR cancel OR deleted"
    ):
        if row["status"] in ("pending", "running") and (row["cancel"] or row["deleted"]):
            finish(store, paths, row["id"], JobOutcome())
        elif row["deleted"]:
            _delete_row_and_run(store, paths, row)
        elif row["status"] == "running":
            requeue(store, row["id"])


def find_previous_run(
    source: Reader, paths: ServicePaths, application: str, id: str | None
) -> Path | None:
    """The run that a map starts from.

    Args:
        source: the service's database.
        paths: where files are stored.
        application: name of the application.
        id: id of the earlier visualization, None for none.

    Raises:
        UsageError: if the application has no such visualization, or it is not done.
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
        raise UsageError(
            f"{option('like')} {id}", f"give the id of a finished visualization of {application}"
        )
    return run_directory(paths, row)


def claim(store: Store) -> Row | None:
    """Mark the oldest pending job as running and return it; None if no job is pending."""

    def operation(transaction: Transaction) -> Row | None:
        row = transaction.one(
            "SELECT * FROM visualizations WHERE status = 'pending' ORDER BY seq LIMIT 1"
        )
        if row is not None:
            _set_status(transaction, row["id"], "running")
        return row

    if store.one("SELECT 1 FROM visualizations WHERE status = 'pending'") is None:
        return None
    return store.write(operation)


def requeue(store: Store, id: str) -> None:
    """Make a running job pending again; its attempt does not count."""
    store.write(lambda transaction: _set_status(transaction, id, "pending"))


def _set_status(transaction: Transaction, id: str, status: str) -> None:
    transaction.execute("UPDATE visualizations SET status = ? WHERE id = ?", status, id)


def finish(store: Store, paths: ServicePaths, id: str, outcome: JobOutcome) -> None:
    """Record the outcome of a running job. A job whose worker died for the first time becomes
    pending again."""
    row = store.one("SELECT * FROM visualizations WHERE id = ?", id)
    if row is None:
        return
    keep_run = outcome.result is not None and not row["cancel"] and not row["deleted"]
    if not keep_run:
        remove_run(paths, row)

    def operation(transaction: Transaction) -> bool:
        row = transaction.one("SELECT * FROM visualizations WHERE id = ?", id)
        if row is None:
            return True
        if keep_run and (row["cancel"] or row["deleted"]):
            return False  # marked in the meantime: the run must be removed first
        _record(transaction, row, outcome)
        return True

    if not store.write(operation):
        finish(store, paths, id, outcome)


def _record(transaction: Transaction, row: Row, outcome: JobOutcome) -> None:
    id, deaths = row["id"], row["deaths"] + outcome.worker_died
    if row["deleted"]:
        transaction.execute("DELETE FROM visualizations WHERE id = ?", id)
        return
    transaction.execute("UPDATE visualizations SET deaths = ? WHERE id = ?", deaths, id)
    if row["cancel"]:
        _set_ended(transaction, id, "cancelled", JobOutcome())
    elif outcome.result is not None:
        _set_ended(transaction, id, "done", outcome)
    elif outcome.worker_died and deaths < _MAX_ATTEMPTS:
        _set_status(transaction, id, "pending")
    else:
        _set_ended(transaction, id, "failed", outcome)


def _set_ended(transaction: Transaction, id: str, status: str, outcome: JobOutcome) -> None:
    done = status == "done"
    transaction.execute(
        "UPDATE visualizations SET status = ?, details = ?, result = ?, weight = ?, ended = ?"
        " WHERE id = ?",
        status,
        "" if done else outcome.details,
        json.dumps(outcome.result) if done else None,
        outcome.size if done else 0,
        time.time(),
        id,
    )


def cancel(store: Store, id: str, request: IdempotentRequest) -> tuple[int, Any, bool]:
    """Cancel a job: a pending one at once, a running one as soon as its worker stops.

    Returns:
        Status and JSON body of the response, and whether the worker must be asked to stop.

    Raises:
        RequestError: if there is no such job (404), or it has ended otherwise (409).
    """

    def operation(transaction: Transaction) -> tuple[int, Any, bool]:
        stored = request.stored_response(transaction)
        if stored is not None:
            return *stored, False
        row = find(transaction, id)
        if row["status"] == "pending":
            _set_ended(transaction, id, "cancelled", JobOutcome())
        elif row["status"] == "running":
            transaction.execute("UPDATE visualizations SET cancel = 1 WHERE id = ?", id)
        elif row["status"] != "cancelled":
            raise RequestError(409, f"this visualization is already {row['status']}")
        body = {"output": visualization_to_json(find(transaction, id))}
        request.store(transaction, 202, body)
        return 202, body, row["status"] == "running"

    return store.write(operation)


def delete(store: Store, paths: ServicePaths, id: str) -> bool:
    """Delete a visualization and its run; of a running one, as soon as its worker stops.

    Returns:
        Whether the worker must be asked to stop.

    Raises:
        RequestError: if there is no such visualization.
    """

    def operation(transaction: Transaction) -> Row:
        row = find(transaction, id)
        transaction.execute("UPDATE visualizations SET deleted = 1 WHERE id = ?", id)
        if row["status"] == "pending":
            _set_status(transaction, id, "cancelled")
        return row

    row = store.write(operation)
    if row["status"] == "running":
        return True
    _delete_row_and_run(store, paths, row)
    return False


def _delete_row_and_run(store: Store, paths: ServicePaths, row: Row) -> None:
    remove_run(paths, row)
    store.write(
        lambda transaction: transaction.execute(
            "DELETE FROM visualizations WHERE id = ?", row["id"]
        )
    )


def remove_run(paths: ServicePaths, row: Row) -> None:
    """Remove the run directory of a job, and the lock file of a worker that died."""
    shutil.rmtree(run_directory(paths, row), ignore_errors=True)
    with contextlib.suppress(OSError):
        paths.job_lock(row["id"]).unlink(missing_ok=True)


def run_directory(paths: ServicePaths, row: Row) -> Path:
    """The run directory of a job, which no other job shares."""
    return paths.runs / str(row["application"]) / str(row["name"])


def mosaic_path(paths: ServicePaths, row: Row) -> Path | None:
    """The mosaic of a visualization, None unless it is done."""
    if row["status"] != "done":
        return None
    return run_directory(paths, row) / str(json.loads(row["result"])["mosaic"])
