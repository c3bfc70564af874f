"""Fits a stored picture to a size: scaled, in sRGB, upright, with 8 bits per channel."""

from __future__ import annotations

import contextlib
import functools
import io

import numpy as np
from PIL import Image, ImageCms

from tbgrid.choices import Fit
from tbgrid.types import UInt8Array

BACKGROUND = (255, 255, 255)
TRANSPOSES = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The filter shrinks by at least this factor, and plain averages do the rest: with 1.5 the mean
# error is below one level, and photos near `DRAFT_SIDE` take half the time of 2.
_REDUCING_GAP = 1.5


def to_resizable(image: Image.Image) -> Image.Image:
    """`image` in a mode that can be scaled, with 8 bits per channel."""
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
    """Scale grey values of more than 8 bits.

    White is the lowest of the usual maxima that no value exceeds: 1 (for fractions), 8, 12 or 16
    bits. If there is none, or with negative values, the largest value is white and the smallest is
    black. The type of the numbers does not say: cameras and scanners store 12 bits in 16, and such
    pictures would be nearly black.
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


def fit_picture(
    picture: Image.Image,
    extent: tuple[float, float],
    size: tuple[int, int],
    fit: Fit,
    profile: bytes | None,
    orientation: int,
    filter: Image.Resampling,
) -> Image.Image:
    """Fit a stored picture to `size` (height, width): RGB, in sRGB and upright.

    `extent`, the (width, height) of the photo within `picture`, may be fractional: a scaled JPEG
    may end within its last pixels. Scaling comes first, so that the rest works on few pixels.
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
    rgb = _to_srgb(picture.resize(inner, filter, box, reducing_gap=_REDUCING_GAP), profile)
    if orientation in TRANSPOSES:
        rgb = rgb.transpose(TRANSPOSES[orientation])
    if rgb.size != size[::-1] or rgb.mode == "RGBA":
        canvas = Image.new("RGB", size[::-1], BACKGROUND)
        corner = ((size[1] - rgb.width) // 2, (size[0] - rgb.height) // 2)
        canvas.paste(rgb, corner, rgb if rgb.mode == "RGBA" else None)
        rgb = canvas
    return rgb


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to RGB or RGBA in sRGB. A profile that does not fit the pixels is ignored."""
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
