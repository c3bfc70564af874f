"""Photos become vectors and thumbnails in one pass, which skips what the cache has."""

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
from tbgrid.embedding.decode import DRAFT_SIDE, PREVIEW_QUALITY, Decoded, decode_many
from tbgrid.embedding.image_set import ImageSet, not_finite_reason, validate
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.photos import Photo, SkippedFile, Source
from tbgrid.progress import Progress, silent
from tbgrid.types import Embedder, Float32Array, UInt8Array
from tbgrid.util.cache import Cache, key_of
from tbgrid.util.disk_arrays import DiskArrayWriter, open_disk_array

DECODE_VERSION = 4  # raise it when a change of `tbgrid.embedding.decode` gives other pixels
_CHUNK = 256  # photos looked up in the cache together


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
    preview_file: Path | None = None,
    check: bool = True,
    scratch: Path | None = None,
    progress: Progress = silent,
) -> ImageSet:
    """Decode each photo once, for the model and for its thumbnail. A photo that fails is skipped.

    Args:
        source: the photos, from `tbgrid.open_source`. Vectors that it brings are used as they are.
        embedder: the model; None where `source` brings vectors.
        thumbnail: side of a thumbnail in pixels.
        fit: how a photo is made square.
        batch: photos per call of the model.
        workers: threads that decode while the model runs; None for up to 8.
        cache: vectors, thumbnails and previews that are neither computed nor decoded again.
        preview: longest side of a preview (a JPEG, see `preview_side`) in pixels, 0 for none. It
            changes neither vectors nor thumbnails.
        preview_file: where previews are written, one after another; needed for `preview` above 0.
        check: whether to `validate` the result; False for a part of a set, which may be small.
        scratch: directory of the mapped files that hold the arrays; None for the system's own.
        progress: called as photos are finished.

    Raises:
        UsageError: `thumbnail` or `batch` is below 1, `preview` is below 0 or has no file.
        OSError: `preview_file` or a file in `scratch` cannot be written.
        TbgridError: fewer than 3 photos can be read, or most of the model's vectors are not finite.
    """
    if thumbnail < 1 or batch < 1:
        raise UsageError(f"thumbnail {thumbnail}, batch {batch}", "use numbers of at least 1")
    if preview < 0 or (preview and preview_file is None):
        raise UsageError(f"preview {preview} px", "use 0, or a larger number and a preview_file")
    preview = preview if source.pictured else 0
    settings = _Settings(side=thumbnail, fit=fit, batch=batch, preview=preview, workers=workers)
    with (
        Cache(None) as no_cache,
        open_disk_array(np.float32, scratch) as vectors,
        open_disk_array(np.uint8, scratch) as thumbnails,
        _open_for_writing(preview_file if preview else None) as previews,
    ):
        images = _EmbeddingPass(
            source=source,
            embedder=embedder,
            settings=settings,
            cache=cache or no_cache,
            vectors=vectors,
            thumbnails=thumbnails,
            previews=previews,
            progress=progress,
        ).run()
    return validate(images, embedder.model_id if embedder else "") if check else images


