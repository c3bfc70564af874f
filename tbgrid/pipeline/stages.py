"""The stages that an export and a comparison of models share: find the photos, embed them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tbgrid import run_format
from tbgrid.choices import Metric
from tbgrid.embedding.embed import embed
from tbgrid.embedding.image_set import ImageSet
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.embedding.shard_index import ShardIndex, read_index
from tbgrid.embedding.shards import read_images
from tbgrid.errors import UsageError, option
from tbgrid.grouping.badges import collapse_duplicates
from tbgrid.grouping.duplicates import find_copies
from tbgrid.grouping.groups import Groups
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.inputs import open_source
from tbgrid.progress import Progress
from tbgrid.types import Embedder
from tbgrid.util.cache import Cache
from tbgrid.util.disk_arrays import drop_pages
from tbgrid.util.threads import limit_threads
from tbgrid.util.timing import Times
from tbgrid.vectors.neighbors import Neighbors, find_neighbors, neighbors_among
from tbgrid.writers import run_directory

# Further neighbors of each photo, found at no cost, so that those of the photos that are left when
# duplicates are collapsed need no second search.
_SPARE_NEIGHBORS = 3 * run_format.N_NEIGHBORS


@dataclass(frozen=True, kw_only=True)
class EmbeddedSet:
    """Photos with their vectors, ready for a map.

    Attributes:
        source: the photos that were found.
        options: the options that were applied.
        images: the photos that are shown.
        model: the facts of the model, with the metric that was applied.
        neighbors: the nearest neighbors of each photo that is shown.
        groups: the duplicates among the photos.
        notes: what the user should know so far.
        times: the time of each stage, to which later stages add.
    """

    source: Source
    options: ExportOptions
    images: ImageSet
    model: ModelInfo
    neighbors: Neighbors
    groups: Groups
    notes: tuple[str, ...]
    times: Times

    def drop_pages(self) -> None:
        """Give back the memory of vectors and thumbnails, which stay on disk."""
        drop_pages(self.images.vectors)
        drop_pages(self.images.thumbnails)


def find_stage(
    source: str | os.PathLike[str] | Source | None,
    options: ExportOptions,
    directories: Sequence[Path],
    times: Times,
    progress: Progress,
) -> Source:
    """Find the photos.

    Args:
        source: see `tbgrid.open_source`.
        options: of these `source` counts.
        directories: of runs, whose own files are no photos.
        times: gets the time of the stage.
        progress: see `tbgrid.Progress`.

    Raises:
        UsageError, TbgridError: see `tbgrid.open_source`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # or TensorFlow prints a long greeting
    progress("find", 0, None)
    with times.stage("find"):
        found = source if isinstance(source, Source) else open_source(source, options.source)
        for directory in directories:
            found = _without_run_files(found, directory)
    return found


def embed_stage(
    source: Source,
    options: ExportOptions,
    embedder: Embedder | None,
    *,
    staging: Path,
    cache: Cache,
    times: Times,
    progress: Progress,
) -> EmbeddedSet:
    """Embed the photos, and find neighbors and duplicates.

    Args:
        source: the photos; vectors that it brings are used as they are.
        options: of the model, the pictures and duplicates.
        embedder: used instead of `options.model`.
        staging: the directory in which the export is made; it gets the previews.
        cache: of vectors, thumbnails and previews.
        times: gets the time of each stage.
        progress: see `tbgrid.Progress`.

    Raises:
        UsageError: options that differ from those of photos that are embedded already.
        TbgridError: the photos or the model cannot be used.
    """
    info: ModelInfo | None = None
    if source.shards is not None:
        index = read_index(source.shards)
        options, info = _options_of_shards(options, index, embedder), index.model
    elif source.vectors is None and embedder is None:
        progress("load model", 0, None)
        with times.stage("load model"):
            embedder = open_model(options, cache, len(source.photos), progress)
    previews = staging / run_format.FOLDER / run_format.PREVIEWS
    previews.parent.mkdir(exist_ok=True)
    with times.stage("embed"):
        images = _read_or_embed(source, options, embedder, previews, cache, progress)
    model = _describe_model(source, info or embedder, options)
    notes = (*source.notes, *model.notes, *images.notes)
    with limit_threads(len(images.photos)):
        images, neighbors, groups = _find_duplicates(
            images, model.metric, options, cache, previews, times, progress
        )
    return EmbeddedSet(
        source=source,
        options=options,
        images=images,
        model=model,
        neighbors=neighbors,
        groups=groups,
        notes=notes,
        times=times,
    )


