"""Writes a finished map as the export of a run: clusters, the Projector's sample, report, files."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tbgrid import run_format
from tbgrid.embedding.image_set import ImageSet
from tbgrid.grid.cells import Grid
from tbgrid.grouping.clusters import find_clusters
from tbgrid.grouping.groups import Groups
from tbgrid.mapping.arrange import MapResult
from tbgrid.metrics.harmony import local_coherence
from tbgrid.pipeline.result import ExportResult
from tbgrid.pipeline.stages import EmbeddedSet
from tbgrid.progress import Progress
from tbgrid.types import Float32Array, IntArray, Json
from tbgrid.util.cache import Cache
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.sampling import stratified_sample
from tbgrid.writers import export_files, projector, run_directory
from tbgrid.writers.event_file import write_events
from tbgrid.writers.export_contents import ExportContents, plain_tiles
from tbgrid.writers.report import build_report


def write_run(
    directory: Path,
    staging: Path,
    embedded: EmbeddedSet,
    map_result: MapResult,
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
        map_result: their map.
        cache: if it failed, a note says so.
        tables: further tables for the top of the report, by title.
        progress: see `tbgrid.Progress`.

    Raises:
        OSError: it cannot be written.
    """
    times = embedded.times
    contents = _collect_contents(directory, embedded, map_result, cache, tables or {})
    with times.stage("write"):
        report = build_report(contents)
        export = _write_and_publish(directory, staging, contents, report, progress)
    progress("write", export_files.STEPS, export_files.STEPS)
    return ExportResult(
        directory=directory,
        export=export,
        images=embedded.images,
        map_result=map_result,
        groups=contents.groups,
        notes=contents.notes,
        seconds=times.seconds,
        report={**report, "seconds": times.seconds},
    )


def _collect_contents(
    directory: Path,
    embedded: EmbeddedSet,
    map_result: MapResult,
    cache: Cache,
    tables: Mapping[str, Sequence[Json]],
) -> ExportContents:
    """Compute what the files show in addition to the map, and put all of it together."""
    images, options, grid = embedded.images, embedded.options, map_result.grid
    with embedded.times.stage("neighbours"):
        harmony = local_coherence(
            images.vectors, grid.cells, grid.rows, grid.columns, embedded.model.metric
        )
    drop_pages(images.vectors)
    groups = _with_clusters(embedded, map_result)
    projected, tensors, sample_notes = _for_projector(images, grid, options.tsne.seed)
    return ExportContents(
        title=embedded.source.name,
        images=images,
        precomputed=embedded.source.vectors is not None,
        model=embedded.model,
        options=options,
        tiles=images.thumbnails if images.pictured else plain_tiles(images, options.tile),
        projected=projected,
        tensors=tensors,
        map_result=map_result,
        neighbors=embedded.neighbors,
        harmony=harmony,
        groups=groups,
        tables=tables,
        notes=(
            *embedded.notes,
            *map_result.notes,
            *groups.notes,
            *run_directory.name_notes(directory),
            *([f"the cache is not used ({cache.failure})"] if cache.failure else []),
            *sample_notes,
        ),
        seconds=embedded.times.seconds,
    )


def _write_and_publish(
    directory: Path, staging: Path, contents: ExportContents, report: Json, progress: Progress
) -> Path:
    """Write all files and the events, and return the export's directory."""
    export_files.write_files(staging, contents, report, progress)
    pictured, tile = contents.images.pictured, contents.options.tile
    side = projector.sprite_side(len(contents.projected), tile) if pictured else 0
    events = staging.with_name(staging.name + ".events")
    try:
        write_events(events, export_files.summaries(contents, report, progress), time.time())
        return run_directory.publish(directory, staging, events, contents.tensors, side)
    finally:
        events.unlink(missing_ok=True)


def _with_clusters(embedded: EmbeddedSet, map_result: MapResult) -> Groups:
    """The groups, with clusters unless these are turned off."""
    images, min_size = embedded.images, embedded.options.groups.min_cluster
    if min_size == 0:
        return embedded.groups
    with embedded.times.stage("clusters"):
        names = [photo.name for photo in images.photos]
        clusters = find_clusters(map_result.layout.positions, names, images.labels, min_size)
    return dataclasses.replace(embedded.groups, clusters=clusters)


def _for_projector(
    images: ImageSet, grid: Grid, seed: int
) -> tuple[IntArray, dict[str, Float32Array], list[str]]:
    """The rows that the Projector shows, their tensors, and a note if they are a sample."""
    total, most = len(images.photos), run_format.MAX_POINTS
    if total <= most:
        return np.arange(total), projector.tensors(images.vectors, grid), []
    rows = stratified_sample(images.labels or [""] * total, most, seed)
    sampled = dataclasses.replace(grid, cells=grid.cells[rows])
    note = (
        f"the Projector shows a sample of {len(rows)} of the {total} photos, stratified by label; "
        "the Grid tab shows all"
    )
    return rows, projector.tensors(images.vectors[rows], sampled, total), [note]
