"""Routes of applications, which are separate sets of images."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from tbgrid.serve import photos, schemas
from tbgrid.serve.dependencies import AccessDep, IdempotencyKey, ServiceDep, require_access
from tbgrid.serve.idempotency import IdempotentRequest
from tbgrid.serve.options import NAME

router = APIRouter()


@router.get("/applications", response_model=schemas.ApplicationsResponse)
def list_applications(service: ServiceDep, access: AccessDep) -> Any:
    """List the applications that the client may use."""
    rows = service.store.all("SELECT * FROM applications ORDER BY name")
    return {
        "applications": [
            photos.application_to_json(row) for row in rows if access.allows(row["name"])
        ]
    }


@router.post("/applications", status_code=201, response_model=schemas.ApplicationResponse)
def add_application(
    service: ServiceDep,
    access: AccessDep,
    body: schemas.NewApplication,
    key: IdempotencyKey = None,
) -> Response:
    """Create an application. An existing one stays as it is."""
    require_access(access, body.name)
    request = IdempotentRequest.from_header(key, access.key, "applications", body.name)
    status, content = photos.add_application(service.store, body.name, request)
    return JSONResponse(content, status)


@router.delete("/applications/{name}", status_code=204, response_model=None)
def delete_application(
    service: ServiceDep, access: AccessDep, name: Annotated[str, Path(pattern=NAME)]
) -> None:
    """Delete an application and its inputs. Its visualizations must be deleted first."""
    photos.delete_application(service.store, service.paths, require_access(access, name))
