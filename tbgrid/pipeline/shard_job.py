"""One shard of photos to embed, which is the unit of work of every runner."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tbgrid.embedding import shards
from tbgrid.embedding.embed import embed
from tbgrid.embedding.lazy import open_model
from tbgrid.embedding.shard_index import MAKING, Index
from tbgrid.errors import TbgridError
from tbgrid.options import ExportOptions
from tbgrid.photos import Source
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import Embedder
from tbgrid.util.cache import Cache

# A multiple of the photos that `embed` takes together: the model then gets the very batches of an
# export without shards, and its vectors are the same to the last bit.
DEFAULT_SHARD = 1024
CPUS_PER_WORKER = 4  # of a machine, for each of Ray's workers, since a model uses several
MAX_TRIES = 4  # of a shard, where its workers die


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


def is_done(job: Job, number: int) -> bool:
    """Whether the shard `number` is there, whole, and of the photos as they are now."""
    if not shards.shard_file(job.folder, number).exists():
        return False
    photos = shards.part_of(job.source, job.index.rows(number)).photos
    return shards.is_whole(job.folder, job.index, number, shards.state_of(photos))


def unwritable(folder: Path, error: OSError) -> TbgridError:
    """What the user reads where a shard cannot be written."""
    return TbgridError(
        f"cannot write {printable(folder)} on {socket.gethostname()} ({error.strerror})",
        "mend that; the same command goes on from there",
    )


def done_before(index: Index, todo: Sequence[int]) -> int:
    """How many photos are in shards that need not be made."""
    return index.photos - sum(len(index.rows(number)) for number in todo)
