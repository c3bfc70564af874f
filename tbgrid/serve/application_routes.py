"""Routes of applications: sets of pictures apart from others."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from tbgrid.serve import inputs, schemas
from tbgrid.serve.dependencies import May, Served, require
from tbgrid.serve.options import NAME
from tbgrid.serve.store import Row

router = APIRouter()


@router.get("/applications", response_model=schemas.ApplicationsAnswer)
def list_applications(service: Served, access: May) -> Any:
    """The applications that the client may use."""
    rows = service.store.all("SELECT * FROM applications ORDER BY name")
    return {"applications": [_application(row) for row in rows if access.may(row["name"])]}


@router.post("/applications", status_code=201, response_model=schemas.ApplicationAnswer)
def add_application(service: Served, access: May, asked: schemas.NewApplication) -> Any:
    """Make an application. One that is there stays as it is."""
    require(access, asked.name)
    inputs.add_application(service.store, asked.name)
    return {"application": _application(inputs.find_application(service.store, asked.name))}


@router.delete("/applications/{name}", status_code=204, response_model=None)
def delete_application(
    service: Served, access: May, name: Annotated[str, Path(pattern=NAME)]
) -> None:
    """Remove an application with its inputs, once it has no visualizations."""
    inputs.remove_application(service.store, service.places, require(access, name))


def _application(row: Row) -> dict[str, Any]:
    return {
        "name": row["name"],
        "inputs": row["inputs"],
        "bytes": row["bytes"],
        "created_at": inputs.moment(row["created"]),
    }
