"""API keys: which client may use which applications. Only hashes of keys are stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tbgrid.errors import TbgridError, UsageError
from tbgrid.serve.photos import DEFAULT_APPLICATION, iso_timestamp
from tbgrid.serve.store import Reader, Store

_SECRET_BYTES = 32  # random, so that a plain hash of a key is safe to store
_APPLICATION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Access:
    """What a client may do.

    Attributes:
        key: id of the client's key, "" without one.
        applications: names of the applications that it may use, None for all.
    """

    key: str = ""
    applications: frozenset[str] | None = None

    def allows(self, application: str) -> bool:
        """Whether the client may use an application."""
        return self.applications is None or application in self.applications

    @property
    def default_application(self) -> str:
        """The application of requests that name none: the key's only one, else `default`."""
        if self.applications is not None and len(self.applications) == 1:
            return next(iter(self.applications))
        return DEFAULT_APPLICATION


def add(store: Store, applications: Sequence[str]) -> str:
    """Create a key.

    Args:
        store: the service's database.
        applications: names of the applications that the key is for; empty for all.

    Returns:
        The key, "ID.SECRET". It cannot be read from the database later.

    Raises:
        UsageError: if a name is not a valid name of an application.
    """
    for name in applications:
        if not _APPLICATION.fullmatch(name):
            raise UsageError(
                f"application {name!r}", "expected letters a to z, digits, dashes and underscores"
            )
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(_SECRET_BYTES)
    scope = json.dumps(sorted(set(applications))) if applications else None
    store.write(
        lambda transaction: transaction.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?)", id, _digest(secret), scope, time.time()
        )
    )
    return f"{id}.{secret}"


def revoke(store: Store, id: str) -> None:
    """Revoke a key by its id, from the next request on.

    Raises:
        TbgridError: if there is no such key.
    """
    count = store.write(
        lambda transaction: transaction.execute("DELETE FROM keys WHERE id = ?", id).rowcount
    )
    if not count:
        raise TbgridError(f"no key {id}", "list the keys with tbgrid serve key list")


def list_keys(store: Reader) -> list[tuple[str, str, str]]:
    """Id, applications and time of creation of each key, the oldest first."""
    return [
        (
            row["id"],
            ", ".join(json.loads(row["applications"])) if row["applications"] else "(all)",
            iso_timestamp(row["created"]),
        )
        for row in store.all("SELECT * FROM keys ORDER BY created")
    ]


def authenticate(store: Reader, header: str) -> Access | None:
    """What a client with the header `Authorization: Key ID.SECRET` may do.

    Args:
        store: the service's database.
        header: value of the header.

    Returns:
        None if the header is malformed or the key unknown.
    """
    scheme, _, key = header.partition(" ")
    id, _, secret = key.strip().partition(".")
    if scheme.lower() != "key" or not id or not secret:
        return None
    row = store.one("SELECT digest, applications FROM keys WHERE id = ?", id)
    expected = row["digest"] if row is not None else _digest("")
    if not hmac.compare_digest(_digest(secret), expected) or row is None:
        return None
    scope = row["applications"]
    return Access(id, None if scope is None else frozenset(json.loads(scope)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
