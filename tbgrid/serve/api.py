"""The routes: thin, over `inputs`, `jobs` and `workers`. What blocks runs on threads."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from python_multipart.exceptions import FormParserError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from tbgrid import __version__
from tbgrid.errors import TbgridError
from tbgrid.serve import inputs, jobs, receiving, schemas
from tbgrid.serve.answers import Once
from tbgrid.serve.errors import Refused, told
from tbgrid.serve.inputs import Added
from tbgrid.serve.keys import Access
from tbgrid.serve.limits import AT_ONCE, Limits
from tbgrid.serve.options import NAME, Asked, as_asked, export_options
from tbgrid.serve.places import Places
from tbgrid.serve.store import ClosedError, Row, Store
from tbgrid.serve.workers import Workers

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FIELD = 1 << 20  # bytes of a form's field that is no file


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
    name = application or access.usual
    if not access.may(name):
        raise Refused(403, f"this key is not for the application {name}")
    return name


Served = Annotated[Service, Depends(service_of)]
May = Annotated[Access, Depends(access_of)]
Application = Annotated[str, Depends(application_of)]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
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
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem, "description": why}
    for status, why in {
        400: "not understood",
        401: "no key, or none that is known",
        403: "not for this client",
        404: "not there",
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


@router.get("/applications", response_model=schemas.ApplicationsAnswer)
def list_applications(service: Served, access: May) -> Any:
    """The applications that the client may use."""
    rows = service.store.all("SELECT * FROM applications ORDER BY name")
    return {"applications": [_application(row) for row in rows if access.may(row["name"])]}


@router.post("/applications", status_code=201, response_model=schemas.ApplicationAnswer)
def add_application(service: Served, access: May, asked: schemas.NewApplication) -> Any:
    """Make an application. One that is there stays as it is."""
    if not access.may(asked.name):
        raise Refused(403, f"this key is not for the application {asked.name}")
    inputs.add_application(service.store, asked.name)
    return {"application": _application(inputs.find_application(service.store, asked.name))}


@router.delete("/applications/{name}", status_code=204, response_model=None)
def delete_application(
    service: Served, access: May, name: Annotated[str, Path(pattern=NAME)]
) -> None:
    """Remove an application with its inputs, once it has no visualizations."""
    if not access.may(name):
        raise Refused(403, f"this key is not for the application {name}")
    inputs.remove_application(service.store, service.places, name)


def _application(row: Row) -> dict[str, Any]:
    return {
        "name": row["name"],
        "inputs": row["inputs"],
        "bytes": row["bytes"],
        "created_at": inputs.moment(row["created"]),
    }


@router.post(
    "/inputs",
    status_code=201,
    response_model=schemas.InputsAnswer,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/NewInputs"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {
                            "image": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": AT_ONCE,
                                "items": {"type": "string", "format": "binary"},
                                "description": "pictures; the name of the field does not matter",
                            },
                            "label": {
                                "type": "string",
                                "maxLength": 200,
                                "description": "of all, or one field for each, in order",
                            },
                            "metadata": {
                                "type": "string",
                                "description": "a JSON object, of all, or one field for each",
                            },
                        },
                    }
                },
            },
        }
    },
)
async def add_inputs(
    request: Request, service: Served, access: May, application: Application, key: Key = None
) -> Response:
    """Add pictures, all or none. A picture that the application has already stays one; its name,
    label and metadata become those that are given now."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = await request.body()
        return await run_in_threadpool(_add_json, service, access, application, key, body)
    if kind == "multipart/form-data":
        async with request.form(
            max_files=AT_ONCE, max_fields=2 * AT_ONCE, max_part_size=_FIELD
        ) as form:
            files: list[receiving.File] = []
            texts: dict[str, list[str]] = {"label": [], "metadata": []}
            for field, value in form.multi_items():
                if isinstance(value, UploadFile):
                    files.append(receiving.File(value.filename or "", value.file))
                elif field in texts:
                    texts[field].append(value)
                else:
                    raise Refused(422, f"field {field[:50]!r}: expected files, label or metadata")
            return await run_in_threadpool(
                _add_form, service, access, application, key, files, texts
            )
    raise Refused(415, "send application/json or multipart/form-data")


def _add_json(
    service: Service, access: Access, application: str, key: str | None, body: bytes
) -> Response:
    inputs.find_application(service.store, application)
    with receiving.from_json(body, service.places, service.limits, service.hosts) as added:
        return _add(service, access, application, key, added)


def _add_form(
    service: Service,
    access: Access,
    application: str,
    key: str | None,
    files: list[receiving.File],
    texts: dict[str, list[str]],
) -> Response:
    inputs.find_application(service.store, application)
    with receiving.from_form(
        files, texts["label"], texts["metadata"], service.places, service.limits
    ) as added:
        return _add(service, access, application, key, added)


def _add(
    service: Service, access: Access, application: str, key: str | None, added: list[Added]
) -> Response:
    once = Once.of(key, access.key, f"inputs {application}", receiving.digest_of(added))
    status, body = inputs.add(
        service.store, service.places, service.limits, application, added, once
    )
    return JSONResponse(body, status)


@router.get("/inputs", response_model=schemas.InputsAnswer)
def list_inputs(
    service: Served, application: Application, limit: Count = 100, after: After = None
) -> Any:
    """The inputs of an application, in the order in which they came."""
    inputs.find_application(service.store, application)
    rows = service.store.all(
        "SELECT * FROM inputs WHERE application = ? AND seq >"
        " COALESCE((SELECT seq FROM inputs WHERE id = ?), 0) ORDER BY seq LIMIT ?",
        application,
        after,
        limit + 1,
    )
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return {"inputs": [inputs.told(row) for row in rows[:limit]], "next": more}


