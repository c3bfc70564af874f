"""Arrays that grow row by row on disk and are then mapped, so that memory stays flat."""

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


class Spool(Generic[Scalar]):
    """Rows of one shape in a file without a name, which goes when the last array of it does."""

    def __init__(self, file: IO[bytes], kind: type[Scalar]) -> None:
        self._file, self._kind = file, kind
        self._rows, self._shape = 0, (0,)

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Append `rows`, kind[m, ...]; all that are added have the same shape but for m.

        Raises:
            OSError: the disk is full.
        """
        self._rows, self._shape = self._rows + len(rows), rows.shape[1:]
        self._file.write(np.ascontiguousarray(rows, self._kind).data)

    def finished(self) -> npt.NDArray[Scalar]:
        """kind[n, ...]: all rows. What is changed in it stays in memory."""
        shape = (self._rows, *self._shape)
        if not math.prod(shape):
            return np.zeros(shape, self._kind)
        self._file.flush()
        held = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        return np.frombuffer(held, self._kind).reshape(shape)


@contextmanager
def spool(kind: type[Scalar], folder: Path | None) -> Iterator[Spool[Scalar]]:
    """A new one, with its file in `folder`, None for the system's own place."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file, kind)


def released(array: npt.NDArray[Any], rows: Iterable[int]) -> Iterator[int]:
    """`rows` of a spooled array, one after another, with its memory given back now and then."""
    for number, row in enumerate(rows):
        if number % _OFTEN == _OFTEN - 1:
            release(array)
        yield row


def release(array: npt.NDArray[Any]) -> None:
    """Give back the memory of a spooled array's rows; they are read again when they are needed.

    Nothing happens to other arrays, or where the system has no such call. What was changed in the
    array is lost.
    """
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and os.name == "posix":
        base.madvise(mmap.MADV_DONTNEED)
