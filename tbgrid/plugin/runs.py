"""Finds runs of tbgrid in what TensorBoard was told to show.

TensorBoard reads a logdir with its data server, which plugins cannot ask for files, or without it.
So the folders are searched here, in the same way: links are followed, and a run is named by its
path below the logdir. A search ends after a time, since a logdir may be somebody's whole disk.
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
INTERVAL = 5.0  # seconds between two looks whether there is a run now
KEPT = 60.0  # seconds between two looks whether the run that was found is still there
PATIENCE = 1.0  # seconds after the start that the first listing of plugins waits for the first look

# TensorBoard's own pattern (data_ingester._parse_event_files_spec).
_ADDRESS = re.compile("[a-zA-Z][0-9a-zA-Z.]*://.*")
_logger = logging.getLogger("tensorboard")


@dataclass(frozen=True)
class Root:
    """A folder that TensorBoard was told of.

    `path` is None where it cannot be searched, and `why` tells the reason. `shown`: as the user
    gave it. `name`: what its runs' names begin with.
    """

    path: str | None
    shown: str
    name: str = ""
    why: str = ""


@dataclass(frozen=True)
class Run:
    """A directory with an export, or the beginning of one."""

    name: str
    path: str


def roots(logdir: str | None, spec: str | None) -> list[Root]:
    """What the options --logdir and --logdir_spec name, as TensorBoard reads them."""
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
        found[root.path or root.shown] = root  # the last name of a folder counts
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
    """Whether the directory holds an export, or the beginning of one."""
    home = os.path.join(path, run_format.HOME)
    if exists(os.path.join(home, run_format.CURRENT)):
        return True
    with contextlib.suppress(OSError, ValueError), os.scandir(home) as entries:
        return any(entry.name.startswith(run_format.STAGING_PREFIX) for entry in entries)
    return False


class Search:
    """One search through all roots. `said` tells afterwards what was searched."""

    def __init__(self, roots: list[Root]) -> None:
        self._roots = roots
        self._deadline = time.monotonic() + MAX_SECONDS
        self._folders = 0
        self._stopped = False
        self.said = ""

    def __iter__(self) -> Iterator[Run]:
        """The runs, as they are found."""
        said = []
        names: set[str] = set()
        for root in self._roots:
            said.append(f"{root.shown}{_why_not(root)}")
            for path, below in self._walk(root.path) if root.path else ():
                # TensorBoard joins the names in the same way.
                name = printable(os.path.join(root.name, below) if root.name else below)
                if name in names:  # TensorBoard would show only one of them
                    name = f"{name} ({printable(path)})"
                if name not in names:
                    names.add(name)
                    yield Run(name, path)
        text = ", ".join(said) or "nothing: TensorBoard was given no logdir"
        if self._stopped:
            text += (
                f"; the search stopped after {self._folders:,} folders: give tensorboard a"
                " --logdir further down"
            )
        self.said = text

    def _walk(self, top: str) -> Iterator[tuple[str, str]]:
        """(path, path relative to `top`) of each run, those further up first."""
        queue: deque[tuple[str, str, int, Any, str]] = deque([(top, os.curdir, 0, None, "")])
        while queue and not self._stopped:
            path, below, depth, ancestors, skipped = queue.popleft()
            try:
                status = os.stat(path)  # noqa: PTH116 - path may be no Path
                identity = (status.st_dev, status.st_ino)
                if _holds(ancestors, identity):
                    continue  # a link to a folder that this one lies in
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
                    # An export's own files are no place for runs, and may be many.
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


def _holds(chain: Any, identity: tuple[int, int]) -> bool:
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
        return " (not there yet)"
    except NotADirectoryError:
        return " (not a folder)"
    except (OSError, ValueError) as error:
        return f" (cannot be read: {getattr(error, 'strerror', None) or error})"
    return ""


class Runs:
    """The runs of a TensorBoard, searched anew when asked, or in the background.

    Safe to use from several threads.
    """

    def __init__(self, roots: list[Root]) -> None:
        self._roots = roots
        self._search_lock = threading.Lock()
        self._searched_at = float("-inf")  # when the newest search began
        self._guess_next = float("-inf")  # when a name that is not known is searched for
        self._found: dict[str, Run] = {}
        self._said = ""

        self._look_lock = threading.Lock()
        self._looking = False
        self._looked = threading.Event()
        self._look_next = float("-inf")
        self._patient_until = time.monotonic() + PATIENCE
        self._witness: str | None = None  # a directory that held a run at the last look

    def search(self) -> tuple[list[Run], str]:
        """All runs in natural order, and what was searched: no older than this call."""
        asked_at = time.monotonic()
        with self._search_lock:
            if self._searched_at < asked_at:  # or else another thread has just done it
                begun = time.monotonic()
                search = Search(self._roots)
                self._found = {run.name: run for run in search}
                self._said, self._searched_at = search.said, begun
                # Guessed names are to take a small part of the time.
                now = time.monotonic()
                self._guess_next = now + 10 * (now - begun)
            found, said = self._found, self._said
        if found:
            self._witness = next(iter(found.values())).path
        return sorted(found.values(), key=lambda run: natural_order(run.name)), said

    def get(self, name: str) -> Run | None:
        """The run of that name, which is only ever compared, never part of a path."""
        run = self._found.get(name)
        if run is None and time.monotonic() >= self._guess_next:
            self.search()
            run = self._found.get(name)
        return run

    def any(self) -> bool:
        """Whether there was a run at the last look. Looks anew now and then, in the background.

        Waits only at the start, for a moment, so that the first answer is right.
        """
        self.look()
        now = time.monotonic()
        if not self._looked.is_set() and now < self._patient_until:
            self._looked.wait(self._patient_until - now)
        return self._witness is not None

    def look(self) -> None:
        """Look in the background whether there is a run, unless that was done just now."""
        now = time.monotonic()
        with self._look_lock:
            start = not self._looking and now >= self._look_next
            self._looking = self._looking or start
        if start:
            try:
                threading.Thread(target=self._look, name="tbgrid-look", daemon=True).start()
            except RuntimeError:  # no more threads: perhaps the next time
                self._looking = False

    def _look(self) -> None:
        begun = time.monotonic()
        try:
            witness = self._witness
            if witness is None or not has_run(witness):
                self._witness = next((run.path for run in Search(self._roots)), None)
        except Exception:
            _logger.exception("tbgrid: the search for runs failed")
        finally:
            now = time.monotonic()
            # A search that takes long is to take a small part of the time.
            pause = INTERVAL if self._witness is None else KEPT
            self._look_next = now + max(pause, 20 * (now - begun))
            self._looking = False
            self._looked.set()
