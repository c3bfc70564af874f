"""Bytes that a client sent become a picture that the map can show, or are refused."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from PIL import Image

from tbgrid.embedding.decode import ImageError, decode, register_heif
from tbgrid.serve.errors import Refused

# By what they are in their bytes. Formats that other programs decode (PostScript) or that hold
# commands are not among them.
_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # of cameras with two lenses: a JPEG with another behind it
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heif",
}
_BLOCK = 1 << 20
_TRIED = 64  # px of the view that shows whether a picture can be decoded


@dataclass(frozen=True)
class Picture:
    """A picture whose bytes are on the disk, in the file `arrived`, and are not accepted yet.
    `digest`: SHA-256 in hexadecimal digits; `width` and `height` in pixels, upright."""

    arrived: Path
    digest: str
    type: str
    width: int
    height: int
    size: int


def receive(blocks: Iterable[bytes], folder: Path, pixels: int, name: str) -> Picture:
    """Write bytes into a new file of `folder`, down to the disk, and look whether they are a
    picture of at most so many `pixels`. `name`: how a refusal calls it.

    Raises:
        Refused: they are not (415), or it has more pixels or is damaged (422).
        OSError: the file cannot be written.
    """
    path = folder / uuid4().hex
    total, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as file:
            for block in blocks:
                total.update(block)
                size += len(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        kind = _kind(path, pixels, name)
        try:
            decoded = decode(path, [(_TRIED, _TRIED)])
        except ImageError as error:
            raise Refused(422, f"{name} is damaged: {error}") from error
        return Picture(path, total.hexdigest(), kind, decoded.width, decoded.height, size)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _kind(path: Path, pixels: int, name: str) -> str:
    register_heif()
    Image.init()
    formats = [known for known in _TYPES if known in Image.OPEN]
    unknown = f"{name} is not a picture of a kind that is taken ({', '.join(formats)})"
    try:
        with Image.open(path, formats=formats) as image:
            width, height = image.size
            kind = _TYPES[image.format or ""]
    except Image.DecompressionBombError as error:
        raise Refused(422, f"{name} has more than the {pixels} pixels that are taken") from error
    except Exception as error:  # a damaged file makes readers raise almost anything
        raise Refused(415, unknown) from error
    if width * height > pixels:
        raise Refused(
            422, f"{name} has {width} x {height} pixels, more than the {pixels} that are taken"
        )
    return kind


def blocks_of(data: bytes) -> Iterable[bytes]:
    """`data` in parts."""
    view = memoryview(data)
    return (bytes(view[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK))
