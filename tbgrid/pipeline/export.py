"""The one place where the stages meet: photos in, a TensorBoard run out."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tbgrid import run_format
from tbgrid.choices import Metric
from tbgrid.embedding.embed import ImageSet, embed
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.embedding.shard_index import Index, read_index
from tbgrid.embedding.shards import read_images
from tbgrid.errors import UsageError
from tbgrid.grouping.badges import stacked
from tbgrid.grouping.clusters import find_clusters
from tbgrid.grouping.duplicates import find_copies
from tbgrid.grouping.groups import Groups
from tbgrid.grouping.picture_keys import picture_keys
from tbgrid.layouts.tsne import choose_perplexity
from tbgrid.mapping.arrange import Arrangement, arrange
from tbgrid.mapping.previous_run import Earlier, read_earlier
from tbgrid.mapping.warm_start import Start
from tbgrid.metrics.harmony import local_coherence
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.inputs import open_source
from tbgrid.pipeline.result import ExportResult
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder, IntArray, Json
from tbgrid.util.cache import Cache, open_cache
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.sampling import stratified_sample
from tbgrid.util.threads import limit_threads
from tbgrid.util.timing import Times
from tbgrid.vectors.neighbors import Neighbors, find_neighbors
from tbgrid.writers import export_files, projector, report, run_directory
from tbgrid.writers.event_file import write_events

_DEFAULT = ExportOptions()


def export(
    source: str | os.PathLike[str] | Source | None,
    logdir: str | os.PathLike[str],
    options: ExportOptions = _DEFAULT,
    *,
    run_name: str | None = None,
    embedder: Embedder | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Turn photos into a TensorBoard run at `logdir`, or at `logdir`/`run_name`.

    `source`: a folder, a pattern, a manifest, an array or a directory of embedded photos
    (`open_source`); None for vectors alone.
    An export that is there already is replaced at the end, whole. `embedder` overrides
    `options.model`: any object that fits `tbgrid.types.Embedder`.

    Raises:
        UsageError: options that cannot be meant.
        TbgridError: the source, the model or the run's directory is at fault.
    """
    directory = run_directory.run_directory(logdir, run_name)
    times = Times()
    earlier = None if options.like is None else read_earlier(Path(options.like))
    found = find(source, options, [directory], times, progress)
    with run_directory.claimed(directory) as staging, open_cache(options) as cache:
        made = embedded(found, options, embedder, staging, cache, times, progress)
        with limit_threads(len(made.images.photos)):
            arranged = arrange(
                made.images.vectors,
                made.images.labels,
                made.model.metric,
                made.options,
                cache,
                start=None if earlier is None else _start(earlier, made),
                times=times,
                progress=progress,
            )
            return written(directory, staging, made, arranged, cache, progress=progress)


@dataclass(frozen=True)
class Embedded:
    """Photos with the vectors of one model, of which a map can be made. `options`: those that were
    applied; `model`: what is known of it, with the metric that was applied; `alike`: the photos
    most alike; `groups`: copies among them; `notes`: what is to be said so far; `times`:
    what was spent, and goes on to be counted."""

    source: Source
    options: ExportOptions
    images: ImageSet
    model: ModelInfo
    alike: Neighbors
    groups: Groups
    notes: tuple[str, ...]
    times: Times


