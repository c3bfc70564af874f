"""Reads files of an export safely, whatever has been put in their place.

A `Folder` is entered step by step from the run's directory; below it no link is followed, and a
name is never a path. Only regular files are opened, so that no pipe can block the server and no
device is touched; the caller decides beforehand how many bytes are read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator

# If the system can open a name relative to an open directory, nobody can replace the directory by a
# link in between. Otherwise (Windows) the resolved path is compared.
_BY_HANDLE = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FILE_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _FILE_FLAGS |= getattr(os, _flag, 0)
_FOLDER_FLAGS = os.O_RDONLY
for _flag in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
    _FOLDER_FLAGS |= getattr(os, _flag, 0)
_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.-]+\Z")
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_BLOCK = 1 << 20


class RequestError(Exception):
    """The answer instead of a file: HTTP status, what was found, and how to fix it."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(status, error, hint)
        self.status = status
        self.error = error
        self.hint = hint


class BrokenError(RequestError):
    """An export whose files do not match its own manifest."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(422, error, hint)


class MissingError(BrokenError):
    """A file or directory of an export does not exist."""


class File:
    """A regular file, open for reading. `stamp` changes when the file does."""

    def __init__(self, handle: int, shown: str) -> None:
        self._handle = handle
        self.shown = shown
        status = os.fstat(handle)
        self.regular = stat.S_ISREG(status.st_mode)
        self.size = status.st_size
        self.stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)

    def require(self, size: int) -> None:
        """Raise BrokenError if the file does not have this size."""
        if self.size != size:
            raise BrokenError(f"{self.shown} is {self.size:,} bytes long, not {size:,}")

    def require_at_most(self, most: int) -> None:
        """Raise BrokenError if the file is larger."""
        if self.size > most:
            raise BrokenError(f"{self.shown} is {self.size:,} bytes long, more than {most:,}")

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`.

        Raises:
            BrokenError: the file is shorter.
        """
        blocks = list(self.blocks(offset, size))
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def blocks(self, offset: int, size: int) -> Iterator[bytes]:
        """The same bytes in blocks."""
        try:
            os.lseek(self._handle, offset, os.SEEK_SET)
            while size:
                block = os.read(self._handle, min(size, _BLOCK))
                if not block:
                    raise BrokenError(f"{self.shown} became shorter while it was read")
                size -= len(block)
                yield block
        except OSError as error:
            raise BrokenError(f"{self.shown} cannot be read ({error.strerror})") from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Folder:
    """An open directory. `shown`: its path below the run's directory, for messages."""

    def __init__(self, path: str, shown: str, handle: int | None) -> None:
        self._path = path
        self._shown = shown
        self._handle = handle

    @classmethod
    def at(cls, path: str) -> Folder:
        """The run's directory itself, whose path may contain links, as in TensorBoard.

        Raises:
            MissingError: it does not exist.
            BrokenError: it cannot be read.
        """
        try:
            real = os.path.realpath(path)
            handle = os.open(real, _FOLDER_FLAGS) if _BY_HANDLE else None
        except (OSError, ValueError) as error:
            raise _problem(error, "the run's folder") from error
        return cls(real, "", handle)

    def inside(self, *names: str) -> Folder:
        """The directory `names[0]`/`names[1]`/... below this one; the caller closes it.

        Raises:
            MissingError, BrokenError: it does not exist, is a link, or cannot be read.
        """
        folder = self
        for name in names:
            try:
                deeper = folder._child(name)
            finally:
                if folder is not self:
                    folder.close()
            folder = deeper
        return folder

    def _child(self, name: str) -> Folder:
        shown, path = self._join(name), os.path.join(self._path, name)
        mode = self._status(name).st_mode
        if not stat.S_ISDIR(mode):
            raise BrokenError(f"{shown} is {_KINDS.get(stat.S_IFMT(mode), 'a file')}, not a folder")
        try:
            if _BY_HANDLE:
                return Folder(path, shown, os.open(name, _FOLDER_FLAGS, dir_fd=self._handle))
            # lstat sees a junction as a directory, but its resolved path differs.
            if os.path.normcase(os.path.realpath(path)) != os.path.normcase(path):
                raise BrokenError(f"{shown} is a link, not a folder")
        except OSError as error:
            raise _problem(error, shown) from error
        return Folder(path, shown, None)

    def require(self, name: str, size: int | None = None) -> None:
        """Check that `name` is a regular file of this size, without opening it.

        Raises:
            MissingError, BrokenError: it is not.
        """
        status = self._status(name)
        self._require_regular(name, status.st_mode)
        if size is not None and status.st_size != size:
            raise BrokenError(f"{self._join(name)} is {status.st_size:,} bytes long, not {size:,}")

    def open(self, name: str) -> File:
        """The regular file `name`; the caller closes it.

        Raises:
            MissingError, BrokenError: it does not exist, or cannot be read.
        """
        shown = self._join(name)
        self._require_regular(name, self._status(name).st_mode)
        try:
            if _BY_HANDLE:
                handle = os.open(name, _FILE_FLAGS, dir_fd=self._handle)
            else:
                handle = os.open(os.path.join(self._path, name), _FILE_FLAGS)
        except OSError as error:
            raise _problem(error, shown) from error
        file = File(handle, shown)
        if not file.regular:  # it was replaced just now
            file.close()
            raise BrokenError(f"{shown} is not a regular file")
        return file

    def read(self, name: str, most: int) -> bytes:
        """All bytes of the regular file `name`, at most `most`.

        Raises:
            MissingError, BrokenError: it does not exist, cannot be read, or is larger.
        """
        with self.open(name) as file:
            if file.size > most:
                raise BrokenError(f"{file.shown} is {file.size:,} bytes long, more than {most:,}")
            return file.read(0, file.size)

    def close(self) -> None:
        """Close the directory; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _join(self, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is not a name")  # a bug: names are made by this program
        return f"{self._shown}/{name}" if self._shown else name

    def _status(self, name: str) -> os.stat_result:
        shown = self._join(name)
        try:
            if _BY_HANDLE:
                return os.stat(name, dir_fd=self._handle, follow_symlinks=False)
            return os.lstat(os.path.join(self._path, name))
        except OSError as error:
            raise _problem(error, shown) from error

    def _require_regular(self, name: str, mode: int) -> None:
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "something else")
            raise BrokenError(f"{self._join(name)} is {kind}, not a file")


def _problem(error: OSError | ValueError, shown: str) -> BrokenError:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENOTDIR):
        return MissingError(f"{shown} does not exist")
    if code == errno.ELOOP:
        return BrokenError(f"{shown} is a link")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return BrokenError(f"{shown} cannot be read ({reason})")


def exists(path: str) -> bool:
    """Whether `path` exists, even as a broken link."""
    with contextlib.suppress(OSError, ValueError):
        os.lstat(path)
        return True
    return False
