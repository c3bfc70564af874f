"""The one place where the stages meet: photos in, a TensorBoard run out."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import html
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from tbgrid import engines, tab
from tbgrid.arrangement import Arrangement, MapOptions, arrange
from tbgrid.artifacts import contents, projector, report, run
from tbgrid.artifacts.summaries import write_events
from tbgrid.artifacts.tab_files import picture_keys
from tbgrid.cache import Cache, default_directory
from tbgrid.clusters import find_clusters
from tbgrid.duplicates import find_copies
from tbgrid.earlier import Earlier, read_earlier
from tbgrid.embedders.late import open_embedder
from tbgrid.embeddings import ImageSet, embed
from tbgrid.errors import TbgridError, UsageError
from tbgrid.grid import Grid, GridOptions
from tbgrid.groups import GroupOptions, Groups
from tbgrid.layout import Layout, TsneOptions, fitted_perplexity
from tbgrid.methods import LayoutName
from tbgrid.neighbours import Neighbours, harmony, nearest
from tbgrid.quality import ReportCard
from tbgrid.refinement import RefineOptions
from tbgrid.samples import stratified
from tbgrid.shards import Index, Model, read_images, read_index
from tbgrid.sources import SourceOptions, open_source
from tbgrid.stability import Start
from tbgrid.stacks import stacked
from tbgrid.times import Times
from tbgrid.types import (
    Distance,
    Embedder,
    Fit,
    InputRange,
    IntArray,
    Json,
    Progress,
    Rejected,
    Source,
    silent,
)

# The options that decide upon vectors and pictures, and cannot be others once photos are embedded.
EMBEDDING = ("model", "image_size", "input_range", "fit", "tile", "preview")
NOTEBOOK_SIDE = 1024  # px: the longest side of the mosaic in a notebook


@dataclass(frozen=True)
class ExportOptions:
    """How an export is made. `model` names the embedder (`load_embedder`); `image_size` its input
    side in pixels; `distance` None is the model's own; `tile` the side of a photo in the mosaic;
    `preview` that of the larger pictures in the Grid tab, at most, 0 for none.

    `layout`, `budget`, `tsne`, `grid`, `refine`: see `tbgrid.arrangement.MapOptions`.
    `like`: the directory of an earlier run, whose places the map begins at (`tbgrid.stability`).
    `cache`: the directory of the cache, None for the user's own; `use_cache` False for none.
    """

    model: str = "builtin"
    image_size: int | None = None
    input_range: InputRange = "unit"
    distance: Distance | None = None
    fit: Fit = "crop"
    tile: int = 64
    preview: int = tab.DEFAULT_PREVIEW
    batch: int = 32
    cache: str | os.PathLike[str] | None = None
    use_cache: bool = True
    like: str | os.PathLike[str] | None = None
    source: SourceOptions = field(default_factory=SourceOptions)
    layout: LayoutName = "tsne"
    budget: float | None = None
    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)
    refine: RefineOptions | None = field(default_factory=RefineOptions)
    groups: GroupOptions = field(default_factory=GroupOptions)

    def __post_init__(self) -> None:
        if self.distance not in (None, "cosine", "euclidean"):
            raise UsageError(f"distance {self.distance}", "expected cosine or euclidean")
        if self.fit not in ("crop", "pad", "squash"):
            raise UsageError(f"fit {self.fit}", "expected crop, pad or squash")
        if self.input_range not in ("unit", "signed", "bytes"):
            raise UsageError(f"input range {self.input_range}", "expected unit, signed or bytes")
        if not 8 <= self.tile <= 512:
            raise UsageError(f"tile {self.tile}", "give a number of pixels from 8 to 512")
        least, most = tab.PREVIEW_SIDE
        if self.preview != 0 and not least <= self.preview <= most:
            raise UsageError(
                f"preview {self.preview}",
                f"give a number of pixels from {least} to {most}, or 0 for none",
            )
        if not 1 <= self.batch <= 4096:
            raise UsageError(f"batch {self.batch}", "give a number of photos from 1 to 4096")
        _ = self.map_options  # which refuses what cannot be meant
        if self.like is not None and self.layout != "tsne":
            raise UsageError(
                f"layout {self.layout} cannot begin at the places of an earlier run",
                "leave out --layout or --like",
            )
        if self.like is not None and self.tsne.engine != "opentsne":
            raise UsageError(
                f"engine {self.tsne.engine} cannot begin at the places of an earlier run",
                "leave out --engine or --like",
            )
        if self.like is not None and self.grid.aspect != GridOptions().aspect:
            raise UsageError(
                "an aspect for a map whose grid is that of an earlier run",
                "leave out --aspect or --like, or give --grid ROWSxCOLS",
            )

    @property
    def map_options(self) -> MapOptions:
        """How vectors become a map."""
        return MapOptions(self.layout, self.tsne, self.grid, self.budget, self.refine)

    def open_cache(self) -> Cache:
        """The cache that these options name."""
        if not self.use_cache:
            return Cache(None)
        return Cache(Path(self.cache) if self.cache is not None else default_directory())


@dataclass(frozen=True)
class ExportResult:
    """A finished export: the run's `directory`, the `export` directory in it, and every stage's
    result; `arranged` is the map, `groups` the copies and clusters. `report` is what the Text tab
    and report.json say.

    In a notebook it shows its mosaic and report card.
    """

    directory: Path
    export: Path
    images: ImageSet
    arranged: Arrangement
    groups: Groups
    report: Json

    @property
    def layout(self) -> Layout:
        """The places in the plane."""
        return self.arranged.layout

    @property
    def grid(self) -> Grid:
        """The cells."""
        return self.arranged.grid

    @property
    def card(self) -> ReportCard:
        """How good the map is."""
        return self.arranged.card

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The files that are not shown, with their reasons."""
        return self.images.rejected

    @property
    def mosaic(self) -> Path:
        """The mosaic's file."""
        return self.export / contents.MOSAIC

    @property
    def ledger(self) -> Path:
        """The file that lists what was left out, with the reasons."""
        return self.export / contents.LEDGER

    @property
    def notes(self) -> list[str]:
        """What the user should know about how the options were applied."""
        return list(self.report["notes"])

    def _repr_html_(self) -> str:
        with Image.open(self.mosaic) as board:
            board.thumbnail((NOTEBOOK_SIDE, NOTEBOOK_SIDE))
            buffer = io.BytesIO()
            board.save(buffer, "JPEG", quality=85)
        data = base64.b64encode(buffer.getvalue()).decode()
        rows = [("photos", f"{len(self.images.photos)}, {len(self.rejected)} left out")]
        rows += [*self.arranged.lines(), *self.groups.lines()]
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in rows
        )
        return (
            f"<img alt='mosaic of {len(self.images.photos)} photos' style='max-width:100%' "
            f"src='data:image/jpeg;base64,{data}'><table>{cells}</table>"
        )


