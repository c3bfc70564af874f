"""What must outlive the process: an SQLite database, and one thread that writes it.

Writes that come at the same time are committed together, each in a savepoint of its own. A write
is answered when it is on the disk.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from tbgrid.errors import TbgridError

T = TypeVar("T")
Row = sqlite3.Row
NAME = "service-1.sqlite"  # a new layout of the tables gets a new number
_TOGETHER = 64  # writes in one commit, at most
_PATIENCE = 60  # s that a write waits for another process, such as `tbgrid serve key`
_SCHEMA = """
CREATE TABLE IF NOT EXISTS applications (
    name TEXT PRIMARY KEY, created REAL NOT NULL,
    inputs INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS inputs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    application TEXT NOT NULL REFERENCES applications (name), digest TEXT NOT NULL,
    name TEXT NOT NULL, label TEXT, metadata TEXT NOT NULL,
    type TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, size INTEGER NOT NULL,
    created REAL NOT NULL, UNIQUE (application, digest)
);
CREATE INDEX IF NOT EXISTS inputs_by_digest ON inputs (digest);
CREATE INDEX IF NOT EXISTS inputs_in_order ON inputs (application, seq);
CREATE TRIGGER IF NOT EXISTS input_added AFTER INSERT ON inputs BEGIN
    UPDATE applications SET inputs = inputs + 1, bytes = bytes + NEW.size
    WHERE name = NEW.application;
END;
CREATE TRIGGER IF NOT EXISTS input_removed AFTER DELETE ON inputs BEGIN
    UPDATE applications SET inputs = inputs - 1, bytes = bytes - OLD.size
    WHERE name = OLD.application;
END;
CREATE TABLE IF NOT EXISTS visualizations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    application TEXT NOT NULL REFERENCES applications (name), name TEXT NOT NULL,
    options TEXT NOT NULL, upto INTEGER NOT NULL, status TEXT NOT NULL,
    cancel INTEGER NOT NULL DEFAULT 0, deleted INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0, details TEXT NOT NULL DEFAULT '', result TEXT,
    weight INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL, ended REAL,
    UNIQUE (application, name)
);
CREATE INDEX IF NOT EXISTS visualizations_by_status ON visualizations (status, seq);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    created REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_by_time ON answers (created);
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, applications TEXT, created REAL NOT NULL
);
"""


class ClosedError(TbgridError):
    """A write that comes when the service is ending."""


class Writing:
    """A write in progress. `after` takes what is to be done when it is on the disk, in order, by
    the thread that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.after: list[Callable[[], object]] = []

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    def one(self, statement: str, *values: Any) -> Row | None:
        """The first row of a query."""
        found: Row | None = self.execute(statement, *values).fetchone()
        return found


class Reader:
    """The database at `path`, to be read by any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Of no thread in particular: the threads that answer requests come and go.
        self._idle: list[sqlite3.Connection] = []

    def all(self, statement: str, *values: Any) -> list[Row]:
        """The rows of a query."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = connect(self.path)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            self._idle.append(connection)

    def one(self, statement: str, *values: Any) -> Row | None:
        """The first row of a query."""
        return next(iter(self.all(statement, *values)), None)

    def close(self) -> None:
        """Let go of the file."""
        while self._idle:
            self._idle.pop().close()


class Store(Reader):
    """The open database in `folder`; `write` may be called by any thread."""

    def __init__(self, folder: Path) -> None:
        """Open or make it.

        Raises:
            TbgridError: it cannot be opened, or is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / NAME)
        self._ending, self._closed = threading.Lock(), False
        self._queue: queue.Queue[tuple[Callable[[Writing], Any], Future[Any]] | None] = (
            queue.Queue()
        )
        try:
            self._writer = connect(self.path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise TbgridError(
                f"the service's database cannot be used ({error})",
                "mend it, or give another --root",
            ) from error
        self._thread = threading.Thread(target=self._run, name="tbgrid-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was asked for, and close."""
        with self._ending:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._writer.close()
        super().close()

    def write(self, operation: Callable[[Writing], T]) -> T:
        """Do `operation` as one whole, and return what it returns once that is on the disk.

        Raises:
            sqlite3.Error: it cannot be written, and was not.
            ClosedError: the store is.
            Exception: what `operation` raises, which then has changed nothing.
        """
        future: Future[T] = Future()
        with self._ending:
            if self._closed:
                raise ClosedError("the service ends", "try again when it is back")
            self._queue.put((operation, future))
        return future.result()

    def _run(self) -> None:
        going = True
        while going:
            batch = []
            entry = self._queue.get()
            while entry is not None:
                batch.append(entry)
                if len(batch) == _TOGETHER:
                    break
                try:
                    entry = self._queue.get_nowait()
                except queue.Empty:
                    break
            going = entry is not None
            if batch:
                self._commit(batch)

    def _commit(self, batch: Sequence[tuple[Callable[[Writing], Any], Future[Any]]]) -> None:
        writer = self._writer
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        after: list[Callable[[], object]] = []
        try:
            writer.execute("BEGIN IMMEDIATE")
            for operation, future in batch:
                writing = Writing(writer)
                writer.execute("SAVEPOINT operation")
                try:
                    outcomes.append((future, operation(writing), None))
                    after += writing.after
                except Exception as error:
                    if not writer.in_transaction:  # a full disk ends the whole of it
                        raise
                    writer.execute("ROLLBACK TO operation")
                    outcomes.append((future, None, error))
                writer.execute("RELEASE operation")
            writer.execute("COMMIT")
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            for _, future in batch:
                future.set_exception(error)
            return
        for action in after:
            # What is left is found at the next start; other writes must not wait for ever.
            with contextlib.suppress(OSError, sqlite3.Error):
                action()
        for future, result, failure in outcomes:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that sees each statement's rows by name, and waits for other processes."""
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """A `Store` that is closed at the end."""
    store = Store(folder)
    try:
        yield store
    finally:
        store.close()
