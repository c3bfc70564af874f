"""The command line: what each command does, its streams and its exit code.

Results go to stdout, progress and notes to stderr. Exit codes: 0 success, 1 a problem with the data
(or an error that `check` found), 2 a problem with the arguments, 130 interrupted.
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

from tbgrid.cli.option_groups import flag_of
from tbgrid.cli.output import (
    print_cache,
    print_comparison,
    print_embedded,
    print_export,
    print_line,
    print_table,
)
from tbgrid.cli.parser import command_parser
from tbgrid.errors import TbgridError, UsageError

if TYPE_CHECKING:
    from tbgrid.cli.terminal import Console
    from tbgrid.options import ExportOptions
    from tbgrid.photos import SkippedFile

_INTERRUPTED = "interrupted; no partial output was written, and finished embeddings are cached"
# A full disk, too many open files and the like: not bugs, wherever they occur.
_WAYS_OUT = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "use a file system for larger files",
    errno.EROFS: "use another directory",
    errno.EIO: "check the disk",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "close other programs",
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
            console.error(error.spelled(flag_of))
            return error.exit_code
        except MemoryError as error:
            reason = " ".join(str(error).split())
            console.error(
                f"not enough memory{f' ({reason})' if reason else ''}: use a smaller --tile, "
                "--batch or --image-size, or fewer photos (--sample)"
            )
            return 1
        except OSError as error:
            if error.errno not in _WAYS_OUT:
                raise
            from tbgrid.run_format import printable

            what = printable(error.filename) if error.filename else "a file"
            reason = (error.strerror or "").lower()
            console.error(f"cannot use {what}: {reason}; {_WAYS_OUT[error.errno]} and try again")
            return 1
        except KeyboardInterrupt:
            console.error(_INTERRUPTED)
            return 130
        finally:
            console.close()


def _given_options(given: argparse.Namespace) -> dict[str, Any]:
    """The library's options that were typed, by their paths."""
    from tbgrid.option_paths import option_paths

    paths = {*option_paths(), "refine"}
    options = {path: value for path, value in vars(given).items() if path in paths}
    if isinstance(options.get("model"), list):  # several are for `compare`
        options["model"] = options["model"][0]
    if "tsne.seed" in options:  # --seed is that of a sample, too
        options["source.seed"] = options["tsne.seed"]
    return options


def _models_of(given: argparse.Namespace) -> list[str]:
    """All models that were typed."""
    models: list[str] = getattr(given, "model", [])
    return models


def _export(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.option_paths import options_from_paths
    from tbgrid.options import EMBEDDING

    typed = _given_options(given)
    options = options_from_paths(typed)
    from tbgrid.embedding import shard_index
    from tbgrid.pipeline.export import export

    if len(_models_of(given)) > 1:
        return _compare(given.source, given, options, console)
    # `export` cannot tell a default that was typed from one that was not.
    if given.source is not None and shard_index.is_embedded(Path(given.source)):
        chosen = {name: value for name, value in typed.items() if name in EMBEDDING}
        shard_index.read_index(Path(given.source)).refuse(chosen)
    result = export(
        given.source, given.logdir, options, run_name=given.run, progress=console.progress
    )
    print_export(result, given, console)
    return _strictly(given, result.skipped, console)


def _compare(
    source: str | Path | None, given: argparse.Namespace, options: ExportOptions, console: Console
) -> int:
    from tbgrid.pipeline.compare import compare

    done = compare(
        source,
        given.logdir,
        _models_of(given),
        options,
        run_name=given.run,
        progress=console.progress,
    )
    print_comparison(done, given, console)
    return _strictly(given, done.results[0].skipped, console)


def _embed(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.option_paths import options_from_paths
    from tbgrid.pipeline.embed_shards import embed_shards
    from tbgrid.pipeline.shard_job import DEFAULT_SHARD

    result = embed_shards(
        given.source,
        given.out,
        options_from_paths(_given_options(given)),
        shard=DEFAULT_SHARD if given.shard is None else given.shard,
        runner=given.runner,
        workers=given.workers,
        progress=console.progress,
    )
    print_embedded(result, given, console)
    return _strictly(given, result.source.skipped, console)


def _strictly(given: argparse.Namespace, skipped: Sequence[SkippedFile], console: Console) -> int:
    """The exit code, by what was skipped."""
    if given.strict and skipped:
        console.error(f"{len(skipped)} files skipped, and --strict was given")
        return 1
    return 0


def _demo(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.option_paths import options_from_paths

    options = options_from_paths(_given_options(given))
    from tbgrid.cli import demo
    from tbgrid.pipeline.export import export

    make: Callable[[Path], None] = demo.tiles if given.set == "tiles" else demo.digits
    given.logdir = given.logdir or str(Path("runs", f"demo-{given.set}"))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, given.set)
        make(folder)
        if len(_models_of(given)) > 1:
            return _compare(folder, given, options, console)
        result = export(
            folder, given.logdir, options, run_name=given.run, progress=console.progress
        )
    print_export(result, given, console)
    return 0


def _models(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.embedding import registry

    if given.json:
        print_line(
            json.dumps(
                [
                    {**dataclasses.asdict(known), "offline": registry.is_offline(known)}
                    for known in registry.NAMED_MODELS
                ],
                indent=1,
            )
        )
        return 0
    rows = [("name", "input", "dimensions", "network", "what it is", "handle")]
    for known in registry.NAMED_MODELS:
        there = "not needed" if registry.is_offline(known) else "needed"
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
        print_line(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        print_line(format_findings(findings))
    return exit_code(findings)


def _cache(given: argparse.Namespace, _: Console) -> int:
    from tbgrid.util.cache import Cache, default_directory

    directory = Path(given.cache) if given.cache else default_directory()
    with Cache(directory) as cache:
        if given.clear:
            cache.clear()
        usage = cache.usage()
        if cache.failure:
            raise TbgridError(
                f"the cache {cache.path} is not used ({cache.failure})",
                "remove that file, or give another --cache",
            )
        print_cache(cache, usage, given.json)
    return 0


def _serve(given: argparse.Namespace, console: Console) -> int:
    if not given.root:
        raise UsageError("--root is missing", "give the directory of photos, jobs and runs")
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
            print_line(keys.add(store, given.application))
        elif given.key_action == "revoke":
            keys.revoke(store, given.id)
            print_line(f"{given.id} is revoked")
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
