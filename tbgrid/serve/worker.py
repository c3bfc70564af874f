"""A process that makes one map after another, and keeps the models it has loaded.

The server sends commands as lines of JSON on stdin, and the worker reports progress and results
as lines of JSON on stdout. When the server ends, however it ends, stdin is closed and the worker
exits at once. It writes only the runs of its jobs, the cache and the shards, and reads the
database.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from tbgrid.choices import Runner
from tbgrid.embedding.lazy import model_key, open_model
from tbgrid.embedding.model_info import EmbedderWrapper
from tbgrid.errors import TbgridError
from tbgrid.options import EMBEDDING, ExportOptions
from tbgrid.photos import Source
from tbgrid.pipeline.embed_shards import embed_shards
from tbgrid.pipeline.export import export
from tbgrid.pipeline.result import ExportResult
from tbgrid.serve import jobs
from tbgrid.serve.options import Options, export_options, name_of
from tbgrid.serve.paths import ServicePaths, redact_paths
from tbgrid.serve.photos import make_source
from tbgrid.serve.store import FILE_NAME, Reader, Row
from tbgrid.types import Embedder, Float32Array
from tbgrid.util.cache import Cache
from tbgrid.writers.run_directory import size_on_disk

_PROGRESS_INTERVAL = 0.1  # s between two messages about the same stage
_MAX_MODELS = 2  # that stay loaded
_ORPHAN_TIMEOUT = 60  # s that a worker of a killed server may take to exit
_MAX_SKIPPED_LISTED = 100  # skipped photos that a result names


class JobCancelledError(BaseException):
    """The job was cancelled. Not an `Exception`, so that no handler of those swallows it."""


class CountingEmbedder(EmbedderWrapper):
    """An embedder that counts the images it embeds.

    Attributes:
        count: number of images so far.
    """

    def __init__(self, inner: Embedder) -> None:
        super().__init__(inner)
        self._inner = inner
        self.count = 0

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed `images`, float32[b, h, w, 3] in [0, 1], as float32[b, d]."""
        self.count += len(images)
        return self._inner(images)


