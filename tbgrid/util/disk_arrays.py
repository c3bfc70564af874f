"""Arrays that grow row by row on disk and are then memory-mapped, so that memory stays bounded."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

_OFTEN = 4096  # rows that are read before their memory is given back

Scalar = TypeVar("Scalar", bound=np.generic)


class DiskArrayWriter(Generic[Scalar]):
    """Writes rows of one shape to an unnamed file, which is deleted with the last array of it."""

    def __init__(self, file: IO[bytes], kind: type[Scalar]) -> None:
        self._file, self._kind = file, kind
        self._rows, self._shape = 0, (0,)

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Append rows.

        Args:
            rows: kind[m, ...], of the same shape as rows before, except for m.

        Raises:
            OSError: the disk is full.
        """
        self._rows, self._shape = self._rows + len(rows), rows.shape[1:]
        self._file.write(np.ascontiguousarray(rows, self._kind).data)

    def as_array(self) -> npt.NDArray[Scalar]:
        """Map all rows as kind[n, ...]. Changes to the array stay in memory."""
        shape = (self._rows, *self._shape)
        if not math.prod(shape):
            return np.zeros(shape, self._kind)
        self._file.flush()
        held = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(held, self._kind).reshape(shape)


@contextmanager
def open_disk_array(kind: type[Scalar], folder: Path | None) -> Iterator[DiskArrayWriter[Scalar]]:
    """Open a new array on disk.

    Args:
        kind: the type of its numbers.
        folder: where its file lies; None for the system's directory of temporary files.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        yield DiskArrayWriter(file, kind)


def iter_releasing(array: npt.NDArray[Any], rows: Iterable[int]) -> Iterator[int]:
    """Yield `rows` and give back the memory of `array`, from `as_array`, every few thousand."""
    for number, row in enumerate(rows):
        if number % _OFTEN == _OFTEN - 1:
            drop_pages(array)
        yield row


def drop_pages(array: npt.NDArray[Any]) -> None:
    """Give back the memory of an array from `as_array`; its rows are read again when needed.

    Changes to the array are lost. Does nothing to other arrays, or on systems without `madvise`.
    """
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and os.name == "posix":
        base.madvise(mmap.MADV_DONTNEED)
