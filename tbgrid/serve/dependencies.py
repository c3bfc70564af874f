"""Dependencies of the routes: the service, the client's access, and shared parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from tbgrid.serve.errors import RequestError
from tbgrid.serve.keys import Access
from tbgrid.serve.limits import Limits
from tbgrid.serve.options import NAME
from tbgrid.serve.paths import ServicePaths
from tbgrid.serve.store import Store
from tbgrid.serve.worker_pool import WorkerPool


@dataclass(frozen=True, kw_only=True)
class Service:
    """The state that all routes share.

    Attributes:
        store: the database.
        paths: where files are stored.
        limits: limits on requests.
        workers: the processes that make maps.
        models: models that clients can use, by the names that they use (`models_by_name`).
        hosts: host names that images may be fetched from.
    """

    store: Store
    paths: ServicePaths
    limits: Limits
    workers: WorkerPool
    models: Mapping[str, str]
    hosts: frozenset[str]


def get_service(request: Request) -> Service:
    """The service that answers the request."""
    service: Service = request.app.state.service
    return service


def get_access(request: Request) -> Access:
    """What the client may do, as determined by the middleware."""
    access: Access = request.state.access
    return access


def require_access(access: Access, application: str) -> str:
    """The name of an application that the client may use.

    Raises:
        RequestError: if the client may not use it.
    """
    if not access.allows(application):
        raise RequestError(403, f"this key does not allow access to the application {application}")
    return application


def get_application(
    access: Annotated[Access, Depends(get_access)],
    application: Annotated[
        str | None,
        Query(
            pattern=NAME,
            description="name of the application (default: the key's only one, else `default`)",
        ),
    ] = None,
) -> str:
    """The application that the request addresses."""
    return require_access(access, application or access.default_application)


ServiceDep = Annotated[Service, Depends(get_service)]
AccessDep = Annotated[Access, Depends(get_access)]
Application = Annotated[str, Depends(get_application)]
Id = Annotated[str, InPath(pattern="^[0-9a-f]{32}$")]
Cursor = Annotated[
    str | None,
    Query(pattern="^[0-9a-f]{32}$", description="id of the last item of the page before"),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="number of items per page")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="a repeated request with the same key gets the same response, and nothing is "
        "done twice",
    ),
]


def file_response(path: Path, type: str) -> FileResponse:
    """The response that is a file, with its media type.

    Raises:
        RequestError: if the file no longer exists.
    """
    if not path.is_file():
        raise RequestError(404, "the file no longer exists")
    return FileResponse(path, media_type=type, headers={"Cache-Control": "private, no-cache"})
