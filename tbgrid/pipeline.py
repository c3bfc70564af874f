"""The one place where the stages meet: a folder in, a TensorBoard run out."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tbgrid.artifacts import mosaic as pictures
from tbgrid.artifacts import projector, report, run
from tbgrid.artifacts.scatter import scatter
from tbgrid.artifacts.summaries import ImageSummary, TextSummary, write_events
from tbgrid.embedders import load_embedder
from tbgrid.embeddings import ImageSet, embed
from tbgrid.errors import UsageError
from tbgrid.grid import Grid, GridOptions, snap
from tbgrid.layout import Layout, TsneOptions, tsne
from tbgrid.sources import Rejected, Source, find_photos
from tbgrid.types import Distance, Embedder, Fit, Json, Progress, UInt8Array, silent

SHOWN_SIDE = 4096  # px: the longest side of a picture in the Images tab
FRAME_SIDE = 2048  # px: the longest side of one step of the snap
MOSAIC, LEDGER = "mosaic.jpg", "ledger.tsv"
_WRITE_STEPS = 9


@dataclass(frozen=True)
class ExportOptions:
    """How an export is made. `model` names the embedder (`load_embedder`); `image_size` its input
    side in pixels; `distance` None is the model's own; `tile` the side of a photo in the mosaic."""

    model: str = "builtin"
    image_size: int | None = None
    distance: Distance | None = None
    fit: Fit = "crop"
    tile: int = 64
    batch: int = 32
    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)

    def __post_init__(self) -> None:
        if self.distance not in (None, "cosine", "euclidean"):
            raise UsageError(f"distance {self.distance}", "expected cosine or euclidean")
        if self.fit not in ("crop", "pad", "squash"):
            raise UsageError(f"fit {self.fit}", "expected crop, pad or squash")
        if not 8 <= self.tile <= 512:
            raise UsageError(f"tile {self.tile}", "give a number of pixels from 8 to 512")
        if not 1 <= self.batch <= 4096:
            raise UsageError(f"batch {self.batch}", "give a number of photos from 1 to 4096")


@dataclass(frozen=True)
class ExportResult:
    """A finished export: the run's `directory`, the `export` directory in it, and every stage's
    result. `report` is what the Text tab and report.json say."""

    directory: Path
    export: Path
    images: ImageSet
    layout: Layout
    grid: Grid
    report: Json

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The files that are not shown, with their reasons."""
        return self.images.rejected

    @property
    def mosaic(self) -> Path:
        """The mosaic's file."""
        return self.export / MOSAIC

    @property
    def ledger(self) -> Path:
        """The file that lists what was left out, with the reasons."""
        return self.export / LEDGER

    @property
    def notes(self) -> list[str]:
        """What the user should know about how the options were applied."""
        return list(self.report["notes"])


