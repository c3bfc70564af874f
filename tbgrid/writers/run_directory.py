"""The directory that TensorBoard reads: who may write it, and in which order it changes.

Everything of an export lies in one directory that never changes, `plugins/tbgrid/<fingerprint>`.
It is written whole under another name and renamed; then come the event file, the Projector's
config, the pointer `checkpoint` (TensorBoard reads the config again when the newest checkpoint's
path has changed) and the pointer `current`; last, the previous export goes. Each single step
replaces one name, so that a run is at any moment the old export or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.run_format import (
    CHECKPOINT,
    CONFIG,
    CURRENT,
    EVENTS,
    EVENTS_END,
    HOME,
    OVERRIDE,
    STAGING,
    URL_UNSAFE,
    printable,
)
from tbgrid.util.locks import claim_directory, directory_errors
from tbgrid.writers import projector


def run_directory(logdir: str | os.PathLike[str], run: str | None = None) -> Path:
    """The directory of the run: `logdir`, or `run` below it.

    Raises:
        UsageError: `run` leads out of `logdir`, or holds a character that the Projector does not
            encode in its URLs; or a name is no UTF-8, which TensorFlow can neither read nor write.
    """
    for name in (os.fspath(logdir), run or ""):
        if printable(name) != name.replace(os.sep, "/"):
            raise UsageError(
                f"the directory {printable(name)} has a name that is not UTF-8",
                "TensorFlow cannot write there: give another --logdir",
            )
    if run is None:
        return Path(logdir)
    parts = Path(run).parts
    if not parts or Path(run).is_absolute() or ".." in parts or parts[0] == "~":
        raise UsageError(f"run {run!r}", "give a name below the logdir, such as photos/first")
    unsafe = URL_UNSAFE.search(run)
    if unsafe:
        raise UsageError(
            f"run {run!r} holds {unsafe.group()!r}, which TensorBoard's Projector cannot fetch",
            "use letters, digits, dots, dashes and slashes",
        )
    return Path(logdir, run)


def name_notes(directory: Path) -> list[str]:
    """A warning if the directory's name would be a run that the Projector cannot fetch."""
    name = printable(directory.resolve().name)
    unsafe = URL_UNSAFE.search(name)
    if not unsafe:
        return []
    return [
        f"the Projector cannot fetch a run whose name holds {unsafe.group()!r}: "
        f"give tensorboard the directory {name} itself, or rename it"
    ]


