"""The run's directory: locking it, and publishing an export in it.

An export is one directory that never changes, `plugins/tbgrid/<fingerprint>`. It is written
completely under another name and then renamed. The event file, the Projector's config, the pointer
`checkpoint` (when it names another path, TensorBoard reads the config again) and the pointer
`current` follow; the previous export is removed last. Each step replaces one name, so that a run
is at any moment either the old export or the new one.
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
    CHECKPOINT_STATE,
    CONFIG,
    CURRENT,
    EVENTS_PREFIX,
    EVENTS_SUFFIX,
    GLOB_UNSAFE,
    HOME,
    OVERRIDE,
    STAGING_PREFIX,
    URL_UNSAFE,
    printable,
    unsafe_run_name,
)
from tbgrid.util.locks import claim_directory, directory_errors
from tbgrid.writers import projector


def run_directory(logdir: str | os.PathLike[str], run: str | None = None) -> Path:
    """The directory of the run: `logdir`, or `run` below it.

    Raises:
        UsageError: `run` leads out of `logdir` or has a name that the Projector cannot fetch, or a
            name is not UTF-8, which TensorFlow can neither read nor write.
    """
    for name in (os.fspath(logdir), run or ""):
        if printable(name) != name.replace(os.sep, "/"):
            raise UsageError(
                f"the directory {printable(name)} has a name that is not UTF-8",
                f"TensorFlow cannot write there: give another {option('logdir')}",
            )
    if run is None:
        return Path(logdir)
    parts = Path(run).parts
    if not parts or Path(run).is_absolute() or ".." in parts or parts[0] == "~":
        raise UsageError(
            f"{option('run_name')} {run!r}", "give a name below the logdir, such as photos/first"
        )
    unsafe = unsafe_run_name(run)
    if unsafe:
        raise UsageError(
            f"{option('run_name')} {run!r} holds {unsafe!r}: the Projector cannot fetch such a run",
            "use letters, digits, dots, dashes and slashes",
        )
    return Path(logdir, run)


def name_notes(directory: Path) -> list[str]:
    """Warnings if the Projector will not find a run in this directory because of its name."""
    path = directory.resolve()
    name = printable(path.name)
    url, pattern = URL_UNSAFE.search(name), GLOB_UNSAFE.search(str(path))
    notes = []
    if url:
        notes.append(
            f"the Projector cannot fetch a run whose name holds {url.group()!r}: "
            f"give tensorboard the directory {name} itself, or rename it"
        )
    if pattern:
        notes.append(
            f"the Projector cannot find a run whose path holds {pattern.group()!r}, which "
            "TensorFlow reads as a pattern: rename the directory"
        )
    return notes


def owns(directory: Path, file: Path) -> bool:
    """Whether `file` was written by an export into `directory`."""
    outer = os.path.abspath(directory)
    inner = os.path.abspath(file)
    if not inner.startswith(os.path.join(outer, "")):
        return False
    name = Path(inner).relative_to(outer)
    events = name.name.startswith(EVENTS_PREFIX) and name.name.endswith(EVENTS_SUFFIX)
    return HOME in name.parents or name in (Path(CONFIG), Path(CHECKPOINT_STATE)) or events


@contextlib.contextmanager
def claim_run(directory: Path) -> Iterator[Path]:
    """Lock a run for writing until the end of the block.

    Yields:
        An empty directory on the same disk for the files of the export, `staging`. What is left of
        it at the end is removed.

    Raises:
        TbgridError: the directory cannot be written, holds another tool's Projector data, or is
            being written by another export.
    """
    home = directory / HOME
    with directory_errors(directory, "logdir"):
        _refuse_foreign(directory)
    busy = "another export is writing"
    with claim_directory(home, root=directory, busy=busy, parameter="logdir"):
        # Left by an export that was killed, since the lock is ours.
        for stale in home.glob(f"{STAGING_PREFIX}*"):
            if stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.unlink(missing_ok=True)
        staging = home / f"{STAGING_PREFIX}{os.getpid()}"
        try:
            staging.mkdir()
            yield staging
        except OSError as error:
            if not _is_below(error.filename, directory):
                raise
            raise TbgridError(
                f"cannot write {printable(directory)} ({error.strerror})",
                f"free space or give another {option('logdir')}",
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _is_below(name: object, directory: Path) -> bool:
    """Whether an error's file is in `directory`; errors of open files name no file and count."""
    if not isinstance(name, (str, bytes, os.PathLike)):
        return True
    inner, outer = Path(os.path.abspath(os.fsdecode(name))), Path(os.path.abspath(directory))
    return inner == outer or outer in inner.parents


