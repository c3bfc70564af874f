"""Embedded photos on disk, in shards, each of which is there whole or not at all.

    DIR/
      tbgrid-shards.json    the index: by which model and options, how many photos a shard
      tbgrid-photos.json    what was listed: name, label and further columns of each photo
      shard-00000.npz       vectors, thumbnails, previews of the first photos; uncompressed
      shard-00001.npz       those of the next

Equal photos and options give equal files, whoever writes them and in whatever order. The first two
are `tbgrid.embedding.shard_index`'s.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tbgrid.embedding.embed import FEWEST, ImageSet, checked, count_notes
from tbgrid.embedding.shard_index import Index, read_index, read_listing
from tbgrid.errors import TbgridError
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.progress import Progress, silent
from tbgrid.run_format import printable
from tbgrid.types import IntArray
from tbgrid.util.disk_arrays import DiskArrayWriter, open_disk_array

# What an archive says of the time of its parts, so that equal contents are equal files.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Shard:
    """What is known of a shard without its arrays: the photos shown, as int64[k] of `rows` among
    all that were listed; those `skipped`; `state`, see `state_of`."""

    rows: IntArray
    skipped: tuple[SkippedFile, ...]
    notes: tuple[str, ...]
    state: str


def state_of(photos: Sequence[Photo]) -> str:
    """What differs, as far as can be told without reading files, when a picture has changed: a
    digest of each file's size and time of modification, or of its pixels if it is in memory."""
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


def part_of(source: Source, rows: range) -> Source:
    """The photos of a shard, which know their places among all."""
    photos = [replace(source.photos[row], row=row) for row in rows]
    return replace(source, photos=tuple(photos), skipped=(), notes=())


def shard_file(folder: Path, number: int) -> Path:
    """Where the shard `number` lies."""
    return folder / f"shard-{number:05}.npz"


def write_shard(path: Path, index: Index, images: ImageSet, previews: Path, state: str) -> None:
    """Write the file of a shard: `images`, whose photos know their rows, and the file `previews`.

    Raises:
        OSError: it cannot be written.
    """
    about = {
        "index": index.token,
        "state": state,
        "skipped": [[left_out.name, left_out.reason] for left_out in images.skipped],
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


def read_shard(folder: Path, index: Index, number: int) -> Shard:
    """What a shard says of its photos.

    Raises:
        TbgridError: it is missing or damaged, or belongs to another index.
    """
    with _opened(folder, number) as file:
        about = json.loads(file["about"].tobytes())
        rows = file["rows"]
        skipped = tuple(SkippedFile(name, reason) for name, reason in about["skipped"])
        shard = Shard(rows, skipped, tuple(about["notes"]), about["state"])
        if about["index"] == index.token:
            return shard
    raise _unusable(folder, number, "it belongs to other photos or options")


@contextlib.contextmanager
def _opened(folder: Path, number: int) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """The arrays of a shard, each read when it is asked for, with its checksum."""
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


def is_whole(folder: Path, index: Index, number: int, state: str) -> bool:
    """Whether a shard is there, of pictures that have not changed since."""
    try:
        return read_shard(folder, index, number).state == state
    except TbgridError:
        return False


def open_shards(folder: Path) -> Source:
    """The photos that are shown of those embedded in `folder`.

    Raises:
        TbgridError: it is not finished, a shard is damaged, or there are too few photos.
    """
    index = read_index(folder)
    listed = read_listing(folder, index)
    there = sum(shard_file(folder, number).is_file() for number in range(index.count))
    if there < index.count:
        raise TbgridError(
            f"{printable(folder)} holds {there} of {index.count} shards",
            "run the same tbgrid embed again, which makes the others",
        )
    shown: list[Photo] = []
    skipped = list(listed.skipped)
    for number in range(index.count):
        shard = read_shard(folder, index, number)
        shown += [listed.photos[row] for row in shard.rows]
        skipped += shard.skipped
    count_notes(len(shown), skipped, index.model.model_id)
    return replace(listed, photos=tuple(shown), skipped=tuple(skipped))


def read_images(
    source: Source,
    scratch: Path,
    *,
    previews: Path | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """The vectors and pictures of `source`, which `open_shards` gave, or of some of its photos.

    They go from the shards, one after another, into files in the directory `scratch` that have no
    names, so that memory stays flat; `previews` is the file for the previews, None for none.

    Raises:
        TbgridError: a shard is damaged, or fewer than 3 photos are chosen.
        OSError: the files cannot be written.
    """
    assert source.shards is not None
    folder, index = source.shards, read_index(source.shards)
    if len(source.photos) < FEWEST:
        raise TbgridError(
            f"{len(source.photos)} of the photos in {printable(folder)} are chosen",
            f"a map needs at least {FEWEST} photos",
        )
    wanted = np.array([photo.row for photo in source.photos], np.int64)
    progress("embed", 0, index.photos)
    with (
        open_disk_array(np.float32, scratch) as vectors,
        open_disk_array(np.uint8, scratch) as thumbnails,
        previews.open("wb") if previews else contextlib.nullcontext() as file,
    ):
        images = _Spooled(vectors, thumbnails)
        for number in range(index.count):
            images.add(folder, index, number, wanted, file)
            progress("embed", index.rows(number).stop, index.photos)
        found = images.finished(source)
    return checked(found, index.model.model_id, images.shown)


@dataclass
class _Spooled:
    """Rows of shards on their way into files, which are mapped at the end. `shown`: how many
    photos there were, also those that are not wanted."""

    vectors: DiskArrayWriter[np.float32]
    thumbnails: DiskArrayWriter[np.uint8]
    sizes: list[IntArray] = field(default_factory=list)
    ends: list[int] = field(default_factory=lambda: [0])
    notes: tuple[str, ...] = ()
    shown: int = 0

    def add(
        self, folder: Path, index: Index, number: int, wanted: IntArray, previews: BinaryIO | None
    ) -> None:
        """Add those rows of a shard that are wanted."""
        shard = read_shard(folder, index, number)
        if not self.shown and not self.notes:  # they are of the first vectors that the model gave
            self.notes = shard.notes
        self.shown += len(shard.rows)
        chosen = np.flatnonzero(np.isin(shard.rows, wanted))
        if not len(chosen):
            return
        with _opened(folder, number) as arrays:
            vectors, thumbnails = arrays["vectors"][chosen], arrays["thumbnails"][chosen]
            sizes = arrays["sizes"][chosen]
            encoded, ends = arrays["previews"].tobytes() if previews else b"", arrays["ends"]
        self.vectors.add(vectors)
        self.thumbnails.add(thumbnails)
        self.sizes.append(sizes)
        if previews:
            for row in chosen:
                preview = encoded[ends[row] : ends[row + 1]]
                previews.write(preview)
                self.ends.append(self.ends[-1] + len(preview))

    def finished(self, source: Source) -> ImageSet:
        """All that was added, which must be as many rows as `source` has photos."""
        return ImageSet(
            source.photos,
            self.vectors.as_array(),
            self.thumbnails.as_array(),
            np.concatenate(self.sizes),
            source.skipped,
            source.columns,
            notes=self.notes,
            previews=np.array(self.ends if len(self.ends) > 1 else [], np.int64),
        )
