"""Directories that only one process of tbgrid writes at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from tbgrid.errors import TbgridError, option
from tbgrid.run_format import printable


@contextlib.contextmanager
def claim_directory(directory: Path, *, root: Path, busy: str, parameter: str) -> Iterator[None]:
    """Create a directory and keep other processes out of it until the end of the block.

    The lock is a file in it, `.lock`, which the system releases if this process is killed.

    Args:
        directory: the directory to create, with its parents, and to lock.
        root: the directory that the user has named, which contains it; errors name this one.
        busy: what another process does that holds the lock, such as "another export is writing".
        parameter: the option or parameter by which the user has named `root`.

    Raises:
        TbgridError: another process holds the lock, or the directory cannot be written.
    """
    with directory_errors(root, parameter):
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise TbgridError(
                f"{busy} {printable(root)}",
                f"wait until it has ended, or give another {option(parameter)}",
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def directory_errors(root: Path, parameter: str) -> Iterator[None]:
    """Turn errors of the system into a TbgridError that says what to do about `root`.

    Args:
        root: the directory that the user has named.
        parameter: the option or parameter that names it.

    Raises:
        TbgridError: it is not a directory, or cannot be written.
    """
    try:
        yield
    except (NotADirectoryError, FileExistsError) as error:
        raise TbgridError(
            f"{printable(root)} is not a directory",
            f"give {option(parameter)} a directory, which may be new",
        ) from error
    except OSError as error:
        raise TbgridError(
            f"cannot write {printable(root)} ({error.strerror})",
            f"give another {option(parameter)}",
        ) from error
