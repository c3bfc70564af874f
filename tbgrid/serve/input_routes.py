"""Routes of inputs, which are the images of an application."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from tbgrid.serve import photos, schemas, uploads
from tbgrid.serve.dependencies import (
    AccessDep,
    Application,
    Cursor,
    Id,
    IdempotencyKey,
    Limit,
    Service,
    ServiceDep,
    file_response,
)
from tbgrid.serve.errors import RequestError
from tbgrid.serve.idempotency import IdempotentRequest
from tbgrid.serve.keys import Access
from tbgrid.serve.limits import MAX_IMAGES_PER_REQUEST
from tbgrid.serve.pagination import list_page
from tbgrid.serve.photos import NewPhoto
from tbgrid.serve.store import Row

_MAX_FIELD = 1 << 20  # bytes of a form field that is not a file
# Written out, since FastAPI cannot derive a choice of two content types from the function.
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
                        "maxItems": MAX_IMAGES_PER_REQUEST,
                        "items": {"type": "string", "format": "binary"},
                        "description": "image files; the name of the field is ignored",
                    },
                    "label": {
                        "type": "string",
                        "maxLength": 200,
                        "description": "one field for all files, or one per file in order",
                    },
                    "metadata": {
                        "type": "string",
                        "description": "a JSON object; one field for all files, or one per file",
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
    response_model=schemas.InputsResponse,
    openapi_extra={"requestBody": _BODY},
)
async def add_inputs(
    request: Request,
    service: ServiceDep,
    access: AccessDep,
    application: Application,
    key: IdempotencyKey = None,
) -> Response:
    """Add images; all of them are added, or none. An image that the application already has is
    not added again: its name, label and metadata are updated with those given."""
    type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if type == "application/json":
        body = await request.body()
        return await run_in_threadpool(_add_json, service, access, application, key, body)
    if type == "multipart/form-data":
        async with request.form(
            max_files=MAX_IMAGES_PER_REQUEST,
            max_fields=2 * MAX_IMAGES_PER_REQUEST,
            max_part_size=_MAX_FIELD,
        ) as form:
            files: list[uploads.FormFile] = []
            texts: dict[str, list[str]] = {"label": [], "metadata": []}
            for field, value in form.multi_items():
                if isinstance(value, UploadFile):
                    files.append(uploads.FormFile(value.filename or "", value.file))
                elif field in texts:
                    texts[field].append(value)
                else:
                    raise RequestError(
                        422, f"field {field[:50]!r}: expected files, label or metadata"
                    )
            return await run_in_threadpool(
                _add_form, service, access, application, key, files, texts
            )
    raise RequestError(415, "send application/json or multipart/form-data")


def _add_json(
    service: Service, access: Access, application: str, key: str | None, body: bytes
) -> Response:
    photos.find_application(service.store, application)
    with uploads.photos_from_json(body, service.paths, service.limits, service.hosts) as new:
        return _add(service, access, application, key, new)


def _add_form(
    service: Service,
    access: Access,
    application: str,
    key: str | None,
    files: list[uploads.FormFile],
    texts: dict[str, list[str]],
) -> Response:
    photos.find_application(service.store, application)
    with uploads.photos_from_form(
        files, texts["label"], texts["metadata"], service.paths, service.limits
    ) as new:
        return _add(service, access, application, key, new)


def _add(
    service: Service, access: Access, application: str, key: str | None, new: list[NewPhoto]
) -> Response:
    request = IdempotentRequest.from_header(
        key, access.key, f"inputs {application}", uploads.request_content(new)
    )
    status, content = photos.add(
        service.store, service.paths, service.limits, application, new, request
    )
    return JSONResponse(content, status)


@router.get("/inputs", response_model=schemas.InputsResponse)
def list_inputs(
    service: ServiceDep, application: Application, limit: Limit = 100, after: Cursor = None
) -> Any:
    """List the inputs of an application, the oldest first."""
    rows, cursor = list_page(service.store, "inputs", application, limit, after)
    return {"inputs": [photos.input_to_json(row) for row in rows], "next": cursor}


def _find_input(service: Service, access: Access, id: str) -> Row:
    row = service.store.one("SELECT * FROM inputs WHERE id = ?", id)
    if row is None or not access.allows(row["application"]):
        raise RequestError(404, f"no input {id}")
    return row


@router.get("/inputs/{id}", response_model=schemas.InputResponse)
def get_input(service: ServiceDep, access: AccessDep, id: Id) -> Any:
    """Get an input."""
    return {"input": photos.input_to_json(_find_input(service, access, id))}


@router.get("/inputs/{id}/image", response_class=FileResponse)
def get_input_image(service: ServiceDep, access: AccessDep, id: Id) -> FileResponse:
    """Get the image of an input, byte for byte as it was sent."""
    row = _find_input(service, access, id)
    return file_response(service.paths.inputs / row["digest"], row["type"])


@router.delete("/inputs/{id}", status_code=204, response_model=None)
def delete_input(service: ServiceDep, access: AccessDep, id: Id) -> None:
    """Delete an input. Finished visualizations still show it."""
    _find_input(service, access, id)
    photos.delete(service.store, service.paths, id)