def _read_or_embed(
    source: Source,
    options: ExportOptions,
    embedder: Embedder | None,
    previews: Path,
    cache: Cache,
    progress: Progress,
) -> ImageSet:
    """Vectors and pictures: from shards, or of the model. Large arrays lie next to `staging`."""
    scratch = _runs_directory(previews)
    if source.shards is not None:
        preview_file = previews if options.preview else None
        return read_images(source, scratch, preview_file=preview_file, progress=progress)
    return embed(
        source,
        None if source.vectors is not None else embedder,
        thumbnail=options.tile,
        fit=options.fit,
        batch=options.batch,
        cache=cache,
        preview=options.preview,
        preview_file=previews,
        scratch=scratch,
        progress=progress,
    )


def _runs_directory(previews: Path) -> Path:
    """The directory that contains the staging directory of `previews`."""
    return previews.parents[2]


def _find_duplicates(
    images: ImageSet,
    metric: Metric,
    options: ExportOptions,
    cache: Cache,
    previews: Path,
    times: Times,
    progress: Progress,
) -> tuple[ImageSet, Neighbors, Groups]:
    """The photos that are shown, their nearest neighbors, and which photos are duplicates."""
    names, count = [photo.name for photo in images.photos], run_format.N_NEIGHBORS
    stack = options.groups.duplicates == "stack"
    spare = _SPARE_NEIGHBORS if stack else 0
    with times.stage("neighbours"):
        known = find_neighbors(images.vectors, count, metric, spare=spare, progress=progress)
    drop_pages(images.vectors)
    neighbors = known.first(count)
    if options.groups.duplicates == "off":
        return images, neighbors, Groups(names)
    with times.stage("duplicates"):
        copies = find_copies(images, neighbors, cache.digests, progress=progress)
    if stack and len(copies.representatives) < len(names):
        with times.stage("duplicates"):
            images = collapse_duplicates(images, copies, previews, _runs_directory(previews))
        with times.stage("neighbours"):
            neighbors = neighbors_among(
                copies.representatives, known, images.vectors, count, metric, progress=progress
            )
        drop_pages(images.vectors)
    return images, neighbors, Groups(names, copies, stack)


def _without_run_files(found: Source, directory: Path) -> Source:
    """`found` without the files of exports at `directory`, which may lie among the photos."""
    kept = [
        photo
        for photo in found.photos
        if not (photo.path and run_directory.owns(directory, photo.path))
    ]
    if len(kept) == len(found.photos):
        return found
    note = f"{len(found.photos) - len(kept)} files of the run itself are not shown"
    return dataclasses.replace(found, photos=tuple(kept), notes=(*found.notes, note))


def _options_of_shards(
    options: ExportOptions, index: ShardIndex, embedder: Embedder | None
) -> ExportOptions:
    """`options` with those that the photos were embedded with.

    An option with its default value counts as not given. Previews can always be left out.
    """
    if embedder is not None:
        raise UsageError(f"{option('embedder')} for embedded photos", "leave it out")
    default = ExportOptions()
    given = {name: getattr(options, name) for name in EMBEDDING}
    index.refuse({name: v for name, v in given.items() if v != getattr(default, name)})
    preview = index.options["preview"] if options.preview else 0
    used = {name: index.options[name] for name in EMBEDDING}
    return dataclasses.replace(options, **{**used, "preview": preview})


def _describe_model(
    source: Source, embedder: Embedder | ModelInfo | None, options: ExportOptions
) -> ModelInfo:
    """The facts of the model, or of precomputed vectors, with the metric that is applied."""
    if source.vectors is not None or embedder is None:
        file = Path(options.source.vectors or source.name)
        return ModelInfo(
            model_id=f"vectors of {file.name}",
            input_size=(0, 0),
            metric=options.metric or "euclidean",
            # An embedder that is given, but not needed.
            notes=tuple(embedder.notes) if embedder else (),
        )
    info = embedder if isinstance(embedder, ModelInfo) else ModelInfo.of(embedder)
    return dataclasses.replace(info, metric=options.metric or info.metric)
