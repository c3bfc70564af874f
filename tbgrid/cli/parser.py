"""The commands of the command line and their arguments."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn, get_args

from tbgrid.choices import Runner
from tbgrid.cli.option_groups import (
    add_export_options,
    add_model_options,
    add_option,
    add_output_options,
    add_picture_options,
    add_source_options,
)
from tbgrid.version import __version__

_PHOTOS = (
    "a folder, whose first sub-folders are labels; a pattern in quotes; a CSV or TSV with a column "
    "path; an .npy, .npz or idx file of pictures"
)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are a single line, as all others are, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tbgrid: {message}: see {self.prog} --help\n")


def command_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line.

    An option of `tbgrid.ExportOptions` is stored under its path, such as "grid.shape", and only if
    it was given.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="tbgrid",
        description="Turn a folder of photos into a TensorBoard run in which look-alikes lie side "
        "by side.",
        epilog="tbgrid demo shows it on pictures that are already installed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tbgrid {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_export, _add_embed, _add_demo, _add_models, _add_check, _add_cache):
        add(commands)
    _add_serve(commands)
    return parser


_Commands = Any  # argparse's own type of sub-parsers is private


def _command(
    commands: _Commands, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, allow_abbrev=False
    )
    command.set_defaults(command=name)
    return command


def _add_export(commands: _Commands) -> None:
    export = _command(
        commands,
        "export",
        "turn a folder of photos into a TensorBoard run",
        "Embed the photos of a folder, lay them out (t-SNE), assign them to the cells of a grid "
        "and write it all as one TensorBoard run.",
    )
    export.add_argument(
        "source",
        metavar="PHOTOS",
        nargs="?",
        help=f"{_PHOTOS}; or the output of tbgrid embed. Optional with --vectors",
    )
    export.add_argument("--logdir", required=True, metavar="DIR", help="the run's directory")
    source = add_source_options(export)
    add_option(
        source,
        "source.vectors",
        metavar="FILE.npy",
        help="precomputed embeddings (.npy, one row per photo) to use instead of a model",
    )
    add_export_options(export)
    add_option(
        export,
        "like",
        metavar="RUN",
        help="start from an earlier run (it may be the one being replaced), so that existing "
        "photos stay near their places",
    )


def _add_embed(commands: _Commands) -> None:
    embed = _command(
        commands,
        "embed",
        "compute vectors and pictures only, in shards, for a later export",
        "Embed the photos in shards, one after another or in parallel; the same command resumes "
        "where it was interrupted. tbgrid export DIR then writes the run.",
    )
    embed.add_argument("source", metavar="PHOTOS", help=_PHOTOS)
    embed.add_argument("--out", required=True, metavar="DIR", help="the directory of the shards")
    photos = add_source_options(embed)
    add_option(
        photos, "source.seed", type=int, metavar="N", help="of --sample (default: {default})"
    )
    add_model_options(embed)
    add_picture_options(embed.add_argument_group("pictures"))
    work = embed.add_argument_group("work")
    work.add_argument("--shard", type=int, metavar="N", help="photos per shard (default: 1024)")
    work.add_argument(
        "--runner",
        choices=get_args(Runner),
        default="local",
        help="this process (default), or Ray workers: here, or in the cluster at RAY_ADDRESS",
    )
    work.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="decoding threads; with Ray, processes that hold the model (default: one per 4 CPUs)",
    )
    add_output_options(embed)


def _add_demo(commands: _Commands) -> None:
    demo = _command(
        commands,
        "demo",
        "export pictures that are already installed",
        "Export pictures that come with scikit-learn: 1,024 tiles of its two photos, or its 1,797 "
        "handwritten digits. Needs no network.",
    )
    demo.add_argument("--set", choices=("tiles", "digits"), default="tiles", help="default: tiles")
    demo.add_argument(
        "--logdir", metavar="DIR", help="the run's directory (default: runs/demo-tiles or -digits)"
    )
    add_export_options(demo)


def _add_models(commands: _Commands) -> None:
    models = _command(
        commands,
        "models",
        "list the models with short names",
        "List the models with short names: input size in pixels, dimensions of the vectors, and "
        "whether each works without a network.",
    )
    add_output_options(models)


def _add_check(commands: _Commands) -> None:
    check = _command(
        commands,
        "check",
        "check that TensorBoard accepts a run",
        "Look for problems that TensorBoard's Projector would have with a run, written by tbgrid "
        "or by any other exporter, and name the fix. Exits 1 if there is an error.",
    )
    check.add_argument("run", metavar="RUN", help="the run's directory")
    add_output_options(check)


def _add_cache(commands: _Commands) -> None:
    cache = _command(
        commands,
        "cache",
        "show or clear the cache",
        "Show, or with --clear remove, what is cached from earlier exports: vectors, thumbnails, "
        "previews, layouts and converted networks.",
    )
    cache.add_argument("--clear", action="store_true", help="remove everything")
    cache.add_argument("--cache", metavar="DIR", help="use another cache than the user's own")
    add_output_options(cache)


def _add_serve(commands: _Commands) -> None:
    serve = _command(
        commands,
        "serve",
        "run an HTTP service on this machine: add photos, request a map (extra serve)",
        "Serve an HTTP API: clients add photos, request maps and fetch them when they are done. "
        "Each map is a run below DIR/runs. / is a page to drop photos on, /docs lists the routes.",
    )
    serve.add_argument(
        "--root", metavar="DIR", help="the directory of photos, jobs and runs (required)"
    )
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="default: 127.0.0.1; any other needs keys",
    )
    serve.add_argument(
        "--port", type=int, default=8686, metavar="N", help="default: 8686; 0 for any free one"
    )
    serve.add_argument("--require-key", action="store_true", help="require a key on loopback too")
    work = serve.add_argument_group("work")
    work.add_argument(
        "--workers", type=int, default=1, metavar="N", help="maps made in parallel (default: 1)"
    )
    work.add_argument(
        "--runner",
        choices=get_args(Runner),
        default="local",
        help="who embeds: the workers (default), or Ray's, as in tbgrid embed",
    )
    work.add_argument(
        "--allow-model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model that clients may request in addition to the short names; repeatable",
    )
    work.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="a host from which pictures may be fetched by URL; repeatable (default: none)",
    )
    limits = serve.add_argument_group("limits")
    for name, unit, what in (
        ("upload", "BYTES", "of one request (default: 64000000)"),
        ("seconds", "N", "until the body of a request has arrived (default: 600)"),
        ("pixels", "N", "of one picture (default: 80000000)"),
        ("inputs", "N", "pictures of one application (default: 100000)"),
        ("queue", "N", "visualizations that wait or run (default: 100)"),
        ("disk", "BYTES", "of pictures and runs; the cache has 8 GB (default: 50000000000)"),
    ):
        limits.add_argument(f"--max-{name}", type=int, metavar=unit, help=what)
    add_output_options(serve)
    _add_keys(serve)


def _add_keys(serve: argparse.ArgumentParser) -> None:
    key = serve.add_subparsers(title="keys", metavar="key").add_parser(
        "key",
        help="create, list and revoke keys",
        description="Keys are for clients on other machines, sent as Authorization: Key ...; only "
        "their hashes are stored.",
        allow_abbrev=False,
    )
    actions = key.add_subparsers(metavar="add|list|revoke", required=True)
    # Its own --root must not put its default over one that stands before "key".
    for name, what in (
        ("add", "create a key and print it, this once"),
        ("list", "list the ids and applications of all keys"),
        ("revoke", "revoke a key"),
    ):
        action = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
        action.add_argument(
            "--root", metavar="DIR", default=argparse.SUPPRESS, help="as for tbgrid serve"
        )
        if name == "add":
            action.add_argument(
                "--application",
                action="append",
                default=[],
                metavar="NAME",
                help="limit the key to this application; repeatable (default: all)",
            )
        if name == "revoke":
            action.add_argument("id", metavar="ID", help="the key's part before the dot")
        action.set_defaults(key_action=name)
