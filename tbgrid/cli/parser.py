"""The commands and options of the command line, and how it spells the library's options."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn, get_args

from tbgrid.choices import Runner
from tbgrid.options import choices_of, default_of
from tbgrid.version import __version__

_PHOTOS = (
    "a folder, whose first sub-folders are labels; a pattern in quotes; a CSV or TSV with a column "
    "path; an .npy, .npz or idx file of pictures"
)
# Every other option is spelled like the last part of its path.
_FLAGS = {
    "grid.shape": "--grid",
    "refine.seconds": "--refine-seconds",
    "use_cache": "--no-cache",
    "run_name": "--run",
    "source": "PHOTOS",
    "embedder": "embedder",
}


def flag_of(path: str) -> str:
    """How an option is typed: "--grid" for "grid.shape". Other text comes back with dashes."""
    return _FLAGS.get(path, "--" + path.rpartition(".")[2].replace("_", "-"))


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


def _option(group: argparse._ActionsContainer, path: str, **settings: Any) -> None:
    """Add an option of `ExportOptions`, with its choices; `{default}` in its help is filled in."""
    if "action" not in settings and (choices := choices_of(path)):
        settings["choices"] = choices
    settings["help"] = settings["help"].format(default=default_of(path))
    group.add_argument(flag_of(path), dest=path, default=argparse.SUPPRESS, **settings)


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
    source = _add_source(export)
    _option(
        source,
        "source.vectors",
        metavar="FILE.npy",
        help="precomputed embeddings (.npy, one row per photo) to use instead of a model",
    )
    _add_options(export)
    _option(
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
    photos = _add_source(embed)
    _option(photos, "source.seed", type=int, metavar="N", help="of --sample (default: {default})")
    _add_model(embed)
    _add_pictures(embed.add_argument_group("pictures"))
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
    _add_output(embed)


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
    _add_options(demo)


def _add_models(commands: _Commands) -> None:
    models = _command(
        commands,
        "models",
        "list the models with short names",
        "List the models with short names: input size in pixels, dimensions of the vectors, and "
        "whether each works without a network.",
    )
    _add_output(models)


def _add_check(commands: _Commands) -> None:
    check = _command(
        commands,
        "check",
        "check that TensorBoard accepts a run",
        "Look for problems that TensorBoard's Projector would have with a run, written by tbgrid "
        "or by any other exporter, and name the fix. Exits 1 if there is an error.",
    )
    check.add_argument("run", metavar="RUN", help="the run's directory")
    _add_output(check)


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
    _add_output(cache)


def _add_source(command: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    source = command.add_argument_group("photos")
    _option(
        source,
        "source.metadata",
        metavar="FILE",
        help="a CSV or TSV whose columns are joined by path or file name",
    )
    for path, verb in (("source.include", "take only"), ("source.exclude", "leave out")):
        _option(
            source,
            path,
            action="append",
            metavar="PATTERN",
            help=f"{verb} photos whose path or file name matches, such as 'cat/*'; repeatable",
        )
    _option(
        source,
        "source.sample",
        type=int,
        metavar="N",
        help="use a random sample of N photos, stratified by label",
    )
    _option(source, "source.limit", type=int, metavar="N", help="use the first N photos")
    source.add_argument(
        "--strict", action="store_true", help="exit 1 if a photo was skipped, after writing the run"
    )
    return source


def _add_model(
    command: argparse.ArgumentParser, *, several: bool = False
) -> argparse._ArgumentGroup:
    model = command.add_argument_group("model")
    _option(
        model,
        "model",
        metavar="MODEL",
        action="append" if several else "store",
        help="a name from tbgrid models (default: {default}), a TF-Hub handle or URL, the "
        "directory of a SavedModel, kaggle:HANDLE, or keras:NAME"
        + (
            "; repeat to compare models: each gets its own run in DIR/MODEL, rotated to match"
            if several
            else ""
        ),
    )
    _option(
        model,
        "image_size",
        type=int,
        metavar="PX",
        help="side of the model's input, where it is free",
    )
    _option(
        model,
        "input_range",
        help="what the model expects: unit is 0 to 1 (TF-Hub's convention), signed is -1 to 1, "
        "bytes is 0 to 255 (default: {default})",
    )
    _option(model, "fit", help="how a photo becomes a square (default: {default})")
    _option(model, "batch", type=int, metavar="N", help="photos per batch (default: {default})")
    return model


def _add_pictures(group: argparse._ArgumentGroup) -> None:
    _option(
        group,
        "tile",
        type=int,
        metavar="PX",
        help="side of a photo in the mosaic (default: {default})",
    )
    _option(
        group,
        "preview",
        type=int,
        metavar="PX",
        help="side of each photo's larger picture in the Grid tab, 0 for none (default: {default}, "
        "about 14 kB per photo)",
    )


def _add_options(command: argparse.ArgumentParser) -> None:
    """The options that `export` and `demo` share."""
    command.add_argument("--run", metavar="NAME", help="write to DIR/NAME instead of DIR")
    _option(
        _add_model(command, several=True),
        "metric",
        help="between vectors (default: cosine for networks, euclidean for pixels)",
    )
    layout = command.add_argument_group("layout")
    _add_layout(layout)
    _add_grid(layout)
    _add_pictures(layout)
    groups = command.add_argument_group("groups")
    _option(
        groups,
        "groups.duplicates",
        help="near-duplicates: list them (show, default), collapse each group into one tile "
        "(stack), or skip detection (off)",
    )
    _option(
        groups,
        "groups.min_cluster",
        type=int,
        metavar="N",
        help="smallest cluster, 0 for no clusters (default: half the square root of the number of "
        "photos, at least 5)",
    )
    cache = command.add_argument_group("cache").add_mutually_exclusive_group()
    _option(cache, "cache", metavar="DIR", help="use another cache than the user's own")
    _option(cache, "use_cache", action="store_false", help="do not read or write the cache")
    _add_output(command)


def _add_layout(layout: argparse._ArgumentGroup) -> None:
    _option(
        layout,
        "layout",
        help="how vectors become positions (default: {default}; umap and flas are extras); best "
        "tries all and keeps the highest DPQ_16, of near-equals the highest DPQ_2",
    )
    _option(
        layout,
        "budget",
        type=float,
        metavar="SECONDS",
        help="CPU time after which --layout best starts no further layout (default: 120)",
    )
    _option(
        layout,
        "tsne.perplexity",
        type=float,
        metavar="P",
        help="t-SNE's effective number of neighbors (default: 25, less for few photos)",
    )
    _option(
        layout,
        "tsne.engine",
        help="of t-SNE (default: {default}; sklearn is slower, intelex an extra)",
    )
    _option(
        layout, "tsne.seed", type=int, metavar="N", help="of every random step (default: {default})"
    )


def _add_grid(layout: argparse._ArgumentGroup) -> None:
    shape = layout.add_mutually_exclusive_group()
    _option(shape, "grid.shape", type=_grid_shape, metavar="ROWSxCOLS", help="default: by --aspect")
    _option(
        shape,
        "grid.aspect",
        type=_aspect,
        metavar="W:H",
        help="width to height of the grid (default: 1:1)",
    )
    _option(
        layout,
        "grid.assignment_cost",
        help="cost minimized by the grid assignment: the sum of squared (default) or of euclidean "
        "distances",
    )
    _option(
        layout,
        "grid.solver",
        help="of the assignment (default: {default}, the fastest that fits)",
    )
    _option(
        layout,
        "grid.exact",
        action="store_true",
        help="insist on the proven optimum, even where that takes minutes",
    )
    _option(
        layout,
        "refine",
        action=argparse.BooleanOptionalAction,
        help="exchange photos after the assignment until neighbors resemble each other more "
        "(default)",
    )
    _option(
        layout,
        "refine.seconds",
        type=float,
        metavar="S",
        help="limit refinement to S seconds (default: no limit)",
    )


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
    _add_output(serve)
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


def _add_output(command: argparse.ArgumentParser) -> None:
    output = command.add_argument_group("output")
    output.add_argument("--quiet", action="store_true", help="print only the result and errors")
    output.add_argument("--verbose", action="store_true", help="print what libraries print, too")
    output.add_argument("--json", action="store_true", help="print the result as JSON")


def _grid_shape(text: str) -> tuple[int, int]:
    rows, x, columns = text.lower().partition("x")
    if not (x and rows.isdecimal() and columns.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not ROWSxCOLS, such as 32x32")
    return int(rows), int(columns)


def _aspect(text: str) -> float:
    width, colon, height = text.partition(":")
    try:
        return float(width) / float(height) if colon else float(width)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not W:H, such as 16:9") from None
