"""A file becomes the pictures that the stages need: one decode, several sizes, always sRGB."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from tbgrid.sources import Photo, Rejected
from tbgrid.types import Fit, UInt8Array

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
_DECODES_AHEAD = 4  # a thread, so that the model does not wait and memory stays flat


class ImageError(Exception):
    """A file that holds no picture we can show; its text is the reason."""


@dataclass(frozen=True)
class Decoded:
    """One picture: `views[i]`, uint8[h, w, 3], for each size asked for; its own upright size."""

    views: tuple[UInt8Array, ...]
    width: int
    height: int


def decode(
    path: str | os.PathLike[str], sizes: Sequence[tuple[int, int]], fit: Fit = "crop"
) -> Decoded:
    """Open `path` once and frame its first picture at each of `sizes` (height, width).

    Upright by its EXIF orientation, in sRGB by its embedded profile, transparency over white,
    16-bit values scaled to 8. A JPEG is decoded at the smallest of its own scales (1/1 to 1/8)
    that still covers the largest size.

    Raises:
        ImageError: the file holds no picture that Pillow can read.
    """
    try:
        with Image.open(path) as image:
            full = image.size
            drafted = image.draft("", _cover(full, sizes))  # only JPEG decoders act on it
            image.load()
            if drafted is None:
                full = image.size
            orientation = _orientation(image)
            picture, profile = _resizable(image), image.info.get("icc_profile")
            views = {
                size: _view(picture, size, fit, profile, orientation)
                for size in dict.fromkeys(sizes)
            }
    except UnidentifiedImageError as error:
        raise ImageError(_unidentified(path)) from error
    except Exception as error:
        # A damaged file makes decoders raise almost anything; each such file is one ledger line.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(reason.replace(os.fsdecode(path), "the file")) from error
    width, height = full if orientation < 5 else full[::-1]
    return Decoded(tuple(views[size] for size in sizes), width, height)


def decode_all(
    photos: Sequence[Photo],
    sizes: Sequence[tuple[int, int]],
    fit: Fit = "crop",
    workers: int | None = None,
) -> Iterator[tuple[Photo, Decoded | Rejected]]:
    """`decode` every photo on `workers` threads, in order, a little ahead of the reader."""
    register_heif()
    workers = workers or min(8, os.cpu_count() or 1)
    queue: deque[tuple[Photo, Future[Decoded | Rejected]]] = deque()

    def one(photo: Photo) -> Decoded | Rejected:
        try:
            return decode(photo.path, sizes, fit)
        except ImageError as error:
            return Rejected(photo.name, str(error))

    with warnings.catch_warnings(), ThreadPoolExecutor(workers, "tbgrid-decode") as pool:
        warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged metadata: the picture counts
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
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

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


def _cover(size: tuple[int, int], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The (width, height) to which `size` may shrink and still cover every crop of `sizes`."""
    short = min(size)
    target = max(max(wanted) for wanted in sizes)
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
    if mode in ("P", "PA"):
        transparent = mode == "PA" or "transparency" in image.info
        return image.convert("RGBA" if transparent else "RGB")
    if mode == "1":
        return image.convert("L")
    if mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")
    if mode in ("La", "RGBa"):
        return image.convert(mode[:-1] + "A")
    if mode in ("HSV", "RGBX"):
        return image.convert("RGB")
    if mode in ("I", "F") or mode.startswith("I;"):
        return Image.fromarray(_to_8_bits(np.asarray(image)))
    return image


def _to_8_bits(values: np.ndarray) -> UInt8Array:
    """Grey of more than 8 bits. The range is the smallest usual one that holds all values: 1 (for
    fractions), 255, 65535; else from the least to the greatest value."""
    pixels = values.astype(np.float64)
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    fractions = np.issubdtype(values.dtype, np.floating)
    usual = (
        ([1.0] if fractions else []) + ([] if values.dtype == np.uint16 else [255.0]) + [65535.0]
    )
    top = next((limit for limit in usual if high <= limit), None)
    if low < 0 or top is None:
        pixels, top = pixels - low, (high - low) or 1.0
    scaled = np.nan_to_num(pixels, nan=0.0, posinf=top, neginf=0.0) * (255.0 / top)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _view(
    picture: Image.Image,
    size: tuple[int, int],
    fit: Fit,
    profile: bytes | None,
    orientation: int,
) -> UInt8Array:
    """`picture`, as stored, framed at `size` (height, width), in sRGB and upright: uint8[h, w, 3].

    Scaling comes first, so that the rest works on few pixels.
    """
    height, width = size if orientation < 5 else size[::-1]
    have_w, have_h = picture.size
    box, inner = (0.0, 0.0, float(have_w), float(have_h)), (width, height)
    if fit == "crop":
        scale = min(have_w / width, have_h / height)
        left, top = (have_w - width * scale) / 2, (have_h - height * scale) / 2
        box = (left, top, have_w - left, have_h - top)
    elif fit == "pad":
        scale = min(width / have_w, height / have_h)
        inner = (max(1, round(have_w * scale)), max(1, round(have_h * scale)))
    small = picture.resize(inner, Image.Resampling.LANCZOS, box, reducing_gap=2.0)
    rgb = _to_srgb(small, profile)
    if inner != (width, height) or rgb.mode == "RGBA":
        framed = Image.new("RGB", (width, height), BACKGROUND)
        corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
        framed.paste(rgb, corner, rgb if rgb.mode == "RGBA" else None)
        rgb = framed
    if orientation in _TURNS:
        rgb = rgb.transpose(_TURNS[orientation])
    return np.array(rgb, np.uint8)


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA in sRGB. A profile that does not fit the pixels is ignored, as viewers do."""
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    colour = picture.convert(picture.mode[:-1]) if alpha is not None else picture
    if colour.mode == "LAB" and not profile:
        profile = _lab_profile()
    converted = None
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
            converted = ImageCms.applyTransform(colour, _transform(profile, colour.mode))
    rgb = converted or colour.convert("RGB")
    if alpha is not None:
        rgb.putalpha(alpha)
    return rgb


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")


@functools.cache
def _lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
