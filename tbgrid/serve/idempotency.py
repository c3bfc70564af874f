"""Idempotency keys: a repeated request gets the stored response, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

from tbgrid.serve.errors import RequestError
from tbgrid.serve.store import Reader, Transaction

_RETENTION = 7 * 86_400  # s


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that may carry an idempotency key.

    Attributes:
        key: the key, unique per client and route; None for a request without one.
        digest: a hash of what is requested.
    """

    key: str | None = None
    digest: str = ""

    @classmethod
    def from_header(
        cls, header: str | None, access: str, route: str, content: Any
    ) -> IdempotentRequest:
        """The request with the header `Idempotency-Key`.

        Args:
            header: value of the header, None where it is missing.
            access: id of the client's API key.
            route: what the request is sent to. The same header counts as another key for another
                client or route.
            content: JSON value that differs whenever the request does.
        """
        if header is None:
            return cls()
        encoded = json.dumps(content, sort_keys=True).encode()
        return cls(f"{access} {route} {header}", hashlib.sha256(encoded).hexdigest())

    def stored_response(self, source: Reader | Transaction) -> tuple[int, Any] | None:
        """The status and JSON body that the request was answered with before, None for a new one.

        Raises:
            RequestError: if the key was used for a different request.
        """
        if self.key is None:
            return None
        row = source.one("SELECT request, status, body FROM answers WHERE key = ?", self.key)
        if row is None:
            return None
        if row["request"] != self.digest:
            raise RequestError(
                422, "this Idempotency-Key was used for another request: send a new key"
            )
        return row["status"], json.loads(row["body"])

    def store(self, transaction: Transaction, status: int, body: Any) -> None:
        """Store the response in the same transaction as the change that it reports."""
        if self.key is not None:
            delete_expired(transaction)
            transaction.execute(
                "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
                self.key,
                self.digest,
                status,
                json.dumps(body),
                time.time(),
            )


def delete_expired(transaction: Transaction) -> None:
    """Delete responses that are older than a week."""
    transaction.execute("DELETE FROM answers WHERE created < ?", time.time() - _RETENTION)
