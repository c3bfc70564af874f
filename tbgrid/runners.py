"""Who embeds the shards: this process, or Ray's workers on one machine or many.

A shard is the unit of work, and `embed_shard` all there is to it; so its bytes are the same
whoever runs it, and running it again does no harm.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from tbgrid import shard_index, shards
from tbgrid.cache import Cache
from tbgrid.embeddings import embed
from tbgrid.errors import TbgridError, UsageError
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.pipeline import open_model
from tbgrid.shard_index import MAKING, Index, Model
from tbgrid.sources import open_source
from tbgrid.types import Embedder, Progress, Source, printable, silent

Runner = Literal["local", "ray"]
# A multiple of the photos that `embed` takes together: the model then gets the very batches of an
# export without shards, and its vectors are the same to the last bit.
DEFAULT_SHARD = 1024
_CPUS = 4  # of a machine, for each of Ray's workers, since a model uses several
_TRIES = 4  # of a shard, where its workers die


@dataclass(frozen=True)
class Job:
    """What a worker must know to embed any shard; it can be sent to other machines.

    `place`: the directory that relative paths start from.
    """

    folder: Path
    index: Index
    source: Source
    options: ExportOptions
    embedder: Embedder | None
    place: str

    def open_model(self, cache: Cache) -> Embedder:
        """The model, for all photos of the job, of which there are `index.photos`."""
        return self.embedder or open_model(self.options, cache, self.index.photos)


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
    run = _run_on_ray if runner == "ray" else _run_here
    if run is _run_on_ray:
        _import_ray()  # before anything takes its time
    progress("find", 0, None)
    found = source if isinstance(source, Source) else open_source(source, options.source)
    if found.shards is not None or found.vectors is not None or not found.pictured:
        raise UsageError(f"{found.name} has vectors already", "give it to tbgrid export")
    folder = Path(os.path.abspath(out))
    found = _without_own(found, folder)
    # The cache is for what it knows of the model; a shard keeps photos as well as it would.
    with _claimed(folder), options.open_cache() as cache:
        progress("load model", 0, None)
        model = embedder or open_model(options, cache, len(found.photos), progress)
        fixed = {name: getattr(options, name) for name in (*EMBEDDING, "batch")}
        if embedder is not None:
            fixed["model"] = embedder.model_id
        index = shard_index.begin(folder, found, Model.of(model), fixed, shard)
        job = Job(folder, index, found, options, embedder, str(Path.cwd()))
        todo = [number for number in range(index.count) if not _is_done(job, number)]
        run(job, model, todo, workers, progress)
        progress("embed", index.photos, index.photos)
        return EmbedResult(folder, index, shards.open_shards(folder), len(todo))


def embed_shard(
    job: Job,
    number: int,
    model: Embedder,
    workers: int | None = None,
    progress: Progress = silent,
) -> None:
    """Embed the photos of one shard and write it; one that is there already is replaced.

    Raises:
        OSError: it cannot be written.
        TbgridError: the model fails.
    """
    part = shards.part_of(job.source, job.index.rows(number))
    # Before the pictures are read: of one that changes meanwhile the next run will know.
    state = shards.state_of(part.photos)
    with tempfile.TemporaryDirectory(prefix=MAKING, dir=job.folder) as scratch:
        previews, written = Path(scratch, "previews"), Path(scratch, "shard")
        images = embed(
            part,
            model,
            thumbnail=job.options.tile,
            fit=job.options.fit,
            batch=job.options.batch,
            workers=workers,
            preview=job.options.preview,
            previews=previews,
            whole=False,
            scratch=Path(scratch),
            progress=progress,
        )
        shards.write_shard(written, job.index, images, previews, state)
        written.replace(shards.shard_file(job.folder, number))


def _is_done(job: Job, number: int) -> bool:
    if not shards.shard_file(job.folder, number).exists():
        return False
    photos = shards.part_of(job.source, job.index.rows(number)).photos
    return shards.is_whole(job.folder, job.index, number, shards.state_of(photos))


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
    shown = printable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise TbgridError(
            f"another tbgrid embed is writing {shown}", "wait for it, or give another --out"
        ) from error
    except OSError as error:
        raise TbgridError(
            f"cannot write {shown} ({error.strerror})", "give --out a directory, which may be new"
        ) from error
    try:
        _clear(folder)
        yield
    except OSError as error:
        if not str(error.filename or "").startswith(str(folder)):
            raise
        raise _unwritable(folder, error) from error
    finally:
        _clear(folder)
        lock.release()


def _clear(folder: Path) -> None:
    """Remove what workers that were killed have left."""
    for left in folder.glob(f"{MAKING}*"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _unwritable(folder: Path, error: OSError) -> TbgridError:
    return TbgridError(
        f"cannot write {printable(folder)} on {socket.gethostname()} ({error.strerror})",
        "mend that; the same command goes on from there",
    )


def _done_before(index: Index, todo: Sequence[int]) -> int:
    """How many photos are in shards that need not be made."""
    return index.photos - sum(len(index.rows(number)) for number in todo)


def _run_here(
    job: Job, model: Embedder, todo: Sequence[int], workers: int | None, progress: Progress
) -> None:
    done = _done_before(job.index, todo)
    for number in todo:
        embed_shard(job, number, model, workers, _shifted(progress, done, job.index.photos))
        done += len(job.index.rows(number))


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    """The progress of a part that comes after `before` others of the `total`."""
    return lambda stage, done, _: progress(stage, before + done, total)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of the run
    try:
        import ray.data
    except ImportError as error:
        raise TbgridError(
            f"--runner ray needs Ray ({error})", "pip install 'tbgrid[ray]'"
        ) from error
    return ray


class RayWorker:
    """One of Ray's workers: it loads the model once, and embeds the shards it is given."""

    def __init__(self, job: Any) -> None:
        """`job`: Ray's reference of a `Job`."""
        self._reference = job
        self._job: Job | None = None
        self._model: Embedder | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embed the shards `batch["shard"]`. What the user must mend comes back as text."""
        message = hint = ""
        try:
            for number in batch["shard"]:
                job, model = self._ready()
                with _tried(job, int(number)):
                    embed_shard(job, int(number), model, _CPUS)
        except TbgridError as error:
            message, hint = error.message, error.hint
        except OSError as error:
            if self._job is None:
                raise
            told = _unwritable(self._job.folder, error)
            message, hint = told.message, told.hint
        count = len(batch["shard"])
        return {"shard": batch["shard"], "message": [message] * count, "hint": [hint] * count}

    def _ready(self) -> tuple[Job, Embedder]:
        if self._job is None or self._model is None:
            import ray

            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            job: Job = ray.get(self._reference)
            _check_view(job)
            os.chdir(job.place)
            model = job.open_model(job.options.open_cache())
            _check_alike(job, model)
            self._job, self._model = job, model
        return self._job, self._model


@contextlib.contextmanager
def _tried(job: Job, number: int) -> Iterator[None]:
    """Raise `TbgridError` if too many workers have died of a shard; Ray would go on and on."""
    count = job.folder / f"{MAKING}tries-{number:05}"
    with count.open("ab") as file:
        file.write(b".")
    if count.stat().st_size > _TRIES:
        rows = job.index.rows(number)
        first, last = (printable(job.source.photos[row].name) for row in (rows[0], rows[-1]))
        raise TbgridError(
            f"{_TRIES} workers died one after another of the photos from {first} to {last}",
            "if memory is short give fewer --workers or a smaller --batch",
        )
    yield
    count.unlink(missing_ok=True)


def _check_view(job: Job) -> None:
    """Raise if this machine does not see the directories that the job was made in."""
    host, way_out = socket.gethostname(), "all machines must see it under the same path"
    if not Path(job.place).is_dir():
        raise TbgridError(f"{host} has no directory {job.place}", way_out)
    if not shard_index.is_embedded(job.folder) or shard_index.read_index(job.folder) != job.index:
        raise TbgridError(f"{host} does not see {printable(job.folder)}", way_out)


def _check_alike(job: Job, model: Embedder) -> None:
    """Raise if this machine would give other vectors or pictures than the one that began."""
    found = {"model": Model.of(model), "decoding": shard_index.DECODER}
    for name, value in found.items():
        if value != getattr(job.index, name):
            raise TbgridError(
                f"{socket.gethostname()} has another {name} ({value}, not "
                f"{getattr(job.index, name)})",
                "install the same releases everywhere",
            )


def _run_on_ray(
    job: Job, _: Embedder, todo: Sequence[int], workers: int | None, progress: Progress
) -> None:
    if not todo:
        return
    ray = _import_ray()
    done = _done_before(job.index, todo)
    with _ray_started(ray, workers):
        pool = ray.data.ActorPoolStrategy(
            size=min(len(todo), workers or max(1, int(ray.cluster_resources()["CPU"]) // _CPUS)),
            max_tasks_in_flight_per_actor=1,
        )
        items = [{"shard": number} for number in todo]
        made = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            RayWorker,
            batch_size=1,
            compute=pool,
            fn_constructor_args=[ray.put(job)],
        )
        progress("embed", done, job.index.photos)
        for row in made.iter_rows():
            if row["message"]:
                raise TbgridError(row["message"], row["hint"])
            done += len(job.index.rows(row["shard"]))
            progress("embed", done, job.index.photos)


@contextlib.contextmanager
def _ray_started(ray: Any, workers: int | None) -> Iterator[None]:
    """A connection to the cluster that `RAY_ADDRESS` names or that the program has started;
    without one, Ray on this machine for as long as it takes."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    where: dict[str, Any] = (
        {}
        if address
        else {
            "address": "local",
            "num_cpus": max(workers or 1, os.cpu_count() or 1),
            "include_dashboard": False,
        }
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    with contextlib.redirect_stdout(sys.stderr):  # Ray tells there of workers that died
        try:
            _check_address(address or "")
            ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise TbgridError(
                f"Ray does not start at {address or 'this machine'} ({error})",
                "mend RAY_ADDRESS, or leave out --runner ray",
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Raise `OSError` if nothing answers at an address such as host:6379, for which Ray itself
    would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
