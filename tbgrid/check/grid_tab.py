"""Checks that the files of the Grid tab have the sizes that follow from their manifest.

Their content is not read, except for the manifest and the last offsets. See `tbgrid.run_format`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tbgrid import run_format
from tbgrid.check.findings import EXPORT_AGAIN, Finding, enumerate_items, error
from tbgrid.run_format import column_file


def check_grid_tab(folder: Path, subject: str) -> Iterator[Finding]:
    """Findings on the folder of an export that the Grid tab reads."""
    name = f"{subject}/{run_format.MANIFEST}"
    try:
        manifest = json.loads((folder / run_format.MANIFEST).read_bytes())
    except OSError as bad:
        yield error(
            name, f"cannot be read ({bad.strerror}); the Grid tab lacks the run", EXPORT_AGAIN
        )
        return
    except (ValueError, RecursionError):
        yield error(name, "not JSON in UTF-8; the Grid tab lacks the run", EXPORT_AGAIN)
        return
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version != run_format.FORMAT:
        message = f"format {version}, but this tbgrid reads {run_format.FORMAT}"
        yield error(name, message, "export again, or update tbgrid")
        return
    wrong = _wrong(manifest)
    if wrong:
        yield error(name, f"{wrong}; the Grid tab lacks the run", EXPORT_AGAIN)
        return
    kinds = [column["kind"] for column in manifest["columns"]]
    sizes = run_format.array_sizes(
        manifest["photos"], manifest["neighbours"], kinds, manifest["preview"]
    )
    for file, size in sizes.items():
        yield from _file(folder / file, f"{subject}/{file}", size)
    yield from _texts(folder, subject, manifest)
    rows, columns = manifest["grid"]
    absent = [
        file
        for file in (
            run_format.PYRAMID,
            *_tiles(rows * manifest["cell"], columns * manifest["cell"]),
        )
        if not (folder / file).is_file()
    ]
    if absent:
        message = f"{enumerate_items('file', absent)} missing: the mosaic has holes"
        yield error(f"{subject}/{run_format.TILES}", message, EXPORT_AGAIN)


def _wrong(manifest: Any) -> str:
    """What is wrong with the values that file sizes follow from; "" if nothing."""
    if not isinstance(manifest, dict) or manifest.get("format") != run_format.FORMAT:
        return "not a manifest of the Grid tab"

    def whole(value: object, least: int, most: int) -> bool:
        return type(value) is int and least <= value <= most

    limits = {
        "photos": (1, run_format.MAX_PHOTOS),
        "neighbours": (0, run_format.MAX_PHOTOS),
        "cell": run_format.CELLS_SIDE,
        "preview": (0, run_format.PREVIEW_SIDE[1]),
        "tile": (run_format.TILE, run_format.TILE),
    }
    for key, (least, most) in limits.items():
        if not whole(manifest.get(key), least, most):
            return f"{key} is {manifest.get(key)!r:.60}, not a number from {least} to {most}"
    grid, columns = manifest.get("grid"), manifest.get("columns")
    if not (isinstance(grid, list) and len(grid) == 2 and all(whole(x, 1, 2**31) for x in grid)):
        return f"grid is {grid!r:.60}, not [rows, columns]"
    if not manifest["photos"] <= grid[0] * grid[1] <= run_format.MAX_CELLS:
        return f"grid is {grid} for {manifest['photos']} photos"
    if not isinstance(columns, list) or not all(
        isinstance(column, dict) and column.get("kind") in run_format.COLUMN_KINDS
        for column in columns
    ):
        return "columns is not a list of categories, numbers and texts"
    return ""


def _texts(folder: Path, subject: str, manifest: Any) -> Iterator[Finding]:
    """Files whose size another file gives, and the values of categories."""
    pairs = [
        (column_file(number, "u32"), column_file(number, "utf8"), "<u4")
        for number, column in enumerate(manifest["columns"])
        if column["kind"] == "text"
    ]
    if manifest["preview"]:
        pairs.append((run_format.PREVIEW_OFFSETS, run_format.PREVIEWS, "<u8"))
    for offsets, file, kind in pairs:
        width = np.dtype(kind).itemsize
        if (folder / offsets).is_file() and (folder / offsets).stat().st_size >= width:
            with (folder / offsets).open("rb") as ends:
                ends.seek(-width, 2)
                yield from _file(
                    folder / file, f"{subject}/{file}", int(np.frombuffer(ends.read(), kind)[0])
                )
    for number, column in enumerate(manifest["columns"]):
        if column["kind"] == "category" and not (folder / column_file(number, "json")).is_file():
            yield error(f"{subject}/{column_file(number, 'json')}", "missing", EXPORT_AGAIN)


def _file(path: Path, subject: str, size: int) -> Iterator[Finding]:
    found = path.stat().st_size if path.is_file() else None
    if found is None:
        yield error(subject, "missing; the Grid tab lacks the run", EXPORT_AGAIN)
    elif found != size:
        message = f"{found:,} bytes, expected {size:,} by the manifest"
        yield error(subject, message, EXPORT_AGAIN)


def _tiles(height: int, width: int) -> Iterator[str]:
    """The names of all tiles of a Deep Zoom image."""
    for level in range(run_format.last_level(width, height) + 1):
        columns, rows = run_format.tile_counts(width, height, level)
        for row in range(rows):
            for column in range(columns):
                yield f"{run_format.TILES}/{level}/{run_format.tile_file(column, row)}"
