"""Finds runs of tbgrid in the directories that TensorBoard shows.

TensorBoard may read a logdir by its data server, which gives plugins no access to files. So the
directories are searched here, by the same rules: links are followed, and a run is named by its path
below the logdir. A search has a time limit, since a logdir may be a whole disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tbgrid import run_format
from tbgrid.plugin.files import exists
from tbgrid.run_format import natural_order, printable

MAX_FOLDERS = 100_000  # that a search visits
MAX_SECONDS = 10.0  # of a search
MAX_DEPTH = 100  # of nested folders
_PLUGINS, _TBGRID = run_format.HOME.parts
SEARCH_INTERVAL = 5.0  # seconds between searches while there is no run
RECHECK_INTERVAL = 60.0  # seconds between checks that a run still exists
FIRST_WAIT = 1.0  # seconds that the first listing of plugins waits for the first search

# TensorBoard's own pattern (data_ingester._parse_event_files_spec).
_ADDRESS = re.compile("[a-zA-Z][0-9a-zA-Z.]*://.*")
_logger = logging.getLogger("tensorboard")


@dataclass(frozen=True)
class Root:
    """A directory that TensorBoard shows.

    Attributes:
        path: absolute; None if it cannot be searched.
        shown: as the user gave it.
        name: the prefix of its runs' names.
        why: the reason if it cannot be searched.
    """

    path: str | None
    shown: str
    name: str = ""
    why: str = ""


@dataclass(frozen=True)
class Run:
    """A directory with an export, or with one that is being written."""

    name: str
    path: str


def logdir_roots(logdir: str | None, spec: str | None) -> list[Root]:
    """The directories that --logdir or --logdir_spec name, by TensorBoard's rules."""
    if logdir:
        return [_root(logdir, logdir, "")]
    found: dict[str, Root] = {}
    for part in (spec or "").split(",") if spec else ():
        name, path = "", part
        if (
            not _ADDRESS.match(part)
            and ":" in part
            and part[0] != "/"
            and not os.path.splitdrive(part)[0]
        ):
            name, _, path = part.partition(":")
        root = _root(path, part, name)
        if root.path is not None:
            root = dataclasses.replace(root, path=os.path.realpath(root.path))
        found[root.path or root.shown] = root  # the last name of a directory counts
    return list(found.values())


def _root(path: str, shown: str, name: str) -> Root:
    if path.startswith("file://"):
        path = path[len("file://") :]
    if _ADDRESS.match(path):
        why = "not searched: this tab reads local folders only"
        return Root(None, printable(shown), printable(name), why)
    try:
        path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH111 - no error without a home
    except OSError:
        why = "not searched: TensorBoard's working directory was removed"
        return Root(None, printable(shown), printable(name), why)
    return Root(path, printable(shown), printable(name))


def has_run(path: str) -> bool:
    """Whether the directory holds an export, or one that is being written."""
    home = os.path.join(path, run_format.HOME)
    if exists(os.path.join(home, run_format.CURRENT)):
        return True
    with contextlib.suppress(OSError, ValueError), os.scandir(home) as entries:
        return any(entry.name.startswith(run_format.STAGING_PREFIX) for entry in entries)
    return False


class Search:
    """One search through all roots. Afterwards `summary` says what was searched."""

    def __init__(self, roots: list[Root]) -> None:
        self._roots = roots
        self._deadline = time.monotonic() + MAX_SECONDS
        self._folders = 0
        self._stopped = False
        self.summary = ""

    def __iter__(self) -> Iterator[Run]:
        """Yield the runs as they are found."""
        searched = []
        names: set[str] = set()
        for root in self._roots:
            searched.append(f"{root.shown}{_why_not(root)}")
            for path, below in self._walk(root.path) if root.path else ():
                # TensorBoard joins the names in the same way.
                name = printable(os.path.join(root.name, below) if root.name else below)
                if name in names:  # TensorBoard would show only one of them
                    name = f"{name} ({printable(path)})"
                if name not in names:
                    names.add(name)
                    yield Run(name, path)
        text = ", ".join(searched) or "nothing: TensorBoard has no logdir"
        if self._stopped:
            text += (
                f"; the search stopped after {self._folders:,} folders: give tensorboard a"
                " --logdir further down"
            )
        self.summary = text

    def _walk(self, top: str) -> Iterator[tuple[str, str]]:
        """(path, path relative to `top`) of each run, breadth first."""
        queue: deque[tuple[str, str, int, Any, str]] = deque([(top, os.curdir, 0, None, "")])
        while queue and not self._stopped:
            path, below, depth, ancestors, skipped = queue.popleft()
            try:
                status = os.stat(path)  # noqa: PTH116 - path may be no Path
                identity = (status.st_dev, status.st_ino)
                if _is_in_chain(ancestors, identity):
                    continue  # a link to a directory that contains this one
                names = self._folders_in(path)
            except (OSError, ValueError):
                continue
            is_run = _PLUGINS in names and has_run(path)
            if is_run:
                yield path, below
            if depth >= MAX_DEPTH:
                continue
            for name in sorted(names):
                if name != skipped:
                    deeper = name if below == os.curdir else os.path.join(below, name)
                    # An export's own files are many, and hold no runs.
                    skip = _TBGRID if is_run and name == _PLUGINS else ""
                    chain = (identity, ancestors)
                    queue.append((os.path.join(path, name), deeper, depth + 1, chain, skip))

    def _folders_in(self, path: str) -> list[str]:
        self._folders += 1
        if self._folders > MAX_FOLDERS:
            self._folders, self._stopped = MAX_FOLDERS, True
            return []
        names = []
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries):
                if number % 1000 == 0 and time.monotonic() > self._deadline:
                    self._stopped = True
                    break
                with contextlib.suppress(OSError):
                    if entry.is_dir():
                        names.append(entry.name)
        return names


