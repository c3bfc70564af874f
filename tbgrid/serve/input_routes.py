"""Routes of inputs: the pictures of an application."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from tbgrid.serve import photos, schemas, uploads
from tbgrid.serve.dependencies import (
    After,
    Application,
    Count,
    Id,
    Key,
    May,
    Served,
    Service,
    file_answer,
)
from tbgrid.serve.errors import Refused
from tbgrid.serve.idempotency import Once
from tbgrid.serve.keys import Access
from tbgrid.serve.limits import AT_ONCE
from tbgrid.serve.pagination import page
from tbgrid.serve.photos import Added
from tbgrid.serve.store import Row

_FIELD = 1 << 20  # bytes of a form's field that is no file
# Either of two, which FastAPI cannot tell from the function.
_BODY: dict[str, Any] = {
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
router = APIRouter()


@router.post(
    "/inputs",
    status_code=201,
    response_model=schemas.InputsAnswer,
    openapi_extra={"requestBody": _BODY},
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
            files: list[uploads.File] = []
            texts: dict[str, list[str]] = {"label": [], "metadata": []}
            for field, value in form.multi_items():
                if isinstance(value, UploadFile):
                    files.append(uploads.File(value.filename or "", value.file))
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
    photos.find_application(service.store, application)
    with uploads.from_json(body, service.places, service.limits, service.hosts) as added:
        return _add(service, access, application, key, added)


def _add_form(
    service: Service,
    access: Access,
    application: str,
    key: str | None,
    files: list[uploads.File],
    texts: dict[str, list[str]],
) -> Response:
    photos.find_application(service.store, application)
    with uploads.from_form(
        files, texts["label"], texts["metadata"], service.places, service.limits
    ) as added:
        return _add(service, access, application, key, added)


def _add(
    service: Service, access: Access, application: str, key: str | None, added: list[Added]
) -> Response:
    once = Once.of(key, access.key, f"inputs {application}", uploads.digest_of(added))
    status, body = photos.add(
        service.store, service.places, service.limits, application, added, once
    )
    return JSONResponse(body, status)


@router.get("/inputs", response_model=schemas.InputsAnswer)
def list_inputs(
    service: Served, application: Application, limit: Count = 100, after: After = None
) -> Any:
    """The inputs of an application, in the order in which they came."""
    rows, more = page(service.store, "inputs", application, limit, after)
    return {"inputs": [photos.told(row) for row in rows], "next": more}


def _input(service: Service, access: Access, id: str) -> Row:
    row = service.store.one("SELECT * FROM inputs WHERE id = ?", id)
    if row is None or not access.may(row["application"]):
        raise Refused(404, f"no input {id}")
    return row


@router.get("/inputs/{id}", response_model=schemas.InputAnswer)
def get_input(service: Served, access: May, id: Id) -> Any:
    """One input."""
    return {"input": photos.told(_input(service, access, id))}


@router.get("/inputs/{id}/image", response_class=FileResponse)
def get_input_image(service: Served, access: May, id: Id) -> FileResponse:
    """Its picture, byte for byte."""
    row = _input(service, access, id)
    return file_answer(service.places.inputs / row["digest"], row["type"])


@router.delete("/inputs/{id}", status_code=204, response_model=None)
def delete_input(service: Served, access: May, id: Id) -> None:
    """Remove an input. Maps that are finished keep it."""
    _input(service, access, id)
    photos.remove(service.store, service.places, id)
