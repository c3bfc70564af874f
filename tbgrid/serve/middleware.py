"""ASGI middleware: authentication, Host and Origin checks, request-size limits.

On loopback, strangers can get in only through a browser: by a page of another site that sends
requests to this server (seen in `Origin`), or one whose own name resolves to this address (seen in
`Host`). Elsewhere, every client needs a key.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from tbgrid.serve import keys
from tbgrid.serve.errors import RequestError, error_body
from tbgrid.serve.limits import MAX_IN_FLIGHT, Limits, format_bytes
from tbgrid.serve.store import Reader

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.ASCII)
_HEADERS = (
    # The pages load nothing from elsewhere; images are blobs where a key is required.
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


class GuardMiddleware:
    """Rejects requests before any route sees them, and adds security headers to all responses.

    Args:
        app: the ASGI application behind it.
        store: the database that holds the keys.
        limits: limits on request bodies.
        require_key: whether every client needs a key.
        check_host: whether `Host` and `Origin` must name loopback.
    """

    def __init__(
        self, app: App, store: Reader, limits: Limits, *, require_key: bool, check_host: bool
    ) -> None:
        self.limits = limits
        self.in_flight = 0  # bytes of all request bodies that are being received
        self._app, self._store = app, store
        self._require_key, self._check_host = require_key, check_host

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or reject it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(send)
        body = _RequestBody(self, receive)
        try:
            headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
            if self._check_host:
                _check_names(headers)
            scope.setdefault("state", {})["access"] = await self._access(scope["path"], headers)
            body.check_declared(headers.get("content-length"))
            await self._app(scope, body.receive, response.send)
        except RequestError as error:
            if response.started:
                raise
            await _send_error(response.send, error)
        finally:
            body.close()

    async def _access(self, path: str, headers: dict[str, bytes]) -> keys.Access:
        """What the client may do. Pages and the OpenAPI document are public."""
        header = headers.get("authorization")
        if not path.startswith("/v2/") or (header is None and not self._require_key):
            return keys.Access()
        text = (header or b"").decode("latin-1")
        access = await run_in_threadpool(keys.authenticate, self._store, text)
        if access is None:
            raise RequestError(
                401,
                "send a key, made with tbgrid serve key add, as Authorization: Key ...",
                {"WWW-Authenticate": "Key"},
            )
        return access


def _check_names(headers: dict[str, bytes]) -> None:
    host = headers.get("host", b"").decode("latin-1")
    if not _HOST.fullmatch(host):
        raise RequestError(403, "this server can be reached only as 127.0.0.1 or localhost")
    origin = headers.get("origin")
    if origin is not None and origin.decode("latin-1") != f"http://{host}":
        raise RequestError(403, "pages of other sites may not use this server")


class _Response:
    """Adds the security headers. `started`: too late to send an error instead."""

    def __init__(self, send: Send) -> None:
        self._send, self.started = send, False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await self._send(message)


class _RequestBody:
    """The body of a request, whose size and time are limited as it arrives."""

    def __init__(self, guard: GuardMiddleware, receive: Receive) -> None:
        self._guard, self._receive, self._size = guard, receive, 0
        self._complete, self._deadline = False, time.monotonic() + guard.limits.seconds

    def check_declared(self, length: bytes | None) -> None:
        if length is not None and length.isdigit() and int(length) > self._guard.limits.upload:
            raise self._too_large()

    async def receive(self) -> Message:
        if self._complete:  # the application waits for the client to disconnect
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._deadline - time.monotonic())
        except asyncio.TimeoutError as error:
            raise RequestError(
                408,
                f"the request body did not arrive within {self._guard.limits.seconds} seconds",
                {"Connection": "close"},
            ) from error
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            size = len(message.get("body", b""))
            self._size += size
            self._guard.in_flight += size
            if self._size > self._guard.limits.upload:
                raise self._too_large()
            if self._guard.in_flight > MAX_IN_FLIGHT:
                raise RequestError(
                    429, "too many uploads at a time: try again later", {"Retry-After": "5"}
                )
        return message

    def close(self) -> None:
        self._guard.in_flight -= self._size

    def _too_large(self) -> RequestError:
        limit = format_bytes(self._guard.limits.upload)
        return RequestError(413, f"request body exceeds the limit of {limit}")


async def _send_error(send: Send, error: RequestError) -> None:
    body = json.dumps(error_body(error.status_code, error.detail)).encode()
    headers = {"Content-Type": "application/json", **(error.headers or {})}
    headers["Content-Length"] = str(len(body))
    await send(
        {
            "type": "http.response.start",
            "status": error.status_code,
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
