"""Embeds shards by Ray's workers, on one machine or many."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tbgrid.embedding import shard_index
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.embedding.shard_index import MAKING
from tbgrid.errors import TbgridError, option
from tbgrid.pipeline.shard_job import (
    CPUS_PER_WORKER,
    MAX_TRIES,
    Job,
    count_done,
    embed_shard,
    unwritable_error,
)
from tbgrid.progress import Progress
from tbgrid.run_format import printable
from tbgrid.types import Embedder
from tbgrid.util.cache import open_cache


def import_ray() -> Any:
    """Import Ray with its data module.

    Raises:
        TbgridError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage data for its makers
    try:
        import ray.data
    except ImportError as error:
        raise TbgridError(
            f"{option('runner')} ray needs Ray ({error})", "pip install 'tbgrid[ray]'"
        ) from error
    return ray


class RayWorker:
    """One of Ray's workers, which loads the model once and embeds shards."""

    def __init__(self, job: Any) -> None:
        """Keep `job`, Ray's reference to a `Job`, until the first shard."""
        self._reference = job
        self._job: Job | None = None
        self._model: Embedder | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embed the shards `batch["shard"]`. Errors that the user can fix are returned as text."""
        message = hint = ""
        try:
            for number in batch["shard"]:
                job, model = self._open_job()
                with _count_tries(job, int(number)):
                    embed_shard(job, int(number), model, CPUS_PER_WORKER)
        except TbgridError as error:
            message, hint = error.message, error.hint
        except OSError as error:
            if self._job is None:
                raise
            unwritable = unwritable_error(self._job.folder, error)
            message, hint = unwritable.message, unwritable.hint
        count = len(batch["shard"])
        return {"shard": batch["shard"], "message": [message] * count, "hint": [hint] * count}

    def _open_job(self) -> tuple[Job, Embedder]:
        if self._job is None or self._model is None:
            import ray

            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            job: Job = ray.get(self._reference)
            _check_view(job)
            os.chdir(job.working_directory)
            model = job.open_model(open_cache(job.options))
            _check_versions(job, model)
            self._job, self._model = job, model
        return self._job, self._model


@contextlib.contextmanager
def _count_tries(job: Job, number: int) -> Iterator[None]:
    """Raise `TbgridError` if too many workers have died of a shard; Ray would try forever."""
    count = job.folder / f"{MAKING}tries-{number:05}"
    with count.open("ab") as file:
        file.write(b".")
    if count.stat().st_size > MAX_TRIES:
        rows = job.index.rows(number)
        first, last = (printable(job.source.photos[row].name) for row in (rows[0], rows[-1]))
        raise TbgridError(
            f"{MAX_TRIES} workers died one after another of the photos from {first} to {last}",
            f"if memory is short, use fewer {option('workers')} or a smaller {option('batch')}",
        )
    yield
    count.unlink(missing_ok=True)


def _check_view(job: Job) -> None:
    """Raise if this machine does not see the directories of the job."""
    host, hint = socket.gethostname(), "all machines must see it under the same path"
    if not Path(job.working_directory).is_dir():
        raise TbgridError(f"{host} has no directory {job.working_directory}", hint)
    if not shard_index.is_embedded(job.folder) or shard_index.read_index(job.folder) != job.index:
        raise TbgridError(f"{host} does not see {printable(job.folder)}", hint)


def _check_versions(job: Job, model: Embedder) -> None:
    """Raise if vectors or pictures of this machine differ from those of the first one."""
    own = {"model": ModelInfo.of(model), "decoding": shard_index.DECODER_ID}
    for name, value in own.items():
        if value != getattr(job.index, name):
            raise TbgridError(
                f"{socket.gethostname()} has another {name} ({value}, not "
                f"{getattr(job.index, name)})",
                "install the same releases everywhere",
            )


def run_on_ray(
    job: Job, _: Embedder, todo: Sequence[int], workers: int | None, progress: Progress
) -> None:
    """Embed shards by Ray's workers.

    Args:
        job: the job.
        _: the model, which each worker opens itself.
        todo: the numbers of the shards.
        workers: processes; None for as many as suit the cluster.
        progress: called as shards are finished.

    Raises:
        TbgridError: Ray fails, or a worker meets an error that the user can fix.
    """
    if not todo:
        return
    ray = import_ray()
    done = count_done(job.index, todo)
    with _ray_started(ray, workers):
        pool = ray.data.ActorPoolStrategy(
            size=min(
                len(todo), workers or max(1, int(ray.cluster_resources()["CPU"]) // CPUS_PER_WORKER)
            ),
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
    """Connect to the cluster of `RAY_ADDRESS`, or use the one that the program has started;
    otherwise start Ray on this machine until the end of the block."""
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
    with contextlib.redirect_stdout(sys.stderr):  # where Ray prints which workers died
        try:
            _check_address(address or "")
            ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise TbgridError(
                f"Ray does not start at {address or 'this machine'} ({error})",
                f"fix RAY_ADDRESS, or leave out {option('runner')} ray",
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Raise `OSError` if nothing answers at an address such as host:6379. Ray would wait for
    minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()
