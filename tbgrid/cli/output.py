"""What the commands print: results on stdout, as text or JSON; notes on stderr.

Nothing heavy is imported at the top, since `tbgrid --help` imports this module.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tbgrid.errors import TbgridError

if TYPE_CHECKING:
    import argparse

    from tbgrid.cli.terminal import Console
    from tbgrid.photos import SkippedFile
    from tbgrid.pipeline.compare import Comparison
    from tbgrid.pipeline.embed_shards import EmbedResult
    from tbgrid.pipeline.result import ExportResult
    from tbgrid.types import Json
    from tbgrid.util.cache import Cache, Usage

MAX_SHOWN = 5


def print_line(text: str) -> None:
    """Print a line to stdout; characters that its encoding lacks are escaped.

    If the reader has closed the pipe, the rest is dropped silently.

    Raises:
        TbgridError: stdout cannot be written for another reason.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # What its buffer still holds must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise TbgridError(
                f"cannot write to stdout ({error.strerror})",
                "the work is done; only its result could not be printed",
            ) from error


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows as aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line(line.rstrip())


def _print_rows(rows: Sequence[Json]) -> None:
    """Print a table with a column for each key."""
    from tbgrid.util.text_table import format_table

    header, lines = format_table(rows)
    print_table([header, *lines])


def print_export(result: ExportResult, given: argparse.Namespace, console: Console) -> None:
    """Print the result of an export: a summary, or JSON."""
    from tbgrid.run_format import printable
    from tbgrid.writers.run_directory import size_on_disk

    console.close()
    for note in result.notes:
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(given.logdir)}"
    size = size_on_disk(result.directory)
    if given.json:
        print_line(json.dumps(_as_json(result, command), indent=1))
        return
    _note_skipped(result.skipped, f"see {printable(result.skipped_tsv)}", console)
    if tried := result.map_result.candidates:
        _print_rows([candidate.row for candidate in tried])
    shown, grid = len(result.images.photos), result.grid
    seconds = ", ".join(f"{stage} {taken:.1f}" for stage, taken in result.seconds.items())
    rows = [*result.map_result.summary_rows(), *result.groups.summary_rows(), ("seconds", seconds)]
    print_table([(f"{name}:", value) for name, value in rows])
    print_line(f"mosaic: {printable(result.mosaic)}")
    copies = len(result.groups.collapsed)
    under = f", {copies:,} duplicates collapsed into other tiles" if copies else ""
    print_line(
        f"{shown:,} photos shown on a grid of {grid.rows} x {grid.columns}, "
        f"{len(result.skipped):,} skipped{under}; "
        f"{size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    print_line(f"To view it, run: {command}")


def _as_json(result: ExportResult, command: str) -> Json:
    from tbgrid.writers.run_directory import size_on_disk

    written = {
        "directory": os.fspath(result.directory),
        "mosaic": os.fspath(result.mosaic),
        "bytes": size_on_disk(result.directory),
        "command": command,
    }
    return {**result.report, "run": written, "skipped": _skipped_rows(result.skipped)}


def print_comparison(comparison: Comparison, given: argparse.Namespace, console: Console) -> None:
    """Print the results of several models: a table, or JSON."""
    from tbgrid.run_format import printable
    from tbgrid.writers.run_directory import size_on_disk

    console.close()
    for note in dict.fromkeys(note for result in comparison.results for note in result.notes):
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(os.fspath(comparison.directory))}"
    if given.json:
        runs = [_as_json(result, command) for result in comparison.results]
        print_line(json.dumps({"models": comparison.rows, "runs": runs}, indent=1))
        return
    first = comparison.results[0]
    _note_skipped(first.skipped, f"see {printable(first.skipped_tsv)}", console)
    for result in comparison.results:
        if tried := result.map_result.candidates:
            print_line(f"{result.directory.name}:")
            _print_rows([candidate.row for candidate in tried])
    _print_rows(comparison.rows)
    size = sum(size_on_disk(result.directory) for result in comparison.results)
    print_line(
        f"{len(first.images.photos):,} photos shown in {len(comparison.results)} runs, "
        f"{len(first.skipped):,} skipped; {size / 1e6:.1f} MB in {printable(comparison.directory)}"
    )
    print_line(f"To view it, run: {command}")


def print_embedded(result: EmbedResult, given: argparse.Namespace, console: Console) -> None:
    """Print the result of embedding in shards: a summary, or JSON."""
    from tbgrid.run_format import printable
    from tbgrid.writers.run_directory import size_on_disk

    console.close()
    index, source = result.index, result.source
    size = size_on_disk(result.directory)
    command = (
        f"tbgrid export {shlex.quote(given.out)} --logdir {shlex.quote(f'runs/{source.name}')}"
    )
    if given.json:
        summary = {
            "directory": os.fspath(result.directory),
            "bytes": size,
            "photos": {"source": source.name, "embedded": len(source.photos)},
            "model": index.model.model_id,
            "shards": index.count,
            "made": result.new_shards,
            "command": command,
            "notes": [*source.notes, *index.model.notes],
            "skipped": _skipped_rows(source.skipped),
        }
        print_line(json.dumps(summary, indent=1))
        return
    for note in (*source.notes, *index.model.notes):
        console.note(f"note: {note}")
    _note_skipped(source.skipped, "tbgrid export lists them all", console)
    kept = index.count - result.new_shards
    print_line(
        f"{len(source.photos):,} photos embedded by {index.model.model_id}, "
        f"{len(source.skipped):,} skipped; {index.count:,} shard{'s' if index.count != 1 else ''}"
        f"{f' ({kept:,} of them already there)' if kept else ''}, "
        f"{size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    print_line(f"To export them, run: {command}")


def print_cache(cache: Cache, usage: Sequence[Usage], as_json: bool) -> None:
    """Print what the cache holds, by kind: a table, or JSON."""
    total = sum(part.size for part in usage)
    if as_json:
        parts = [dataclasses.asdict(part) for part in usage]
        print_line(
            json.dumps({"path": os.fspath(cache.path or ""), "bytes": total, "kinds": parts})
        )
        return
    rows = [(part.kind, f"{part.entries:,}", f"{part.size / 1e6:.1f} MB") for part in usage]
    if rows:
        print_table([("kind", "entries", "size"), *rows])
    print_line(f"{total / 1e6:.1f} MB of at most {cache.limit / 1e9:.0f} GB in {cache.path}")


def _skipped_rows(skipped: Sequence[SkippedFile]) -> list[dict[str, str]]:
    return [{"path": item.name, "reason": item.reason} for item in skipped]


def _note_skipped(skipped: Sequence[SkippedFile], where: str, console: Console) -> None:
    """Note the first skipped files, and where the others are listed."""
    for item in skipped[:MAX_SHOWN]:
        console.note(f"skipped: {item.name} ({item.reason})")
    more = len(skipped) - MAX_SHOWN
    if more > 0:
        console.note(f"skipped: {more} more ({where})")
