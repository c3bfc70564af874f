"""Answers that are given again to a request that comes again, by its idempotency key."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

from tbgrid.serve.errors import Refused
from tbgrid.serve.store import Reader, Writing

_KEPT = 7 * 86_400  # s


@dataclass(frozen=True)
class Once:
    """A request that has a `key`, None for one that may be done again, and what it asks for."""

    key: str | None
    request: str

    @classmethod
    def of(cls, header: str | None, access: str, route: str, asked: Any) -> Once:
        """`header`: the client's own key, which counts for its `access` and the `route` alone;
        `asked`: JSON that differs whenever the request does."""
        if header is None:
            return cls(None, "")
        told = json.dumps(asked, sort_keys=True).encode()
        return cls(f"{access} {route} {header}", hashlib.sha256(told).hexdigest())

    def given(self, source: Reader | Writing) -> tuple[int, Any] | None:
        """The status and JSON that the request was answered with before.

        Raises:
            Refused: the key came with another request.
        """
        if self.key is None:
            return None
        row = source.one("SELECT request, status, body FROM answers WHERE key = ?", self.key)
        if row is None:
            return None
        if row["request"] != self.request:
            raise Refused(422, "this Idempotency-Key came with another request: give a new one")
        return row["status"], json.loads(row["body"])

    def keep(self, writing: Writing, status: int, body: Any) -> None:
        """Remember the answer, in the very write that it tells of."""
        if self.key is not None:
            forget_old(writing)
            writing.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
                self.key,
                self.request,
                status,
                json.dumps(body),
                time.time(),
            )


def forget_old(writing: Writing) -> None:
    """Drop answers that nobody will ask for again."""
    writing.execute("DELETE FROM answers WHERE created < ?", time.time() - _KEPT)
