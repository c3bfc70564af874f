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
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbgrid.cli.output import (
    print_table,
    say,
    tell_cache,
    tell_compared,
    tell_embedded,
    tell_export,
)
from tbgrid.cli.parser import command_parser
from tbgrid.errors import TbgridError, UsageError

if TYPE_CHECKING:
    from tbgrid.cli.terminal import Console
    from tbgrid.options import ExportOptions, SourceOptions
    from tbgrid.photos import Rejected

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
    from tbgrid.cli.terminal import Console, native_output_hidden

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
            from tbgrid.run_format import printable

            where = f" at {printable(error.filename)}" if error.filename else ""
            console.error(f"the system refuses{where} ({error.strerror}): mend that and try again")
            return 1
        except KeyboardInterrupt:
            console.error(_INTERRUPTED)
            return 130
        finally:
            console.close()


def _options(given: argparse.Namespace) -> ExportOptions:
    from tbgrid.options import (
        ExportOptions,
        GridOptions,
        GroupOptions,
        SourceOptions,
        TsneOptions,
        refining,
    )

    return ExportOptions(
        **_embedding(given),
        metric=given.metric,
        cache=given.cache,
        use_cache=not given.no_cache,
        like=getattr(given, "like", None),
        source=_source(given) if given.command == "export" else SourceOptions(),
        layout=given.layout,
        budget=given.budget,
        tsne=TsneOptions(given.perplexity, given.seed, given.engine),
        grid=GridOptions(
            given.grid, given.aspect, given.assignment_cost, given.solver, given.exact
        ),
        refine=refining(given.refine, given.refine_seconds),
        groups=GroupOptions(given.duplicates, given.min_cluster),
    )


def _embedding(given: argparse.Namespace) -> dict[str, Any]:
    """Those options that were given of the ones that decide upon vectors and pictures."""
    from tbgrid.options import EMBEDDING

    options = {name: getattr(given, name) for name in (*EMBEDDING, "batch")}
    if isinstance(options["model"], list):  # several are for `compare`
        options["model"] = options["model"][0]
    return {name: value for name, value in options.items() if value is not None}


def _source(given: argparse.Namespace) -> SourceOptions:
    from tbgrid.options import SourceOptions

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
    from tbgrid.embedding import shard_index
    from tbgrid.options import EMBEDDING
    from tbgrid.pipeline.export import export

    if given.model and len(given.model) > 1:
        return _compare(given.source, given, options, console)
    # `export` cannot tell a default that was given from one that was not.
    if given.source is not None and shard_index.is_embedded(Path(given.source)):
        chosen = {name: value for name, value in _embedding(given).items() if name in EMBEDDING}
        shard_index.read_index(Path(given.source)).refuse(chosen)
    result = export(
        given.source, given.logdir, options, run_name=given.run, progress=console.progress
    )
    tell_export(result, given, console)
    return _strictly(given, result.rejected, console)


def _compare(
    source: str | Path | None, given: argparse.Namespace, options: ExportOptions, console: Console
) -> int:
    from tbgrid.pipeline.compare import compare

    done = compare(
        source,
        given.logdir,
        given.model,
        options,
        run_name=given.run,
        progress=console.progress,
    )
    tell_compared(done, given, console)
    return _strictly(given, done.results[0].rejected, console)


def _embed(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.options import ExportOptions
    from tbgrid.pipeline.embed_shards import embed_shards
    from tbgrid.pipeline.shard_job import DEFAULT_SHARD

    result = embed_shards(
        given.source,
        given.out,
        ExportOptions(**_embedding(given), source=_source(given)),
        shard=DEFAULT_SHARD if given.shard is None else given.shard,
        runner=given.runner,
        workers=given.workers,
        progress=console.progress,
    )
    tell_embedded(result, given, console)
    return _strictly(given, result.source.rejected, console)


def _strictly(given: argparse.Namespace, rejected: Sequence[Rejected], console: Console) -> int:
    """The exit code, by what was left out."""
    if given.strict and rejected:
        console.error(f"{len(rejected)} files left out, and --strict was given")
        return 1
    return 0


def _demo(given: argparse.Namespace, console: Console) -> int:
    options = _options(given)
    from tbgrid.cli import demo
    from tbgrid.pipeline.export import export

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
    tell_export(result, given, console)
    return 0


def _models(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.embedding import registry

    if given.json:
        say(
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
    print_table(rows)
    console.note(
        "Also: any TF-Hub handle or URL, the directory of a SavedModel, "
        "kaggle:OWNER/MODEL/FRAMEWORK/VARIATION, keras:NAME (Keras Applications)"
    )
    return 0


def _check(given: argparse.Namespace, _: Console) -> int:
    from tbgrid.check.run import check, exit_code, format_findings

    findings = check(given.run)
    if given.json:
        say(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        say(format_findings(findings))
    return exit_code(findings)


def _cache(given: argparse.Namespace, _: Console) -> int:
    from tbgrid.util.cache import Cache, default_directory

    directory = Path(given.cache) if given.cache else default_directory()
    with Cache(directory) as cache:
        if given.clear:
            cache.clear()
        usage = cache.usage()
        if cache.trouble:
            raise TbgridError(cache.trouble, "remove that file, or give another --cache")
        tell_cache(cache, usage, given.json)
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
    names = ("upload", "seconds", "pixels", "inputs", "queue", "disk")
    limits = {name: getattr(given, f"max_{name}") for name in names}
    options = ServeOptions(
        root=root,
        host=given.host,
        port=given.port,
        workers=given.workers,
        runner=given.runner,
        require_key=given.require_key,
        models=tuple(given.allow_model),
        hosts=tuple(given.allow_host),
        limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
    )
    serve(options, console.note, logging.StreamHandler(console.stream))
    return 0


def _keys(given: argparse.Namespace, root: Path, keys: Any) -> int:
    from tbgrid.serve.paths import ServicePaths
    from tbgrid.serve.store import open_store

    with open_store(ServicePaths(root).service) as store:
        if given.key_action == "add":
            say(keys.add(store, given.application))
        elif given.key_action == "revoke":
            keys.revoke(store, given.id)
            say(f"{given.id} is revoked")
        else:
            print_table([("id", "applications", "made"), *keys.list_keys(store)])
    return 0


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
