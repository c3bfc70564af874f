"""Keys: who may use which applications. Only their hashes are kept."""

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
from tbgrid.serve.photos import DEFAULT, moment
from tbgrid.serve.store import Reader, Store

_BYTES = 32  # of chance in a key, so that its plain hash cannot be guessed from
_APPLICATION = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Access:
    """What a client may do. `key`: the id of its key, "" for none. `applications`: those it may
    use, None for all."""

    key: str = ""
    applications: frozenset[str] | None = None

    def may(self, application: str) -> bool:
        """Whether it may use an application."""
        return self.applications is None or application in self.applications

    @property
    def usual(self) -> str:
        """The application that is meant where none is named."""
        if self.applications is not None and len(self.applications) == 1:
            return next(iter(self.applications))
        return DEFAULT


def add(store: Store, applications: Sequence[str]) -> str:
    """Make a key for `applications`, none for all, and return it; it cannot be shown again.

    Raises:
        UsageError: the name of an application that none can have.
    """
    for name in applications:
        if not _APPLICATION.fullmatch(name):
            raise UsageError(
                f"application {name!r}", "expected letters a to z, digits, dashes and underscores"
            )
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(_BYTES)
    scope = json.dumps(sorted(set(applications))) if applications else None
    store.write(
        lambda writing: writing.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?)", id, _digest(secret), scope, time.time()
        )
    )
    return f"{id}.{secret}"


def revoke(store: Store, id: str) -> None:
    """Make a key worthless, by its id, from the next request on.

    Raises:
        TbgridError: there is none.
    """
    gone = store.write(
        lambda writing: writing.execute("DELETE FROM keys WHERE id = ?", id).rowcount
    )
    if not gone:
        raise TbgridError(f"no key {id}", "tbgrid serve key list shows them")


def listed(store: Reader) -> list[tuple[str, str, str]]:
    """Id, applications and time of making of each key."""
    return [
        (
            row["id"],
            ", ".join(json.loads(row["applications"])) if row["applications"] else "(all)",
            moment(row["created"]),
        )
        for row in store.all("SELECT * FROM keys ORDER BY created")
    ]


def access_of(store: Reader, header: str) -> Access | None:
    """What the value of a header `Authorization: Key ...` grants; None if nothing."""
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