def owns(directory: Path, file: Path) -> bool:
    """Whether `file` is one that an export into `directory` has written."""
    outer = os.path.abspath(directory)
    inner = os.path.abspath(file)
    if not inner.startswith(os.path.join(outer, "")):
        return False
    name = Path(inner).relative_to(outer)
    events = name.name.startswith(EVENTS) and name.name.endswith(EVENTS_END)
    return HOME in name.parents or name in (Path(CONFIG), Path(CHECKPOINT)) or events


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[Path]:
    """Make sure that the run is ours to write, and keep others out meanwhile.

    Yields an empty directory on the same disk for the files of the export; what is left of it at
    the end is removed.

    Raises:
        TbgridError: the directory cannot be written, holds another tool's Projector data, or is
            being written by another export.
    """
    shown = printable(directory)
    home = directory / HOME
    with directory_errors(directory, "logdir"):
        _refuse_foreign(directory)
    busy = "another export is writing"
    with claim_directory(home, root=directory, busy=busy, parameter="logdir"):
        for stale in home.glob(f"{STAGING}*"):  # of an export that was killed: the lock is ours
            if stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.unlink(missing_ok=True)
        staging = home / f"{STAGING}{os.getpid()}"
        try:
            staging.mkdir()
            yield staging
        except OSError as error:
            if not _is_below(error.filename, directory):
                raise
            raise TbgridError(
                f"cannot write {shown} ({error.strerror})",
                f"free space or give another {option('logdir')}",
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _is_below(name: object, directory: Path) -> bool:
    """Whether an error's file lies in `directory`; a write to an open file names none."""
    if not isinstance(name, (str, bytes, os.PathLike)):
        return True
    inner, outer = Path(os.path.abspath(os.fsdecode(name))), Path(os.path.abspath(directory))
    return inner == outer or outer in inner.parents


def publish(
    directory: Path, staging: Path, events: Path, names: Iterable[str], thumbnail: int
) -> Path:
    """Make what `staging` and the file `events` hold the run's export; see the module.

    `names`: the checkpoint's tensors. `thumbnail`: the side in pixels of one picture of the
    sprite, 0 if there is none. Returns the export's directory. Ctrl-C waits until all is done; on
    an error the run is as it was before.

    Raises:
        OSError: the run's directory cannot be written.
    """
    with _interrupts_wait():
        return _published(directory, staging, events, names, thumbnail)


def _published(
    directory: Path, staging: Path, events: Path, names: Iterable[str], thumbnail: int
) -> Path:
    fingerprint = _fingerprint(staging)
    home = directory / HOME
    final = home / fingerprint
    previous = [path for path in home.iterdir() if path.is_dir() and path != staging]
    old_events = list(directory.glob(f"{EVENTS}*{EVENTS_END}"))
    folder = (HOME / fingerprint).as_posix()
    newest = max((_time_of(path) for path in old_events), default=0)
    stamp = max(int(time.time()), newest + 1)
    new_events = directory / f"{EVENTS}{stamp:010d}.{fingerprint}{EVENTS_END}"
    pointers = {
        directory / CONFIG: projector.config_pbtxt(folder, names, thumbnail),
        directory / CHECKPOINT: projector.checkpoint_state(folder),
        home / CURRENT: fingerprint + "\n",
    }
    # All of them are written, with copies of what they replace, before the first takes its place:
    # so a full disk changes nothing, and little time lies between the first and the last.
    staged = {path: staging.with_name(f"{staging.name}.{path.name}.new") for path in pointers}
    copies = {path: staging.with_name(f"{staging.name}.{path.name}.old") for path in pointers}
    replaced: list[Path] = []
    try:
        for path, copy in copies.items():
            if path.exists():
                shutil.copyfile(path, copy)
        for path, text in pointers.items():
            staged[path].write_text(text, "utf-8", newline="\n")
        if final in previous:  # the very same bytes are there already
            previous.remove(final)
        else:
            staging.rename(final)
        events.replace(new_events)
        for path in pointers:
            staged[path].replace(path)
            replaced.append(path)
    except OSError:
        for path in replaced:
            if copies[path].exists():
                copies[path].replace(path)
            else:
                path.unlink(missing_ok=True)
        new_events.unlink(missing_ok=True)
        if not staging.exists():
            shutil.rmtree(final, ignore_errors=True)
        raise
    finally:
        for path in (*staged.values(), *copies.values()):
            path.unlink(missing_ok=True)
    for path in old_events:
        path.unlink(missing_ok=True)
    for path in previous:
        shutil.rmtree(path, ignore_errors=True)
    return final


def weight(directory: Path) -> int:
    """Bytes of all files of a run."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _refuse_foreign(directory: Path) -> None:
    """Raise if the directory holds Projector data that tbgrid has not written."""
    ours = HOME.as_posix() + "/"
    for name in (OVERRIDE, Path(CONFIG), Path(CHECKPOINT)):
        path = directory / name
        if not path.exists():
            continue
        text = path.read_text("utf-8", "replace")
        named = re.findall(r'(?:path|model_checkpoint_path): "([^"]*)"', text)
        if name == OVERRIDE or not named or not all(value.startswith(ours) for value in named):
            raise TbgridError(
                f"{printable(directory)} holds another tool's {name.as_posix()}",
                "give another --logdir, or --run NAME",
            )


def _fingerprint(folder: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of all files, names and contents."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            total.update(path.relative_to(folder).as_posix().encode() + b"\0" + digest.digest())
    return total.hexdigest()[:16]


def _time_of(events: Path) -> int:
    found = re.match(re.escape(EVENTS) + r"(\d+)\.", events.name)
    return int(found.group(1)) if found else 0


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Put Ctrl-C off to the end of the block. Only the main thread gets it, and may say so."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)
