"""Uploaded bytes are saved to a file and checked to be an image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from PIL import Image

from tbgrid.embedding.decode import ImageError, decode, register_heif
from tbgrid.serve.errors import RequestError

# Media types by Pillow's name of the format, which is read from the bytes. Formats that other
# programs decode (PostScript) or that hold commands are excluded.
_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # of cameras with two lenses: a JPEG with another one appended
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
}
_BLOCK = 1 << 20
_PROBE_SIDE = 64  # px of the thumbnail decoded to see whether the image is intact


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image that is saved but not accepted yet.

    Attributes:
        path: its file among the incoming ones.
        digest: SHA-256 of its bytes, in hexadecimal digits.
        type: media type.
        width: pixels, upright.
        height: pixels, upright.
        size: bytes.
    """

    path: Path
    digest: str
    type: str
    width: int
    height: int
    size: int


def save_image(blocks: Iterable[bytes], folder: Path, max_pixels: int, name: str) -> ImageFile:
    """Write bytes to a new file, flushed to disk, and check that they are an image.

    Args:
        blocks: the bytes.
        folder: where the file is created.
        max_pixels: limit on width times height.
        name: what error messages call the image.

    Raises:
        RequestError: if the bytes are not a supported image (415), or the image has more pixels
            or is damaged (422).
        OSError: if the file cannot be written.
    """
    path = folder / uuid4().hex
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            for block in blocks:
                digest.update(block)
                size += len(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        type = _media_type(path, max_pixels, name)
        try:
            decoded = decode(path, [(_PROBE_SIDE, _PROBE_SIDE)])
        except ImageError as error:
            raise RequestError(422, f"{name} is damaged: {error}") from error
        return ImageFile(
            path=path,
            digest=digest.hexdigest(),
            type=type,
            width=decoded.width,
            height=decoded.height,
            size=size,
        )
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _media_type(path: Path, max_pixels: int, name: str) -> str:
    """The media type of an image file whose header shows that it is supported and not too large."""
    register_heif()
    Image.init()
    formats = [format for format in _TYPES if format in Image.OPEN]
    try:
        with Image.open(path, formats=formats) as image:
            width, height = image.size
            type = _TYPES[image.format or ""]
    except Image.DecompressionBombError as error:
        raise RequestError(422, f"{name} exceeds the limit of {max_pixels} pixels") from error
    except Exception as error:  # on a damaged file, decoders raise almost anything
        raise RequestError(
            415, f"{name} is not a supported image ({', '.join(formats)})"
        ) from error
    if width * height > max_pixels:
        raise RequestError(
            422, f"{name} has {width} x {height} pixels, and the limit is {max_pixels} pixels"
        )
    return type


def iter_blocks(data: bytes) -> Iterable[bytes]:
    """`data` in blocks of at most 1 MiB."""
    view = memoryview(data)
    return (bytes(view[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK))
