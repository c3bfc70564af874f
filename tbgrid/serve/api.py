"""The FastAPI application: all routes, error handlers and the OpenAPI document.

Routes are thin wrappers of `photos`, `jobs` and `worker_pool`. Those that block run on threads.
"""

from __future__ import annotations

import errno
import sqlite3
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException

from tbgrid.errors import TbgridError
from tbgrid.serve import application_routes, input_routes, schemas, uploads, visualization_routes
from tbgrid.serve.dependencies import Service, ServiceDep
from tbgrid.serve.errors import error_body
from tbgrid.serve.options import name_of
from tbgrid.serve.store import ClosedError
from tbgrid.version import __version__

_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL = "the server's disk is full"
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": reason}
    for status, reason in {
        400: "malformed request",
        401: "missing or unknown API key",
        403: "the client may not do this",
        404: "not found",
        408: "the request body did not arrive in time",
        409: "conflict: something must be deleted or given another name first",
        413: "the request body is too large",
        415: "unsupported media type",
        422: "invalid content",
        429: "too many requests at a time: try again later",
        507: "insufficient storage",
    }.items()
}
router = APIRouter(prefix="/v2", responses=_ERRORS)


@router.get("/models", response_model=schemas.ModelsResponse)
def list_models(service: ServiceDep) -> Any:
    """List the models that visualizations can use."""
    return {"models": list(service.models)}


for _part in (application_routes, input_routes, visualization_routes):
    router.include_router(_part.router)


def make_app(service: Service) -> FastAPI:
    """The application of a service, without middleware and web pages."""
    app = FastAPI(
        title="tbgrid",
        version=__version__,
        summary="Arranges photos on a map in which look-alikes lie side by side.",
        docs_url=None,  # FastAPI's own pages load scripts from a CDN
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(router)
    _extend_openapi(app)
    _add_error_handlers(app)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Give all errors the same form of response."""

    @app.exception_handler(HTTPException)
    def http_error(_: Request, error: HTTPException) -> Response:
        return _respond(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def validation_error(_: Request, error: RequestValidationError) -> Response:
        return _respond(422, uploads.first_problem(error))

    @app.exception_handler(TbgridError)
    def option_error(_: Request, error: TbgridError) -> Response:
        return _respond(422, error.spelled(name_of))

    @app.exception_handler(FormParserError)
    def form_error(_: Request, error: FormParserError) -> Response:
        return _respond(400, f"malformed form ({error})")

    @app.exception_handler(ClosedError)
    def closed_error(_: Request, error: ClosedError) -> Response:
        return _respond(503, str(error), {"Retry-After": "5"})

    @app.exception_handler(sqlite3.OperationalError)
    def database_error(_: Request, error: sqlite3.OperationalError) -> Response:
        if "full" not in str(error):
            raise error
        return _respond(507, _DISK_FULL)

    @app.exception_handler(OSError)
    def disk_error(_: Request, error: OSError) -> Response:
        if error.errno not in _FULL:
            raise error
        return _respond(507, _DISK_FULL)

    @app.exception_handler(Exception)
    def internal_error(_: Request, __: Exception) -> Response:
        return _respond(500, "internal error: see the server's log")


def _respond(status: int, line: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(error_body(status, line), status, headers)


def _extend_openapi(app: FastAPI) -> None:
    """Add what FastAPI cannot derive: the schema of `NewInputs`, and the API key."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            schema = schemas.NewInputs.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            components = document["components"]["schemas"]
            components.update(schema.pop("$defs"))
            components["NewInputs"] = schema
            document["components"]["securitySchemes"] = {
                "key": {"type": "apiKey", "in": "header", "name": "Authorization"}
            }
            document["security"] = [{}, {"key": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
