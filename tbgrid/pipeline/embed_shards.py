"""Embeds photos into shards, in this process or by Ray's workers on one machine or many.

A shard is the unit of work. `embed_shard` makes it, so its bytes do not depend on the runner, and
it can be made again at any time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from tbgrid.choices import Runner
from tbgrid.embedding import shard_index, shards
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.embedding.shard_index import MAKING, ShardIndex
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.inputs import open_source
from tbgrid.pipeline.ray_runner import import_ray, run_on_ray
from tbgrid.pipeline.shard_job import (
    DEFAULT_SHARD,
    Job,
    count_done,
    embed_shard,
    is_done,
    unwritable_error,
)
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import Embedder
from tbgrid.util.cache import open_cache
from tbgrid.util.locks import claim_directory


@dataclass(frozen=True, kw_only=True)
class EmbedResult:
    """Photos that are embedded in a directory.

    Attributes:
        directory: the directory.
        index: the model, the options and the number of photos.
        source: the photos, as `tbgrid.export` takes them.
        new_shards: the number of shards that were made now; the others existed already.
    """

    directory: Path
    index: ShardIndex
    source: Source
    new_shards: int


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
    """Embed photos into a directory, which `tbgrid.export` takes as a source.

    Shards that exist are kept, unless the size or the modification time of a photo has changed.

    Args:
        source: photos; see `tbgrid.open_source`.
        out: the directory, new or begun before.
        options: of these the source, the model and the pictures count. The cache is used for facts
            of the model only.
        shard: photos per shard.
        runner: "local" or "ray".
        workers: threads that decode, or Ray's processes, each with the model; None for as many as
            suit the machine.
        embedder: used instead of `options.model`.
        progress: called as photos are finished.

    Raises:
        UsageError: an invalid option or combination of options, or `out` was begun with others.
        TbgridError: the source or the model cannot be used, `out` cannot be written or was begun
            with other photos, or Ray is not installed or fails.
    """
    options = options or ExportOptions()
    _check_arguments(shard, workers, runner)
    if runner == "ray":
        import_ray()  # fail before anything takes time
    progress("find", 0, None)
    found = source if isinstance(source, Source) else open_source(source, options.source)
    folder = Path(os.path.abspath(out))
    found = _without_folder(found, folder)
    # The cache is for facts of the model; photos are kept in the shards.
    with _claimed(folder), open_cache(options) as cache:
        progress("load model", 0, None)
        model = embedder or open_model(options, cache, len(found.photos), progress)
        shared = {name: getattr(options, name) for name in (*EMBEDDING, "batch")}
        if embedder is not None:
            shared["model"] = embedder.model_id
        index = shard_index.begin_index(folder, found, ModelInfo.of(model), shared, shard)
        job = Job(
            folder=folder,
            index=index,
            source=found,
            options=options,
            embedder=embedder,
            working_directory=str(Path.cwd()),
        )
        n_new = _run_job(job, model, runner, workers, progress)
        embedded = shards.open_shards(folder)
    return EmbedResult(directory=folder, index=index, source=embedded, new_shards=n_new)


def _run_job(
    job: Job, model: Embedder, runner: Runner, workers: int | None, progress: Progress
) -> int:
    """Make the shards that are missing, and return how many these were."""
    todo = [number for number in range(job.index.count) if not is_done(job, number)]
    run = run_on_ray if runner == "ray" else _run_here
    run(job, model, todo, workers, progress)
    progress("embed", job.index.photos, job.index.photos)
    return len(todo)


def _check_arguments(shard: int, workers: int | None, runner: Runner) -> None:
    if not 1 <= shard <= 1_000_000:
        raise UsageError(f"{option('shard')} {shard}", "use a number of photos from 1 to 1000000")
    if workers is not None and not 1 <= workers <= 10_000:
        raise UsageError(f"{option('workers')} {workers}", "use a number from 1 to 10000")
    if runner not in get_args(Runner):
        expected = " or ".join(get_args(Runner))
        raise UsageError(f"{option('runner')} {runner}", f"expected {expected}")


def _without_folder(found: Source, folder: Path) -> Source:
    """`found`, which must not have vectors, without files in `folder`."""
    if found.shards is not None or found.vectors is not None or not found.pictured:
        raise UsageError(f"{found.name} has vectors already", "use it with tbgrid export")
    top = os.path.join(folder, "")
    photos = [p for p in found.photos if not (p.path and os.path.abspath(p.path).startswith(top))]
    if not photos:
        raise TbgridError(
            f"all photos of {found.name} are in {printable(folder)}",
            f"use another {option('out')}",
        )
    return replace(found, photos=tuple(photos))


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Create the directory, and keep other processes out of it."""
    busy = "another tbgrid embed is writing"
    with claim_directory(folder, root=folder, busy=busy, parameter="out"):
        try:
            _remove_unfinished(folder)
            yield
        except OSError as error:
            if not str(error.filename or "").startswith(str(folder)):
                raise
            raise unwritable_error(folder, error) from error
        finally:
            _remove_unfinished(folder)


def _remove_unfinished(folder: Path) -> None:
    """Remove files of workers that were killed."""
    for left in folder.glob(f"{MAKING}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _run_here(
    job: Job, model: Embedder, todo: Sequence[int], workers: int | None, progress: Progress
) -> None:
    done = count_done(job.index, todo)
    for number in todo:
        embed_shard(job, number, model, workers, _offset_progress(progress, done, job.index.photos))
        done += len(job.index.rows(number))


def _offset_progress(progress: Progress, before: int, total: int) -> Progress:
    """A progress for a part that comes after `before` photos of the `total`."""
    return lambda stage, done, _: progress(stage, before + done, total)
