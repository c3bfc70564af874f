"""The one place where the stages meet: photos in, a TensorBoard run out."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import html
import io
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from tbgrid import engines, tab
from tbgrid.artifacts import contents, projector, report, run
from tbgrid.artifacts.summaries import write_events
from tbgrid.cache import Cache, default_directory, key_of
from tbgrid.embedders.late import open_embedder
from tbgrid.embeddings import ImageSet, embed
from tbgrid.errors import TbgridError, UsageError
from tbgrid.grid import Grid, GridOptions, shape_for, snap
from tbgrid.layout import Layout, TsneOptions, tsne
from tbgrid.neighbours import harmony, nearest
from tbgrid.quality import ReportCard, report_card
from tbgrid.samples import stratified
from tbgrid.shards import Index, Model, read_images, read_index
from tbgrid.sources import SourceOptions, open_source
from tbgrid.spools import release
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

LAYOUT = 2  # to be raised when a change of `tbgrid.layout` or `tbgrid.engines` moves points
# The options that decide upon vectors and pictures, and cannot be others once photos are embedded.
EMBEDDING = ("model", "image_size", "input_range", "fit", "tile", "preview")
NOTEBOOK_SIDE = 1024  # px: the longest side of the mosaic in a notebook


@dataclass(frozen=True)
class ExportOptions:
    """How an export is made. `model` names the embedder (`load_embedder`); `image_size` its input
    side in pixels; `distance` None is the model's own; `tile` the side of a photo in the mosaic;
    `preview` that of the larger pictures in the Grid tab, at most, 0 for none.

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
    source: SourceOptions = field(default_factory=SourceOptions)
    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)

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

    def open_cache(self) -> Cache:
        """The cache that these options name."""
        if not self.use_cache:
            return Cache(None)
        return Cache(Path(self.cache) if self.cache is not None else default_directory())


@dataclass(frozen=True)
class ExportResult:
    """A finished export: the run's `directory`, the `export` directory in it, and every stage's
    result. `card` says how good the map is; `report` is what the Text tab and report.json say.

    In a notebook it shows its mosaic and report card.
    """

    directory: Path
    export: Path
    images: ImageSet
    layout: Layout
    grid: Grid
    card: ReportCard
    report: Json

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
        rows += self.card.lines()
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in rows
        )
        return (
            f"<img alt='mosaic of {len(self.images.photos)} photos' style='max-width:100%' "
            f"src='data:image/jpeg;base64,{data}'><table>{cells}</table>"
        )


@dataclass
class _Times:
    """Wall seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets at length otherwise
    directory = run.run_directory(logdir, run_name)
    times = _Times()
    progress("find", 0, None)
    with times.stage("find"):
        found = source if isinstance(source, Source) else open_source(source, options.source)
        found = _without_the_run(found, directory)
    known: Embedder | Model | None = None
    if found.shards is not None:
        index = read_index(found.shards)
        options, known = _as_embedded(options, index, embedder), index.model
    with (
        run.claimed(directory) as staging,
        options.open_cache() as cache,
        contextlib.ExitStack() as within,
    ):
        if found.shards is None and found.vectors is None and embedder is None:
            progress("load model", 0, None)
            with times.stage("load model"):
                embedder = open_model(options, cache, len(found.photos), progress)
        known = known or embedder
        (staging / tab.FOLDER).mkdir()
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
        if len(images.photos) < engines.THREADS:
            within.enter_context(threadpool_limits(1))
        shape_for(len(images.photos), options.grid)  # before t-SNE takes its time
        model = _model(found, images, known, options)
        with times.stage("t-SNE"):
            layout = _layout(images, options.tsne, model["distance"], cache, progress)
        release(images.vectors)
        with times.stage("grid"):
            grid = snap(layout.positions, options.grid, progress=progress)
        with times.stage("quality"):
            card = report_card(
                images.vectors,
                layout.positions,
                grid,
                images.labels,
                distance=model["distance"],
                kl=layout.kl,
                progress=progress,
            )
        with times.stage("neighbours"):
            alike = nearest(images.vectors, tab.NEAREST, model["distance"], progress=progress)
            fits = harmony(images.vectors, grid.cells, grid.rows, grid.columns, model["distance"])
        told = _report(found, images, model, options, layout, grid, card)
        told["notes"] = [
            *found.notes,
            *(known.notes if known else ()),
            *images.notes,
            *layout.notes,
            *grid.notes,
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
        preview = options.preview if len(images.previews) else 0
        finished = contents.Map(
            found.name,
            images,
            tiles,
            projected,
            tensors,
            layout,
            grid,
            card,
            alike,
            fits,
            told,
            preview,
        )
        with times.stage("write"):
            contents.write_files(staging, finished, progress)
            events = staging.with_name(staging.name + ".events")
            try:
                write_events(events, contents.summaries(finished, progress), time.time())
                side = projector.sprite_side(len(projected), options.tile)
                final = run.publish(
                    directory, staging, events, tensors, side if images.pictured else 0
                )
            finally:
                events.unlink(missing_ok=True)
        progress("write", contents.STEPS, contents.STEPS)
    return ExportResult(directory, final, images, layout, grid, card, told)


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


def _layout(
    images: ImageSet, options: TsneOptions, distance: Distance, cache: Cache, progress: Progress
) -> Layout:
    """The t-SNE layout, from the cache if these very vectors were laid out so before."""
    key = key_of(
        "t-SNE",
        engines.version(options.engine),
        LAYOUT,
        images.vectors.shape,
        np.ascontiguousarray(images.vectors).data,
        options,
        distance,
    )
    held = cache.get([key]).get(key)
    if held is not None:
        with np.load(io.BytesIO(held)) as kept:
            return Layout(
                kept["positions"],
                float(kept["perplexity"]),
                float(kept["kl"]),
                str(kept["engine"]),
                int(kept["components"]),
                tuple(kept["notes"].tolist()),
            )
    layout = tsne(images.vectors, options, distance=distance, progress=progress)
    buffer = io.BytesIO()
    np.savez(buffer, **{**dataclasses.asdict(layout), "notes": np.array(layout.notes, str)})
    cache.put("layout", [(key, buffer.getvalue())])
    return layout


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


def _report(
    source: Source,
    images: ImageSet,
    model: Json,
    options: ExportOptions,
    layout: Layout,
    grid: Grid,
    card: ReportCard,
) -> Json:
    labels = images.labels
    return {
        "photos": {
            "source": source.name,
            "shown": len(images.photos),
            "left_out": len(images.rejected),
            "labels": len(set(labels)) if labels else 0,
        },
        "report card": card.scalars(),
        "model": model,
        "t-SNE": {
            "perplexity": layout.perplexity,
            "seed": options.tsne.seed,
            "engine": layout.engine,
            "dimensions": layout.components or int(images.vectors.shape[1]),
            "KL_divergence": layout.kl,
        },
        "grid": {
            "rows_x_columns": [grid.rows, grid.columns],
            "empty_cells": grid.rows * grid.columns - len(images.photos),
            "metric": options.grid.metric,
            "solver": grid.solver,
            "cost": grid.cost,
            "gap": grid.gap,
        },
        "notes": [],
        "seconds": {},
        "versions": report.versions(),
    }
