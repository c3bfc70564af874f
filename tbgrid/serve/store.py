"""The service's SQLite database, which one thread writes.

Concurrent writes are committed together, each in a savepoint of its own. `Store.write` returns
once its transaction is on disk.
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

from tbgrid.errors import TbgridError, option

T = TypeVar("T")
Row = sqlite3.Row
FILE_NAME = "service-1.sqlite"  # a new schema gets a new number
_MAX_BATCH = 64  # writes per commit
_BUSY_TIMEOUT = 60  # s that a write waits for another process, such as `tbgrid serve key`
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
    """A write to a store that is closed, because the service is shutting down."""


class Transaction:
    """A write in progress."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.actions: list[Callable[[], object]] = []

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement."""
        return self._connection.execute(statement, values)

    def one(self, statement: str, *values: Any) -> Row | None:
        """The first row of a query."""
        row: Row | None = self.execute(statement, *values).fetchone()
        return row

    def on_commit(self, action: Callable[[], object]) -> None:
        """Have the writer thread call `action` after the commit, in the order of these calls."""
        self.actions.append(action)


_Operation = Callable[[Transaction], Any]


class Reader:
    """Reads the database at `path`, from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not bound to threads: the threads that answer requests come and go.
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
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()


class Store(Reader):
    """The open database in a folder; any thread may read and `write` it.

    Args:
        folder: where the database is; both are created if needed.

    Raises:
        TbgridError: if the database cannot be opened, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / FILE_NAME)
        self._closing, self._closed = threading.Lock(), False
        self._queue: queue.Queue[tuple[_Operation, Future[Any]] | None] = queue.Queue()
        try:
            self._writer = connect(self.path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise TbgridError(
                f"cannot use the service's database ({error})",
                f"repair {FILE_NAME}, or use another {option('root')}",
            ) from error
        self._thread = threading.Thread(target=self._run, name="tbgrid-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish pending writes, and close the database."""
        with self._closing:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._writer.close()
        super().close()

    def write(self, operation: Callable[[Transaction], T]) -> T:
        """Run `operation` as one transaction.

        Args:
            operation: is called by the writer thread.

        Returns:
            What `operation` returns, once the transaction is on disk.

        Raises:
            sqlite3.Error: if the transaction could not be committed.
            ClosedError: if the store is closed.
            Exception: whatever `operation` raises, after a rollback.
        """
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise ClosedError("the service is shutting down", "try again later")
            self._queue.put((operation, future))
        return future.result()

    def _run(self) -> None:
        running = True
        while running:
            batch = []
            entry = self._queue.get()
            while entry is not None:
                batch.append(entry)
                if len(batch) == _MAX_BATCH:
                    break
                try:
                    entry = self._queue.get_nowait()
                except queue.Empty:
                    break
            running = entry is not None
            if batch:
                self._commit(batch)

    def _commit(self, batch: Sequence[tuple[_Operation, Future[Any]]]) -> None:
        """Run a batch of operations in one commit, call their actions and set their futures."""
        writer = self._writer
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        actions: list[Callable[[], object]] = []
        try:
            writer.execute("BEGIN IMMEDIATE")
            for operation, future in batch:
                transaction = Transaction(writer)
                writer.execute("SAVEPOINT operation")
                try:
                    outcomes.append((future, operation(transaction), None))
                    actions += transaction.actions
                except Exception as error:
                    if not writer.in_transaction:  # a full disk ends the whole transaction
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
        for action in actions:
            # The next start cleans up what fails here; other writes must not wait for ever.
            with contextlib.suppress(OSError, sqlite3.Error):
                action()
        for future, result, failure in outcomes:
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)


def connect(path: Path) -> sqlite3.Connection:
    """A connection with rows by column name, which waits while another process writes."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


@contextlib.contextmanager
def open_store(folder: Path) -> Iterator[Store]:
    """A `Store` that is closed at the end."""
    store = Store(folder)
    try:
        yield store
    finally:
        store.close()