def publish(
    directory: Path, staging: Path, events: Path, names: Iterable[str], thumbnail: int
) -> Path:
    """Make the files in `staging` and the event file the run's export; see the module.

    Ctrl-C is deferred until all is done. After an error the run is as it was before.

    Args:
        directory: of the run.
        staging: from `claim_run`.
        events: the event file, on the same disk.
        names: of the checkpoint's tensors.
        thumbnail: side in pixels of one picture in the sprite, 0 without a sprite.

    Returns:
        The export's directory.

    Raises:
        OSError: the run's directory cannot be written.
    """
    with _defer_interrupts():
        return _publish(directory, staging, events, names, thumbnail)


def _publish(
    directory: Path, staging: Path, events: Path, names: Iterable[str], thumbnail: int
) -> Path:
    fingerprint = _fingerprint(staging)
    home = directory / HOME
    final = home / fingerprint
    previous = [path for path in home.iterdir() if path.is_dir() and path != staging]
    old_events = list(directory.glob(f"{EVENTS_PREFIX}*{EVENTS_SUFFIX}"))
    folder = (HOME / fingerprint).as_posix()
    newest = max((_timestamp_of(path) for path in old_events), default=0)
    stamp = max(int(time.time()), newest + 1)
    new_events = directory / f"{EVENTS_PREFIX}{stamp:010d}.{fingerprint}{EVENTS_SUFFIX}"
    pointers = {
        directory / CONFIG: projector.config_pbtxt(folder, names, thumbnail),
        directory / CHECKPOINT_STATE: projector.checkpoint_state(folder),
        home / CURRENT: fingerprint + "\n",
    }
    # All are written, with copies of what they replace, before the first is renamed: a full disk
    # changes nothing, and the renames follow each other at once.
    staged = {path: staging.with_name(f"{staging.name}.{path.name}.new") for path in pointers}
    copies = {path: staging.with_name(f"{staging.name}.{path.name}.old") for path in pointers}
    replaced: list[Path] = []
    try:
        for path, copy in copies.items():
            if path.exists():
                shutil.copyfile(path, copy)
        for path, text in pointers.items():
            staged[path].write_text(text, "utf-8", newline="\n")
        if final in previous:  # the same bytes exist already
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


def size_on_disk(directory: Path) -> int:
    """Size of all files of a run in bytes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _refuse_foreign(directory: Path) -> None:
    """Raise if the directory holds Projector data of another tool."""
    ours = HOME.as_posix() + "/"
    for name in (OVERRIDE, Path(CONFIG), Path(CHECKPOINT_STATE)):
        path = directory / name
        if not path.exists():
            continue
        text = path.read_text("utf-8", "replace")
        named = re.findall(r'(?:path|model_checkpoint_path): "([^"]*)"', text)
        if name == OVERRIDE or not named or not all(value.startswith(ours) for value in named):
            raise TbgridError(
                f"{printable(directory)} holds another tool's {name.as_posix()}",
                f"give another {option('logdir')} or {option('run_name')}",
            )


def _fingerprint(folder: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of all files' names and contents."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
            total.update(path.relative_to(folder).as_posix().encode() + b"\0" + digest.digest())
    return total.hexdigest()[:16]


def _timestamp_of(events: Path) -> int:
    found = re.match(re.escape(EVENTS_PREFIX) + r"(\d+)\.", events.name)
    return int(found.group(1)) if found else 0


@contextlib.contextmanager
def _defer_interrupts() -> Iterator[None]:
    """Defer Ctrl-C to the end of the block; only the main thread receives it and can do so."""
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
