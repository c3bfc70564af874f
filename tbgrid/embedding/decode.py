"""A file becomes the pictures that the stages need: one decode, several sizes, always sRGB."""

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
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from tbgrid.choices import Fit
from tbgrid.photos import Photo, SkippedFile
from tbgrid.types import UInt8Array

BACKGROUND = (255, 255, 255)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# px: JPEGs are decoded at a scale that covers this side at least, so that small views come out the
# same, bit for bit, whichever others (a preview, larger thumbnails) are asked for beside them.
DRAFT = 256
PREVIEW_QUALITY = 85
# By which factor a filter shrinks at least, after plain averages did the rest: 1.5 is off by less
# than one level in the mean, and takes half the time of 2 on photos near `DRAFT`.
_GAP = 1.5
# px: views whose longer side has so many are scaled linearly, averaging what they shrink. Networks
# of that size are trained so, it takes half the time of Lanczos there, and the ten nearest of a
# photo have its label as often. Small views would lose edges by it.
_LINEAR = 128
_DECODES_AHEAD = 4  # a thread, so that the model does not wait and memory stays flat


class ImageError(Exception):
    """A file that holds no picture we can show; its text is the reason."""


@dataclass(frozen=True)
class Decoded:
    """One picture: `views[i]`, uint8[h, w, 3], for each size asked for; its own upright size;
    its `preview`, a square JPEG, b"" where none was asked for."""

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
    """Open `path` once and frame its first picture at each of `sizes` (height, width).

    Upright by its EXIF orientation, in sRGB by its embedded profile, transparency over white,
    16-bit values scaled to 8. A JPEG is decoded at the smallest of its own scales (1/1 to 1/8)
    that still covers the largest size, and `DRAFT`.

    `preview`: the side in pixels of a picture to look at, 0 for none. A photo that is smaller is
    not blown up: see `preview_side`. It changes no other view. Above `DRAFT` and `sizes` a JPEG is
    opened and decoded a second time for it, where the first scale was too coarse.

    Raises:
        ImageError: the file holds no picture that Pillow can read.
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
        # A damaged file makes decoders raise almost anything; each such file is one ledger line.
        raise ImageError(_reason(error)) from error
    return Decoded(tuple(views[size] for size in sizes), width, height, encoded)


def frame(
    pixels: UInt8Array, sizes: Sequence[tuple[int, int]], fit: Fit = "crop", preview: int = 0
) -> Decoded:
    """A picture that is in memory already, uint8[h, w] or uint8[h, w, 3], at each of `sizes`."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    stored = _Stored(picture, picture.size, picture.size, None, 1, False)
    views = {size: stored.view(size, fit) for size in dict.fromkeys(sizes)}
    side = preview_side(picture.size, fit, preview)
    encoded = stored.preview(side, fit) if side else b""
    return Decoded(tuple(views[size] for size in sizes), picture.width, picture.height, encoded)


def preview_side(size: tuple[int, int], fit: Fit, longest: int) -> int:
    """The side in pixels of the preview of a photo of `size` (width, height): `longest`, or the
    side of the photo's own square where that is less. Cropped it is as wide as the photo's shorter
    side; padded or squashed as its longer one, so that no detail is lost."""
    return min(longest, min(size) if fit == "crop" else max(size))


def decode_all(
    photos: Sequence[Photo],
    sizes: Sequence[tuple[int, int]],
    fit: Fit = "crop",
    workers: int | None = None,
    preview: int = 0,
) -> Generator[tuple[Photo, Decoded | SkippedFile], None, None]:
    """`decode` every photo on `workers` threads, in order, a little ahead of the reader."""
    workers = workers or min(8, os.cpu_count() or 1)
    queue: deque[tuple[Photo, Future[Decoded | SkippedFile]]] = deque()

    def one(photo: Photo) -> Decoded | SkippedFile:
        try:
            if photo.pixels is not None:
                return frame(photo.pixels, sizes, fit, preview)
            if photo.path is None:
                raise ImageError("no picture")
            return decode(photo.path, sizes, fit, preview)
        except ImageError as error:
            return SkippedFile(photo.name, str(error))

    with warnings.catch_warnings(), ThreadPoolExecutor(workers, "tbgrid-decode") as pool:
        # Damaged metadata: the picture counts.
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
    """Teach Pillow to open HEIC where pillow-heif is installed; say whether it is."""
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
    """One line, without the path that the system's errors carry."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"Pillow cannot decode it: {' '.join(str(error).split()) or type(error).__name__}"


@dataclass(frozen=True)
class _Stored:
    """A picture as it lies in its file, perhaps at a smaller scale (`coarse`).

    `extent`: the (width, height) that the photo takes of `picture`; `full`: the photo's own.
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
        linear = max(size) >= _LINEAR
        filter = Image.Resampling.BILINEAR if linear else Image.Resampling.LANCZOS
        return np.array(self._framed(size, fit, filter), np.uint8)

    def preview(self, side: int, fit: Fit) -> bytes:
        """A JPEG to look at. A filter of half the cost of Lanczos's is as good to the eye for
        pictures that shrink little; what need not shrink keeps its very pixels."""
        same = fit == "crop" and min(self.extent) == side
        filter = Image.Resampling.NEAREST if same else Image.Resampling.HAMMING
        buffer = io.BytesIO()
        self._framed((side, side), fit, filter).save(buffer, "JPEG", quality=PREVIEW_QUALITY)
        return buffer.getvalue()

    def _framed(self, size: tuple[int, int], fit: Fit, filter: Image.Resampling) -> Image.Image:
        picture, extent = self.picture, self.extent
        return _framed(picture, extent, size, fit, self.profile, self.orientation, filter)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str], sizes: Sequence[tuple[int, int]]) -> Iterator[_Stored]:
    with Image.open(path) as image:
        full = image.size
        # JPEG decoders scale down; HEIC's takes an embedded thumbnail that is large enough.
        drafted = image.draft("", _cover(full, sizes))
        image.load()
        coarse = image.size != full
        if drafted is None:
            full = image.size
        extent = drafted[1][2:] if drafted else full
        profile = image.info.get("icc_profile")
        yield _Stored(_resizable(image), extent, full, profile, _orientation(image), coarse)


