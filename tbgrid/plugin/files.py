"""Reads files of an export, whatever a stranger has put in their place.

A `Folder` is entered step by step from the run's directory; below that no link is followed, and a
name is never a path. Only regular files are opened, so that a pipe cannot make the server wait
nor a device do anything; how many bytes are read is decided by the caller, before.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator

# Where the system can open a name relative to an open folder, nobody can swap the folder for a
# link in between. Elsewhere (Windows) the resolved path is compared.
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
    """What is answered instead of a file: the HTTP status, what was found, and how to mend it."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(status, error, hint)
        self.status = status
        self.error = error
        self.hint = hint


class BrokenError(RequestError):
    """An export whose files are not as its own manifest says."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(422, error, hint)


class MissingError(BrokenError):
    """A file or folder of an export is not there."""


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
        """Raise BrokenError if the file is not of that size."""
        if self.size != size:
            raise BrokenError(f"{self.shown} is {self.size:,} bytes long, not {size:,}")

    def require_at_most(self, most: int) -> None:
        """Raise BrokenError if the file is larger."""
        if self.size > most:
            raise BrokenError(f"{self.shown} is {self.size:,} bytes long; {most:,} are the most")

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`.

        Raises:
            BrokenError: there are fewer of them.
        """
        blocks = list(self.blocks(offset, size))
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def blocks(self, offset: int, size: int) -> Iterator[bytes]:
        """The same bytes, piece by piece."""
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
        """Close the file, which may be closed already."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Folder:
    """A folder that is read from. `shown`: its path below the run's directory, for messages."""

    def __init__(self, path: str, shown: str, handle: int | None) -> None:
        self._path = path
        self._shown = shown
        self._handle = handle

    @classmethod
    def at(cls, path: str) -> Folder:
        """The run's directory itself, which may be reached by links, as in TensorBoard.

        Raises:
            MissingError: there is no such directory.
            BrokenError: it cannot be read.
        """
        try:
            real = os.path.realpath(path)
            handle = os.open(real, _FOLDER_FLAGS) if _BY_HANDLE else None
        except (OSError, ValueError) as error:
            raise _problem(error, "the run's folder") from error
        return cls(real, "", handle)

    def inside(self, *names: str) -> Folder:
        """The folder `names[0]`/`names[1]`/... below this one; to be closed by itself.

        Raises:
            MissingError, BrokenError: there is none, it is a link, or it cannot be read.
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
            # A junction is a directory to lstat, but its resolved path is another.
            if os.path.normcase(os.path.realpath(path)) != os.path.normcase(path):
                raise BrokenError(f"{shown} is a link, not a folder")
        except OSError as error:
            raise _problem(error, shown) from error
        return Folder(path, shown, None)

    def require(self, name: str, size: int | None = None) -> None:
        """Make sure that there is a regular file `name`, of that size, without opening it.

        Raises:
            MissingError, BrokenError: there is none.
        """
        status = self._status(name)
        self._require_regular(name, status.st_mode)
        if size is not None and status.st_size != size:
            raise BrokenError(f"{self._join(name)} is {status.st_size:,} bytes long, not {size:,}")

    def open(self, name: str) -> File:
        """The regular file `name`; to be closed.

        Raises:
            MissingError, BrokenError: there is none, or it cannot be read.
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
        if not file.regular:  # it was swapped just now
            file.close()
            raise BrokenError(f"{shown} is not a regular file")
        return file

    def read(self, name: str, most: int) -> bytes:
        """All bytes of the regular file `name`, of which there may be `most`.

        Raises:
            MissingError, BrokenError: there is none, it cannot be read, or it is larger.
        """
        with self.open(name) as file:
            if file.size > most:
                raise BrokenError(
                    f"{file.shown} is {file.size:,} bytes long; {most:,} are the most"
                )
            return file.read(0, file.size)

    def close(self) -> None:
        """Close the folder, which may be closed already."""
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
        return MissingError(f"{shown} is not there")
    if code == errno.ELOOP:
        return BrokenError(f"{shown} is a link")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return BrokenError(f"{shown} cannot be read ({reason})")


def exists(path: str) -> bool:
    """Whether anything has the name `path`, be it a link that leads nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.lstat(path)
        return True
    return False
