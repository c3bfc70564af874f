"""Decodes a file once, and fits the picture to several sizes: upright, in sRGB."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import stat
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from tbgrid.choices import Fit
from tbgrid.embedding.fit_picture import TRANSPOSES, fit_picture, to_resizable
from tbgrid.photos import Photo, SkippedFile
from tbgrid.types import UInt8Array

# px: JPEGs are decoded at a scale that covers at least this side, so that small views are the same,
# bit for bit, whichever larger ones (a preview, larger thumbnails) are made along with them.
DRAFT_SIDE = 256
PREVIEW_QUALITY = 85
# px: views whose longer side is at least this are scaled bilinearly, with antialiasing. Networks of
# that size are trained like this, it takes half the time of Lanczos, and the ten nearest of a photo
# have its label as often. Smaller views would lose edges.
_BILINEAR_FROM = 128
_DECODES_AHEAD = 4  # per thread, so that the model does not wait and memory stays flat


class ImageError(Exception):
    """A file without a picture that can be shown; its text is the reason."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        views: uint8[h, w, 3] for each size that was requested.
        width, height: of the picture itself in pixels, upright.
        preview: a square JPEG; b"" if none was requested.
    """

    views: tuple[UInt8Array, ...]
    width: int
    height: int
    preview: bytes = b""


def decode(
    path: str | os.PathLike[str],
    sizes: Sequence[tuple[int, int]],
    fit: Fit = "crop",
    preview: int = 0,
) -> Decoded:
    """Open a file once and fit its first picture to several sizes.

    The result is upright by the EXIF orientation, in sRGB by the embedded profile, with transparent
    parts over white, and 16-bit values scaled to 8. A JPEG is decoded at the smallest of its own
    scales (1/1 to 1/8) that covers the largest size and `DRAFT_SIDE`.

    Args:
        path: the file.
        sizes: height and width of each view in pixels.
        fit: "crop" the middle, "pad" with white, or "squash" the picture to fill a view.
        preview: longest side of the preview in pixels (see `preview_side`), 0 for none. It does
            not change the views. A JPEG is decoded a second time for a large preview if its first
            scale was too coarse.

    Raises:
        ImageError: the file has no picture that Pillow can read.
    """
    register_heif()
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # opening a FIFO would wait for a writer
            raise ImageError("not a regular file")
        with _opened(path, sizes) as stored:
            views = {size: stored.view(size, fit) for size in dict.fromkeys(sizes)}
            width, height = stored.upright
            side = preview_side((width, height), fit, preview)
            encoded = b""
            if side and not (stored.coarse and side > _covered(sizes)):
                encoded = stored.preview(side, fit)
        if side and not encoded:
            with _opened(path, [(side, side)]) as stored:
                encoded = stored.preview(side, fit)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(_unidentified(path)) from error
    except Exception as error:
        # A damaged file makes decoders raise almost anything; each such file is skipped.
        raise ImageError(_reason(error)) from error
    return Decoded(tuple(views[size] for size in sizes), width, height, encoded)


def fit_to_sizes(
    pixels: UInt8Array, sizes: Sequence[tuple[int, int]], fit: Fit = "crop", preview: int = 0
) -> Decoded:
    """Fit a picture in memory to several sizes.

    Args:
        pixels: uint8[h, w] or uint8[h, w, 3].
        sizes, fit, preview: see `decode`.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    stored = _StoredImage(
        picture=picture,
        extent=picture.size,
        full=picture.size,
        profile=None,
        orientation=1,
        coarse=False,
    )
    views = {size: stored.view(size, fit) for size in dict.fromkeys(sizes)}
    side = preview_side(picture.size, fit, preview)
    encoded = stored.preview(side, fit) if side else b""
    return Decoded(tuple(views[size] for size in sizes), picture.width, picture.height, encoded)


def preview_side(size: tuple[int, int], fit: Fit, longest: int) -> int:
    """Return the side of a preview in pixels, which is never larger than the photo.

    Args:
        size: width and height of the photo in pixels.
        fit: a cropped preview is limited by the shorter side of the photo, a padded or squashed one
            by the longer side, so that no detail is lost.
        longest: the largest side.
    """
    return min(longest, min(size) if fit == "crop" else max(size))