@dataclass
class _Times:
    """Wall seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


@dataclass(frozen=True)
class _Map:
    """All that is known when writing begins."""

    title: str
    images: ImageSet
    layout: Layout
    grid: Grid
    report: Json


def export(
    source: str | os.PathLike[str] | Source,
    logdir: str | os.PathLike[str],
    options: ExportOptions = ExportOptions(),
    *,
    run_name: str | None = None,
    embedder: Embedder | None = None,
    progress: Progress = silent,
) -> ExportResult:
    """Turn a folder of photos into a TensorBoard run at `logdir`, or at `logdir`/`run_name`.

    An export that is there already is replaced at the end, whole. `embedder` overrides
    `options.model`: any object that fits `tbgrid.types.Embedder`.

    Raises:
        UsageError: options that cannot be meant.
        TbgridError: the source, the model or the run's directory is at fault.
    """
    directory = run.run_directory(logdir, run_name)
    times = _Times()
    progress("find", 0, None)
    with times.stage("find"):
        found = source if isinstance(source, Source) else find_photos(source)
    with run.claimed(directory) as staging:
        progress("load model", 0, None)
        with times.stage("load model"):
            embedder = embedder or load_embedder(options.model, options.image_size)
        distance = options.distance or embedder.distance
        with times.stage("embed"):
            images = embed(
                found,
                embedder,
                thumbnail=options.tile,
                fit=options.fit,
                batch=options.batch,
                progress=progress,
            )
        with times.stage("t-SNE"):
            layout = tsne(images.vectors, options.tsne, distance=distance, progress=progress)
        with times.stage("grid"):
            grid = snap(layout.positions, options.grid, progress=progress)
        told = _report(found, images, embedder, options, distance, layout, grid, times)
        told["notes"] += run.name_notes(directory)
        finished = _Map(found.name, images, layout, grid, told)
        with times.stage("write"):
            _write_files(staging, finished, progress)
            events = staging.with_name(staging.name + ".events")
            try:
                write_events(events, _summaries(finished, progress), time.time())
                side = projector.sprite_side(len(images.photos), options.tile)
                final = run.publish(directory, staging, events, side)
            finally:
                events.unlink(missing_ok=True)
        progress("write", _WRITE_STEPS, _WRITE_STEPS)
    return ExportResult(directory, final, images, layout, grid, told)


def _report(
    source: Source,
    images: ImageSet,
    embedder: Embedder,
    options: ExportOptions,
    distance: Distance,
    layout: Layout,
    grid: Grid,
    times: _Times,
) -> Json:
    labels = images.labels
    return {
        "photos": {
            "source": source.name,
            "shown": len(images.photos),
            "left_out": len(images.rejected),
            "labels": len(set(labels)) if labels else 0,
        },
        "model": {
            "name": embedder.model_id,
            "input": list(embedder.input_size),
            "dimensions": int(images.vectors.shape[1]),
            "distance": distance,
            "fit": options.fit,
        },
        "t-SNE": {
            "perplexity": layout.perplexity,
            "seed": options.tsne.seed,
            "KL_divergence": layout.kl,
        },
        "grid": {
            "rows_x_columns": [grid.rows, grid.columns],
            "empty_cells": grid.rows * grid.columns - len(images.photos),
            "metric": options.grid.metric,
            "solver": grid.solver,
            "cost": grid.cost,
            "optimal": grid.optimal,
        },
        "notes": [*embedder.notes, *layout.notes, *grid.notes],
        "seconds": times.seconds,
        "versions": report.versions(),
    }


def _columns(images: ImageSet) -> dict[str, list[object]]:
    """The metadata of each photo; labels first where there are any, since viewers start there."""
    columns: dict[str, list[object]] = {}
    labels = images.labels
    if labels is not None:
        columns["label"] = list(labels)
    columns["path"] = [photo.name for photo in images.photos]
    columns["width"] = images.sizes[:, 0].tolist()
    columns["height"] = images.sizes[:, 1].tolist()
    return columns


def _write_files(folder: Path, done: _Map, progress: Progress) -> None:
    """The files of the export's own directory."""
    images, grid = done.images, done.grid
    progress("write", 0, _WRITE_STEPS)
    projector.write_checkpoint(folder / projector.CHECKPOINT, images.vectors, grid)
    progress("write", 1, _WRITE_STEPS)
    columns = _columns(images)
    _write(folder / projector.METADATA, projector.metadata_tsv(columns))
    states = projector.bookmarks(
        images.vectors, done.layout.positions, grid, columns, done.layout.perplexity
    )
    _write(folder / projector.BOOKMARKS, projector.bookmarks_json(states))
    progress("write", 2, _WRITE_STEPS)
    # Photos compress little in PNG, and level 1 takes a fifth of the default's time.
    projector.sprite(images.thumbnails).save(folder / projector.SPRITE, compress_level=1)
    progress("write", 3, _WRITE_STEPS)
    tile = pictures.tile_within(grid, images.thumbnails.shape[1], pictures.JPEG_LIMIT)
    canvas = pictures.mosaic(images.thumbnails, grid, tile)
    (folder / MOSAIC).write_bytes(pictures.jpeg(canvas))
    progress("write", 4, _WRITE_STEPS)
    _write(folder / LEDGER, report.ledger_tsv(images.rejected))
    _write(folder / "report.json", json.dumps(done.report, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")


def _summaries(done: _Map, progress: Progress) -> Iterator[ImageSummary | TextSummary]:
    """What the Images and Text tabs show."""
    images, layout, grid = done.images, done.layout, done.grid
    thumbnails, side = images.thumbnails, images.thumbnails.shape[1]

    def image(tag: str, step: int, canvas: UInt8Array, description: str) -> ImageSummary:
        return ImageSummary(f"tbgrid/{tag}", step, pictures.jpeg(canvas), description)

    yield image(
        "mosaic",
        0,
        pictures.mosaic(thumbnails, grid, pictures.tile_within(grid, side, SHOWN_SIDE)),
        f"{len(thumbnails)} photos on a grid of {grid.rows} x {grid.columns}; look-alikes lie "
        "side by side. Click to enlarge.",
    )
    progress("write", 5, _WRITE_STEPS)
    yield image(
        "tsne",
        0,
        pictures.scattered(
            thumbnails, layout.positions, FRAME_SIDE if len(thumbnails) < 2500 else SHOWN_SIDE, side
        ),
        "The photos at their t-SNE places.",
    )
    progress("write", 6, _WRITE_STEPS)
    tile = pictures.tile_within(grid, side, FRAME_SIDE)
    for step, frame in enumerate(pictures.snap_frames(thumbnails, grid, tile)):
        yield image("snap", step, frame, "From the t-SNE places to the grid: move the slider.")
    progress("write", 7, _WRITE_STEPS)
    title = f"{done.title}: t-SNE of {len(thumbnails)} photos, {done.report['model']['name']}"
    picture = scatter(layout.positions, images.labels, title)
    yield ImageSummary("tbgrid/scatter", 0, picture, "The photos as points, coloured by label.")
    yield TextSummary("tbgrid/report", report.markdown(done.report, images.rejected))
