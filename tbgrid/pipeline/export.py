"""The one place where the stages meet: photos in, a TensorBoard run out."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tbgrid import run_format
from tbgrid.choices import Metric
from tbgrid.embedding.embed import embed
from tbgrid.embedding.image_set import ImageSet
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.embedding.shard_index import ShardIndex, read_index
from tbgrid.embedding.shards import read_images
from tbgrid.errors import UsageError
from tbgrid.grid.cells import Grid
from tbgrid.grouping.badges import collapse_duplicates
from tbgrid.grouping.clusters import find_clusters
from tbgrid.grouping.duplicates import find_copies
from tbgrid.grouping.groups import Groups
from tbgrid.grouping.picture_keys import picture_keys
from tbgrid.layouts.tsne import choose_perplexity
from tbgrid.mapping.arrange import MapResult, arrange
from tbgrid.mapping.previous_run import PreviousRun, read_previous_run
from tbgrid.mapping.warm_start import WarmStart
from tbgrid.metrics.harmony import local_coherence
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.inputs import open_source
from tbgrid.pipeline.result import ExportResult
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder, Float32Array, IntArray, Json
from tbgrid.util.cache import Cache, open_cache
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.sampling import stratified_sample
from tbgrid.util.threads import limit_threads
from tbgrid.util.timing import Times
from tbgrid.vectors.neighbors import Neighbors, find_neighbors
from tbgrid.writers import export_files, projector, run_directory
from tbgrid.writers.event_file import write_events
from tbgrid.writers.export_contents import ExportContents, plain_tiles
from tbgrid.writers.report import build_report

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
    earlier = None if options.like is None else read_previous_run(Path(options.like))
    found = find(source, options, [directory], times, progress)
    with run_directory.claim_run(directory) as staging, open_cache(options) as cache:
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
            return write_run(directory, staging, made, arranged, cache, progress=progress)


@dataclass(frozen=True)
class Embedded:
    """Photos with the vectors of one model, of which a map can be made. `options`: those that were
    applied; `model`: what is known of it, with the metric that was applied; `alike`: the photos
    most alike; `groups`: copies among them; `notes`: what is to be said so far; `times`:
    what was spent so far."""

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
                preview_file=previews if options.preview else None,
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
                preview_file=previews,
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


def write_run(
    directory: Path,
    staging: Path,
    made: Embedded,
    map_result: MapResult,
    cache: Cache,
    *,
    tables: Mapping[str, Sequence[Json]] | None = None,
    progress: Progress,
) -> ExportResult:
    """Write a run and publish it as the export of `directory`.

    Args:
        directory: of the run.
        staging: the directory from `claim_directory`, with the previews in it.
        made: the photos with their vectors.
        map_result: their map.
        cache: whose trouble is noted, if it had any.
        tables: further tables for the top of the report, by title.
        progress: see `tbgrid.progress`.

    Raises:
        OSError: it cannot be written.
    """
    contents = _gather_contents(directory, made, map_result, cache, tables or {})
    with made.times.stage("write"):
        report = build_report(contents)
        export = _write_and_publish(directory, staging, contents, report, progress)
    progress("write", export_files.STEPS, export_files.STEPS)
    return ExportResult(
        directory=directory,
        export=export,
        images=made.images,
        map_result=map_result,
        groups=contents.groups,
        notes=contents.notes,
        seconds=made.times.seconds,
        report={**report, "seconds": made.times.seconds},
    )


def _gather_contents(
    directory: Path,
    made: Embedded,
    map_result: MapResult,
    cache: Cache,
    tables: Mapping[str, Sequence[Json]],
) -> ExportContents:
    """Compute what is still missing: clusters, coherence, the Projector's sample, plain tiles."""
    images, options, grid = made.images, made.options, map_result.grid
    with made.times.stage("neighbours"):
        harmony = local_coherence(
            images.vectors, grid.cells, grid.rows, grid.columns, made.model.metric
        )
    drop_pages(images.vectors)
    groups = _with_clusters(made, map_result)
    projected, tensors, sample_notes = _for_projector(images, grid, options.tsne.seed)
    return ExportContents(
        title=made.source.name,
        images=images,
        precomputed=made.source.vectors is not None,
        model=made.model,
        options=options,
        tiles=images.thumbnails if images.pictured else plain_tiles(images, options.tile),
        projected=projected,
        tensors=tensors,
        map_result=map_result,
        neighbors=made.alike,
        harmony=harmony,
        groups=groups,
        tables=tables,
        notes=(
            *made.notes,
            *map_result.notes,
            *groups.notes,
            *run_directory.name_notes(directory),
            *([cache.failure] if cache.failure else []),
            *sample_notes,
        ),
        seconds=made.times.seconds,
    )


def _write_and_publish(
    directory: Path, staging: Path, contents: ExportContents, report: Json, progress: Progress
) -> Path:
    """Write all files and the events; return the export's directory."""
    export_files.write_files(staging, contents, report, progress)
    events = staging.with_name(staging.name + ".events")
    pictured = contents.images.pictured
    side = projector.sprite_side(len(contents.projected), contents.options.tile) if pictured else 0
    try:
        write_events(events, export_files.summaries(contents, report, progress), time.time())
        return run_directory.publish(directory, staging, events, contents.tensors, side)
    finally:
        events.unlink(missing_ok=True)


def _with_clusters(made: Embedded, map_result: MapResult) -> Groups:
    """The groups, with clusters if they are asked for."""
    min_size = made.options.groups.min_cluster
    if min_size == 0:
        return made.groups
    with made.times.stage("clusters"):
        names = [photo.name for photo in made.images.photos]
        positions = map_result.layout.positions
        clusters = find_clusters(positions, names, made.images.labels, min_size)
    return dataclasses.replace(made.groups, clusters=clusters)


def _for_projector(
    images: ImageSet, grid: Grid, seed: int
) -> tuple[IntArray, dict[str, Float32Array], list[str]]:
    """The rows that the Projector shows, their tensors, and a note if they are a sample."""
    rows, total = _projected(images, seed), len(images.photos)
    if len(rows) == total:
        return rows, projector.tensors(images.vectors, grid), []
    sampled = dataclasses.replace(grid, cells=grid.cells[rows])
    note = (
        f"the Projector shows a sample of {len(rows)} of the {total} photos, stratified by label; "
        "the Grid tab shows all"
    )
    return rows, projector.tensors(images.vectors[rows], sampled, total), [note]


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
            found = find_neighbors(shown.vectors, run_format.N_NEIGHBORS, metric, progress=progress)
        drop_pages(shown.vectors)
        return found

    names, alike = [photo.name for photo in images.photos], neighbours(images)
    if options.groups.duplicates == "off":
        return images, alike, Groups(names)
    with times.stage("duplicates"):
        copies = find_copies(images, alike, cache.digests, progress=progress)
    stack = options.groups.duplicates == "stack"
    if stack and len(copies.representatives) < len(names):
        with times.stage("duplicates"):
            images = collapse_duplicates(images, copies, previews, previews.parents[2])
        alike = neighbours(images)
    return images, alike, Groups(names, copies, stack)


def _start(earlier: PreviousRun, made: Embedded) -> WarmStart:
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


def _projected(images: ImageSet, seed: int) -> IntArray:
    """The rows that the Projector shows: all, or a sample of as many as it can bear."""
    count = len(images.photos)
    if count <= run_format.MAX_POINTS:
        return np.arange(count)
    return stratified_sample(images.labels or [""] * count, run_format.MAX_POINTS, seed)


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


def _as_embedded(
    options: ExportOptions, index: ShardIndex, embedder: Embedder | None
) -> ExportOptions:
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
