"""A finding of a check, and helpers to word it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tbgrid.run_format import printable

Level: TypeAlias = Literal["error", "warning"]

MAX_ENUMERATED = 5  # lines or numbers that one message lists
EXPORT_AGAIN = "run the export again"


@dataclass(frozen=True)
class Finding:
    """Something that TensorBoard will not accept, or not show well.

    Attributes:
        level: "error" if it hides or breaks something, "warning" for a blemish.
        subject: the file, relative to the run, or the tensor.
        message: what was found and what was expected.
        cure: what to do.
    """

    level: Level
    subject: str
    message: str
    cure: str


def error(subject: str, message: str, cure: str) -> Finding:
    """A finding of level "error"."""
    return Finding("error", subject, message, cure)


def warning(subject: str, message: str, cure: str) -> Finding:
    """A finding of level "warning"."""
    return Finding("warning", subject, message, cure)


def enumerate_items(noun: str, items: Sequence[object], name: Callable[[Any], str] = str) -> str:
    """List `items` in words: "line 3", "lines 3 and 5", "lines 1, 2, 3, 4, 5 and 37 more"."""
    words = [name(item) for item in items[:MAX_ENUMERATED]]
    if len(items) > MAX_ENUMERATED:
        words.append(f"{len(items) - MAX_ENUMERATED:,} more")
    listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"{noun}{'s' if len(items) > 1 else ''} {listed}"


def path_in_run(run: Path, path: str | Path) -> str:
    """`path` relative to the run, or unchanged if it is outside."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(run))
    return printable(path if relative.startswith(os.pardir) else relative)


def first_line(bad: Exception) -> str:
    """The first line of an error's text, at most 200 characters."""
    return (str(bad).splitlines() or [type(bad).__name__])[0][:200]
