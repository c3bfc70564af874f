"""The pictures of applications: accepted whole and on the disk, or not at all."""

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
from tbgrid.serve.errors import Refused
from tbgrid.serve.idempotency import Once
from tbgrid.serve.image_files import Picture
from tbgrid.serve.limits import RESERVE, Limits
from tbgrid.serve.paths import Places
from tbgrid.serve.store import Reader, Row, Store, Writing

DEFAULT = "default"  # the application that is always there
_MOST_COLUMNS = 200  # of one map; TensorBoard's tables are of no use with more


@dataclass(frozen=True)
class Added:
    """A picture that is to be added, and what the client says of it."""

    picture: Picture
    name: str | None = None
    label: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def prepare(store: Store, places: Places) -> None:
    """Make the directories and the application `default`; remove what a killed server left."""
    shutil.rmtree(places.arriving, ignore_errors=True)
    for folder in (places.inputs, places.arriving, places.runs):
        folder.mkdir(parents=True, exist_ok=True)
    add_application(store, DEFAULT, Once(None, ""))
    named = {row["digest"] for row in store.all("SELECT DISTINCT digest FROM inputs")}
    for file in places.inputs.iterdir():
        if file.name not in named:
            file.unlink()


def add_application(store: Store, name: str, once: Once) -> tuple[int, Any]:
    """Make an application; one that is there stays as it is. The status and JSON of the answer.

    Raises:
        Refused: the key came with another request.
    """

    def operation(writing: Writing) -> tuple[int, Any]:
        before = once.given(writing)
        if before is not None:
            return before
        writing.execute(
            "INSERT OR IGNORE INTO applications (name, created) VALUES (?, ?)", name, time.time()
        )
        body = {"application": told_application(find_application(writing, name))}
        once.keep(writing, 201, body)
        return 201, body

    return store.write(operation)


def told_application(row: Row) -> dict[str, Any]:
    """What a client is told of an application."""
    return {
        "name": row["name"],
        "inputs": row["inputs"],
        "bytes": row["bytes"],
        "created_at": moment(row["created"]),
    }


def remove_application(store: Store, places: Places, name: str) -> None:
    """Remove an application with its pictures.

    Raises:
        Refused: there is none of that name (404), it is the default one, or it has visualizations
            (409).
    """

    def operation(writing: Writing) -> None:
        find_application(writing, name)
        if name == DEFAULT:
            raise Refused(409, f"the application {DEFAULT} stays; its inputs may be deleted")
        if writing.one("SELECT 1 FROM visualizations WHERE application = ?", name):
            raise Refused(409, f"{name} has visualizations: delete them first")
        rows = writing.execute("SELECT digest FROM inputs WHERE application = ?", name).fetchall()
        writing.execute("DELETE FROM inputs WHERE application = ?", name)
        writing.execute("DELETE FROM applications WHERE name = ?", name)
        for row in rows:
            _remove_file(writing, store, places, row["digest"])
        writing.after.append(lambda: shutil.rmtree(places.shards / name, ignore_errors=True))

    store.write(operation)


def find_application(source: Reader | Writing, name: str) -> Row:
    """The row of an application.

    Raises:
        Refused: there is none of that name.
    """
    row = source.one("SELECT * FROM applications WHERE name = ?", name)
    if row is None:
        raise Refused(404, f"no application {name}: make it by POST /v2/applications")
    return row


def refuse_full(source: Reader | Writing, places: Places, limits: Limits) -> None:
    """Make sure that there is room for what is on the disk.

    Raises:
        Refused: pictures and runs are more than may be kept (409), or the disk itself is nearly
            full (507).
    """
    used = source.one(
        "SELECT (SELECT COALESCE(SUM(bytes), 0) FROM applications)"
        " + (SELECT COALESCE(SUM(weight), 0) FROM visualizations) AS bytes"
    )
    if used is not None and used["bytes"] > limits.disk:
        raise Refused(409, f"the service may use {limits.disk} bytes: delete what is not needed")
    if shutil.disk_usage(places.root).free < RESERVE:
        raise Refused(507, "the disk of the server is full")