class Worker:
    """Makes maps.

    Args:
        paths: where files are stored.
        store: the database.
        cache: cache of vectors and models.
        runner: what embeds the photos.
        output: receives the messages for the server.
    """

    def __init__(
        self, *, paths: ServicePaths, store: Reader, cache: Cache, runner: Runner, output: IO[str]
    ) -> None:
        self.cancelled: set[str] = set()  # ids of jobs to stop
        self.models: dict[tuple[object, ...], Embedder] = {}  # the most recently used last
        self._paths, self._store, self._cache = paths, store, cache
        self._runner, self._output = runner, output
        self._job, self._stage, self._reported_at = "", "", 0.0

    def send(self, **message: Any) -> None:
        """Send a message to the server."""
        print(json.dumps(message), file=self._output, flush=True)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Report progress, as a `tbgrid.progress.Progress`.

        Raises:
            JobCancelledError: if the job was cancelled.
        """
        if self._job in self.cancelled:
            raise JobCancelledError
        now = time.monotonic()
        if stage != self._stage or now - self._reported_at > _PROGRESS_INTERVAL:
            self._stage, self._reported_at = stage, now
            self.send(stage=stage, done=done, total=total)

    def run(self, id: str, models: dict[str, str]) -> None:
        """Run one job, and send its outcome.

        Args:
            id: id of the job.
            models: models that clients can use, by the names that they use (`models_by_name`).
        """
        self._job, self._stage = id, ""
        try:
            row = self._store.one("SELECT * FROM visualizations WHERE id = ?", id)
            if row is None:
                raise JobCancelledError
            with _exclusive(self._paths, id):
                result = self._make_map(row, models)
            self.send(result=result, size=size_on_disk(jobs.run_directory(self._paths, row)))
        except JobCancelledError:
            self.send(cancelled=True)
        except TbgridError as error:
            self.send(failed=redact_paths(error.spelled(name_of), self._paths.root))
        except MemoryError:
            self.send(failed="not enough memory: use a smaller tile or fewer photos")
        except OSError as error:
            traceback.print_exc()
            self.send(failed=f"cannot read or write ({error.strerror or type(error).__name__})")
        except Exception as error:
            traceback.print_exc()
            reason = redact_paths(" ".join(str(error).split())[:300], self._paths.root)
            self.send(failed=f"internal error: see the worker's log ({reason})")

    def _make_map(self, row: Row, models: dict[str, str]) -> dict[str, Any]:
        """Export the run of a job; its result as JSON."""
        paths, application = self._paths, row["application"]
        requested = Options(**json.loads(row["options"]))
        like = jobs.find_previous_run(self._store, paths, application, requested.like)
        options = export_options(requested, paths, models, like)
        inputs = jobs.list_inputs(self._store, row)
        source = make_source(inputs, paths, application)
        name = f"{application}/{row['name']}"
        if self._runner == "local":
            counting = CountingEmbedder(self.load_model(options, len(inputs)))
            result = export(
                source,
                paths.runs,
                options,
                run_name=name,
                embedder=counting,
                progress=self.progress,
            )
            return self._to_json(result, name, counting.count)
        paths.shards.mkdir(parents=True, exist_ok=True)
        # One worker at a time uses the shards of an application.
        with FileLock(paths.shards / f"{application}.lock"):
            source, embedded = self._embed_shards(source, options, application)
            result = export(source, paths.runs, options, run_name=name, progress=self.progress)
        return self._to_json(result, name, embedded)

    def load_model(self, options: ExportOptions, photos: int) -> Embedder:
        """The model of a job, which stays loaded for the next one.

        Args:
            options: which model, and its input.
            photos: number of photos, which decides whether the model is converted to a faster one.
        """
        key = model_key(options, photos)
        model = self.models.pop(key, None)
        if model is None:
            self.progress("load model", 0, None)
            model = open_model(options, self._cache, photos, self.progress)
        self.models[key] = model
        while len(self.models) > _MAX_MODELS:
            del self.models[next(iter(self.models))]
        return model

    def _embed_shards(
        self, source: Source, options: ExportOptions, application: str
    ) -> tuple[Source, int]:
        """The embedded photos, and how many of them were embedded just now. Of an application,
        only the shards of its newest photos and options are kept."""
        chosen = [getattr(options, name) for name in EMBEDDING]
        photos = [
            (str(photo.path), photo.name, photo.label, photo.fields) for photo in source.photos
        ]
        key = hashlib.sha256(json.dumps([chosen, photos, source.columns]).encode()).hexdigest()[:16]
        home = self._paths.shards / application
        home.mkdir(parents=True, exist_ok=True)
        for folder in home.iterdir():
            if folder.name != key:
                shutil.rmtree(folder, ignore_errors=True)
        done = embed_shards(
            source, home / key, options, runner=self._runner, progress=self.progress
        )
        embedded = done.new_shards * done.index.shard
        return done.source, min(embedded, len(source.photos))

    def _to_json(self, result: ExportResult, name: str, embedded: int) -> dict[str, Any]:
        """A finished map as responses show it, and `mosaic`, which they do not."""
        tile = int(result.images.thumbnails.shape[1]) if result.images.pictured else 0
        shown: dict[str, Any] = redact_paths(
            {
                "image": {"rows": result.grid.rows, "columns": result.grid.columns, "tile": tile},
                "run": f"runs/{name}",
                "photos": len(result.images.photos),
                "skipped": [
                    {"name": skipped.name, "reason": skipped.reason}
                    for skipped in result.skipped[:_MAX_SKIPPED_LISTED]
                ],
                "embedded": embedded,
                "report": result.report,
            },
            self._paths.root,
        )
        return {**shown, "mosaic": result.mosaic.relative_to(result.directory).as_posix()}


@contextlib.contextmanager
def _exclusive(paths: ServicePaths, id: str) -> Iterator[None]:
    """Wait until no worker of a killed server is still running the job, and keep others out."""
    path = paths.job_lock(id)
    with FileLock(path, timeout=_ORPHAN_TIMEOUT):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _listen(commands: queue.SimpleQueue[dict[str, Any]], cancelled: set[str]) -> None:
    """Read the server's commands, until it closes stdin."""
    for line in sys.stdin:
        command = json.loads(line)
        if "cancel" in command:
            cancelled.add(command["cancel"])
        else:
            commands.put(command)
    os._exit(0)


def main() -> None:
    """Run jobs. The first argument is the root of the service, the second the runner."""
    # Messages get a copy of stdout, which itself becomes stderr, for libraries that print.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)  # the server must answer quickly while this process computes
    paths = ServicePaths(Path(sys.argv[1]))
    runner: Runner = "ray" if sys.argv[2] == "ray" else "local"
    commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    worker = Worker(
        paths=paths,
        store=Reader(paths.service / FILE_NAME),
        cache=Cache(paths.cache),
        runner=runner,
        output=output,
    )
    threading.Thread(target=_listen, args=(commands, worker.cancelled), daemon=True).start()
    while True:
        command = commands.get()
        worker.run(command["job"], command["models"])


if __name__ == "__main__":
    main()
