"""Photos become vectors, and the thumbnails to show them by, in one pass through the cache."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL

from tbgrid.choices import Fit
from tbgrid.embedding.decode import DRAFT, PREVIEW_QUALITY, Decoded, decode_all
from tbgrid.errors import TbgridError, UsageError
from tbgrid.photos import NO_LABEL, Photo, SkippedFile, Source
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder, Float32Array, IntArray, UInt8Array
from tbgrid.util.cache import Cache, key_of
from tbgrid.util.disk_arrays import DiskArrayWriter, open_disk_array

FEWEST = 3  # photos that make a map
DECODING = 4  # to be raised when a change of `tbgrid.embedding.decode` gives other pixels
_AT_ONCE = 256  # photos looked up in the cache together


@dataclass(frozen=True)
class ImageSet:
    """The photos that can be shown; row i is the same photo in every array.

    `vectors` float32[n, d]; `thumbnails` uint8[n, t, t, 3]; `sizes` int64[n, 2], the upright
    width and height of each photo in pixels. Where `pictured` is False there are no pictures: the
    thumbnails are empty, and sizes are 0. `columns` names the `fields` of the photos.

    `previews` int64[n + 1]: where in the file that `embed` was given each photo's preview begins,
    and the last one ends; empty where none were written.
    """

    photos: tuple[Photo, ...]
    vectors: Float32Array
    thumbnails: UInt8Array
    sizes: IntArray
    skipped: tuple[SkippedFile, ...] = ()
    columns: tuple[str, ...] = ()
    pictured: bool = True
    notes: tuple[str, ...] = ()
    previews: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def labels(self) -> list[str] | None:
        """The label of each photo, "(none)" where it has none; None if no photo has any."""
        if all(photo.label is None for photo in self.photos):
            return None
        return [photo.label or NO_LABEL for photo in self.photos]


def embed(
    source: Source,
    embedder: Embedder | None,
    *,
    thumbnail: int = 64,
    fit: Fit = "crop",
    batch: int = 32,
    workers: int | None = None,
    cache: Cache | None = None,
    preview: int = 0,
    previews: Path | None = None,
    whole: bool = True,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """Decode each photo of `source` once, for the model and for its `thumbnail` (side in pixels).

    Decoding runs on threads beside the model. A photo that cannot be read is skipped, together
    with its vector where the source brings vectors of its own; `embedder` is not asked then and
    may be None. What `cache` holds of a photo's bytes is neither decoded nor embedded again.

    A `preview` above 0 is the side in pixels (`preview_side`) of a JPEG of each photo
    that is shown; they go into the file `previews`, row by row as they are ready, since together
    they are large. Vectors and thumbnails are the same whatever `preview` is.

    Vectors and thumbnails go to files without names in the directory `scratch`, None for the
    system's own place, and are mapped in the end.

    `whole` False: the photos are a part of a set and may be few; what can only be said of all of
    them is left to `checked`.

    Raises:
        UsageError: `thumbnail` or `batch` below 1, `preview` below 0 or without a file.
        OSError: `previews` or the files in `scratch` cannot be written.
        TbgridError: fewer than 3 photos can be read, or most of the model's vectors are not finite.
    """
    if thumbnail < 1 or batch < 1:
        raise UsageError(f"thumbnail {thumbnail}, batch {batch}", "both are numbers from 1 up")
    if preview < 0 or (preview and previews is None):
        raise UsageError(f"preview {preview} px", "give 0, or more and a file for them")
    if not source.pictured:
        preview = 0
    progress("embed", 0, len(source.photos))
    with (
        Cache(None) as nothing,
        open_disk_array(np.float32, scratch) as vectors,
        open_disk_array(np.uint8, scratch) as thumbnails,
    ):
        work = _Work(source, embedder, thumbnail, fit, batch, cache or nothing, preview, progress)
        work.vectors, work.thumbnails = vectors, thumbnails
        with _file(previews if preview else None) as work.spool:
            if source.pictured:
                for start in range(0, len(source.photos), _AT_ONCE):
                    work.embed(source.photos[start : start + _AT_ONCE], workers)
            else:
                work.photos.extend(source.photos)
        progress("embed", len(source.photos), len(source.photos))
        images = work.finished()
    return checked(images, embedder.model_id if embedder else "") if whole else images


def checked(images: ImageSet, model_id: str, shown: int | None = None) -> ImageSet:
    """A whole set, with what is to be said of it added to its notes, and what was skipped sorted
    by name. `shown`: how many photos could be, if `images` has only some of them.

    Raises:
        TbgridError: see `count_notes`.
    """
    shown = len(images.photos) if shown is None else shown
    notes = [*images.notes, *count_notes(shown, images.skipped, model_id)]
    if np.ptp(images.vectors, axis=0).max() == 0:
        notes.append("all vectors are equal: the map says nothing of the photos")
    skipped = tuple(sorted(images.skipped, key=lambda left_out: left_out.name))
    return replace(images, skipped=skipped, notes=tuple(notes))


def count_notes(shown: int, skipped: Sequence[SkippedFile], model_id: str) -> list[str]:
    """What is to be said of how many photos of a whole set can be shown.

    Raises:
        TbgridError: fewer than 3, or most of the model's vectors are not finite.
    """
    reason = _not_finite(model_id)
    spoilt = sum(left_out.reason == reason for left_out in skipped)
    if spoilt and (shown < FEWEST or spoilt > shown):
        raise TbgridError(
            f"{reason} for {spoilt} of {shown + spoilt} photos",
            "try another --input-range, --image-size or --model",
        )
    if shown < FEWEST:
        example = f", {skipped[-1].name}: {skipped[-1].reason}" if skipped else ""
        raise TbgridError(
            f"{shown} of {shown + len(skipped)} files can be shown{example}",
            f"a map needs at least {FEWEST} photos",
        )
    return [f"{reason} for {spoilt} photos, which are left out"] if spoilt else []


def _not_finite(model_id: str) -> str:
    """The reason to leave out a photo for its vector."""
    return f"model {model_id} gave NaN or infinity"


def _file(path: Path | None) -> AbstractContextManager[BinaryIO | None]:
    return path.open("wb") if path else nullcontext()


class _Work:
    """What has been embedded so far."""

    def __init__(
        self,
        source: Source,
        embedder: Embedder | None,
        thumbnail: int,
        fit: Fit,
        batch: int,
        cache: Cache,
        preview: int,
        progress: Progress,
    ) -> None:
        self.source, self.embedder, self.fit, self.batch = source, embedder, fit, batch
        self.cache, self.progress = cache, progress
        self.side, self.preview = thumbnail, preview
        self.inputs: Float32Array | None = None  # of the model, made once
        self.spool: BinaryIO | None = None
        self.ends = [0]
        self.photos: list[Photo] = []
        self.skipped: list[SkippedFile] = list(source.skipped)
        self.sizes: list[tuple[int, int]] = []
        self.vectors: DiskArrayWriter[np.float32]
        self.thumbnails: DiskArrayWriter[np.uint8]
        self.ran = False
        self.notes: list[str] = []
        self.done = 0
        size = embedder.input_size if embedder else None
        # A JPEG is decoded at a scale that covers the largest view, which shows in all of them;
        # but not in those that `DRAFT` covers as well. A preview has no part in it.
        decoding = (DECODING, PIL.__version__, fit, max(DRAFT, thumbnail, *(size or (0,))))
        self.view_kind = ("view", *decoding, thumbnail)
        self.preview_kind = ("preview", *decoding, PREVIEW_QUALITY, preview) if preview else None
        fingerprint = getattr(embedder, "fingerprint", "")
        self.vector_kind = ("vector", *decoding, size, fingerprint) if fingerprint else None

    def embed(self, photos: Sequence[Photo], workers: int | None) -> None:
        """Add the rows of some photos; those the cache knows are not decoded."""
        digests = self._digests(photos, workers)

        def keys_of(kind: tuple[object, ...] | None) -> list[bytes]:
            common = key_of(*kind) if kind else b""
            return [key_of(common, digest) if digest and kind else b"" for digest in digests]

        views, keys = keys_of(self.view_kind), keys_of(self.vector_kind)
        previews = keys_of(self.preview_kind)
        held = self.cache.get([key for key in {*views, *keys, *previews} if key])
        fresh = [
            index
            for index in range(len(photos))
            if views[index] not in held
            or (self.embedder and keys[index] not in held)
            or (self.preview and previews[index] not in held)
        ]
        sizes = [(self.side, self.side)]
        if self.embedder:
            sizes.append(self.embedder.input_size)
        found: dict[int, Decoded | SkippedFile] = {}
        vectors: dict[int, Float32Array] = {}
        waiting: dict[int, UInt8Array] = {}  # what the model is to see, no longer kept than that

        def run_model() -> None:
            new = self._run_model(list(waiting.values()))
            for index, vector in zip(waiting, new, strict=True):
                if np.isfinite(vector).all():
                    vectors[index] = vector
                else:
                    name = self.embedder.model_id if self.embedder else ""
                    found[index] = SkippedFile(photos[index].name, _not_finite(name))
            waiting.clear()

        def flush(indices: list[int]) -> None:
            """Keep what is finished, so that an interrupted export goes on from here."""
            indices = [i for i in indices if isinstance(found[i], Decoded)]
            self.cache.put(
                "thumbnail",
                [(views[i], _packed(_of(found[i]))) for i in indices if views[i]],
            )
            self.cache.put(
                "preview", [(previews[i], _of(found[i]).preview) for i in indices if previews[i]]
            )
            if self.embedder:
                self.cache.put(
                    "vector", [(keys[i], vectors[i].tobytes()) for i in indices if keys[i]]
                )

        # Closed at once, whatever the model raises, so that no decoding thread outlives this call.
        some = decode_all([photos[i] for i in fresh], sizes, self.fit, workers, self.preview)
        with closing(some) as decoding:
            unsaved: list[int] = []
            for index, (_, decoded) in zip(fresh, decoding, strict=True):
                found[index] = decoded
                if isinstance(decoded, Decoded):
                    found[index] = replace(decoded, views=decoded.views[:1])
                    unsaved.append(index)
                    if self.embedder and keys[index] in held:
                        vectors[index] = np.frombuffer(held[keys[index]], np.float32)
                    elif self.embedder:
                        waiting[index] = decoded.views[-1]
                if len(waiting) == self.batch or len(unsaved) >= 4 * self.batch:
                    if waiting:
                        run_model()
                    flush(unsaved)
                    unsaved = []
                known = len(photos) - len(fresh)
                self.progress(
                    "embed",
                    self.done + known + len(found) - len(waiting),
                    len(self.source.photos),
                )
            if waiting:
                run_model()
            flush(unsaved)
        shown: list[UInt8Array] = []
        embedded: list[Float32Array] = []
        for index, photo in enumerate(photos):
            result = found.get(index) or _unpacked(held[views[index]], self.side)
            if isinstance(result, SkippedFile):
                self.skipped.append(result)
                continue
            self.photos.append(photo)
            shown.append(result.views[0])
            self.sizes.append((result.width, result.height))
            if self.spool:
                encoded = result.preview or held[previews[index]]
                self.spool.write(encoded)
                self.ends.append(self.ends[-1] + len(encoded))
            if self.embedder:
                vector = vectors.get(index)
                stored = np.frombuffer(held[keys[index]], np.float32) if vector is None else vector
                embedded.append(stored)
        if shown:
            self.thumbnails.add(np.stack(shown))
        if embedded:
            self.vectors.add(np.stack(embedded))
        self.done += len(photos)
        self.progress("embed", self.done, len(self.source.photos))

    def _digests(self, photos: Sequence[Photo], workers: int | None) -> list[bytes]:
        """What each photo's picture is known by; b"" if it cannot be read or nothing is kept."""
        if self.cache.path is None:
            return [b""] * len(photos)
        files = {i: photo.path for i, photo in enumerate(photos) if photo.path}
        digests = dict(zip(files, self.cache.digests(list(files.values()), workers), strict=True))
        for i, photo in enumerate(photos):
            if photo.pixels is not None:
                pixels = np.ascontiguousarray(photo.pixels)
                digests[i] = key_of(pixels.shape, pixels.data)
        return [digests.get(i, b"") for i in range(len(photos))]

    def _run_model(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        assert self.embedder is not None
        name, count = self.embedder.model_id, len(pictures)
        if self.inputs is None:
            self.inputs = np.empty((self.batch, *pictures[0].shape), np.float32)
        inputs = self.inputs[:count]
        for picture, place in zip(pictures, inputs, strict=True):
            np.divide(picture, np.float32(255), out=place)
        found = np.asarray(self.embedder(inputs))
        if np.may_share_memory(found, inputs):  # where the next pictures come
            found = found.copy()
        if found.ndim != 2 or len(found) != count:
            raise TbgridError(
                f"model {name} gave an array of shape {found.shape} for {count} photos",
                "use another model: tbgrid needs one vector a photo",
            )
        first, self.ran = not self.ran, True
        if first and len(found) > 1:
            alike = np.ptp(found, axis=0).max() == 0
            if alike and (inputs != inputs[0]).any():
                self.notes.append(
                    f"model {name} gave one and the same vector for the first {len(found)} "
                    "photos: it may want another --input-range"
                )
        return np.asarray(found, np.float32)

    def finished(self) -> ImageSet:
        """All rows as one set."""
        source = self.source
        thumbnails = self.thumbnails.as_array()
        if source.vectors is not None:
            vectors = source.vectors[[photo.row for photo in self.photos]]
        else:
            vectors = self.vectors.as_array()
        return ImageSet(
            tuple(self.photos),
            vectors,
            thumbnails if len(thumbnails) else np.zeros((0, self.side, self.side, 3), np.uint8),
            np.array(self.sizes, np.int64).reshape(-1, 2),
            tuple(self.skipped),
            source.columns,
            source.pictured,
            tuple(self.notes),
            np.array(self.ends if self.preview else [], np.int64),
        )


def _of(result: Decoded | SkippedFile) -> Decoded:
    assert isinstance(result, Decoded)
    return result


def _packed(decoded: Decoded) -> bytes:
    """A thumbnail and the photo's size, as the cache keeps them."""
    return struct.pack("<II", decoded.width, decoded.height) + decoded.views[0].tobytes()


def _unpacked(data: bytes, side: int) -> Decoded:
    width, height = struct.unpack_from("<II", data)
    pixels = np.frombuffer(data, np.uint8, offset=8).reshape(side, side, 3)
    return Decoded((pixels,), width, height)
