"""The command line: what each command does, its streams and its exit code.

stdout is the result, stderr the story. Exit codes: 0 done, 1 the data are at fault (or `check`
found an error), 2 the arguments are, 130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import json
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbgrid.arguments import command_parser
from tbgrid.errors import TbgridError, UsageError

if TYPE_CHECKING:
    from tbgrid.cache import Cache, Usage
    from tbgrid.comparison import Comparison
    from tbgrid.console import Console
    from tbgrid.pipeline import ExportOptions, ExportResult
    from tbgrid.runners import EmbedResult
    from tbgrid.sources import SourceOptions
    from tbgrid.types import Json, Rejected

SHOWN_LEFT_OUT = 5
_INTERRUPTED = "interrupted; nothing is half written, and what was embedded is kept"
# A full disk, too many open files and the like: no bugs, wherever they strike.
_OF_THE_SYSTEM = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:  # outside of the work: while modules load, while streams close
        print(f"tbgrid: {_INTERRUPTED}", file=sys.stderr)
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    parser = command_parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "command"):
        parser.print_help()
        return 0
    from tbgrid.console import Console, native_output_hidden

    # OpenMP threads that spin while they wait make t-SNE five times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with native_output_hidden(given.verbose) as stream:
        console = Console(stream, given.quiet)
        try:
            return _COMMANDS[given.command](given, console)
        except TbgridError as error:
            console.error(str(error))
            return error.exit_code
        except MemoryError as error:
            reason = " ".join(str(error).split())
            console.error(
                f"not enough memory{f' ({reason})' if reason else ''}: use a smaller --tile, "
                "--batch or --image-size, or fewer photos (--sample)"
            )
            return 1
        except OSError as error:
            if error.errno not in _OF_THE_SYSTEM:
                raise
            from tbgrid.types import printable

            where = f" at {printable(error.filename)}" if error.filename else ""
            console.error(f"the system refuses{where} ({error.strerror}): mend that and try again")
            return 1
        except KeyboardInterrupt:
            console.error(_INTERRUPTED)
            return 130
        finally:
            console.close()


def _options(given: argparse.Namespace) -> ExportOptions:
    from tbgrid.arrangement import refining
    from tbgrid.grid import GridOptions
    from tbgrid.groups import GroupOptions
    from tbgrid.layout import TsneOptions
    from tbgrid.pipeline import ExportOptions
    from tbgrid.sources import SourceOptions

    return ExportOptions(
        **_embedding(given),
        distance=given.distance,
        cache=given.cache,
        use_cache=not given.no_cache,
        like=getattr(given, "like", None),
        source=_source(given) if given.command == "export" else SourceOptions(),
        layout=given.layout,
        budget=given.budget,
        tsne=TsneOptions(given.perplexity, given.seed, given.engine),
        grid=GridOptions(given.grid, given.aspect, given.metric, given.solver, given.exact),
        refine=refining(given.refine, given.refine_seconds),
        groups=GroupOptions(given.duplicates, given.min_cluster),
    )


def _embedding(given: argparse.Namespace) -> dict[str, Any]:
    """Those options that were given of the ones that decide upon vectors and pictures."""
    from tbgrid.pipeline import EMBEDDING

    options = {name: getattr(given, name) for name in (*EMBEDDING, "batch")}
    if isinstance(options["model"], list):  # several are for `compare`
        options["model"] = options["model"][0]
    return {name: value for name, value in options.items() if value is not None}


def _source(given: argparse.Namespace) -> SourceOptions:
    from tbgrid.sources import SourceOptions

    return SourceOptions(
        include=tuple(given.include),
        exclude=tuple(given.exclude),
        sample=given.sample,
        limit=given.limit,
        seed=given.seed,
        metadata=given.metadata,
        vectors=getattr(given, "vectors", None),
    )


def _export(given: argparse.Namespace, console: Console) -> int:
    options = _options(given)
    from tbgrid import shards
    from tbgrid.pipeline import EMBEDDING, export

    if given.model and len(given.model) > 1:
        return _compare(given.source, given, options, console)
    # `export` cannot tell a default that was given from one that was not.
    if given.source is not None and shards.is_embedded(Path(given.source)):
        chosen = {name: value for name, value in _embedding(given).items() if name in EMBEDDING}
        shards.read_index(Path(given.source)).refuse(chosen)
    result = export(
        given.source, given.logdir, options, run_name=given.run, progress=console.progress
    )
    _tell(result, given, console)
    return _strictly(given, result.rejected, console)


def _compare(
    source: str | Path | None, given: argparse.Namespace, options: ExportOptions, console: Console
) -> int:
    from tbgrid.comparison import compare

    done = compare(
        source,
        given.logdir,
        given.model,
        options,
        run_name=given.run,
        progress=console.progress,
    )
    _tell_compared(done, given, console)
    return _strictly(given, done.results[0].rejected, console)


def _embed(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.pipeline import ExportOptions
    from tbgrid.runners import DEFAULT_SHARD, embed_shards

    result = embed_shards(
        given.source,
        given.out,
        ExportOptions(**_embedding(given), source=_source(given)),
        shard=DEFAULT_SHARD if given.shard is None else given.shard,
        runner=given.runner,
        workers=given.workers,
        progress=console.progress,
    )
    _tell_embedded(result, given, console)
    return _strictly(given, result.source.rejected, console)


def _strictly(given: argparse.Namespace, rejected: Sequence[Rejected], console: Console) -> int:
    """The exit code, by what was left out."""
    if given.strict and rejected:
        console.error(f"{len(rejected)} files left out, and --strict was given")
        return 1
    return 0


def _demo(given: argparse.Namespace, console: Console) -> int:
    options = _options(given)
    from tbgrid import demo
    from tbgrid.pipeline import export

    make: Callable[[Path], None] = demo.tiles if given.set == "tiles" else demo.digits
    given.logdir = given.logdir or str(Path("runs", f"demo-{given.set}"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, given.set)
        make(folder)
        if given.model and len(given.model) > 1:
            return _compare(folder, given, options, console)
        result = export(
            folder, given.logdir, options, run_name=given.run, progress=console.progress
        )
    _tell(result, given, console)
    return 0


def _models(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.embedders import registry

    if given.json:
        _say(
            json.dumps(
                [
                    {**dataclasses.asdict(known), "offline": registry.offline(known)}
                    for known in registry.KNOWN
                ],
                indent=1,
            )
        )
        return 0
    rows = [("name", "input", "dimensions", "network", "what it is", "handle")]
    for known in registry.KNOWN:
        there = "not needed" if registry.offline(known) else "needed"
        size = f"{known.side} px"
        rows.append(
            (known.name, size, str(known.dimensions), there, known.about, known.handle or "-")
        )
    _print_table(rows)
    console.note(
        "Also: any TF-Hub handle or URL, the directory of a SavedModel, "
        "kaggle:OWNER/MODEL/FRAMEWORK/VARIATION, keras:NAME (Keras Applications)"
    )
    return 0


def _check(given: argparse.Namespace, _: Console) -> int:
    from tbgrid.check import check, exit_code, format_findings

    findings = check(given.run)
    if given.json:
        _say(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        _say(format_findings(findings))
    return exit_code(findings)


def _cache(given: argparse.Namespace, _: Console) -> int:
    from tbgrid.cache import Cache, default_directory

    directory = Path(given.cache) if given.cache else default_directory()
    with Cache(directory) as cache:
        if given.clear:
            cache.clear()
        usage = cache.usage()
        if cache.trouble:
            raise TbgridError(cache.trouble, "remove that file, or give another --cache")
        _tell_cache(cache, usage, given.json)
    return 0


def _serve(given: argparse.Namespace, console: Console) -> int:
    if not given.root:
        raise UsageError("no --root", "give the directory of photos, jobs and runs")
    try:
        from tbgrid.serve import keys
        from tbgrid.serve.limits import Limits
        from tbgrid.serve.server import ServeOptions, serve
    except ImportError as error:
        raise TbgridError(
            f"tbgrid serve needs FastAPI ({error})", "pip install 'tbgrid[serve]'"
        ) from error
    root = Path(given.root)
    if hasattr(given, "key_action"):
        return _keys(given, root, keys)
    names = ("upload", "pixels", "inputs", "queue", "disk")
    limits = {name: getattr(given, f"max_{name}") for name in names}
    options = ServeOptions(
        root,
        given.host,
        given.port,
        given.workers,
        given.runner,
        given.require_key,
        tuple(given.allow_model),
        tuple(given.allow_host),
        Limits(**{name: value for name, value in limits.items() if value is not None}),
    )
    serve(options, console.note, logging.StreamHandler(console.stream))
    return 0


def _keys(given: argparse.Namespace, root: Path, keys: Any) -> int:
    from tbgrid.serve.places import Places
    from tbgrid.serve.store import opened

    with opened(Places(root).service) as store:
        if given.key_action == "add":
            _say(keys.add(store, given.application))
        elif given.key_action == "revoke":
            keys.revoke(store, given.id)
            _say(f"{given.id} is revoked")
        else:
            _print_table([("id", "applications", "made"), *keys.listed(store)])
    return 0


def _tell_cache(cache: Cache, usage: Sequence[Usage], as_json: bool) -> None:
    total = sum(part.size for part in usage)
    if as_json:
        parts = [dataclasses.asdict(part) for part in usage]
        _say(json.dumps({"path": os.fspath(cache.path or ""), "bytes": total, "kinds": parts}))
        return
    rows = [(part.kind, f"{part.entries:,}", f"{part.size / 1e6:.1f} MB") for part in usage]
    if rows:
        _print_table([("kept", "entries", "size"), *rows])
    _say(f"{total / 1e6:.1f} MB of at most {cache.limit / 1e9:.0f} GB in {cache.path}")


def _say(text: str) -> None:
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


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _say(line.rstrip())


def _print_rows(rows: Sequence[Json]) -> None:
    """A table of what several maps have in common."""
    from tbgrid.artifacts.report import as_text

    header, lines = as_text(rows)
    _print_table([header, *lines])


def _tell(result: ExportResult, given: argparse.Namespace, console: Console) -> None:
    """The result on stdout: a summary to read, or JSON."""
    from tbgrid.artifacts.run import weight
    from tbgrid.types import printable

    console.close()
    for note in result.notes:
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(given.logdir)}"
    size = weight(result.directory)
    if given.json:
        _say(json.dumps(_as_json(result, command), indent=1))
        return
    _tell_left_out(result.rejected, f"all listed in {printable(result.ledger)}", console)
    if tried := result.arranged.candidates:
        _print_rows([candidate.row for candidate in tried])
    shown, grid = len(result.images.photos), result.grid
    seconds = ", ".join(f"{stage} {taken:.1f}" for stage, taken in result.report["seconds"].items())
    rows = [*result.arranged.lines(), *result.groups.lines(), ("seconds", seconds)]
    _print_table([(f"{name}:", value) for name, value in rows])
    _say(f"mosaic: {printable(result.mosaic)}")
    copies = len(result.groups.left)
    under = f", {copies:,} copies under the tiles of others" if copies else ""
    _say(
        f"{shown:,} photos shown on a grid of {grid.rows} x {grid.columns}, "
        f"{len(result.rejected):,} left out{under}; "
        f"{size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    _say(f"Now type: {command}")


def _as_json(result: ExportResult, command: str) -> Json:
    from tbgrid.artifacts.run import weight

    written = {
        "directory": os.fspath(result.directory),
        "mosaic": os.fspath(result.mosaic),
        "bytes": weight(result.directory),
        "command": command,
    }
    return {**result.report, "run": written, "left_out": _left_out(result.rejected)}


def _tell_compared(done: Comparison, given: argparse.Namespace, console: Console) -> None:
    """The results of several models on stdout: a table to read, or JSON."""
    from tbgrid.artifacts.run import weight
    from tbgrid.types import printable

    console.close()
    for note in dict.fromkeys(note for result in done.results for note in result.notes):
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(os.fspath(done.directory))}"
    if given.json:
        runs = [_as_json(result, command) for result in done.results]
        _say(json.dumps({"models": done.rows, "runs": runs}, indent=1))
        return
    first = done.results[0]
    _tell_left_out(first.rejected, f"all listed in {printable(first.ledger)}", console)
    for result in done.results:
        if tried := result.arranged.candidates:
            _say(f"{result.directory.name}:")
            _print_rows([candidate.row for candidate in tried])
    _print_rows(done.rows)
    size = sum(weight(result.directory) for result in done.results)
    _say(
        f"{len(first.images.photos):,} photos shown in {len(done.results)} runs, "
        f"{len(first.rejected):,} left out; {size / 1e6:.1f} MB in {printable(done.directory)}"
    )
    _say(f"Now type: {command}")


def _tell_embedded(result: EmbedResult, given: argparse.Namespace, console: Console) -> None:
    """What is embedded now, on stdout: a summary to read, or JSON."""
    from tbgrid.artifacts.run import weight
    from tbgrid.types import printable

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
            "left_out": _left_out(source.rejected),
        }
        _say(json.dumps(told, indent=1))
        return
    for note in (*source.notes, *index.model.notes):
        console.note(f"note: {note}")
    _tell_left_out(source.rejected, "all listed by tbgrid export", console)
    kept = index.count - result.made
    _say(
        f"{len(source.photos):,} photos embedded by {index.model.model_id}, "
        f"{len(source.rejected):,} left out; {index.count:,} shards"
        f"{f' ({kept:,} of them were there)' if kept else ''}, "
        f"{size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    _say(f"Now type: {command}")


def _left_out(rejected: Sequence[Rejected]) -> list[dict[str, str]]:
    return [{"path": item.name, "reason": item.reason} for item in rejected]


def _tell_left_out(rejected: Sequence[Rejected], where: str, console: Console) -> None:
    """The first of what was left out, and `where` the others are told."""
    for item in rejected[:SHOWN_LEFT_OUT]:
        console.note(f"left out: {item.name} ({item.reason})")
    more = len(rejected) - SHOWN_LEFT_OUT
    if more > 0:
        console.note(f"left out: {more} more, {where}")


_COMMANDS: dict[str, Callable[[argparse.Namespace, Any], int]] = {
    "export": _export,
    "embed": _embed,
    "demo": _demo,
    "models": _models,
    "check": _check,
    "cache": _cache,
    "serve": _serve,
}


if __name__ == "__main__":
    sys.exit(main())
