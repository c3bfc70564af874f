"""Routes of visualizations: maps that are asked for, and their pictures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, JSONResponse

from tbgrid.serve import jobs, schemas
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
from tbgrid.serve.options import Asked, export_options, require_fit
from tbgrid.serve.pagination import page
from tbgrid.serve.photos import find_application
from tbgrid.serve.store import Row

router = APIRouter()


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
    count = find_application(service.store, application)["inputs"]
    found = export_options(asked, service.places, service.models, like)
    if count >= jobs.FEWEST:
        require_fit(found, count)
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
    rows, more = page(service.store, "visualizations", application, limit, after)
    outputs = [_output(service, row) for row in rows]
    for output in outputs:
        output.get("data", {}).pop("report", None)
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
    return file_answer(mosaic, "image/jpeg")


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