def find(
    source: str | os.PathLike[str] | Source | None,
    options: ExportOptions,
    directories: Sequence[Path],
    times: Times,
    progress: Progress,
) -> Source:
    """The photos, less what exports have written if their `directories` lie among them.

    Raises:
        UsageError, TbgridError: see `tbgrid.pipeline.inputs.open_source`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets at length otherwise
    progress("find", 0, None)
    with times.stage("find"):
        found = source if isinstance(source, Source) else open_source(source, options.source)
        for directory in directories:
            found = _without_the_run(found, directory)
    return found


def embedded(
    found: Source,
    options: ExportOptions,
    embedder: Embedder | None,
    staging: Path,
    cache: Cache,
    times: Times,
    progress: Progress,
) -> Embedded:
    """The photos with their vectors: those they bring, `embedder`'s, or the model's that `options`
    name. Previews go into `staging`, where an export's files are being made (`run.claimed`).

    Raises:
        UsageError: options that do not fit photos which are embedded already.
        TbgridError: the photos or the model are at fault.
    """
    known: ModelInfo | None = None
    if found.shards is not None:
        index = read_index(found.shards)
        options, known = _as_embedded(options, index, embedder), index.model
    elif found.vectors is None and embedder is None:
        progress("load model", 0, None)
        with times.stage("load model"):
            embedder = open_model(options, cache, len(found.photos), progress)
    (staging / run_format.FOLDER).mkdir(exist_ok=True)
    previews = staging / run_format.FOLDER / run_format.PREVIEWS
    with times.stage("embed"):
        if found.shards is not None:
            images = read_images(
                found,
                staging.parent,
                previews=previews if options.preview else None,
                progress=progress,
            )
        else:
            images = embed(
                found,
                None if found.vectors is not None else embedder,
                thumbnail=options.tile,
                fit=options.fit,
                batch=options.batch,
                cache=cache,
                preview=options.preview,
                previews=previews,
                scratch=staging.parent,
                progress=progress,
            )
    model = _model(found, known or embedder, options)
    notes = (*found.notes, *model.notes, *images.notes)
    with limit_threads(len(images.photos)):
        images, alike, groups = _gathered(
            images, model.metric, options, cache, previews, times, progress
        )
    return Embedded(found, options, images, model, alike, groups, notes, times)


def written(
    directory: Path,
    staging: Path,
    made: Embedded,
    arranged: Arrangement,
    cache: Cache,
    *,
    also: Json | None = None,
    progress: Progress,
) -> ExportResult:
    """Write the run and make it the `directory`'s own; `staging` as in `embedded`, `also` what is
    added to its report.

    Raises:
        OSError: it cannot be written.
    """
    images, options, times, groups = made.images, made.options, made.times, made.groups
    grid, metric = arranged.grid, made.model.metric
    with times.stage("neighbours"):
        fits = local_coherence(images.vectors, grid.cells, grid.rows, grid.columns, metric)
    drop_pages(images.vectors)
    if options.groups.min_cluster != 0:
        with times.stage("clusters"):
            names = [photo.name for photo in images.photos]
            clusters = find_clusters(
                arranged.layout.positions, names, images.labels, options.groups.min_cluster
            )
        groups = dataclasses.replace(groups, clusters=clusters)
    told = {**(also or {}), **_report(made, arranged, groups)}
    told["notes"] = [
        *made.notes,
        *arranged.notes,
        *groups.notes,
        *run_directory.name_notes(directory),
        *([cache.failure] if cache.failure else []),
    ]
    told["seconds"] = times.seconds
    tiles = images.thumbnails if images.pictured else export_files.plain_tiles(images, options.tile)
    projected = _projected(images, options.tsne.seed)
    total = len(images.photos)
    if len(projected) == total:
        tensors = projector.tensors(images.vectors, grid)
    else:
        some = dataclasses.replace(grid, cells=grid.cells[projected])
        tensors = projector.tensors(images.vectors[projected], some, total)
        told["notes"].append(
            f"the Projector shows a sample of {len(projected)} of the {total} photos, from "
            "each label in proportion; the Grid tab shows all"
        )
    finished = export_files.Map(
        made.source.name,
        images,
        tiles,
        projected,
        tensors,
        arranged,
        made.alike,
        fits,
        groups,
        told,
        options.preview if len(images.previews) else 0,
    )
    with times.stage("write"):
        export_files.write_files(staging, finished, progress)
        events = staging.with_name(staging.name + ".events")
        try:
            write_events(events, export_files.summaries(finished, progress), time.time())
            side = projector.sprite_side(len(projected), options.tile)
            final = run_directory.publish(
                directory, staging, events, tensors, side if images.pictured else 0
            )
        finally:
            events.unlink(missing_ok=True)
    progress("write", export_files.STEPS, export_files.STEPS)
    return ExportResult(directory, final, images, arranged, groups, told)


def _gathered(
    images: ImageSet,
    metric: Metric,
    options: ExportOptions,
    cache: Cache,
    previews: Path,
    times: Times,
    progress: Progress,
) -> tuple[ImageSet, Neighbors, Groups]:
    """The photos that are shown, those most alike of them, and which are copies."""

    def neighbours(shown: ImageSet) -> Neighbors:
        with times.stage("neighbours"):
            found = find_neighbors(shown.vectors, run_format.NEAREST, metric, progress=progress)
        drop_pages(shown.vectors)
        return found

    names, alike = [photo.name for photo in images.photos], neighbours(images)
    if options.groups.duplicates == "off":
        return images, alike, Groups(names)
    with times.stage("duplicates"):
        copies = find_copies(images, alike, cache.digests, progress=progress)
    stack = options.groups.duplicates == "stack"
    if stack and len(copies.kept) < len(names):
        with times.stage("duplicates"):
            images = stacked(images, copies, previews, previews.parents[2])
        alike = neighbours(images)
    return images, alike, Groups(names, copies, stack)


def _start(earlier: Earlier, made: Embedded) -> Start:
    """Where the map begins."""
    images = made.images
    return earlier.start(
        [photo.name for photo in images.photos],
        picture_keys(images.thumbnails) if images.pictured else None,
        images.vectors,
        made.model,
        made.options.fit,
        choose_perplexity(len(images.photos), made.options.tsne.perplexity),
    )


def _aspect(options: ExportOptions, arranged: Arrangement) -> float:
    """The width / height that the grid is meant to be near, for maps that are to be like it."""
    if options.grid.shape is not None:
        return options.grid.shape[1] / options.grid.shape[0]
    return arranged.stability.aspect if arranged.stability else options.grid.aspect


def _projected(images: ImageSet, seed: int) -> IntArray:
    """The rows that the Projector shows: all, or a sample of as many as it can bear."""
    count = len(images.photos)
    if count <= projector.MOST:
        return np.arange(count)
    return stratified_sample(images.labels or [""] * count, projector.MOST, seed)


def _without_the_run(found: Source, directory: Path) -> Source:
    """`found` less the files that exports have written where the run lies among the photos."""
    kept = [
        photo
        for photo in found.photos
        if not (photo.path and run_directory.owns(directory, photo.path))
    ]
    if len(kept) == len(found.photos):
        return found
    note = f"{len(found.photos) - len(kept)} files of the run itself are not shown"
    return dataclasses.replace(found, photos=tuple(kept), notes=(*found.notes, note))


def _as_embedded(options: ExportOptions, index: Index, embedder: Embedder | None) -> ExportOptions:
    """`options` with those that the photos were embedded with. One with its default value counts
    as not given; without previews is always possible."""
    if embedder is not None:
        raise UsageError("an embedder for photos that are embedded already", "leave it out")
    given = {name: getattr(options, name) for name in EMBEDDING}
    index.refuse({name: v for name, v in given.items() if v != getattr(_DEFAULT, name)})
    preview = index.options["preview"] if options.preview else 0
    embedded = {name: index.options[name] for name in EMBEDDING}
    return dataclasses.replace(options, **{**embedded, "preview": preview})


def _model(
    found: Source, embedder: Embedder | ModelInfo | None, options: ExportOptions
) -> ModelInfo:
    """What is known of where the vectors are from, with the metric that `options` choose."""
    if found.vectors is not None or embedder is None:
        name = f"vectors of {Path(options.source.vectors or found.name).name}"
        # An embedder that was given all the same is not asked, but what it notes is said.
        notes = tuple(embedder.notes) if embedder else ()
        return ModelInfo(
            model_id=name, input_size=(0, 0), metric=options.metric or "euclidean", notes=notes
        )
    info = embedder if isinstance(embedder, ModelInfo) else ModelInfo.of(embedder)
    return dataclasses.replace(info, metric=options.metric or info.metric)


def _model_report(made: Embedded) -> Json:
    """What the report says of the model."""
    model, options = made.model, made.options
    computed = made.source.vectors is None
    inputs: Json = {"input": list(model.input_size), "input_range": options.input_range}
    return {
        "name": model.model_id,
        **(inputs if computed else {}),
        "dimensions": int(made.images.vectors.shape[1]),
        "metric": model.metric,
        "fit": options.fit,
    }


def _report(made: Embedded, arranged: Arrangement, groups: Groups) -> Json:
    images, options, layout, grid = made.images, made.options, arranged.layout, arranged.grid
    labels = images.labels
    tried = [candidate.row for candidate in arranged.candidates]
    return {
        "photos": {
            "source": made.source.name,
            "shown": len(images.photos),
            "left_out": len(images.skipped),
            "labels": len(set(labels)) if labels else 0,
        },
        "report card": arranged.card.scalars(),
        **({"layouts tried": tried} if tried else {}),
        "model": _model_report(made),
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