def export(
    source: str | os.PathLike[str] | Source | None,
    logdir: str | os.PathLike[str],
    options: ExportOptions = ExportOptions(),
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
    directory = run.run_directory(logdir, run_name)
    times = Times()
    earlier = None if options.like is None else read_earlier(Path(options.like))
    found = find(source, options, [directory], times, progress)
    with run.claimed(directory) as staging, options.open_cache() as cache:
        made = embedded(found, options, embedder, staging, cache, times, progress)
        with calm(len(made.images.photos)):
            arranged = arrange(
                made.images.vectors,
                made.images.labels,
                made.model["distance"],
                made.options.map_options,
                cache,
                start=None if earlier is None else _start(earlier, made),
                times=times,
                progress=progress,
            )
            return written(directory, staging, made, arranged, cache, progress=progress)


def calm(photos: int) -> contextlib.AbstractContextManager[object]:
    """A context in which so few `photos` that threads would mostly wait are computed on one."""
    return threadpool_limits(1) if photos < engines.THREADS else contextlib.nullcontext()


@dataclass(frozen=True)
class Embedded:
    """Photos with the vectors of one model, of which a map can be made. `options`: those that were
    applied; `model`: what the report says of it; `alike`: the photos most alike; `groups`: copies
    among them; `notes`: what is to be said so far; `times`: what was spent, and goes on to be
    counted."""

    source: Source
    options: ExportOptions
    images: ImageSet
    model: Json
    alike: Neighbours
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
        UsageError, TbgridError: see `tbgrid.sources.open_source`.
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
    known: Embedder | Model | None = None
    if found.shards is not None:
        index = read_index(found.shards)
        options, known = _as_embedded(options, index, embedder), index.model
    elif found.vectors is None and embedder is None:
        progress("load model", 0, None)
        with times.stage("load model"):
            embedder = open_model(options, cache, len(found.photos), progress)
    known = known or embedder
    (staging / tab.FOLDER).mkdir(exist_ok=True)
    previews = staging / tab.FOLDER / tab.PREVIEWS
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
    notes = (*found.notes, *(known.notes if known else ()), *images.notes)
    model = _model(found, images, known, options)
    with calm(len(images.photos)):
        images, alike, groups = _gathered(
            images, model["distance"], options, cache, previews, times, progress
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
    grid, distance = arranged.grid, made.model["distance"]
    with times.stage("neighbours"):
        fits = harmony(images.vectors, grid.cells, grid.rows, grid.columns, distance)
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
        *run.name_notes(directory),
        *([cache.trouble] if cache.trouble else []),
    ]
    told["seconds"] = times.seconds
    tiles = images.thumbnails if images.pictured else contents.plain_tiles(images, options.tile)
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
    finished = contents.Map(
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
        contents.write_files(staging, finished, progress)
        events = staging.with_name(staging.name + ".events")
        try:
            write_events(events, contents.summaries(finished, progress), time.time())
            side = projector.sprite_side(len(projected), options.tile)
            final = run.publish(directory, staging, events, tensors, side if images.pictured else 0)
        finally:
            events.unlink(missing_ok=True)
    progress("write", contents.STEPS, contents.STEPS)
    return ExportResult(directory, final, images, arranged, groups, told)


def _gathered(
    images: ImageSet,
    distance: Distance,
    options: ExportOptions,
    cache: Cache,
    previews: Path,
    times: Times,
    progress: Progress,
) -> tuple[ImageSet, Neighbours, Groups]:
    """The photos that are shown, those most alike of them, and which are copies."""

    def neighbours(shown: ImageSet) -> Neighbours:
        with times.stage("neighbours"):
            return nearest(shown.vectors, tab.NEAREST, distance, progress=progress)

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
        fitted_perplexity(len(images.photos), made.options.tsne.perplexity),
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
    return stratified(images.labels or [""] * count, projector.MOST, seed)


def _without_the_run(found: Source, directory: Path) -> Source:
    """`found` less the files that exports have written where the run lies among the photos."""
    kept = [photo for photo in found.photos if not (photo.path and run.owns(directory, photo.path))]
    if len(kept) == len(found.photos):
        return found
    note = f"{len(found.photos) - len(kept)} files of the run itself are not shown"
    return dataclasses.replace(found, photos=tuple(kept), notes=(*found.notes, note))


def _as_embedded(options: ExportOptions, index: Index, embedder: Embedder | None) -> ExportOptions:
    """`options` with those that the photos were embedded with. One with its default value counts
    as not given; without previews is always possible."""
    if embedder is not None:
        raise UsageError("an embedder for photos that are embedded already", "leave it out")
    default = ExportOptions()
    given = {name: getattr(options, name) for name in EMBEDDING}
    index.refuse({name: v for name, v in given.items() if v != getattr(default, name)})
    preview = index.options["preview"] if options.preview else 0
    embedded = {name: index.options[name] for name in EMBEDDING}
    return dataclasses.replace(options, **{**embedded, "preview": preview})


def open_model(
    options: ExportOptions, cache: Cache, photos: int, progress: Progress = silent
) -> Embedder:
    """The model that `options` name, for so many `photos`: many pay for a faster form of it.

    Raises:
        UsageError, TbgridError: see `tbgrid.embedders.load_embedder`.
    """
    try:
        return open_embedder(
            options.model, options.image_size, options.input_range, cache, photos, progress
        )
    except OSError as error:
        raise TbgridError(
            f"model {options.model} cannot be read ({error.strerror or error})",
            "mend that, or give another --model",
        ) from error


def _model(
    found: Source, images: ImageSet, embedder: Embedder | Model | None, options: ExportOptions
) -> Json:
    """What the report says of where the vectors are from."""
    dimensions = int(images.vectors.shape[1])
    if found.vectors is not None or embedder is None:
        name = f"vectors of {Path(options.source.vectors or found.name).name}"
        return {
            "name": name,
            "dimensions": dimensions,
            "distance": options.distance or "euclidean",
            "fit": options.fit,
        }
    return {
        "name": embedder.model_id,
        "input": list(embedder.input_size),
        "input_range": options.input_range,
        "dimensions": dimensions,
        "distance": options.distance or embedder.distance,
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
            "left_out": len(images.rejected),
            "labels": len(set(labels)) if labels else 0,
        },
        "report card": arranged.card.scalars(),
        **({"layouts tried": tried} if tried else {}),
        "model": made.model,
        layout.name: layout.told(options.tsne.seed, int(images.vectors.shape[1])),
        "grid": {
            "rows_x_columns": [grid.rows, grid.columns],
            "empty_cells": grid.rows * grid.columns - len(images.photos),
            "aspect": _aspect(options, arranged),
            "metric": options.grid.metric,
            "solver": grid.solver,
            "cost": grid.cost,
            "gap": grid.gap,
        },
        **({"refinement": arranged.refined.told()} if arranged.refined else {}),
        **groups.told(),
        **({"like": arranged.stability.told()} if arranged.stability else {}),
        "notes": [],
        "seconds": {},
        "versions": report.versions(),
    }
