"""The report of an export, the list of skipped files, and the Markdown of the Text tab."""

from __future__ import annotations

import html
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import TypeGuard

from tbgrid.photos import SkippedFile
from tbgrid.run_format import SKIPPED
from tbgrid.types import Json
from tbgrid.util.text_table import format_key, format_table
from tbgrid.version import __version__
from tbgrid.writers.export_contents import ExportContents

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
    """Versions of tbgrid, of Python and of the packages that affect a result."""
    found = {"tbgrid": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def build_report(contents: ExportContents) -> Json:
    """The report of an export, as report.json holds it. Nothing else is computed from it."""
    images, options, map_result = contents.images, contents.options, contents.map_result
    layout, grid, labels = map_result.layout, map_result.grid, images.labels
    dimensions = int(images.vectors.shape[1])
    candidates = [candidate.row for candidate in map_result.candidates]
    return {
        **contents.tables,
        "photos": {
            "source": contents.title,
            "shown": len(images.photos),
            "skipped": len(images.skipped),
            "labels": len(set(labels)) if labels else 0,
        },
        "report card": map_result.card.scalars(),
        **({"layouts tried": candidates} if candidates else {}),
        "model": _model_section(contents, dimensions),
        layout.name: layout.to_dict(options.tsne.seed, dimensions),
        "grid": {
            "rows_x_columns": [grid.rows, grid.columns],
            "empty_cells": grid.rows * grid.columns - len(images.photos),
            "aspect": contents.aspect,
            "assignment_cost": options.grid.assignment_cost,
            "solver": grid.solver,
            "cost": grid.cost,
            "gap": grid.gap,
        },
        **({"refinement": grid.refinement.to_dict()} if grid.refinement else {}),
        **contents.groups.to_dict(),
        **({"like": map_result.stability.to_dict()} if map_result.stability else {}),
        "notes": list(contents.notes),
        "seconds": dict(contents.seconds),
        "versions": versions(),
    }


def _model_section(contents: ExportContents, dimensions: int) -> Json:
    model, options = contents.model, contents.options
    inputs: Json = {"input": list(model.input_size), "input_range": options.input_range}
    return {
        "name": model.model_id,
        **({} if contents.precomputed else inputs),
        "dimensions": dimensions,
        "metric": model.metric,
        "fit": options.fit,
    }


def skipped_tsv(skipped: Iterable[SkippedFile]) -> str:
    """A table of all skipped files with their reasons; the header is `path<TAB>reason`."""
    lines = ["path\treason"]
    lines += [f"{_one_line(item.name)}\t{_one_line(item.reason)}" for item in skipped]
    return "\n".join(lines) + "\n"


def markdown(report: Mapping[str, Json | Sequence[str]], skipped: Sequence[SkippedFile]) -> str:
    """The report as Markdown tables, followed by the first skipped files.

    Args:
        report: sections. A list of rows becomes a table of its own, at the top; the other sections
            form one table.
        skipped: the files that are not on the map.
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
        parts.append(_table((f"{len(skipped)} skipped", "files"), reasons))
        shown = [(item.name, item.reason) for item in skipped[:SHOWN_SKIPPED]]
        parts.append(_table(("Skipped", "reason"), shown))
        if len(skipped) > len(shown):
            parts.append(f"… and {len(skipped) - len(shown)} more in {SKIPPED}.")
    return "\n\n".join(parts) + "\n"


def _is_table(content: object) -> TypeGuard[Sequence[Json]]:
    return isinstance(content, Sequence) and bool(content) and isinstance(content[0], Mapping)


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["|" + "|".join(f" {_safe(cell)} " for cell in line) + "|" for line in (header, *rows)]
    lines.insert(1, "|" + " --- |" * len(header))
    return "\n".join(lines)


class _Bold(str):
    """The title of a section, in bold."""


def _safe(value: object) -> str:
    """The value as text without any Markdown or HTML markup."""
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
