"""Arrays on disk become pictures: .npy, .npz and MNIST's idx files.

The arrays are mapped where their file allows it, not loaded.
"""

from __future__ import annotations

import gzip
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tbgrid.errors import TbgridError
from tbgrid.types import Float32Array, UInt8Array, printable

_IDX = re.compile(r"idx(\d)-ubyte(\.gz)?$")
_IMAGES, _LABELS = "images", "y"


def is_array_file(path: Path) -> bool:
    """Whether the name is one that `read_images` reads."""
    return path.suffix.lower() in (".npy", ".npz") or _IDX.search(path.name) is not None


def read_images(path: str | os.PathLike[str]) -> tuple[UInt8Array, list[str] | None]:
    """uint8[n, h, w] or uint8[n, h, w, 3], and the n labels if there are any.

    An .npz holds the pictures under `images` and the labels under `y`. Beside an idx file of
    pictures (`train-images-idx3-ubyte`) the one of labels (`train-labels-idx1-ubyte`) is used.

    Raises:
        TbgridError: the file cannot be read, or holds something else.
    """
    file = Path(path)
    name = printable(file)
    labels: Any = None
    if _IDX.search(file.name):
        images = _read_idx(file)
        beside = file.with_name(
            file.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
        )
        if beside != file and beside.is_file():
            labels = _read_idx(beside)
    elif file.suffix.lower() == ".npz":
        held = _loaded(file)
        with held:
            if _IMAGES not in held:
                raise TbgridError(
                    f"{name} holds {', '.join(held.files) or 'nothing'}",
                    f"expected uint8 pictures under the name {_IMAGES!r}",
                )
            images = _member(held, _IMAGES, name)
            labels = _member(held, _LABELS, name) if _LABELS in held else None
    else:
        images = _loaded(file)
    if images.dtype != np.uint8 or not (
        images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    ):
        raise TbgridError(
            f"{name} holds {images.dtype}{list(images.shape)}",
            "expected uint8[n, h, w] or uint8[n, h, w, 3]",
        )
    if 0 in images.shape[1:]:
        raise TbgridError(f"{name} holds pictures without pixels", "expected h, w >= 1")
    if labels is None:
        return images, None
    if labels.shape != (len(images),):
        raise TbgridError(
            f"{name}: {len(images)} pictures and labels of shape {list(labels.shape)}",
            "expected one label a picture",
        )
    return images, [str(label) for label in labels.tolist()]


def read_vectors(path: str | os.PathLike[str]) -> Float32Array:
    """float32[n, d] from an .npy file of numbers.

    Raises:
        TbgridError: the file cannot be read, or holds something else.
    """
    file = Path(path)
    vectors = _loaded(file)
    shape = getattr(vectors, "shape", ())
    if len(shape) != 2 or 0 in shape or vectors.dtype.kind not in "fiu":
        found = f"{vectors.dtype}{list(shape)}" if hasattr(vectors, "dtype") else "an .npz"
        raise TbgridError(
            f"{printable(file)} holds {found}", "expected float32[n, d], one row a photo"
        )
    return np.asarray(vectors, np.float32)


def _loaded(file: Path) -> Any:
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TbgridError(
            f"cannot read {printable(file)} ({' '.join(reason.split())})",
            "expected an array saved by numpy.save or numpy.savez",
        ) from error


def _member(held: Any, member: str, name: str) -> Any:
    try:
        return held[member]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise TbgridError(
            f"cannot read {member!r} of {name} ({error})", "expected an array of numbers or text"
        ) from error


def _read_idx(file: Path) -> UInt8Array:
    """MNIST's format (http://yann.lecun.com/exdb/mnist): two zeros, the type 8 for uint8, the
    number of dimensions, each dimension as a big-endian int32, then the data."""
    name = printable(file)
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError) as error:
        raise TbgridError(f"cannot read {name} ({error})", "expected MNIST's idx format") from error
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise TbgridError(f"{name} is no idx file of bytes", "expected MNIST's idx format")
    rank = data[3]
    shape = np.frombuffer(data[4 : 4 + 4 * rank], ">i4").astype(int)
    values = np.frombuffer(data, np.uint8, offset=min(len(data), 4 + 4 * rank))
    if len(shape) != rank or values.size != int(np.prod(shape)):
        raise TbgridError(
            f"{name} holds {values.size} values for a shape of {shape.tolist()}",
            "the file may be cut short: get it again",
        )
    return values.reshape(shape)
