"""The routes put together, with how their errors are told and what OpenAPI says of them.

They are thin, over `inputs`, `jobs` and `workers`. What blocks runs on threads.
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
from tbgrid.serve.dependencies import Served, Service
from tbgrid.serve.errors import told
from tbgrid.serve.options import name_of
from tbgrid.serve.store import ClosedError
from tbgrid.version import __version__

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": why}
    for status, why in {
        400: "not understood",
        401: "no key, or none that is known",
        403: "not for this client",
        404: "not there",
        408: "too slow",
        409: "not possible as things are: something must be deleted, or named otherwise, first",
        413: "too large",
        415: "not a kind that is taken",
        422: "not what was expected",
        429: "too much at once: try again later",
        507: "no space",
    }.items()
}
router = APIRouter(prefix="/v2", responses=_PROBLEMS)


@router.get("/models", response_model=schemas.ModelsAnswer)
def list_models(service: Served) -> Any:
    """The models that may be asked for."""
    return {"models": list(service.models)}


for _part in (application_routes, input_routes, visualization_routes):
    router.include_router(_part.router)


def make_app(service: Service) -> FastAPI:
    """The application, without its guard and its pages."""
    app = FastAPI(
        title="tbgrid",
        version=__version__,
        summary="Photos in, a map in which look-alikes lie side by side out.",
        docs_url=None,  # FastAPI's own pages bring scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(router)
    _describe(app)

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        return JSONResponse(told(error.status_code, str(error.detail)), error.status_code, headers)

    @app.exception_handler(RequestValidationError)
    def not_expected(_: Request, error: RequestValidationError) -> Response:
        return JSONResponse(told(422, uploads.one_line(error)), 422)

    @app.exception_handler(TbgridError)
    def not_meant(_: Request, error: TbgridError) -> Response:
        return JSONResponse(told(422, error.spelled(name_of)), 422)

    @app.exception_handler(FormParserError)
    def no_form(_: Request, error: FormParserError) -> Response:
        return JSONResponse(told(400, f"no form ({' '.join(str(error).split())})"), 400)

    @app.exception_handler(ClosedError)
    def ending(_: Request, error: ClosedError) -> Response:
        return JSONResponse(told(503, str(error)), 503, {"Retry-After": "5"})

    @app.exception_handler(sqlite3.OperationalError)
    def unwritten(_: Request, error: sqlite3.OperationalError) -> Response:
        if "full" not in str(error):
            raise error
        return JSONResponse(told(507, "the disk of the server is full"), 507)

    @app.exception_handler(OSError)
    def unwritable(_: Request, error: OSError) -> Response:
        if error.errno not in _FULL:
            raise error
        return JSONResponse(told(507, "the disk of the server is full"), 507)

    @app.exception_handler(Exception)
    def failed(_: Request, __: Exception) -> Response:
        return JSONResponse(told(500, "an error of tbgrid itself; its log has more"), 500)

    return app


def _describe(app: FastAPI) -> None:
    """Add to the OpenAPI document what FastAPI cannot know: a body of two kinds, and the key."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            more = schemas.NewInputs.model_json_schema(ref_template="#/components/schemas/{model}")
            known = document["components"]["schemas"]
            known.update(more.pop("$defs"))
            known["NewInputs"] = more
            document["components"]["securitySchemes"] = {
                "key": {"type": "apiKey", "in": "header", "name": "Authorization"}
            }
            document["security"] = [{}, {"key": []}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
