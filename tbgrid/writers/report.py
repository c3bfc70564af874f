"""What an export says of itself: in words for the Text tab, as a ledger and as JSON."""

from __future__ import annotations

import html
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import TypeGuard

from tbgrid.photos import SkippedFile
from tbgrid.types import Json
from tbgrid.util.text_table import format_key, format_table
from tbgrid.version import __version__

SHOWN_SKIPPED = 20
_PACKAGES = (
    "tensorflow",
    "tensorflow-hub",
    "tensorboard",
    "scikit-learn",
    "scipy",
    "numpy",
    "pillow",
    "lapjv",
)


def versions() -> dict[str, str]:
    """Versions of tbgrid, Python and the packages that shape a result."""
    found = {"tbgrid": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def ledger_tsv(skipped: Iterable[SkippedFile]) -> str:
    """Every file that is not shown, with its reason, under the header `path<TAB>reason`."""
    lines = ["path\treason"]
    lines += [f"{_one_line(item.name)}\t{_one_line(item.reason)}" for item in skipped]
    return "\n".join(lines) + "\n"


def markdown(report: Mapping[str, Json | Sequence[str]], skipped: Sequence[SkippedFile]) -> str:
    """The report as Markdown tables, with the first files that were left out.

    Lists of rows (`format_table`) are tables of their own, on top; the rest is one.
    """
    rows: list[tuple[object, object]] = []
    tables: list[str] = []
    for title, content in report.items():
        heading = title.capitalize() if title.islower() else title
        if _is_table(content):
            tables.append(f"**{heading}**\n\n{_table(*format_table(content))}")
        elif isinstance(content, Mapping):
            rows.append((_Bold(heading), ""))
            rows += [(format_key(key), value) for key, value in content.items()]
        else:
            rows += [
                (_Bold(heading) if first == 0 else "", line) for first, line in enumerate(content)
            ]
    parts = [*tables, _table(("tbgrid", __version__), rows)]
    if skipped:
        reasons = Counter(item.reason for item in skipped).most_common(SHOWN_SKIPPED)
        parts.append(_table((f"{len(skipped)} left out", "files"), reasons))
        shown = [(item.name, item.reason) for item in skipped[:SHOWN_SKIPPED]]
        parts.append(_table(("Left out", "reason"), shown))
        if len(skipped) > len(shown):
            parts.append(f"… and {len(skipped) - len(shown)} more in the ledger.")
    return "\n\n".join(parts) + "\n"


def _is_table(content: object) -> TypeGuard[Sequence[Json]]:
    return isinstance(content, Sequence) and bool(content) and isinstance(content[0], Mapping)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["|" + "|".join(f" {_safe(cell)} " for cell in line) + "|" for line in (header, *rows)]
    lines.insert(1, "|" + " --- |" * len(header))
    return "\n".join(lines)


class _Bold(str):
    """Text that heads the rows below it."""


def _safe(value: object) -> str:
    """Text that Markdown and HTML show as it is."""
    if isinstance(value, _Bold):
        return f"**{value}**"
    if isinstance(value, bool):
        value = "yes" if value else "no"
    elif isinstance(value, float):
        value = f"{value:.6g}"
    elif isinstance(value, (list, tuple)):
        value = " x ".join(str(part) for part in value)
    text = html.escape(_one_line(str(value)), quote=False)
    for mark in "\\`*_[]|~":
        text = text.replace(mark, f"&#{ord(mark)};")
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())
