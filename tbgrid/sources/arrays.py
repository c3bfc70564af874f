"""Reads pictures, labels and vectors from .npy, .npz and MNIST's idx files.

An .npy file is mapped, not loaded. Pickles are never read, since they can run any program.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from tbgrid.errors import TbgridError
from tbgrid.run_format import printable
from tbgrid.types import Float32Array, UInt8Array

_IDX = re.compile(r"idx(\d)-ubyte(\.gz)?$")
_IMAGES, _LABELS = "images", "y"
_EXPECTED = "expected uint8[n, h, w] or uint8[n, h, w, 3]"


def is_array_file(path: Path) -> bool:
    """Whether `read_images` reads files of that name."""
    return path.suffix.lower() in (".npy", ".npz") or _IDX.search(path.name) is not None


def read_images(path: str | os.PathLike[str]) -> tuple[UInt8Array, list[str] | None]:
    """Read pictures, and their labels if there are any.

    An .npz file has the pictures under `images` and the labels under `y`. For an idx file of
    pictures (`train-images-idx3-ubyte`) the labels are read from the file next to it
    (`train-labels-idx1-ubyte`).

    Args:
        path: an .npy, .npz or idx file.

    Returns:
        uint8[n, h, w] or uint8[n, h, w, 3], and n labels or None.

    Raises:
        TbgridError: the file cannot be read, or has other contents.
    """
    file = Path(path)
    name = printable(file)
    images: UInt8Array
    labels: Any
    images, labels = _read_idx_pair(file) if _IDX.search(file.name) else _read_numpy(file)
    if images.dtype != np.uint8 or not (
        images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    ):
        raise TbgridError(f"{name} holds {images.dtype}{list(images.shape)}", _EXPECTED)
    if 0 in images.shape:
        raise TbgridError(f"{name} holds no pictures ({list(images.shape)})", _EXPECTED)
    if labels is None:
        return images, None
    if labels.shape not in ((len(images),), (len(images), 1)):
        raise TbgridError(
            f"{name}: {len(images)} pictures and labels of shape {list(labels.shape)}",
            "expected one label per picture",
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    return images, [str(label) for label in labels.ravel().tolist()]


def read_vectors(path: str | os.PathLike[str]) -> Float32Array:
    """Read vectors from an .npy file of numbers. Numbers too large for float32 become infinite.

    Returns:
        float32[n, d].

    Raises:
        TbgridError: the file cannot be read, or has other contents.
    """
    file = Path(path)
    if _is_archive(file):
        raise TbgridError(f"{printable(file)} is an .npz", "save only the vectors, with numpy.save")
    vectors = _loaded(file, file)
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.kind not in "fiu":
        raise TbgridError(
            f"{printable(file)} holds {vectors.dtype}{list(vectors.shape)}",
            "expected float32[n, d], one row per photo",
        )
    with np.errstate(over="ignore"):
        return np.asarray(vectors, np.float32)


def _read_numpy(file: Path) -> tuple[Any, Any]:
    """Pictures and labels of an .npy or .npz file; the contents decide, not the name."""
    if not _is_archive(file):
        return _loaded(file, file), None
    # Opened here, since numpy leaves the file open if the archive is damaged.
    with file.open("rb") as stream, _loaded(stream, file) as found:
        if _IMAGES not in found:
            raise TbgridError(
                f"{printable(file)} holds {', '.join(found.files) or 'nothing'}",
                f"expected uint8 pictures under the name {_IMAGES!r}, and labels under {_LABELS!r}",
            )
        images = _member(found, _IMAGES, file)
        return images, _member(found, _LABELS, file) if _LABELS in found else None


def _is_archive(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(2) == b"PK"
    except OSError as error:
        raise _unreadable(printable(file), error) from error


def _loaded(source: Path | IO[bytes], file: Path) -> Any:
    try:
        return np.load(source, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged file raises anything, such as EOFError or BadZipFile
        raise _unreadable(printable(file), error) from error


def _member(archive: Any, member: str, file: Path) -> Any:
    try:
        return archive[member]
    except Exception as error:  # as above, or of zlib
        raise _unreadable(f"{member!r} of {printable(file)}", error) from error


def _unreadable(what: str, error: Exception) -> TbgridError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return TbgridError(
        f"cannot read {what} ({' '.join(reason.split())[:200] or type(error).__name__})",
        "expected numbers, or text for labels, saved by numpy.save or numpy.savez",
    )


def _read_idx_pair(file: Path) -> tuple[UInt8Array, UInt8Array | None]:
    """Pictures, and the labels in the file next to them; either may be compressed."""
    images = _read_idx(file)
    stem = file.name.removesuffix(".gz")
    labels = re.sub(r"idx\d", "idx1", stem.replace("images", "labels"))
    for candidate in (labels + file.name[len(stem) :], labels, labels + ".gz"):
        if labels != stem and file.with_name(candidate).is_file():
            return images, _read_idx(file.with_name(candidate))
    return images, None


def _read_idx(file: Path) -> UInt8Array:
    """Read MNIST's format (http://yann.lecun.com/exdb/mnist): two zeros, the type 8 for uint8, the
    number of dimensions, each dimension as a big-endian int32, then the data."""
    name = printable(file)
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise TbgridError(
            f"cannot read {name} ({reason})", "expected MNIST's idx format; download the file again"
        ) from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise TbgridError(f"{name} is not an idx file of bytes", "expected MNIST's idx format")
    rank, start = data[3], 4 + 4 * data[3]
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    if len(data) < start or len(data) - start != math.prod(shape):
        raise TbgridError(
            f"{name} holds {max(0, len(data) - start)} values for {rank} sizes {shape}",
            "the file may be truncated: download it again",
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
