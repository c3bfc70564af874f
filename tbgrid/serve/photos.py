"""Applications and their inputs in the database, and the image files of the inputs.

An image that several applications have is stored once.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

from tbgrid.photos import Photo, Source
from tbgrid.serve.errors import RequestError
from tbgrid.serve.idempotency import IdempotentRequest
from tbgrid.serve.image_files import ImageFile
from tbgrid.serve.limits import MIN_FREE_DISK, Limits, format_bytes
from tbgrid.serve.paths import ServicePaths
from tbgrid.serve.store import Reader, Row, Store, Transaction

DEFAULT_APPLICATION = "default"  # always exists
_MAX_COLUMNS = 200  # of one map; TensorBoard's tables are unusable with more


@dataclass(frozen=True)
class NewPhoto:
    """An image to add.

    Attributes:
        file: the saved image.
        name: a name to show; None leaves that of an input with the same image.
        label: None leaves that of an input with the same image.
        metadata: columns and their values; empty leaves those of an input with the same image.
    """

    file: ImageFile
    name: str | None = None
    label: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def prepare(store: Store, paths: ServicePaths) -> None:
    """Create directories and the default application, and remove what a killed server left."""
    shutil.rmtree(paths.incoming, ignore_errors=True)
    for folder in (paths.inputs, paths.incoming, paths.runs):
        folder.mkdir(parents=True, exist_ok=True)
    add_application(store, DEFAULT_APPLICATION, IdempotentRequest())
    digests = {row["digest"] for row in store.all("SELECT DISTINCT digest FROM inputs")}
    for file in paths.inputs.iterdir():
        if file.name not in digests:
            file.unlink()


def add_application(store: Store, name: str, request: IdempotentRequest) -> tuple[int, Any]:
    """Create an application; an existing one stays as it is.

    Returns:
        Status and JSON body of the response.

    Raises:
        RequestError: if the idempotency key was used for a different request.
    """

    def operation(transaction: Transaction) -> tuple[int, Any]:
        stored = request.stored_response(transaction)
        if stored is not None:
            return stored
        transaction.execute(
            "INSERT OR IGNORE INTO applications (name, created) VALUES (?, ?)", name, time.time()
        )
        body = {"application": application_to_json(find_application(transaction, name))}
        request.store(transaction, 201, body)
        return 201, body

    return store.write(operation)


def application_to_json(row: Row) -> dict[str, Any]:
    """An application as responses show it."""
    return {
        "name": row["name"],
        "inputs": row["inputs"],
        "bytes": row["bytes"],
        "created_at": iso_timestamp(row["created"]),
    }


def delete_application(store: Store, paths: ServicePaths, name: str) -> None:
    """Delete an application and its inputs.

    Raises:
        RequestError: if there is no such application (404), or it is the default one or has
            visualizations (409).
    """

    def operation(transaction: Transaction) -> None:
        find_application(transaction, name)
        if name == DEFAULT_APPLICATION:
            raise RequestError(409, f"the application {name} cannot be deleted; its inputs can")
        if transaction.one("SELECT 1 FROM visualizations WHERE application = ?", name):
            raise RequestError(409, f"{name} has visualizations: delete them first")
        rows = transaction.execute(
            "SELECT digest FROM inputs WHERE application = ?", name
        ).fetchall()
        transaction.execute("DELETE FROM inputs WHERE application = ?", name)
        transaction.execute("DELETE FROM applications WHERE name = ?", name)
        for row in rows:
            _delete_file(transaction, store, paths, row["digest"])
        transaction.on_commit(lambda: shutil.rmtree(paths.shards / name, ignore_errors=True))

    store.write(operation)


def find_application(source: Reader | Transaction, name: str) -> Row:
    """The row of an application.

    Raises:
        RequestError: if there is no application of that name.
    """
    row = source.one("SELECT * FROM applications WHERE name = ?", name)
    if row is None:
        raise RequestError(404, f"no application {name}: create it with POST /v2/applications")
    return row


def check_disk_space(source: Reader | Transaction, paths: ServicePaths, limits: Limits) -> None:
    """Check that there is room for more images and runs.

    Raises:
        RequestError: if images and runs exceed `limits.disk` (409), or the disk is almost full
            (507).
    """
    used = source.one(
        "SELECT (SELECT COALESCE(SUM(bytes), 0) FROM applications)"
        " + (SELECT COALESCE(SUM(weight), 0) FROM visualizations) AS bytes"
    )
    if used is not None and used["bytes"] > limits.disk:
        raise RequestError(
            409,
            f"images and runs exceed the limit of {format_bytes(limits.disk)}:"
            " delete what is not needed",
        )
    if shutil.disk_usage(paths.root).free < MIN_FREE_DISK:
        raise RequestError(507, "the server's disk is full")


def add(
    store: Store,
    paths: ServicePaths,
    limits: Limits,
    application: str,
    new: Sequence[NewPhoto],
    request: IdempotentRequest,
) -> tuple[int, Any]:
    """Accept images, all or none.

    An image that the application already has is not added again: its name, label and metadata are
    updated where new ones are given.

    Returns:
        Status and JSON body of the response.

    Raises:
        RequestError: if there is no such application, a limit is exceeded, or the idempotency key
            was used for a different request.
    """

    def operation(transaction: Transaction) -> tuple[int, Any]:
        stored = request.stored_response(transaction)
        if stored is not None:
            return stored
        before = find_application(transaction, application)["inputs"]
        ids = [_insert(transaction, application, photo) for photo in new]
        after = find_application(transaction, application)["inputs"]
        if after > before:
            if after > limits.inputs:
                raise RequestError(
                    422,
                    f"{application} has {before} inputs, and the limit is {limits.inputs}:"
                    " delete some first",
                )
            check_disk_space(transaction, paths, limits)
        _move_files(paths, new)
        rows = [transaction.one("SELECT * FROM inputs WHERE id = ?", id) for id in ids]
        body = {"inputs": [input_to_json(row) for row in rows if row is not None]}
        request.store(transaction, 201, body)
        return 201, body

    try:
        return store.write(operation)
    finally:
        for photo in new:
            photo.file.path.unlink(missing_ok=True)


def _move_files(paths: ServicePaths, new: Sequence[NewPhoto]) -> None:
    """Give files their final names, before the rows that refer to them are committed. If the
    commit fails, `prepare` removes the files at the next start."""
    for photo in new:
        if not (paths.inputs / photo.file.digest).exists():
            photo.file.path.replace(paths.inputs / photo.file.digest)
    _sync_directory(paths.inputs)


def _insert(transaction: Transaction, application: str, photo: NewPhoto) -> str:
    """Insert an input, or update the one with the same image; its id."""
    file = photo.file
    row = transaction.one(
        "SELECT id FROM inputs WHERE application = ? AND digest = ?", application, file.digest
    )
    metadata = json.dumps(photo.metadata)
    if row is not None:
        transaction.execute(
            "UPDATE inputs SET name = COALESCE(?, name), label = COALESCE(?, label),"
            " metadata = CASE ? WHEN '{}' THEN metadata ELSE ? END WHERE id = ?",
            photo.name,
            photo.label,
            metadata,
            metadata,
            row["id"],
        )
        return str(row["id"])
    id = uuid4().hex
    transaction.execute(
        "INSERT INTO inputs (id, application, digest, name, label, metadata, type, width, height,"
        " size, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        application,
        file.digest,
        photo.name or id[:8],
        photo.label,
        metadata,
        file.type,
        file.width,
        file.height,
        file.size,
        time.time(),
    )
    return id


def delete(store: Store, paths: ServicePaths, id: str) -> None:
    """Delete an input, and its file unless another application has the same image."""

    def operation(transaction: Transaction) -> None:
        row = transaction.one("SELECT digest FROM inputs WHERE id = ?", id)
        if row is not None:
            transaction.execute("DELETE FROM inputs WHERE id = ?", id)
            _delete_file(transaction, store, paths, row["digest"])

    store.write(operation)


def _delete_file(transaction: Transaction, store: Store, paths: ServicePaths, digest: str) -> None:
    """Delete a file after the commit, unless a row still refers to it. Only the writer thread
    adds and deletes files, so that none is deleted that was just added again."""

    def action() -> None:
        if store.one("SELECT 1 FROM inputs WHERE digest = ?", digest) is None:
            (paths.inputs / digest).unlink(missing_ok=True)

    transaction.on_commit(action)


def _sync_directory(folder: Path) -> None:
    """Flush the names in `folder` to disk."""
    if os.name == "nt":  # Windows cannot open a directory for that
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def iso_timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def input_to_json(row: Row) -> dict[str, Any]:
    """An input as responses show it."""
    return {
        "id": row["id"],
        "application": row["application"],
        "name": row["name"],
        "label": row["label"],
        "metadata": json.loads(row["metadata"]),
        "content_type": row["type"],
        "width": row["width"],
        "height": row["height"],
        "bytes": row["size"],
        "sha256": row["digest"],
        "created_at": iso_timestamp(row["created"]),
        "data": {"image": {"url": f"/v2/inputs/{row['id']}/image"}},
    }


def make_source(rows: Sequence[Row], paths: ServicePaths, application: str) -> Source:
    """The photos of a map, in the order of the inputs' `rows`."""
    metadata = [json.loads(row["metadata"]) for row in rows]
    known = dict.fromkeys(column for values in metadata for column in values)
    columns = tuple(known)[:_MAX_COLUMNS]
    notes = []
    if len(known) > len(columns):
        notes.append(f"only the first {len(columns)} of {len(known)} metadata columns are shown")
    photos = tuple(
        Photo(
            path=paths.inputs / row["digest"],
            name=row["name"],
            label=row["label"],
            fields=tuple(values.get(column, "") for column in columns),
            row=number,
        )
        for number, (row, values) in enumerate(zip(rows, metadata, strict=True))
    )
    return Source(
        name=application, photos=photos, listed=len(photos), columns=columns, notes=tuple(notes)
    )
