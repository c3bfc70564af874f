"""Checks of a run that tbgrid wrote: its pointers, leftovers and event file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tbgrid import run_format
from tbgrid.check.findings import EXPORT_AGAIN, Finding, error, warning
from tbgrid.check.grid_tab import check_grid_tab
from tbgrid.run_format import (
    CHECKPOINT_STATE,
    CONFIG,
    CURRENT,
    EVENTS_SUFFIX,
    HOME,
    STAGING_PREFIX,
    printable,
)


def check_own_run(run: Path) -> Iterator[Finding]:
    """Findings on the names and pointers of an export, see `tbgrid.run_format`."""
    home = run / HOME
    pointer = (HOME / CURRENT).as_posix()
    current = ""
    if (home / CURRENT).is_file():
        current = (home / CURRENT).read_text("utf-8", "replace").strip()
    root = f"{HOME.as_posix()}/"
    folder = root + current
    if not current:
        yield error(pointer, "missing or empty; it names the export that is shown", EXPORT_AGAIN)
    elif not re.fullmatch(r"\w+", current) or not (run / folder).is_dir():
        message = f"names {current!r:.60}, which is not a directory next to it"
        yield error(pointer, message, EXPORT_AGAIN)
        current = ""
    named = {current}
    for name in (CONFIG, CHECKPOINT_STATE):
        text = (run / name).read_text("utf-8", "replace") if (run / name).is_file() else ""
        paths = re.findall(r'path: "([^"]*)"', text)
        named |= {path.removeprefix(root).split("/")[0] for path in paths}
        astray = [path for path in paths if not path.startswith(f"{folder}/")]
        if current and astray:
            yield error(name, f"names {astray[0]!r:.200}, not a file of {folder}", EXPORT_AGAIN)
    if not (run / CONFIG).is_file():
        yield error(CONFIG, "missing in a run of tbgrid", EXPORT_AGAIN)
    if current and (run / folder / run_format.FOLDER).is_dir():  # not in runs of early versions
        yield from check_grid_tab(run / folder / run_format.FOLDER, f"{folder}/{run_format.FOLDER}")
    for path in sorted(home.iterdir()):
        subject = (HOME / printable(path.name)).as_posix()
        if path.name.startswith(STAGING_PREFIX):
            message = "left by an export that was stopped, unless one is running now"
            yield warning(subject, message, "export again, or delete it")
        elif path.is_dir() and path.name not in named:
            yield warning(subject, "an export to which nothing points", "delete it")
    events = [path for path in run.glob(f"*tfevents*{EVENTS_SUFFIX}") if path.stat().st_size]
    if not events:
        yield error(
            ".", f"no event file of tbgrid (*{EVENTS_SUFFIX}): the run is not listed", EXPORT_AGAIN
        )
    elif current and not any(f".{current}." in path.name for path in events):
        message = f"belongs to another export than {current!r:.60}"
        yield warning(printable(events[0].name), message, EXPORT_AGAIN)
