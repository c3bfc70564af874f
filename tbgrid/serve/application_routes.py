"""Routes of applications: sets of pictures apart from others."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from tbgrid.serve import photos, schemas
from tbgrid.serve.dependencies import Key, May, Served, require
from tbgrid.serve.idempotency import Once
from tbgrid.serve.options import NAME

router = APIRouter()


@router.get("/applications", response_model=schemas.ApplicationsAnswer)
def list_applications(service: Served, access: May) -> Any:
    """The applications that the client may use."""
    rows = service.store.all("SELECT * FROM applications ORDER BY name")
    return {
        "applications": [photos.told_application(row) for row in rows if access.may(row["name"])]
    }


@router.post("/applications", status_code=201, response_model=schemas.ApplicationAnswer)
def add_application(
    service: Served, access: May, asked: schemas.NewApplication, key: Key = None
) -> Response:
    """Make an application. One that is there stays as it is."""
    require(access, asked.name)
    once = Once.of(key, access.key, "applications", asked.name)
    status, body = photos.add_application(service.store, asked.name, once)
    return JSONResponse(body, status)


@router.delete("/applications/{name}", status_code=204, response_model=None)
def delete_application(
    service: Served, access: May, name: Annotated[str, Path(pattern=NAME)]
) -> None:
    """Remove an application with its inputs, once it has no visualizations."""
    photos.remove_application(service.store, service.places, require(access, name))