def _open_for_writing(path: Path | None) -> AbstractContextManager[BinaryIO | None]:
    return path.open("wb") if path else nullcontext()


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """How photos are embedded; the options of `embed`."""

    side: int
    fit: Fit
    batch: int
    preview: int
    workers: int | None


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Some photos on their way through the pass. Lists have one item per photo.

    Attributes:
        view_keys, vector_keys, preview_keys: keys in the cache, b"" where nothing is kept.
        stored: what the cache has for these keys.
        missing: the indices of photos that must be decoded.
        decoded: their thumbnails and previews, or why they are skipped, by index.
        vectors: float32[d] of decoded photos, by index.
    """

    photos: Sequence[Photo]
    view_keys: list[bytes]
    vector_keys: list[bytes]
    preview_keys: list[bytes]
    stored: dict[bytes, bytes]
    missing: list[int]
    decoded: dict[int, Decoded | SkippedFile] = field(default_factory=dict)
    vectors: dict[int, Float32Array] = field(default_factory=dict)


class _EmbeddingPass:
    """One pass over the photos of a source, whose rows go to files on disk."""

    def __init__(
        self,
        *,
        source: Source,
        embedder: Embedder | None,
        settings: _Settings,
        cache: Cache,
        vectors: DiskArrayWriter[np.float32],
        thumbnails: DiskArrayWriter[np.uint8],
        previews: BinaryIO | None,
        progress: Progress,
    ) -> None:
        self._source, self._embedder, self._settings = source, embedder, settings
        self._cache, self._progress = cache, progress
        self._vectors, self._thumbnails, self._previews = vectors, thumbnails, previews
        self._preview_ends = [0]
        self._photos: list[Photo] = []
        self._skipped: list[SkippedFile] = list(source.skipped)
        self._sizes: list[tuple[int, int]] = []
        self._notes: list[str] = []
        self._done = 0  # photos of finished chunks
        self._model_has_run = False
        self._inputs: Float32Array | None = None  # of the model, allocated once
        side, fit, preview = settings.side, settings.fit, settings.preview
        input_size = embedder.input_size if embedder else None
        # A JPEG is decoded at a scale that covers the largest view, which shows in all views; but
        # not in those that `DRAFT_SIDE` covers too. A preview does not change the others.
        covered = max(DRAFT_SIDE, side, *(input_size or (0,)))
        decoding = (DECODE_VERSION, PIL.__version__, fit, covered)
        self._view_kind = ("view", *decoding, side)
        self._preview_kind = ("preview", *decoding, PREVIEW_QUALITY, preview) if preview else None
        fingerprint = getattr(embedder, "fingerprint", "")
        self._vector_kind = ("vector", *decoding, input_size, fingerprint) if fingerprint else None

    def run(self) -> ImageSet:
        """Embed all photos of the source."""
        photos = self._source.photos
        self._progress("embed", 0, len(photos))
        if self._source.pictured:
            for start in range(0, len(photos), _CHUNK):
                chunk = self._look_up(photos[start : start + _CHUNK])
                self._decode_and_run(chunk)
                self._collect(chunk)
        else:
            self._photos.extend(photos)
        self._progress("embed", len(photos), len(photos))
        return self._image_set()

    def _look_up(self, photos: Sequence[Photo]) -> _Chunk:
        """Read what the cache has of some photos, and list those that must be decoded."""
        digests = self._digests(photos)

        def keys_of(kind: tuple[object, ...] | None) -> list[bytes]:
            common = key_of(*kind) if kind else b""
            return [key_of(common, digest) if digest and kind else b"" for digest in digests]

        views, vectors = keys_of(self._view_kind), keys_of(self._vector_kind)
        previews = keys_of(self._preview_kind)
        stored = self._cache.get([key for key in {*views, *vectors, *previews} if key])
        missing = [
            index
            for index in range(len(photos))
            if views[index] not in stored
            or (self._embedder and vectors[index] not in stored)
            or (self._previews and previews[index] not in stored)
        ]
        return _Chunk(
            photos=photos,
            view_keys=views,
            vector_keys=vectors,
            preview_keys=previews,
            stored=stored,
            missing=missing,
        )

    def _digests(self, photos: Sequence[Photo]) -> list[bytes]:
        """A digest of each photo's content; b"" if it cannot be read or nothing is kept."""
        if self._cache.path is None:
            return [b""] * len(photos)
        files = {i: photo.path for i, photo in enumerate(photos) if photo.path}
        found = self._cache.digests(list(files.values()), self._settings.workers)
        digests = dict(zip(files, found, strict=True))
        for i, photo in enumerate(photos):
            if photo.pixels is not None:
                pixels = np.ascontiguousarray(photo.pixels)
                digests[i] = key_of(pixels.shape, pixels.data)
        return [digests.get(i, b"") for i in range(len(photos))]

    def _decode_and_run(self, chunk: _Chunk) -> None:
        """Decode the missing photos and embed them, a batch at a time."""
        settings = self._settings
        sizes = [(settings.side, settings.side)]
        if self._embedder:
            sizes.append(self._embedder.input_size)
        photos = [chunk.photos[index] for index in chunk.missing]
        n_known = len(chunk.photos) - len(photos)
        waiting: dict[int, UInt8Array] = {}  # inputs of the model, freed as soon as it has run
        unsaved: list[int] = []
        # Closed even when the model raises, so that no decoding thread outlives this call.
        with closing(
            decode_many(photos, sizes, settings.fit, settings.workers, settings.preview)
        ) as results:
            for index, (_, decoded) in zip(chunk.missing, results, strict=True):
                chunk.decoded[index] = decoded
                if isinstance(decoded, Decoded):
                    chunk.decoded[index] = replace(decoded, views=decoded.views[:1])
                    unsaved.append(index)
                    stored = chunk.stored.get(chunk.vector_keys[index])
                    if self._embedder and stored is not None:
                        chunk.vectors[index] = np.frombuffer(stored, np.float32)
                    elif self._embedder:
                        waiting[index] = decoded.views[-1]
                if len(waiting) == settings.batch or len(unsaved) >= 4 * settings.batch:
                    self._embed_waiting(chunk, waiting)
                    self._save(chunk, unsaved)
                    unsaved = []
                finished = self._done + n_known + len(chunk.decoded) - len(waiting)
                self._progress("embed", finished, len(self._source.photos))
            self._embed_waiting(chunk, waiting)
            self._save(chunk, unsaved)

    def _embed_waiting(self, chunk: _Chunk, waiting: dict[int, UInt8Array]) -> None:
        """Run the model on the inputs that wait, if any, and remove them."""
        if not waiting or self._embedder is None:
            return
        vectors = self._run_model(self._embedder, list(waiting.values()))
        for index, vector in zip(waiting, vectors, strict=True):
            if np.isfinite(vector).all():
                chunk.vectors[index] = vector
            else:
                reason = not_finite_reason(self._embedder.model_id)
                chunk.decoded[index] = SkippedFile(chunk.photos[index].name, reason)
        waiting.clear()

    def _run_model(self, embedder: Embedder, pictures: Sequence[UInt8Array]) -> Float32Array:
        """Embed one batch: uint8[h, w, 3] pictures to float32[b, d]."""
        name, count = embedder.model_id, len(pictures)
        if self._inputs is None:
            self._inputs = np.empty((self._settings.batch, *pictures[0].shape), np.float32)
        inputs = self._inputs[:count]
        for picture, row in zip(pictures, inputs, strict=True):
            np.divide(picture, np.float32(255), out=row)
        vectors = np.asarray(embedder(inputs))
        if np.may_share_memory(vectors, inputs):  # which the next batch overwrites
            vectors = vectors.copy()
        if vectors.ndim != 2 or len(vectors) != count:
            raise TbgridError(
                f"model {name} gave an array of shape {vectors.shape} for {count} photos",
                f"use another {option('model')}: tbgrid needs one vector per photo",
            )
        is_first, self._model_has_run = not self._model_has_run, True
        if is_first and len(vectors) > 1:
            all_equal = np.ptp(vectors, axis=0).max() == 0
            if all_equal and (inputs != inputs[0]).any():
                self._notes.append(
                    f"model {name} gave one and the same vector for the first {len(vectors)} "
                    "photos: it may need another input range"
                )
        return np.asarray(vectors, np.float32)

    def _save(self, chunk: _Chunk, indices: Sequence[int]) -> None:
        """Put finished photos into the cache, so that an interrupted export continues here."""
        finished = [(i, found) for i in indices if isinstance(found := chunk.decoded[i], Decoded)]
        keys = chunk.view_keys
        self._cache.put("thumbnail", [(keys[i], _pack(d)) for i, d in finished if keys[i]])
        keys = chunk.preview_keys
        self._cache.put("preview", [(keys[i], d.preview) for i, d in finished if keys[i]])
        if self._embedder:
            keys, vectors = chunk.vector_keys, chunk.vectors
            self._cache.put(
                "vector", [(keys[i], vectors[i].tobytes()) for i, _ in finished if keys[i]]
            )

    def _collect(self, chunk: _Chunk) -> None:
        """Append the rows of a chunk, in the order of its photos."""
        thumbnails: list[UInt8Array] = []
        vectors: list[Float32Array] = []
        for index, photo in enumerate(chunk.photos):
            result = chunk.decoded.get(index)
            if result is None:
                result = _unpack(chunk.stored[chunk.view_keys[index]], self._settings.side)
            if isinstance(result, SkippedFile):
                self._skipped.append(result)
                continue
            self._photos.append(photo)
            thumbnails.append(result.views[0])
            self._sizes.append((result.width, result.height))
            if self._previews:
                encoded = result.preview or chunk.stored[chunk.preview_keys[index]]
                self._previews.write(encoded)
                self._preview_ends.append(self._preview_ends[-1] + len(encoded))
            if self._embedder:
                vector = chunk.vectors.get(index)
                if vector is None:
                    vector = np.frombuffer(chunk.stored[chunk.vector_keys[index]], np.float32)
                vectors.append(vector)
        if thumbnails:
            self._thumbnails.add(np.stack(thumbnails))
        if vectors:
            self._vectors.add(np.stack(vectors))
        self._done += len(chunk.photos)
        self._progress("embed", self._done, len(self._source.photos))

    def _image_set(self) -> ImageSet:
        """All rows as one set."""
        source, side = self._source, self._settings.side
        thumbnails = self._thumbnails.as_array()
        if source.vectors is not None:
            vectors = source.vectors[[photo.row for photo in self._photos]]
        else:
            vectors = self._vectors.as_array()
        return ImageSet(
            photos=tuple(self._photos),
            vectors=vectors,
            thumbnails=thumbnails if len(thumbnails) else np.zeros((0, side, side, 3), np.uint8),
            sizes=np.array(self._sizes, np.int64).reshape(-1, 2),
            skipped=tuple(self._skipped),
            columns=source.columns,
            pictured=source.pictured,
            notes=tuple(self._notes),
            previews=np.array(self._preview_ends if self._previews else [], np.int64),
        )


def _pack(decoded: Decoded) -> bytes:
    """A thumbnail and the size of the photo, as the cache stores them."""
    return struct.pack("<II", decoded.width, decoded.height) + decoded.views[0].tobytes()


def _unpack(data: bytes, side: int) -> Decoded:
    width, height = struct.unpack_from("<II", data)
    pixels = np.frombuffer(data, np.uint8, offset=8).reshape(side, side, 3)
    return Decoded((pixels,), width, height)
