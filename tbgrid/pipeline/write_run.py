"""Writes a finished map as the export of a run: clusters, the Projector's sample, report, files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tbgrid.embedding.image_set import ImageSet
from tbgrid.grid.cells import Grid
from tbgrid.grouping.clusters import find_clusters
from tbgrid.grouping.groups import Groups
from tbgrid.mapping.arrange import Arrangement
from tbgrid.metrics.harmony import local_coherence
from tbgrid.options import ExportOptions
from tbgrid.pipeline.result import ExportResult
from tbgrid.pipeline.stages import EmbeddedSet
from tbgrid.progress import Progress
from tbgrid.types import Float32Array, IntArray, Json
from tbgrid.util.cache import Cache
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.sampling import stratified_sample
from tbgrid.writers import export_files, projector, report, run_directory
from tbgrid.writers.event_file import write_events


def write_run(
    directory: Path,
    staging: Path,
    embedded: EmbeddedSet,
    arranged: Arrangement,
    cache: Cache,
    *,
    tables: Mapping[str, Sequence[Json]] | None = None,
    progress: Progress,
) -> ExportResult:
    """Write a run and publish it as the export of its directory.

    Args:
        directory: of the run.
        staging: the directory in which the export is made; it has the previews.
        embedded: the photos with their vectors.
        arranged: their map.
        cache: if it failed, a note says so.
        tables: further tables for the top of the report, by title.
        progress: see `tbgrid.Progress`.

    Raises:
        OSError: it cannot be written.
    """
    times = embedded.times
    contents = _collect_contents(directory, embedded, arranged, cache, tables or {})
    with times.stage("write"):
        export = _write_and_publish(directory, staging, contents, embedded.options.tile, progress)
    progress("write", export_files.STEPS, export_files.STEPS)
    return ExportResult(
        directory=directory,
        export=export,
        images=embedded.images,
        arranged=arranged,
        groups=contents.groups,
        report=contents.report,
    )


def _collect_contents(
    directory: Path,
    embedded: EmbeddedSet,
    arranged: Arrangement,
    cache: Cache,
    tables: Mapping[str, Sequence[Json]],
) -> export_files.Map:
    """Compute what the files show in addition to the map, and put all of it together."""
    images, options, grid = embedded.images, embedded.options, arranged.grid
    with embedded.times.stage("neighbours"):
        harmony = local_coherence(
            images.vectors, grid.cells, grid.rows, grid.columns, embedded.model.metric
        )
    drop_pages(images.vectors)
    groups = _with_clusters(embedded, arranged)
    projected, tensors, sample_notes = _for_projector(images, grid, options.tsne.seed)
    notes = [
        *embedded.notes,
        *arranged.notes,
        *groups.notes,
        *run_directory.name_notes(directory),
        *([cache.failure] if cache.failure else []),
        *sample_notes,
    ]
    finished_report = {**tables, **_build_report(embedded, arranged, groups)}
    finished_report |= {"notes": notes, "seconds": embedded.times.seconds}
    pictured = images.pictured
    return export_files.Map(
        title=embedded.source.name,
        images=images,
        tiles=images.thumbnails if pictured else export_files.plain_tiles(images, options.tile),
        projected=projected,
        tensors=tensors,
        arranged=arranged,
        alike=embedded.neighbors,
        harmony=harmony,
        groups=groups,
        report=finished_report,
        preview=options.preview if len(images.previews) else 0,
    )


def _write_and_publish(
    directory: Path, staging: Path, contents: export_files.Map, tile: int, progress: Progress
) -> Path:
    """Write all files and the events, and return the export's directory."""
    export_files.write_files(staging, contents, progress)
    side = projector.sprite_side(len(contents.projected), tile) if contents.images.pictured else 0
    events = staging.with_name(staging.name + ".events")
    try:
        write_events(events, export_files.summaries(contents, progress), time.time())
        return run_directory.publish(directory, staging, events, contents.tensors, side)
    finally:
        events.unlink(missing_ok=True)


def _with_clusters(embedded: EmbeddedSet, arranged: Arrangement) -> Groups:
    """The groups, with clusters unless these are turned off."""
    images, min_size = embedded.images, embedded.options.groups.min_cluster
    if min_size == 0:
        return embedded.groups
    with embedded.times.stage("clusters"):
        names = [photo.name for photo in images.photos]
        clusters = find_clusters(arranged.layout.positions, names, images.labels, min_size)
    return dataclasses.replace(embedded.groups, clusters=clusters)


def _for_projector(
    images: ImageSet, grid: Grid, seed: int
) -> tuple[IntArray, dict[str, Float32Array], list[str]]:
    """The rows that the Projector shows, their tensors, and a note if they are a sample."""
    total = len(images.photos)
    if total <= projector.MOST:
        return np.arange(total), projector.tensors(images.vectors, grid), []
    rows = stratified_sample(images.labels or [""] * total, projector.MOST, seed)
    sampled = dataclasses.replace(grid, cells=grid.cells[rows])
    note = (
        f"the Projector shows a sample of {len(rows)} of the {total} photos, from each label in "
        "proportion; the Grid tab shows all"
    )
    return rows, projector.tensors(images.vectors[rows], sampled, total), [note]


def _aspect(options: ExportOptions, arranged: Arrangement) -> float:
    """The width / height that the grid was meant to have, for later maps like this one."""
    if options.grid.shape is not None:
        return options.grid.shape[1] / options.grid.shape[0]
    return arranged.stability.aspect if arranged.stability else options.grid.aspect


def _model_section(embedded: EmbeddedSet) -> Json:
    model, options = embedded.model, embedded.options
    inputs: Json = {"input": list(model.input_size), "input_range": options.input_range}
    return {
        "name": model.model_id,
        **({} if embedded.source.vectors is not None else inputs),
        "dimensions": int(embedded.images.vectors.shape[1]),
        "metric": model.metric,
        "fit": options.fit,
    }


def _build_report(embedded: EmbeddedSet, arranged: Arrangement, groups: Groups) -> Json:
    images, options, layout, grid = (
        embedded.images,
        embedded.options,
        arranged.layout,
        arranged.grid,
    )
    labels = images.labels
    tried = [candidate.row for candidate in arranged.candidates]
    return {
        "photos": {
            "source": embedded.source.name,
            "shown": len(images.photos),
            "left_out": len(images.skipped),
            "labels": len(set(labels)) if labels else 0,
        },
        "report card": arranged.card.scalars(),
        **({"layouts tried": tried} if tried else {}),
        "model": _model_section(embedded),
        layout.name: layout.to_dict(options.tsne.seed, int(images.vectors.shape[1])),
        "grid": {
            "rows_x_columns": [grid.rows, grid.columns],
            "empty_cells": grid.rows * grid.columns - len(images.photos),
            "aspect": _aspect(options, arranged),
            "assignment_cost": options.grid.assignment_cost,
            "solver": grid.solver,
            "cost": grid.cost,
            "gap": grid.gap,
        },
        **({"refinement": grid.refinement.to_dict()} if grid.refinement else {}),
        **groups.told(),
        **({"like": arranged.stability.told()} if arranged.stability else {}),
        "notes": [],
        "seconds": {},
        "versions": report.versions(),
    }
