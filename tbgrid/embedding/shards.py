"""Embedded photos on disk, in shards. A shard is either complete or missing.

    DIR/
      tbgrid-shards.json    the index: model, options, photos per shard
      tbgrid-photos.json    the list of photos: name, label and further columns of each
      shard-00000.npz       vectors, thumbnails and previews of the first photos; uncompressed
      shard-00001.npz       those of the next

Equal photos and options give equal files, no matter which process writes them and in which order.
`tbgrid.embedding.shard_index` writes the first two.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tbgrid.embedding.image_set import ImageSet, check_counts, validate
from tbgrid.embedding.shard_index import ShardIndex, read_index, read_listing
from tbgrid.errors import TbgridError
from tbgrid.options import MIN_PHOTOS
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import IntArray
from tbgrid.util.disk_arrays import DiskArrayWriter, open_disk_array

# The time stamp of all members, so that equal contents give equal files.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Shard:
    """The facts of a shard, without its arrays.

    Attributes:
        rows: int64[k], the rows of its photos among all that were listed.
        skipped: those that are not shown, with their reasons.
        notes: what the user should know about how its vectors were made.
        state: see `state_of`.
    """

    rows: IntArray
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...]
    state: str


def state_of(photos: Sequence[Photo]) -> str:
    """Return a digest that changes when a picture does, without reading files.

    It covers the size and the modification time of each file, or the pixels of a photo in memory.
    """
    total = hashlib.sha256()
    for photo in photos:
        if photo.pixels is not None:
            pixels = np.ascontiguousarray(photo.pixels)
            total.update(f"{pixels.shape}".encode() + hashlib.sha256(pixels.data).digest())
            continue
        try:
            status = Path(photo.path or "").stat()
            total.update(f"{status.st_size} {status.st_mtime_ns};".encode())
        except (OSError, ValueError):
            total.update(b"not there;")
    return total.hexdigest()[:16]


def select_rows(source: Source, rows: range) -> Source:
    """Return the photos of a shard; each has its row among all."""
    photos = [replace(source.photos[row], row=row) for row in rows]
    return replace(source, photos=tuple(photos), skipped=(), notes=())


def shard_file(folder: Path, number: int) -> Path:
    """Return the path of a shard."""
    return folder / f"shard-{number:05}.npz"


def write_shard(
    path: Path, index: ShardIndex, images: ImageSet, previews: Path, state: str
) -> None:
    """Write the file of a shard.

    Args:
        path: the file.
        index: the index of its directory.
        images: its photos, with their rows among all.
        previews: the file of their previews.
        state: see `state_of`.

    Raises:
        OSError: it cannot be written.
    """
    about = {
        "index": index.token,
        "state": state,
        "skipped": [[file.name, file.reason] for file in images.skipped],
        "notes": images.notes,
    }
    encoded = np.fromfile(previews, np.uint8) if len(images.previews) else np.zeros(0, np.uint8)
    parts: dict[str, npt.NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "rows": np.array([photo.row for photo in images.photos], np.int64),
        "vectors": images.vectors,
        "thumbnails": images.thumbnails,
        "sizes": images.sizes,
        "previews": encoded,
        "ends": images.previews,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in parts.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", _NO_TIME), "w") as file:
                np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def read_shard(folder: Path, index: ShardIndex, number: int) -> Shard:
    """Read the facts of a shard.

    Raises:
        TbgridError: it is missing or damaged, or belongs to another index.
    """
    with _open_shard(folder, number) as file:
        about = json.loads(file["about"].tobytes())
        rows = file["rows"]
        skipped = tuple(SkippedFile(name, reason) for name, reason in about["skipped"])
        shard = Shard(rows, skipped, tuple(about["notes"]), about["state"])
        if about["index"] == index.token:
            return shard
    raise _unusable(folder, number, "it belongs to other photos or options")


@contextlib.contextmanager
def _open_shard(folder: Path, number: int) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """The arrays of a shard; each is read when it is accessed, and its checksum verified."""
    try:
        with (
            shard_file(folder, number).open("rb") as stream,
            np.load(stream, allow_pickle=False) as arrays,
        ):
            yield arrays
    except FileNotFoundError as error:
        raise _unusable(folder, number, "it is missing") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _unusable(folder, number, " ".join(str(error).split()) or "damaged") from error


def _unusable(folder: Path, number: int, why: str) -> TbgridError:
    return TbgridError(
        f"{printable(shard_file(folder, number))} cannot be used ({why})",
        "remove it, and run the same tbgrid embed again",
    )


def is_complete(folder: Path, index: ShardIndex, number: int, state: str) -> bool:
    """Whether a shard can be read, and its pictures have not changed since."""
    try:
        return read_shard(folder, index, number).state == state
    except TbgridError:
        return False


def open_shards(folder: Path) -> Source:
    """Open a directory of embedded photos as a source.

    Raises:
        TbgridError: it is not finished, a shard is damaged, or there are too few photos.
    """
    index = read_index(folder)
    listed = read_listing(folder, index)
    present = sum(shard_file(folder, number).is_file() for number in range(index.count))
    if present < index.count:
        raise TbgridError(
            f"{printable(folder)} has {present} of {index.count} shards",
            "run the same tbgrid embed again, which makes the others",
        )
    shown: list[Photo] = []
    skipped = list(listed.skipped)
    for number in range(index.count):
        shard = read_shard(folder, index, number)
        shown += [listed.photos[row] for row in shard.rows]
        skipped += shard.skipped
    check_counts(len(shown), skipped, index.model.model_id)
    return replace(listed, photos=tuple(shown), skipped=tuple(skipped))


def read_images(
    source: Source,
    scratch: Path,
    *,
    preview_file: Path | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """Read vectors and pictures from shards, one shard at a time, so that memory stays flat.

    Args:
        source: from `open_shards`, or some of its photos.
        scratch: the directory of the unnamed files that hold the arrays.
        preview_file: where previews are written; None for none.
        progress: called after each shard.

    Raises:
        TbgridError: a shard is damaged, or fewer than 3 photos are selected.
        OSError: a file cannot be written.
    """
    assert source.shards is not None
    folder, index = source.shards, read_index(source.shards)
    if len(source.photos) < MIN_PHOTOS:
        raise TbgridError(
            f"only {len(source.photos)} photos in {printable(folder)} are selected",
            f"a map needs at least {MIN_PHOTOS} photos",
        )
    wanted = np.array([photo.row for photo in source.photos], np.int64)
    progress("embed", 0, index.photos)
    with (
        open_disk_array(np.float32, scratch) as vectors,
        open_disk_array(np.uint8, scratch) as thumbnails,
        preview_file.open("wb") if preview_file else contextlib.nullcontext() as previews,
    ):
        reader = _ShardReader(
            folder=folder, index=index, vectors=vectors, thumbnails=thumbnails, previews=previews
        )
        for number in range(index.count):
            reader.add(number, wanted)
            progress("embed", index.rows(number).stop, index.photos)
        images = reader.image_set(source)
    return validate(images, index.model.model_id, reader.n_shown)


class _ShardReader:
    """Collects the selected rows of shards in files on disk.

    Attributes:
        n_shown: how many photos the shards have, selected or not.
    """

    def __init__(
        self,
        *,
        folder: Path,
        index: ShardIndex,
        vectors: DiskArrayWriter[np.float32],
        thumbnails: DiskArrayWriter[np.uint8],
        previews: BinaryIO | None,
    ) -> None:
        self.n_shown = 0
        self._folder, self._index = folder, index
        self._vectors, self._thumbnails, self._previews = vectors, thumbnails, previews
        self._sizes: list[IntArray] = []
        self._preview_ends = [0]
        self._notes: tuple[str, ...] = ()

    def add(self, number: int, wanted: IntArray) -> None:
        """Add the photos of a shard whose rows are in int64[m] `wanted`."""
        shard = read_shard(self._folder, self._index, number)
        if not self.n_shown and not self._notes:  # notes come with the first vectors of the model
            self._notes = shard.notes
        self.n_shown += len(shard.rows)
        chosen = np.flatnonzero(np.isin(shard.rows, wanted))
        if not len(chosen):
            return
        with _open_shard(self._folder, number) as arrays:
            vectors, thumbnails = arrays["vectors"][chosen], arrays["thumbnails"][chosen]
            sizes, ends = arrays["sizes"][chosen], arrays["ends"]
            encoded = arrays["previews"].tobytes() if self._previews else b""
        self._vectors.add(vectors)
        self._thumbnails.add(thumbnails)
        self._sizes.append(sizes)
        if self._previews:
            for row in chosen:
                preview = encoded[ends[row] : ends[row + 1]]
                self._previews.write(preview)
                self._preview_ends.append(self._preview_ends[-1] + len(preview))

    def image_set(self, source: Source) -> ImageSet:
        """All that was added, which must be one row per photo of `source`."""
        ends = self._preview_ends
        return ImageSet(
            photos=source.photos,
            vectors=self._vectors.as_array(),
            thumbnails=self._thumbnails.as_array(),
            sizes=np.concatenate(self._sizes),
            skipped=source.skipped,
            columns=source.columns,
            notes=self._notes,
            previews=np.array(ends if len(ends) > 1 else [], np.int64),
        )
