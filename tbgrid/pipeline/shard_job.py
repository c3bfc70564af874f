"""Embeds one shard of photos, the unit of work of every runner."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tbgrid.embedding import shards
from tbgrid.embedding.embed import embed
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.shard_index import MAKING, ShardIndex
from tbgrid.errors import TbgridError
from tbgrid.options import ExportOptions
from tbgrid.photos import Source
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import Embedder
from tbgrid.util.cache import Cache

# A multiple of the chunk of `embed`: the model gets the same batches as in an export without
# shards, and its vectors are equal to the last bit.
DEFAULT_SHARD = 1024
CPUS_PER_WORKER = 4  # for each of Ray's workers, since a model uses several
MAX_TRIES = 4  # of a shard whose workers die


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to embed any shard; it is pickled for workers on other machines.

    Attributes:
        folder: the directory of the shards.
        index: its index.
        source: all photos.
        options: how they are embedded.
        embedder: used instead of `options.model`, or None.
        working_directory: where relative paths start.
    """

    folder: Path
    index: ShardIndex
    source: Source
    options: ExportOptions
    embedder: Embedder | None
    working_directory: str

    def open_model(self, cache: Cache) -> Embedder:
        """Open the model, for all photos of the job."""
        return self.embedder or open_model(self.options, cache, self.index.photos)


def embed_shard(
    job: Job,
    number: int,
    model: Embedder,
    workers: int | None = None,
    progress: Progress = silent,
) -> None:
    """Embed the photos of one shard and write it, or replace it.

    Args:
        job: the job.
        number: of the shard, from 0.
        model: from `Job.open_model`.
        workers: threads that decode; None for up to 8.
        progress: called as photos are finished.

    Raises:
        OSError: it cannot be written.
        TbgridError: the model fails.
    """
    part = shards.select_rows(job.source, job.index.rows(number))
    # Before the pictures are read, so that the next run notices one that changes meanwhile.
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
            preview_file=previews,
            check=False,
            scratch=Path(scratch),
            progress=progress,
        )
        shards.write_shard(written, job.index, images, previews, state)
        written.replace(shards.shard_file(job.folder, number))


def is_done(job: Job, number: int) -> bool:
    """Whether a shard exists, is complete, and has the photos as they are now."""
    if not shards.shard_file(job.folder, number).exists():
        return False
    photos = shards.select_rows(job.source, job.index.rows(number)).photos
    return shards.is_complete(job.folder, job.index, number, shards.state_of(photos))


def unwritable_error(folder: Path, error: OSError) -> TbgridError:
    """Return the error for a shard that cannot be written."""
    return TbgridError(
        f"cannot write {printable(folder)} on {socket.gethostname()} ({error.strerror})",
        "fix that, and run the same command again to continue",
    )


def count_done(index: ShardIndex, todo: Sequence[int]) -> int:
    """Return how many photos are in shards that need not be made."""
    return index.photos - sum(len(index.rows(number)) for number in todo)