def _input(service: Service, access: Access, id: str) -> Row:
    row = service.store.one("SELECT * FROM inputs WHERE id = ?", id)
    if row is None or not access.may(row["application"]):
        raise Refused(404, f"no input {id}")
    return row


@router.get("/inputs/{id}", response_model=schemas.InputAnswer)
def get_input(service: Served, access: May, id: Id) -> Any:
    """One input."""
    return {"input": inputs.told(_input(service, access, id))}


@router.get("/inputs/{id}/image", response_class=FileResponse)
def get_input_image(service: Served, access: May, id: Id) -> FileResponse:
    """Its picture, byte for byte."""
    row = _input(service, access, id)
    return _file(service.places.inputs / row["digest"], row["type"])


@router.delete("/inputs/{id}", status_code=204, response_model=None)
def delete_input(service: Served, access: May, id: Id) -> None:
    """Remove an input. Maps that are finished keep it."""
    _input(service, access, id)
    inputs.remove(service.store, service.places, id)


@router.post("/visualizations", status_code=202, response_model=schemas.OutputAnswer)
def add_visualization(
    service: Served,
    access: May,
    application: Application,
    asked: Asked | None = None,
    key: Key = None,
) -> Response:
    """Ask for a map of all inputs that the application has now. The answer comes at once; the map
    when `GET` says `done`."""
    asked = asked or Asked()
    options = asked.model_dump(exclude={"name"})
    once = Once.of(key, access.key, f"visualizations {application}", [asked.name, options])
    before = once.given(service.store)
    if before is not None:  # though what it began at may be gone
        return JSONResponse(before[1], before[0])
    like = jobs.like_of(service.store, service.places, application, asked.like)
    export_options(asked, service.places, service.models, like)
    status, body = jobs.create(
        service.store, service.places, service.limits, application, asked.name, options, once
    )
    service.workers.wake()
    return JSONResponse(body, status)


@router.get(
    "/visualizations", response_model=schemas.OutputsAnswer, response_model_exclude_none=True
)
def list_visualizations(
    service: Served, application: Application, limit: Count = 100, after: After = None
) -> Any:
    """The visualizations of an application, the newest first, without their reports."""
    inputs.find_application(service.store, application)
    rows = service.store.all(
        "SELECT * FROM visualizations WHERE application = ? AND NOT deleted AND seq <"
        " COALESCE((SELECT seq FROM visualizations WHERE id = ?), 1 << 62)"
        " ORDER BY seq DESC LIMIT ?",
        application,
        after,
        limit + 1,
    )
    outputs = [_output(service, row) for row in rows[:limit]]
    for output in outputs:
        output.get("data", {}).pop("report", None)
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return {"outputs": outputs, "next": more}


def _visualization(service: Service, access: Access, id: str) -> Row:
    row = jobs.find(service.store, id)
    if not access.may(row["application"]):
        raise Refused(404, f"no visualization {id}")
    return row


def _output(service: Service, row: Row) -> dict[str, Any]:
    output = jobs.told(row)
    stage = service.workers.stage_of(row["id"]) if row["status"] == "running" else None
    if stage is not None:
        output["stage"] = stage.name
        if stage.total:
            output["progress"] = min(1.0, stage.done / stage.total)
    return output


@router.get(
    "/visualizations/{id}",
    response_model=schemas.OutputAnswer,
    response_model_exclude_none=True,
)
def get_visualization(service: Served, access: May, id: Id) -> Any:
    """One visualization: its status and stage, and when it is done its picture's URL, the name
    of its run and its report."""
    return {"output": _output(service, _visualization(service, access, id))}


@router.get("/visualizations/{id}/image", response_class=FileResponse)
def get_mosaic(service: Served, access: May, id: Id) -> FileResponse:
    """The mosaic, as JPEG."""
    row = _visualization(service, access, id)
    mosaic = jobs.mosaic_of(service.places, row)
    if mosaic is None:
        raise Refused(404, f"visualization {id} is {row['status']}: it has no picture")
    return _file(mosaic, "image/jpeg")


@router.post("/visualizations/{id}/cancel", status_code=202, response_model=schemas.OutputAnswer)
def cancel_visualization(service: Served, access: May, id: Id, key: Key = None) -> Response:
    """Leave a visualization that waits or runs; nothing of it stays but its row."""
    _visualization(service, access, id)
    once = Once.of(key, access.key, f"cancel {id}", None)
    status, body, running = jobs.cancel(service.store, id, once)
    if running:
        service.workers.cancel(id)
    return JSONResponse(body, status)


@router.delete("/visualizations/{id}", status_code=204, response_model=None)
def delete_visualization(service: Served, access: May, id: Id) -> None:
    """Remove a visualization with its run; one that runs is cancelled."""
    _visualization(service, access, id)
    if jobs.delete(service.store, service.places, id):
        service.workers.cancel(id)


def _file(path: Any, kind: str) -> FileResponse:
    if not path.is_file():
        raise Refused(404, "its file is gone")
    return FileResponse(path, media_type=kind, headers={"Cache-Control": "private, no-cache"})


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
        return JSONResponse(told(422, receiving.one_line(error)), 422)

    @app.exception_handler(TbgridError)
    def not_meant(_: Request, error: TbgridError) -> Response:
        return JSONResponse(told(422, as_asked(str(error))), 422)

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