def _covered(sizes: Sequence[tuple[int, int]]) -> int:
    """The side in pixels that is decoded at least for `sizes`."""
    return max(DRAFT, *(max(wanted) for wanted in sizes))


def _cover(size: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The (width, height) to which `size` may shrink and still cover every crop of `sizes`."""
    short = min(size)
    target = _covered(sizes)
    return max(1, -(-size[0] * target // short)), max(1, -(-size[1] * target // short))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8, asked after loading: some decoders turn the picture themselves."""
    try:
        value = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF raises anything, and says nothing of the pixels
        return 1
    return value if value in _TURNS else 1


def _resizable(image: Image.Image) -> Image.Image:
    """`image` in a mode that can be scaled without loss of meaning, 8 bits a channel."""
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;"):
        values = np.asarray(image)
        grey = Image.fromarray(_to_8_bits(values))
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return grey
    if mode in ("La", "RGBa"):
        return image.convert(mode[:-1] + "A")
    if mode in ("1", "L", "P", "PA", "RGB") and image.has_transparency_data:
        return image.convert("LA" if mode in ("1", "L") else "RGBA")
    if mode == "1":
        return image.convert("L")
    if mode in ("HSV", "P", "RGBX"):
        return image.convert("RGB")
    return image


def _to_8_bits(values: np.ndarray) -> UInt8Array:
    """Grey of more than 8 bits. White is the lowest usual one that no value passes: 1 (for
    fractions), 8, 12 or 16 bits; without any, or with negative values, the greatest value is
    white and the least is black.

    The width of the file's numbers says little: cameras and scanners store 12 bits in 16, and at
    their nominal white these pictures are black.
    """
    pixels = values.astype(np.float32)
    finite = np.isfinite(pixels)
    low = float(pixels.min(where=finite, initial=np.inf))
    high = float(pixels.max(where=finite, initial=-np.inf))
    fractions = np.issubdtype(values.dtype, np.floating)
    usual = ([1.0] if fractions else []) + [2.0**8 - 1, 2.0**12 - 1, 2.0**16 - 1]
    top = next((white for white in usual if high <= white), None)
    if low < 0 or top is None:
        pixels, top = pixels - low, (high - low) or 1.0
    scaled = np.nan_to_num(pixels, nan=0.0, posinf=top, neginf=0.0) * (255.0 / top)
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _framed(
    picture: Image.Image,
    extent: tuple[float, float],
    size: tuple[int, int],
    fit: Fit,
    profile: bytes | None,
    orientation: int,
    filter: Image.Resampling,
) -> Image.Image:
    """`picture`, as stored, framed at `size` (height, width), in sRGB and upright: RGB.

    `extent` is the (width, height) that the photo takes of `picture`: a scaled JPEG may end within
    its last pixels. Scaling comes first, so that the rest works on few pixels.
    """
    height, width = size if orientation < 5 else size[::-1]
    have_w, have_h = extent
    box, inner = (0.0, 0.0, have_w, have_h), (width, height)
    if fit == "crop":
        scale = min(have_w / width, have_h / height)
        # Rounding can make (w / n) * n a little more than w, and Pillow refuses such a box.
        left = max(0.0, have_w - width * scale) / 2
        top = max(0.0, have_h - height * scale) / 2
        box = (left, top, have_w - left, have_h - top)
    elif fit == "pad":
        scale = min(width / have_w, height / have_h)
        inner = (max(1, round(have_w * scale)), max(1, round(have_h * scale)))
    rgb = _to_srgb(picture.resize(inner, filter, box, reducing_gap=_GAP), profile)
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
    if rgb.size != size[::-1] or rgb.mode == "RGBA":
        framed = Image.new("RGB", size[::-1], BACKGROUND)
        corner = ((size[1] - rgb.width) // 2, (size[0] - rgb.height) // 2)
        framed.paste(rgb, corner, rgb if rgb.mode == "RGBA" else None)
        rgb = framed
    return rgb


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA in sRGB. A profile that does not fit the pixels is ignored, as viewers do."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    colour = picture.convert(picture.mode[:-1]) if alpha is not None else picture
    converted = None
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.applyTransform(colour, _transform(profile, colour.mode))
    rgb = converted or (colour if colour.mode == "RGB" else colour.convert("RGB"))
    if alpha is not None:
        rgb.putalpha(alpha)
    return rgb


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
