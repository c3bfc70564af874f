"""What the commands print: on stdout the result, to read or as JSON; on stderr what is to be noted.

Nothing heavy is imported from the first line on, as `tbgrid --help` comes this way.
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

SHOWN_LEFT_OUT = 5


def say(text: str) -> None:
    """Print to stdout. What its encoding lacks is shown escaped; a reader that has left misses the
    rest, and nothing else happens."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        # What its buffer still holds must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise TbgridError(
                f"stdout cannot be written ({error.strerror})",
                "the work is done, only its result could not be printed",
            ) from error


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns of equal width on stdout; each row has a text for each."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(line.rstrip())


def _print_rows(rows: Sequence[Json]) -> None:
    """A table of what several maps have in common."""
    from tbgrid.util.text_table import as_text

    header, lines = as_text(rows)
    print_table([header, *lines])


def tell_export(result: ExportResult, given: argparse.Namespace, console: Console) -> None:
    """The result on stdout: a summary to read, or JSON."""
    from tbgrid.run_format import printable
    from tbgrid.writers.run_directory import weight

    console.close()
    for note in result.notes:
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(given.logdir)}"
    size = weight(result.directory)
    if given.json:
        say(json.dumps(_as_json(result, command), indent=1))
        return
    _tell_left_out(result.skipped, f"all listed in {printable(result.skipped_tsv)}", console)
    if tried := result.arranged.candidates:
        _print_rows([candidate.row for candidate in tried])
    shown, grid = len(result.images.photos), result.grid
    seconds = ", ".join(f"{stage} {taken:.1f}" for stage, taken in result.report["seconds"].items())
    rows = [*result.arranged.lines(), *result.groups.lines(), ("seconds", seconds)]
    print_table([(f"{name}:", value) for name, value in rows])
    say(f"mosaic: {printable(result.mosaic)}")
    copies = len(result.groups.left)
    under = f", {copies:,} copies under the tiles of others" if copies else ""
    say(
        f"{shown:,} photos shown on a grid of {grid.rows} x {grid.columns}, "
        f"{len(result.skipped):,} left out{under}; "
        f"{size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    say(f"Now type: {command}")


def _as_json(result: ExportResult, command: str) -> Json:
    from tbgrid.writers.run_directory import weight

    written = {
        "directory": os.fspath(result.directory),
        "mosaic": os.fspath(result.mosaic),
        "bytes": weight(result.directory),
        "command": command,
    }
    return {**result.report, "run": written, "left_out": _left_out(result.skipped)}


def tell_compared(done: Comparison, given: argparse.Namespace, console: Console) -> None:
    """The results of several models on stdout: a table to read, or JSON."""
    from tbgrid.run_format import printable
    from tbgrid.writers.run_directory import weight

    console.close()
    for note in dict.fromkeys(note for result in done.results for note in result.notes):
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(os.fspath(done.directory))}"
    if given.json:
        runs = [_as_json(result, command) for result in done.results]
        say(json.dumps({"models": done.rows, "runs": runs}, indent=1))
        return
    first = done.results[0]
    _tell_left_out(first.skipped, f"all listed in {printable(first.skipped_tsv)}", console)
    for result in done.results:
        if tried := result.arranged.candidates:
            say(f"{result.directory.name}:")
            _print_rows([candidate.row for candidate in tried])
    _print_rows(done.rows)
    size = sum(weight(result.directory) for result in done.results)
    say(
        f"{len(first.images.photos):,} photos shown in {len(done.results)} runs, "
        f"{len(first.skipped):,} left out; {size / 1e6:.1f} MB in {printable(done.directory)}"
    )
    say(f"Now type: {command}")


def tell_embedded(result: EmbedResult, given: argparse.Namespace, console: Console) -> None:
    """What is embedded now, on stdout: a summary to read, or JSON."""
    from tbgrid.run_format import printable
    from tbgrid.writers.run_directory import weight

    console.close()
    index, source = result.index, result.source
    size = weight(result.directory)
    command = (
        f"tbgrid export {shlex.quote(given.out)} --logdir {shlex.quote(f'runs/{source.name}')}"
    )
    if given.json:
        told = {
            "directory": os.fspath(result.directory),
            "bytes": size,
            "photos": {"source": source.name, "embedded": len(source.photos)},
            "model": index.model.model_id,
            "shards": index.count,
            "made": result.made,
            "command": command,
            "notes": [*source.notes, *index.model.notes],
            "left_out": _left_out(source.skipped),
        }
        say(json.dumps(told, indent=1))
        return
    for note in (*source.notes, *index.model.notes):
        console.note(f"note: {note}")
    _tell_left_out(source.skipped, "all listed by tbgrid export", console)
    kept = index.count - result.made
    say(
        f"{len(source.photos):,} photos embedded by {index.model.model_id}, "
        f"{len(source.skipped):,} left out; {index.count:,} shards"
        f"{f' ({kept:,} of them were there)' if kept else ''}, "
        f"{size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    say(f"Now type: {command}")


def tell_cache(cache: Cache, usage: Sequence[Usage], as_json: bool) -> None:
    """What is kept of earlier exports, kind by kind: a table, or JSON."""
    total = sum(part.size for part in usage)
    if as_json:
        parts = [dataclasses.asdict(part) for part in usage]
        say(json.dumps({"path": os.fspath(cache.path or ""), "bytes": total, "kinds": parts}))
        return
    rows = [(part.kind, f"{part.entries:,}", f"{part.size / 1e6:.1f} MB") for part in usage]
    if rows:
        print_table([("kept", "entries", "size"), *rows])
    say(f"{total / 1e6:.1f} MB of at most {cache.limit / 1e9:.0f} GB in {cache.path}")


def _left_out(skipped: Sequence[SkippedFile]) -> list[dict[str, str]]:
    return [{"path": item.name, "reason": item.reason} for item in skipped]


def _tell_left_out(skipped: Sequence[SkippedFile], where: str, console: Console) -> None:
    """The first of what was left out, and `where` the others are told."""
    for item in skipped[:SHOWN_LEFT_OUT]:
        console.note(f"left out: {item.name} ({item.reason})")
    more = len(skipped) - SHOWN_LEFT_OUT
    if more > 0:
        console.note(f"left out: {more} more, {where}")
