"""The cache of computed vectors, thumbnails, layouts and converted networks, keyed by content.

It is one SQLite file in the user's cache directory. Every entry is written whole or not at all,
also by several exports at once, so that an interrupted export continues where it stopped. A key is
a hash of everything its value depends on; of a file it is the content, not the name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tbgrid.errors import TbgridError, option
from tbgrid.options import ExportOptions

# Bytes: vectors, thumbnails and previews of a quarter of a million photos.
DEFAULT_LIMIT = 8_000_000_000
_NAME = "cache-1.sqlite"  # the number changes with the tables
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key BLOB PRIMARY KEY, kind TEXT NOT NULL, value BLOB NOT NULL, used INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime INTEGER NOT NULL, digest BLOB NOT NULL
) WITHOUT ROWID;
"""
_USAGE = "SELECT kind, COUNT(*), SUM(LENGTH(value)) FROM entries GROUP BY kind ORDER BY kind"
_PAGE = 16384  # bytes: most values fill one, and are written in half the time of four small ones
_TURN = 16  # files per task of a thread: a single one is read in less time than handing it out
_BLOCK = 2**18  # bytes of a file read at a time
_AT_ONCE = 500  # keys in one query; SQLite allows 999 on old systems
# Seconds between updates of the time at which an entry was last used, since each is a write.
_GRAIN = 3600
# Nanoseconds: a file that was read sooner after its last change may have changed again since,
# within the resolution of its time stamp.
_SETTLED = 2_000_000_000


@dataclass(frozen=True)
class Usage:
    """What the cache holds of one kind.

    Attributes:
        kind: such as "vector" or "layout".
        entries: number of entries.
        size: their values in bytes.
    """

    kind: str
    entries: int
    size: int


def default_directory() -> Path:
    """Give the user's cache directory for tbgrid, where the system has such directories."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("tbgrid", appauthor=False))


def key_of(*parts: object) -> bytes:
    """Make a key that differs whenever a part does: SHA-256 over the parts and their lengths."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, (bytes, memoryview)) else repr(part).encode()
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        total.update(size.to_bytes(8, "little"))
        total.update(data)
    return total.digest()


def digest_of(path: str | os.PathLike[str]) -> bytes:
    """Compute the SHA-256 of a file, or of all files below a directory with their names."""
    root = Path(path)
    total = hashlib.sha256()
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    for file in files:
        inner = hashlib.sha256()
        with file.open("rb", buffering=0) as stream:
            while block := stream.read(_BLOCK):
                inner.update(block)
        if file == root:
            return inner.digest()
        total.update(key_of(os.fsencode(file.relative_to(root)), inner.digest()))
    return total.digest()


