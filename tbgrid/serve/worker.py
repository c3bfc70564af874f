"""A process that makes maps, one after another, and keeps the models it has loaded.

It is told what to do by lines of JSON on stdin, and tells how it goes by lines of JSON on stdout;
the end of stdin, which comes when the server dies however it dies, ends it at once. It writes
nothing but a job's run, the cache and the shards, and reads the database.
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
from dataclasses import dataclass, field
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
from tbgrid.serve.paths import Places, public
from tbgrid.serve.photos import as_source
from tbgrid.serve.store import NAME, Reader, Row
from tbgrid.types import Embedder, Float32Array
from tbgrid.util.cache import Cache
from tbgrid.writers.run_directory import size_on_disk

_OFTEN = 0.1  # s between two lines on one stage
_MODELS = 2  # that stay loaded
_ORPHANS = 60  # s that a worker of a killed server may take to end
_TOLD_LEFT_OUT = 100  # photos that are named with the reason why they are not shown


class Cancelled(BaseException):
    """The job is to be left. No `Exception`, so that nobody who handles those goes on."""


class CountingEmbedder(EmbedderWrapper):
    """An embedder that counts the images it embeds."""

    def __init__(self, inner: Embedder) -> None:
        super().__init__(inner)
        self._inner = inner
        self.count = 0

    def __call__(self, images: Float32Array) -> Float32Array:
        """Embed float32[b, h, w, 3] in [0, 1] as float32[b, d]."""
        self.count += len(images)
        return self._inner(images)


@dataclass
class Worker:
    """`out` takes the lines for the server. `cancelled`: the jobs that are to be left."""

    places: Places
    store: Reader
    cache: Cache
    runner: Runner
    out: IO[str]
    cancelled: set[str] = field(default_factory=set)
    models: dict[tuple[object, ...], Embedder] = field(default_factory=dict)
    job: str = ""
    stage: str = ""
    told: float = 0.0

    def say(self, **line: Any) -> None:
        """Tell the server."""
        print(json.dumps(line), file=self.out, flush=True)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """A `tbgrid.progress.Progress` that ends the job when it is cancelled."""
        if self.job in self.cancelled:
            raise Cancelled
        now = time.monotonic()
        if stage != self.stage or now - self.told > _OFTEN:
            self.stage, self.told = stage, now
            self.say(stage=stage, done=done, total=total)

    def run(self, id: str, models: dict[str, str]) -> None:
        """Make one map; `models`: those that may be asked for (`models_by_name`)."""
        self.job, self.stage = id, ""
        try:
            row = self.store.one("SELECT * FROM visualizations WHERE id = ?", id)
            if row is None:
                raise Cancelled
            with _alone(self.places, id):
                result = self._made(row, models)
            self.say(result=result, weight=size_on_disk(self._directory(row)))
        except Cancelled:
            self.say(cancelled=True)
        except TbgridError as error:
            self.say(failed=public(error.spelled(name_of), self.places.root))
        except MemoryError:
            self.say(failed="not enough memory: use a smaller tile or fewer photos")
        except OSError as error:
            traceback.print_exc()
            self.say(failed=f"the system refuses ({error.strerror or type(error).__name__})")
        except Exception as error:
            traceback.print_exc()
            told = public(" ".join(str(error).split())[:300], self.places.root)
            self.say(failed=f"an error of tbgrid itself, told in the worker's log ({told})")

    def _directory(self, row: Row) -> Path:
        return jobs.run_of(self.places, row)

    def _made(self, row: Row, models: dict[str, str]) -> dict[str, Any]:
        asked = Options(**json.loads(row["options"]))
        like = jobs.like_of(self.store, self.places, row["application"], asked.like)
        options = export_options(asked, self.places, models, like)
        photos = jobs.photos_of(self.store, row)
        source = as_source(photos, self.places, row["application"])
        name = f"{row['application']}/{row['name']}"
        if self.runner == "local":
            counted = CountingEmbedder(self._model(options, len(photos)))
            made = export(
                source,
                self.places.runs,
                options,
                run_name=name,
                embedder=counted,
                progress=self.progress,
            )
            return self._told(made, name, counted.count)
        self.places.shards.mkdir(parents=True, exist_ok=True)
        # The shards of an application are one worker's at a time.
        with FileLock(self.places.shards / f"{row['application']}.lock"):
            source, embedded = self._embedded(source, options, row["application"])
            made = export(source, self.places.runs, options, run_name=name, progress=self.progress)
        return self._told(made, name, embedded)

    def _model(self, options: ExportOptions, photos: int) -> Embedder:
        """The model, which stays for the next job; many photos have a faster form of it."""
        key = model_key(options, photos)
        model = self.models.pop(key, None)
        if model is None:
            self.progress("load model", 0, None)
            model = open_model(options, self.cache, photos, self.progress)
        self.models[key] = model  # the last used comes last
        while len(self.models) > _MODELS:
            del self.models[next(iter(self.models))]
        return model

    def _embedded(
        self, source: Source, options: ExportOptions, application: str
    ) -> tuple[Source, int]:
        """The photos in shards, and how many were embedded now. Of an application, the shards of
        its newest photos and options are kept."""
        asked = [getattr(options, name) for name in EMBEDDING]
        listed = [
            (str(photo.path), photo.name, photo.label, photo.fields) for photo in source.photos
        ]
        key = hashlib.sha256(json.dumps([asked, listed, source.columns]).encode()).hexdigest()[:16]
        home = self.places.shards / application
        home.mkdir(parents=True, exist_ok=True)
        for folder in home.iterdir():
            if folder.name != key:
                shutil.rmtree(folder, ignore_errors=True)
        done = embed_shards(source, home / key, options, runner=self.runner, progress=self.progress)
        made = done.made * done.index.shard
        return done.source, min(made, len(source.photos))

    def _told(self, made: ExportResult, name: str, embedded: int) -> dict[str, Any]:
        """What the client is told of a finished map, and `mosaic`, which it is not."""
        tile = int(made.images.thumbnails.shape[1]) if made.images.pictured else 0
        grid = made.grid
        told: dict[str, Any] = public(
            {
                "image": {"rows": grid.rows, "columns": grid.columns, "tile": tile},
                "run": f"runs/{name}",
                "photos": len(made.images.photos),
                "left_out": [
                    {"name": one.name, "reason": one.reason}
                    for one in made.skipped[:_TOLD_LEFT_OUT]
                ],
                "embedded": embedded,
                "report": made.report,
            },
            self.places.root,
        )
        return {**told, "mosaic": made.mosaic.relative_to(made.directory).as_posix()}


@contextlib.contextmanager
def _alone(places: Places, id: str) -> Iterator[None]:
    """No worker of a killed server is still at this job."""
    path = places.lock_of(id)
    with FileLock(path, timeout=_ORPHANS):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _listen(commands: queue.SimpleQueue[dict[str, Any]], cancelled: set[str]) -> None:
    """Read what the server says, until it is gone."""
    for line in sys.stdin:
        command = json.loads(line)
        if "cancel" in command:
            cancelled.add(command["cancel"])
        else:
            commands.put(command)
    os._exit(0)


def main() -> None:
    """Serve the server whose root is the first argument, by the runner that is the second."""
    # What libraries print goes to stderr; the lines for the server have a way of their own.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)  # so that the server answers while this computes
    places = Places(Path(sys.argv[1]))
    runner: Runner = "ray" if sys.argv[2] == "ray" else "local"
    commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    worker = Worker(places, Reader(places.service / NAME), Cache(places.cache), runner, out)
    threading.Thread(target=_listen, args=(commands, worker.cancelled), daemon=True).start()
    while True:
        command = commands.get()
        worker.run(command["job"], command["models"])


if __name__ == "__main__":
    main()
