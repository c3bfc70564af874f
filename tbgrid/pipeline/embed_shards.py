"""Who embeds the shards: this process, or Ray's workers on one machine or many.

A shard is the unit of work, and `embed_shard` all there is to it; so its bytes are the same
whoever runs it, and running it again does no harm.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tbgrid.choices import Runner
from tbgrid.embedding import shard_index, shards
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.embedding.shard_index import MAKING, Index
from tbgrid.errors import TbgridError, UsageError
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.inputs import open_source
from tbgrid.pipeline.ray_runner import import_ray, run_on_ray
from tbgrid.pipeline.shard_job import (
    DEFAULT_SHARD,
    Job,
    done_before,
    embed_shard,
    is_done,
    unwritable,
)
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import Embedder
from tbgrid.util.cache import open_cache
from tbgrid.util.locks import claim_directory


@dataclass(frozen=True)
class EmbedResult:
    """Photos that are embedded in the `directory`, as `source`; `made` of the shards were made
    now, the others were there."""

    directory: Path
    index: Index
    source: Source
    made: int


def embed_shards(
    source: str | os.PathLike[str] | Source,
    out: str | os.PathLike[str],
    options: ExportOptions | None = None,
    *,
    shard: int = DEFAULT_SHARD,
    runner: Runner = "local",
    workers: int | None = None,
    embedder: Embedder | None = None,
    progress: Progress = silent,
) -> EmbedResult:
    """Embed photos into the directory `out`, which `export` takes for a source.

    `shard` photos are finished together; what is there already is left alone, unless a photo of it
    has changed its size or its time of modification. `options`: those of the layout have no part
    in it, and the cache keeps no photos. `workers`: threads that decode, or Ray's processes, each
    with the model; None for as many as suit the machine.

    Raises:
        UsageError: options that cannot be meant, or other than those that `out` was begun with.
        TbgridError: the source or the model is at fault, `out` cannot be written or was begun with
            other photos, or Ray is missing or fails.
    """
    options = options or ExportOptions()
    if not 1 <= shard <= 1_000_000:
        raise UsageError(f"shard {shard}", "give a number of photos from 1 to 1000000")
    if workers is not None and not 1 <= workers <= 10_000:
        raise UsageError(f"workers {workers}", "give a number from 1 to 10000")
    if runner not in ("local", "ray"):
        raise UsageError(f"runner {runner}", "expected local or ray")
    run = run_on_ray if runner == "ray" else _run_here
    if run is run_on_ray:
        import_ray()  # before anything takes its time
    progress("find", 0, None)
    found = source if isinstance(source, Source) else open_source(source, options.source)
    if found.shards is not None or found.vectors is not None or not found.pictured:
        raise UsageError(f"{found.name} has vectors already", "give it to tbgrid export")
    folder = Path(os.path.abspath(out))
    found = _without_own(found, folder)
    # The cache is for what it knows of the model; a shard keeps photos as well as it would.
    with _claimed(folder), open_cache(options) as cache:
        progress("load model", 0, None)
        model = embedder or open_model(options, cache, len(found.photos), progress)
        fixed = {name: getattr(options, name) for name in (*EMBEDDING, "batch")}
        if embedder is not None:
            fixed["model"] = embedder.model_id
        index = shard_index.begin(folder, found, ModelInfo.of(model), fixed, shard)
        job = Job(folder, index, found, options, embedder, str(Path.cwd()))
        todo = [number for number in range(index.count) if not is_done(job, number)]
        run(job, model, todo, workers, progress)
        progress("embed", index.photos, index.photos)
        return EmbedResult(folder, index, shards.open_shards(folder), len(todo))


def _without_own(found: Source, folder: Path) -> Source:
    """`found` less what lies in `folder`, which may be among the photos."""
    top = os.path.join(folder, "")
    photos = [p for p in found.photos if not (p.path and os.path.abspath(p.path).startswith(top))]
    if not photos:
        raise TbgridError(f"no photos in {found.name} but in {printable(folder)}", "give others")
    return replace(found, photos=tuple(photos))


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make the directory, and keep others out of it meanwhile."""
    busy = "another tbgrid embed is writing"
    with claim_directory(folder, root=folder, busy=busy, parameter="out"):
        try:
            _clear(folder)
            yield
        except OSError as error:
            if not str(error.filename or "").startswith(str(folder)):
                raise
            raise unwritable(folder, error) from error
        finally:
            _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what workers that were killed have left."""
    for left in folder.glob(f"{MAKING}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _run_here(
    job: Job, model: Embedder, todo: Sequence[int], workers: int | None, progress: Progress
) -> None:
    done = done_before(job.index, todo)
    for number in todo:
        embed_shard(job, number, model, workers, _shifted(progress, done, job.index.photos))
        done += len(job.index.rows(number))


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    """The progress of a part that comes after `before` others of the `total`."""
    return lambda stage, done, _: progress(stage, before + done, total)
