"""Who is let in, and with how much: before any route is asked.

On loopback a browser is the way in for strangers: a page of another site that asks this server
(its `Origin` tells), or that gave its own name this address (`Host` tells). Elsewhere a key is.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from tbgrid.serve import keys
from tbgrid.serve.errors import Refused, told
from tbgrid.serve.limits import IN_FLIGHT, Limits
from tbgrid.serve.store import Reader

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.ASCII)
_HEADERS = (
    # The pages bring all that they need; pictures come as blobs where a key is asked for.
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass
class Guard:
    """ASGI middleware around `app`. `keyed`: whether every client needs a key; `named`: whether
    it must ask for one of the names of loopback."""

    app: App
    store: Reader
    limits: Limits
    keyed: bool
    named: bool
    in_flight: int = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answering = _Answering(send)
        body = _Body(self, receive)
        try:
            headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
            self._check_names(headers)
            scope.setdefault("state", {})["access"] = await self._access(scope["path"], headers)
            body.check_declared(headers.get("content-length"))
            await self.app(scope, body.receive, answering.send)
        except Refused as refused:
            if answering.begun:
                raise
            await _refuse(answering.send, refused)
        finally:
            body.close()

    def _check_names(self, headers: dict[str, bytes]) -> None:
        if not self.named:
            return
        host = headers.get("host", b"").decode("latin-1")
        if not _HOST.fullmatch(host):
            raise Refused(403, "this server answers to the names 127.0.0.1 and localhost alone")
        origin = headers.get("origin")
        if origin is not None and origin.decode("latin-1") != f"http://{host}":
            raise Refused(403, "pages of other sites may not use this server")

    async def _access(self, path: str, headers: dict[str, bytes]) -> keys.Access:
        """What the client may do. Pages and the OpenAPI document are for everyone."""
        given = headers.get("authorization")
        if not path.startswith("/v2/") or (given is None and not self.keyed):
            return keys.Access()
        text = (given or b"").decode("latin-1")
        access = await run_in_threadpool(keys.access_of, self.store, text)
        if access is None:
            raise Refused(
                401,
                "give a key, made by tbgrid serve key add, as Authorization: Key ...",
                {"WWW-Authenticate": "Key"},
            )
        return access


class _Answering:
    """An answer with the headers that all have; `begun` when it cannot be another any more."""

    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await self._send(message)


class _Body:
    """The body of a request, counted and timed as it comes."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self._guard, self._receive, self._size = guard, receive, 0
        self._whole, self._late = False, time.monotonic() + guard.limits.seconds

    def check_declared(self, length: bytes | None) -> None:
        if length is not None and length.isdigit() and int(length) > self._guard.limits.upload:
            raise self._too_large()

    async def receive(self) -> Message:
        if self._whole:  # then it waits for the client to leave
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._late - time.monotonic())
        except asyncio.TimeoutError as error:
            raise Refused(
                408,
                f"a body must be there whole after {self._guard.limits.seconds} seconds",
                {"Connection": "close"},
            ) from error
        if message["type"] == "http.request":
            self._whole = not message.get("more_body", False)
            size = len(message.get("body", b""))
            self._size += size
            self._guard.in_flight += size
            if self._size > self._guard.limits.upload:
                raise self._too_large()
            if self._guard.in_flight > IN_FLIGHT:
                raise Refused(429, "too much arrives at once: try again", {"Retry-After": "5"})
        return message

    def close(self) -> None:
        self._guard.in_flight -= self._size

    def _too_large(self) -> Refused:
        return Refused(413, f"a request may have {self._guard.limits.upload} bytes: send fewer")


async def _refuse(send: Send, refused: Refused) -> None:
    body = json.dumps(told(refused.status_code, refused.detail)).encode()
    headers = {"Content-Type": "application/json", **(refused.headers or {})}
    headers["Content-Length"] = str(len(body))
    await send(
        {
            "type": "http.response.start",
            "status": refused.status_code,
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
