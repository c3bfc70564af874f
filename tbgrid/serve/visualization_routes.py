"""Routes of visualizations: requesting maps, and fetching their status and mosaic."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, JSONResponse

from tbgrid.options import MIN_PHOTOS
from tbgrid.serve import jobs, schemas
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
from tbgrid.serve.options import VisualizationRequest, export_options, require_fit
from tbgrid.serve.pagination import list_page
from tbgrid.serve.photos import find_application
from tbgrid.serve.store import Row

router = APIRouter()


@router.post("/visualizations", status_code=202, response_model=schemas.OutputResponse)
def add_visualization(
    service: ServiceDep,
    access: AccessDep,
    application: Application,
    body: VisualizationRequest | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Request a map of all inputs that the application has now. The response comes at once; the
    map is ready when the status is `done`."""
    body = body or VisualizationRequest()
    options = body.model_dump(exclude={"name"})
    request = IdempotentRequest.from_header(
        key, access.key, f"visualizations {application}", [body.name, options]
    )
    stored = request.stored_response(service.store)
    if stored is not None:  # even if the visualization that `like` names was deleted since
        return JSONResponse(stored[1], stored[0])
    like = jobs.find_previous_run(service.store, service.paths, application, body.like)
    count = find_application(service.store, application)["inputs"]
    validated = export_options(body, service.paths, service.models, like)
    if count >= MIN_PHOTOS:
        require_fit(validated, count)
    job = jobs.NewJob(application=application, name=body.name, options=options)
    status, content = jobs.create(service.store, service.paths, service.limits, job, request)
    service.workers.wake()
    return JSONResponse(content, status)


@router.get(
    "/visualizations", response_model=schemas.OutputsResponse, response_model_exclude_none=True
)
def list_visualizations(
    service: ServiceDep, application: Application, limit: Limit = 100, after: Cursor = None
) -> Any:
    """List the visualizations of an application, the newest first, without their reports."""
    rows, cursor = list_page(service.store, "visualizations", application, limit, after)
    outputs = [_output(service, row) for row in rows]
    for output in outputs:
        output.get("data", {}).pop("report", None)
    return {"outputs": outputs, "next": cursor}


def _find_visualization(service: Service, access: Access, id: str) -> Row:
    row = jobs.find(service.store, id)
    if not access.allows(row["application"]):
        raise RequestError(404, f"no visualization {id}")
    return row


def _output(service: Service, row: Row) -> dict[str, Any]:
    """A visualization as JSON, with its progress while it is running."""
    output = jobs.visualization_to_json(row)
    stage = service.workers.stage_of(row["id"]) if row["status"] == "running" else None
    if stage is not None:
        output["stage"] = stage.name
        if stage.total:
            output["progress"] = min(1.0, stage.done / stage.total)
    return output


@router.get(
    "/visualizations/{id}",
    response_model=schemas.OutputResponse,
    response_model_exclude_none=True,
)
def get_visualization(service: ServiceDep, access: AccessDep, id: Id) -> Any:
    """Get a visualization: its status and stage and, when it is done, the URL of the mosaic, the
    name of the run and the report."""
    return {"output": _output(service, _find_visualization(service, access, id))}


@router.get("/visualizations/{id}/image", response_class=FileResponse)
def get_mosaic(service: ServiceDep, access: AccessDep, id: Id) -> FileResponse:
    """Get the mosaic, a JPEG."""
    row = _find_visualization(service, access, id)
    mosaic = jobs.mosaic_path(service.paths, row)
    if mosaic is None:
        raise RequestError(404, f"visualization {id} is {row['status']} and has no mosaic")
    return file_response(mosaic, "image/jpeg")


@router.post("/visualizations/{id}/cancel", status_code=202, response_model=schemas.OutputResponse)
def cancel_visualization(
    service: ServiceDep, access: AccessDep, id: Id, key: IdempotencyKey = None
) -> Response:
    """Cancel a visualization that is pending or running. It stays in the list, without a run."""
    _find_visualization(service, access, id)
    request = IdempotentRequest.from_header(key, access.key, f"cancel {id}", None)
    status, content, running = jobs.cancel(service.store, id, request)
    if running:
        service.workers.cancel(id)
    return JSONResponse(content, status)


@router.delete("/visualizations/{id}", status_code=204, response_model=None)
def delete_visualization(service: ServiceDep, access: AccessDep, id: Id) -> None:
    """Delete a visualization and its run. A running one is cancelled."""
    _find_visualization(service, access, id)
    if jobs.delete(service.store, service.paths, id):
        service.workers.cancel(id)