def add(
    store: Store,
    places: Places,
    limits: Limits,
    application: str,
    added: Sequence[Added],
    once: Once,
) -> tuple[int, Any]:
    """Accept pictures, all or none; the status and JSON of the answer.

    A picture that the application has already stays one, with the name, label and metadata that
    are given now, if any.

    Raises:
        Refused: no such application, a limit is reached, or the key came with another request.
    """

    def operation(writing: Writing) -> tuple[int, Any]:
        before = once.given(writing)
        if before is not None:
            return before
        count = find_application(writing, application)["inputs"]
        ids = [_insert(writing, application, one) for one in added]
        after = find_application(writing, application)
        if after["inputs"] > count:
            if after["inputs"] > limits.inputs:
                raise Refused(
                    422,
                    f"{application} has {count} inputs, and may have {limits.inputs}: delete some",
                )
            refuse_full(writing, places, limits)
        # Under their names before the rows are written that name them; what is left of a write
        # that fails is removed at the next start.
        for one in added:
            if not (places.inputs / one.picture.digest).exists():
                one.picture.arrived.replace(places.inputs / one.picture.digest)
        _sync_directory(places.inputs)
        rows = [writing.one("SELECT * FROM inputs WHERE id = ?", id) for id in ids]
        body = {"inputs": [told(row) for row in rows if row is not None]}
        once.keep(writing, 201, body)
        return 201, body

    try:
        return store.write(operation)
    finally:
        for one in added:
            one.picture.arrived.unlink(missing_ok=True)


def _insert(writing: Writing, application: str, one: Added) -> str:
    """Add a row, or change the one of the same bytes; its id."""
    picture = one.picture
    row = writing.one(
        "SELECT id FROM inputs WHERE application = ? AND digest = ?", application, picture.digest
    )
    metadata = json.dumps(one.metadata)
    if row is not None:
        writing.execute(
            "UPDATE inputs SET name = COALESCE(?, name), label = COALESCE(?, label),"
            " metadata = CASE ? WHEN '{}' THEN metadata ELSE ? END WHERE id = ?",
            one.name,
            one.label,
            metadata,
            metadata,
            row["id"],
        )
        return str(row["id"])
    id = uuid4().hex
    writing.execute(
        "INSERT INTO inputs (id, application, digest, name, label, metadata, type, width, height,"
        " size, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        application,
        picture.digest,
        one.name or id[:8],
        one.label,
        metadata,
        picture.type,
        picture.width,
        picture.height,
        picture.size,
        time.time(),
    )
    return id


def remove(store: Store, places: Places, id: str) -> None:
    """Remove an input, and its file unless another application has the same picture."""

    def operation(writing: Writing) -> None:
        row = writing.one("SELECT digest FROM inputs WHERE id = ?", id)
        if row is not None:
            writing.execute("DELETE FROM inputs WHERE id = ?", id)
            _remove_file(writing, store, places, row["digest"])

    store.write(operation)


def _remove_file(writing: Writing, store: Store, places: Places, digest: str) -> None:
    """Remove a file once the write is done, if no row names it then. Files come and go in the one
    thread that writes, so that none goes that has just come again."""

    def action() -> None:
        if store.one("SELECT 1 FROM inputs WHERE digest = ?", digest) is None:
            (places.inputs / digest).unlink(missing_ok=True)

    writing.after.append(action)


def _sync_directory(folder: Path) -> None:
    """Names in `folder` are on the disk."""
    if os.name == "nt":  # which has no handle of a directory to do it by
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def moment(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 has them, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def told(row: Row) -> dict[str, Any]:
    """What a client is told of an input."""
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
        "created_at": moment(row["created"]),
        "data": {"image": {"url": f"/v2/inputs/{row['id']}/image"}},
    }


def as_source(rows: Sequence[Row], places: Places, application: str) -> Source:
    """The photos of a map."""
    told = [json.loads(row["metadata"]) for row in rows]
    known = dict.fromkeys(column for one in told for column in one)
    columns = tuple(known)[:_MOST_COLUMNS]
    notes = []
    if len(known) > len(columns):
        notes.append(f"the first {len(columns)} of {len(known)} columns of metadata are shown")
    photos = tuple(
        Photo(
            places.inputs / row["digest"],
            row["name"],
            row["label"],
            fields=tuple(one.get(column, "") for column in columns),
            row=number,
        )
        for number, (row, one) in enumerate(zip(rows, told, strict=True))
    )
    return Source(application, photos, listed=len(photos), columns=columns, notes=tuple(notes))