def _is_in_chain(chain: Any, identity: tuple[int, int]) -> bool:
    while chain is not None:
        if chain[0] == identity:
            return True
        chain = chain[1]
    return False


def _why_not(root: Root) -> str:
    if root.path is None:
        return f" ({root.why})"
    try:
        os.scandir(root.path).close()
    except FileNotFoundError:
        return " (does not exist yet)"
    except NotADirectoryError:
        return " (not a folder)"
    except (OSError, ValueError) as error:
        return f" (cannot be read: {getattr(error, 'strerror', None) or error})"
    return ""


class Runs:
    """The runs of a TensorBoard, searched on request or in the background.

    Thread-safe.
    """

    def __init__(self, roots: list[Root]) -> None:
        self._roots = roots
        self._search_lock = threading.Lock()
        self._searched_at = float("-inf")  # when the latest search began
        self._unknown_next = float("-inf")  # when an unknown name may start a search
        self._found: dict[str, Run] = {}
        self._summary = ""

        self._check_lock = threading.Lock()
        self._checking = False
        self._checked = threading.Event()
        self._check_next = float("-inf")
        self._wait_until = time.monotonic() + FIRST_WAIT
        self._witness: str | None = None  # a directory that held a run at the last check

    def search(self) -> tuple[list[Run], str]:
        """All runs in natural order, and what was searched, as of this call or later."""
        asked_at = time.monotonic()
        with self._search_lock:
            if self._searched_at < asked_at:  # else another thread has just searched
                begun = time.monotonic()
                search = Search(self._roots)
                self._found = {run.name: run for run in search}
                self._summary, self._searched_at = search.summary, begun
                # Unknown names may use a small part of the time only.
                now = time.monotonic()
                self._unknown_next = now + 10 * (now - begun)
            found, said = self._found, self._summary
        if found:
            self._witness = next(iter(found.values())).path
        return sorted(found.values(), key=lambda run: natural_order(run.name)), said

    def get(self, name: str) -> Run | None:
        """The run of that name. The name is only compared, never used as a path."""
        run = self._found.get(name)
        if run is None and time.monotonic() >= self._unknown_next:
            self.search()
            run = self._found.get(name)
        return run

    def any(self) -> bool:
        """Whether there was a run at the last check; checks are repeated in the background.

        It waits only for the first check, briefly, so that the first answer is right.
        """
        self.check()
        now = time.monotonic()
        if not self._checked.is_set() and now < self._wait_until:
            self._checked.wait(self._wait_until - now)
        return self._witness is not None

    def check(self) -> None:
        """Check in the background whether there is a run, unless that was done recently."""
        now = time.monotonic()
        with self._check_lock:
            start = not self._checking and now >= self._check_next
            self._checking = self._checking or start
        if start:
            try:
                threading.Thread(target=self._check, name="tbgrid-check", daemon=True).start()
            except RuntimeError:  # no more threads: the next call tries again
                self._checking = False

    def _check(self) -> None:
        begun = time.monotonic()
        try:
            witness = self._witness
            if witness is None or not has_run(witness):
                self._witness = next((run.path for run in Search(self._roots)), None)
        except Exception:
            _logger.exception("tbgrid: the search for runs failed")
        finally:
            now = time.monotonic()
            # Long searches may use a small part of the time only.
            pause = SEARCH_INTERVAL if self._witness is None else RECHECK_INTERVAL
            self._check_next = now + max(pause, 20 * (now - begun))
            self._checking = False
            self._checked.set()