def decode_many(
    photos: Sequence[Photo],
    sizes: Sequence[tuple[int, int]],
    fit: Fit = "crop",
    workers: int | None = None,
    preview: int = 0,
) -> Generator[tuple[Photo, Decoded | SkippedFile], None, None]:
    """Decode photos on threads, a little ahead of the reader.

    Args:
        photos: files, or pixels in memory.
        sizes, fit, preview: see `decode`.
        workers: threads; None for as many as cores, up to 8.

    Yields:
        Each photo, in order, with the result or the reason to skip it.
    """
    workers = workers or min(8, os.cpu_count() or 1)
    queue: deque[tuple[Photo, Future[Decoded | SkippedFile]]] = deque()

    def one(photo: Photo) -> Decoded | SkippedFile:
        try:
            if photo.pixels is not None:
                return fit_to_sizes(photo.pixels, sizes, fit, preview)
            if photo.path is None:
                raise ImageError("no picture")
            return decode(photo.path, sizes, fit, preview)
        except ImageError as error:
            return SkippedFile(photo.name, str(error))

    with warnings.catch_warnings(), ThreadPoolExecutor(workers, "tbgrid-decode") as pool:
        # Damaged metadata does not matter if there is a picture.
        warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            for photo in photos:
                queue.append((photo, pool.submit(one, photo)))
                if len(queue) > workers * _DECODES_AHEAD:
                    done, future = queue.popleft()
                    yield done, future.result()
            while queue:
                done, future = queue.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@functools.cache
def register_heif() -> bool:
    """Make Pillow open HEIC if pillow-heif is installed; return whether it is."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _unidentified(path: str | os.PathLike[str]) -> str:
    with contextlib.suppress(OSError), Path(path).open("rb") as file:
        head = file.read(12)
        if not head:
            return "empty file"
        if head[4:8] == b"ftyp" and head[8:11] in (b"hei", b"hev", b"mif") and not register_heif():
            return "HEIC needs pillow-heif: pip install 'tbgrid[heic]'"
    return "not a picture that Pillow can open"


def _reason(error: Exception) -> str:
    """One line, without the path that errors of the system contain."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"Pillow cannot decode it: {' '.join(str(error).split()) or type(error).__name__}"


@dataclass(frozen=True, kw_only=True)
class _StoredImage:
    """A picture as it is stored in its file, possibly at a smaller scale.

    Attributes:
        picture: the pixels, neither turned nor converted to sRGB.
        extent: width and height of the part of `picture` that is the photo.
        full: width and height of the photo at full scale.
        profile: its ICC profile.
        orientation: of EXIF, 1 to 8.
        coarse: whether it was decoded at a smaller scale.
    """

    picture: Image.Image
    extent: tuple[float, float]
    full: tuple[int, int]
    profile: bytes | None
    orientation: int
    coarse: bool

    @property
    def upright(self) -> tuple[int, int]:
        width, height = self.full
        return (width, height) if self.orientation < 5 else (height, width)

    def view(self, size: tuple[int, int], fit: Fit) -> UInt8Array:
        linear = max(size) >= _BILINEAR_FROM
        filter = Image.Resampling.BILINEAR if linear else Image.Resampling.LANCZOS
        return np.array(self._fitted(size, fit, filter), np.uint8)

    def preview(self, side: int, fit: Fit) -> bytes:
        """A JPEG. Hamming costs half as much as Lanczos, and looks as good for pictures that shrink
        little; a picture that need not shrink keeps its pixels."""
        keeps_size = fit == "crop" and min(self.extent) == side
        filter = Image.Resampling.NEAREST if keeps_size else Image.Resampling.HAMMING
        buffer = io.BytesIO()
        self._fitted((side, side), fit, filter).save(buffer, "JPEG", quality=PREVIEW_QUALITY)
        return buffer.getvalue()

    def _fitted(self, size: tuple[int, int], fit: Fit, filter: Image.Resampling) -> Image.Image:
        picture, extent = self.picture, self.extent
        return fit_picture(picture, extent, size, fit, self.profile, self.orientation, filter)


@contextlib.contextmanager
def _opened(
    path: str | os.PathLike[str], sizes: Sequence[tuple[int, int]]
) -> Iterator[_StoredImage]:
    with Image.open(path) as image:
        full = image.size
        # Decoders of JPEG scale down; that of HEIC takes a thumbnail in the file if large enough.
        drafted = image.draft("", _cover(full, sizes))
        image.load()
        coarse = image.size != full
        if drafted is None:
            full = image.size
        extent = drafted[1][2:] if drafted else full
        profile = image.info.get("icc_profile")
        yield _StoredImage(
            picture=to_resizable(image),
            extent=extent,
            full=full,
            profile=profile,
            orientation=_orientation(image),
            coarse=coarse,
        )


def _covered(sizes: Sequence[tuple[int, int]]) -> int:
    """The side in pixels that a decoded picture must cover for `sizes`."""
    return max(DRAFT_SIDE, *(max(wanted) for wanted in sizes))


def _cover(size: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The smallest (width, height) in the shape of `size` that covers every crop of `sizes`."""
    short = min(size)
    target = _covered(sizes)
    return max(1, -(-size[0] * target // short)), max(1, -(-size[1] * target // short))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8. Read after loading, since some decoders turn the picture."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF raises anything, and the pixels may be fine
        return 1
    return value if value in TRANSPOSES else 1
