"""What routes are given: the service, what the client may do, and the parameters they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from tbgrid.serve.errors import Refused
from tbgrid.serve.keys import Access
from tbgrid.serve.limits import Limits
from tbgrid.serve.options import NAME
from tbgrid.serve.paths import Places
from tbgrid.serve.store import Store
from tbgrid.serve.worker_pool import Workers


@dataclass(frozen=True)
class Service:
    """What the routes work with. `models`: those that may be asked for (`models_by_name`);
    `hosts`: those that pictures may be fetched from."""

    store: Store
    places: Places
    limits: Limits
    workers: Workers
    models: Mapping[str, str]
    hosts: frozenset[str]


def service_of(request: Request) -> Service:
    """The service that a request is for."""
    service: Service = request.app.state.service
    return service


def access_of(request: Request) -> Access:
    """What its client may do, as the guard has found."""
    access: Access = request.state.access
    return access


def application_of(
    access: Annotated[Access, Depends(access_of)],
    application: Annotated[
        str | None, Query(pattern=NAME, description="the set of pictures that is meant")
    ] = None,
) -> str:
    """The application that a request is for: as named, the key's only one, or `default`."""
    return require(access, application or access.usual)


def require(access: Access, application: str) -> str:
    """The application, if the client may use it.

    Raises:
        Refused: it may not.
    """
    if not access.may(application):
        raise Refused(403, f"this key is not for the application {application}")
    return application


Served = Annotated[Service, Depends(service_of)]
May = Annotated[Access, Depends(access_of)]
Application = Annotated[str, Depends(application_of)]
Id = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
After = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
Count = Annotated[int, Query(ge=1, le=1000)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="the same key gets the same answer, and nothing is done twice",
    ),
]


def file_answer(path: Path, kind: str) -> FileResponse:
    """The answer that a file is, of the media type `kind`.

    Raises:
        Refused: it is gone.
    """
    if not path.is_file():
        raise Refused(404, "its file is gone")
    return FileResponse(path, media_type=kind, headers={"Cache-Control": "private, no-cache"})