def _state_of(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of modification in ns; None if `path` is not a file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _read_digests(paths: Sequence[Path]) -> list[bytes]:
    digests = []
    for path in paths:
        try:
            digests.append(digest_of(path))
        except OSError:
            digests.append(b"")
    return digests


class Cache:
    """An open cache.

    If the cache fails later on (a full disk, a damaged file), it behaves as if it were empty, and
    `failure` says why, without the path, which must not get into a run.

    Args:
        directory: where its file lies; None for a cache that keeps nothing.
        limit: bytes of values; on closing, the least recently used entries beyond it are removed.

    Raises:
        TbgridError: the file is damaged.
    """

    def __init__(self, directory: Path | None, limit: int = DEFAULT_LIMIT) -> None:
        self.path = directory / _NAME if directory else None
        self.limit = limit
        self.failure = ""
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        if self.path is not None:
            with self._failures_recorded():
                self._connection = _open_database(self.path)

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the least recently used entries beyond the limit, and close."""
        with self._locked() as connection:
            if connection is not None:
                _prune(connection, self.limit)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def digests(self, paths: Sequence[Path], workers: int | None = None) -> list[bytes]:
        """Compute the SHA-256 of each file; b"" if it cannot be read.

        Files whose size and time of modification are unchanged are not read again.

        Args:
            paths: the files.
            workers: threads that read; None for one per core, at most 8.
        """
        found: list[bytes] = []
        workers = workers or min(8, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(paths), _AT_ONCE):
                found += self._digests(paths[start : start + _AT_ONCE], pool, workers)
        return found

    def _digests(
        self, paths: Sequence[Path], pool: ThreadPoolExecutor, workers: int
    ) -> list[bytes]:
        states = [_state_of(path) for path in paths]
        names = [os.fsencode(path.absolute()) for path in paths]
        known: dict[bytes, tuple[Any, ...]] = {}
        with self._locked() as connection:
            if connection is not None:
                marks = ",".join("?" * len(names))
                rows = connection.execute(f"SELECT * FROM files WHERE path IN ({marks})", names)
                known = {bytes(name): tuple(rest) for name, *rest in rows}
        found = [b""] * len(paths)
        new: list[int] = []
        for at, (name, state) in enumerate(zip(names, states, strict=True)):
            held = known.get(name)
            if state and held and held[:2] == state:
                found[at] = bytes(held[2])
            elif state:
                new.append(at)
        turn = max(1, min(_TURN, -(-len(new) // workers)))
        parts = [new[first : first + turn] for first in range(0, len(new), turn)]
        read = pool.map(_read_digests, [[paths[at] for at in part] for part in parts])
        for at, digest in zip(new, chain.from_iterable(read), strict=True):
            found[at] = digest
        settled = time.time_ns() - _SETTLED
        rows_to_keep = [
            (names[at], *state, found[at])
            for at in new
            if found[at] and (state := states[at]) and state[1] < settled
        ]
        with self._locked() as connection:
            if connection is not None and rows_to_keep:
                connection.execute("BEGIN")
                with connection:
                    connection.executemany(
                        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows_to_keep
                    )
        return found

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Look up the values of those `keys` that are in the cache."""
        found: dict[bytes, bytes] = {}
        with self._locked() as connection:
            if connection is None:
                return found
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, value FROM entries WHERE key IN ({marks})", some
                ).fetchall()
                found.update((bytes(key), bytes(value)) for key, value in rows)
                now = int(time.time())
                connection.execute(
                    f"UPDATE entries SET used = ? WHERE used < ? AND key IN ({marks})",
                    (now, now - _GRAIN, *some),
                )
        return found

    def put(self, kind: str, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Store (key, value) pairs, all of them or none."""
        now = int(time.time())
        with self._locked() as connection:
            if connection is None:
                return
            with connection:
                connection.execute("BEGIN")
                connection.executemany(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
                    [(key, kind, value, now) for key, value in items],
                )

    def usage(self) -> list[Usage]:
        """List what the cache holds, by kind."""
        rows = []
        with self._locked() as connection:
            if connection is not None:
                rows = connection.execute(_USAGE).fetchall()
        return [Usage(str(kind), int(count), int(size)) for kind, count, size in rows]

    def clear(self) -> None:
        """Remove everything and free the space on disk."""
        with self._locked() as connection:
            if connection is not None:
                connection.execute("DELETE FROM entries")
                connection.execute("DELETE FROM files")
                connection.execute("VACUUM")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection | None]:
        """The connection, for one thread at a time; None if there is none or it has failed."""
        with self._lock, self._failures_recorded():
            yield self._connection

    @contextlib.contextmanager
    def _failures_recorded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.failure = (isinstance(error, OSError) and error.strerror) or str(error)
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None


def _open_database(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size={_PAGE}")  # of a new file
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise TbgridError(
            f"the cache {path} is damaged ({error})",
            f"remove that file, or do without the cache ({option('use_cache')})",
        ) from error
    return connection


def _prune(connection: sqlite3.Connection, limit: int) -> None:
    total = connection.execute("SELECT COALESCE(SUM(LENGTH(value)), 0) FROM entries").fetchone()[0]
    if total <= limit:
        return
    kept = 0
    stale = []
    for key, size in connection.execute(
        "SELECT key, LENGTH(value) FROM entries ORDER BY used DESC, key"
    ):
        kept += size
        if kept > 0.8 * limit:  # some room, so that not every export prunes
            stale.append((key,))
    connection.executemany("DELETE FROM entries WHERE key = ?", stale)
    connection.execute("VACUUM")


def open_cache(options: ExportOptions) -> Cache:
    """The cache that `options` name."""
    if not options.use_cache:
        return Cache(None)
    return Cache(default_directory() if options.cache is None else Path(options.cache))
