"""What can be typed: the commands and options of the command line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from tbgrid.run_format import DEFAULT_PREVIEW
from tbgrid.version import __version__

_PHOTOS = (
    "a folder, whose first sub-folders are labels; a pattern in quotes; a CSV or TSV with a column "
    "path; an .npy, .npz or idx file of pictures"
)


class _Parser(argparse.ArgumentParser):
    """One whose complaint is a single line, as all others are, without all options before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tbgrid: {message}: see {self.prog} --help\n")


def command_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser: argparse.ArgumentParser = _Parser(
        prog="tbgrid",
        description="A folder of photos becomes a TensorBoard run in which look-alikes lie "
        "side by side.",
        epilog="tbgrid demo shows it on pictures that are already installed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tbgrid {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    export = commands.add_parser(
        "export",
        help="a folder of photos becomes a TensorBoard run",
        description="Embed the photos of a folder, lay them out (t-SNE), snap them to a grid and "
        "write it all as one TensorBoard run.",
        allow_abbrev=False,
    )
    export.add_argument(
        "source",
        metavar="PHOTOS",
        nargs="?",
        help=f"{_PHOTOS}; what tbgrid embed has written. May be left out with --vectors",
    )
    export.add_argument("--logdir", required=True, metavar="DIR", help="the run's directory")
    _add_vectors(_add_source(export))
    _add_options(export)
    export.add_argument(
        "--like",
        metavar="RUN",
        help="begin at the places of an earlier run, be it the one that is replaced: photos that "
        "were there stay as near to them as they can",
    )
    export.set_defaults(command="export")
    _add_embed(commands)
    demo = commands.add_parser(
        "demo",
        help="an export of pictures that are already installed",
        description="Export pictures that come with scikit-learn: 1,024 tiles of its two photos, "
        "or its 1,797 handwritten digits. Needs no network.",
        allow_abbrev=False,
    )
    demo.add_argument("--set", choices=("tiles", "digits"), default="tiles", help="default: tiles")
    demo.add_argument(
        "--logdir", metavar="DIR", help="the run's directory (default: runs/demo-tiles or -digits)"
    )
    _add_options(demo)
    demo.set_defaults(command="demo")
    models = commands.add_parser(
        "models",
        help="the models with short names",
        description="List the models with short names: input size in pixels, dimensions of the "
        "vectors, and whether each is there without a network.",
        allow_abbrev=False,
    )
    _add_output(models)
    models.set_defaults(command="models")
    check = commands.add_parser(
        "check",
        help="will TensorBoard accept this run?",
        description="Look for what TensorBoard's Projector stumbles over in a run, of tbgrid or of "
        "any other exporter, and name the cure. Exits 1 if there is an error.",
        allow_abbrev=False,
    )
    check.add_argument("run", metavar="RUN", help="the run's directory")
    _add_output(check)
    check.set_defaults(command="check")
    cache = commands.add_parser(
        "cache",
        help="what is kept of earlier exports",
        description="Show, or with --clear remove, what is kept of earlier exports: vectors, "
        "thumbnails, previews, layouts and converted networks.",
        allow_abbrev=False,
    )
    cache.add_argument("--clear", action="store_true", help="remove all of it")
    cache.add_argument("--cache", metavar="DIR", help="another cache than the user's own")
    _add_output(cache)
    cache.set_defaults(command="cache")
    _add_serve(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="an HTTP service on this machine: add photos, ask for a map (extra serve)",
        description="Answer on HTTP: photos are added, maps asked for and fetched when they are "
        "done. Each is a run below DIR/runs. A page to drop photos on is at /, the routes at "
        "/docs.",
        allow_abbrev=False,
    )
    serve.add_argument(
        "--root", metavar="DIR", help="the directory of photos, jobs and runs; it must be given"
    )
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="default: 127.0.0.1; any other needs keys",
    )
    serve.add_argument(
        "--port", type=int, default=8686, metavar="N", help="default: 8686; 0 for any"
    )
    serve.add_argument("--require-key", action="store_true", help="ask for a key on loopback too")
    work = serve.add_argument_group("work")
    work.add_argument(
        "--workers", type=int, default=1, metavar="N", help="maps made at once (default: 1)"
    )
    work.add_argument(
        "--runner",
        choices=("local", "ray"),
        default="local",
        help="who embeds: the workers (default), or Ray's, as in tbgrid embed",
    )
    work.add_argument(
        "--allow-model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model beside the short names that clients may ask for; may be given again",
    )
    work.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST",
        help="fetch pictures by URL from this host; may be given again (default: from none)",
    )
    limits = serve.add_argument_group("limits")
    for name, unit, what in (
        ("upload", "BYTES", "of one request (default: 64000000)"),
        ("seconds", "N", "until the body of a request is there (default: 600)"),
        ("pixels", "N", "of one picture (default: 80000000)"),
        ("inputs", "N", "pictures of one application (default: 100000)"),
        ("queue", "N", "visualizations that wait or run (default: 100)"),
        ("disk", "BYTES", "of pictures and runs; the cache has 8 GB (default: 50000000000)"),
    ):
        limits.add_argument(f"--max-{name}", type=int, metavar=unit, help=what)
    _add_output(serve)
    serve.set_defaults(command="serve")
    _add_keys(serve)


def _add_keys(serve: argparse.ArgumentParser) -> None:
    key = serve.add_subparsers(title="keys", metavar="key").add_parser(
        "key",
        help="make, list and revoke keys",
        description="Keys are for clients of other machines, as Authorization: Key ...; only "
        "their hashes are kept.",
        allow_abbrev=False,
    )
    actions = key.add_subparsers(metavar="add|list|revoke", required=True)
    # Its own --root must not put its default over one that stands before "key".
    for name, what in (
        ("add", "make a key and print it, this once"),
        ("list", "ids and applications of all keys"),
        ("revoke", "make a key worthless"),
    ):
        action = actions.add_parser(name, help=what, description=what, allow_abbrev=False)
        action.add_argument(
            "--root", metavar="DIR", default=argparse.SUPPRESS, help="as of tbgrid serve"
        )
        if name == "add":
            action.add_argument(
                "--application",
                action="append",
                default=[],
                metavar="NAME",
                help="for this application alone; may be given again (default: for all)",
            )
        if name == "revoke":
            action.add_argument("id", metavar="ID", help="the key's part before the dot")
        action.set_defaults(key_action=name)


def _add_embed(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    embed = commands.add_parser(
        "embed",
        help="only vectors and pictures, in shards, for an export later",
        description="Embed the photos in shards, one after another or side by side; the same "
        "command goes on where it was interrupted. tbgrid export DIR makes the run.",
        allow_abbrev=False,
    )
    embed.add_argument("source", metavar="PHOTOS", help=_PHOTOS)
    embed.add_argument("--out", required=True, metavar="DIR", help="the directory of the shards")
    photos = _add_source(embed)
    photos.add_argument("--seed", type=int, default=0, metavar="N", help="of --sample (default: 0)")
    _add_model(embed)
    _add_pictures(embed.add_argument_group("pictures"))
    work = embed.add_argument_group("work")
    work.add_argument(
        "--shard",
        type=int,
        metavar="N",
        help="photos that are finished together (default: 1024)",
    )
    work.add_argument(
        "--runner",
        choices=("local", "ray"),
        default="local",
        help="this process (default), or Ray's workers: here, or in the cluster at RAY_ADDRESS",
    )
    work.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="threads that decode; with Ray, processes with the model (default: one for 4 CPUs)",
    )
    _add_output(embed)
    embed.set_defaults(command="embed")


def _add_vectors(source: argparse._ArgumentGroup) -> None:
    source.add_argument(
        "--vectors", metavar="FILE.npy", help="vectors from elsewhere, a row a photo, for a model's"
    )


def _add_source(command: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    source = command.add_argument_group("photos")
    source.add_argument(
        "--metadata",
        metavar="FILE",
        help="a CSV or TSV whose columns are joined by path or file name",
    )
    for option, does in (("--include", "only photos"), ("--exclude", "no photos")):
        source.add_argument(
            option,
            action="append",
            default=[],
            metavar="PATTERN",
            help=f"{does} whose path or file name fits, such as 'cat/*'; may be given again",
        )
    source.add_argument("--sample", type=int, metavar="N", help="N photos, from all labels alike")
    source.add_argument("--limit", type=int, metavar="N", help="the first N photos")
    source.add_argument(
        "--strict", action="store_true", help="exit 1 if a photo is left out, after all is written"
    )
    return source


def _add_model(
    command: argparse.ArgumentParser, *, several: bool = False
) -> argparse._ArgumentGroup:
    model = command.add_argument_group("model")
    model.add_argument(
        "--model",
        metavar="MODEL",
        action="append" if several else "store",
        help="a name that tbgrid models lists (default: builtin), a TF-Hub handle or URL, a "
        "SavedModel's directory, kaggle:HANDLE, or keras:NAME"
        + ("; given again: a run of each, DIR/MODEL, turned alike" if several else ""),
    )
    model.add_argument(
        "--image-size", type=int, metavar="PX", help="side of the model's input, where it is free"
    )
    model.add_argument(
        "--input-range",
        choices=("unit", "signed", "bytes"),
        help="what the model is given: 0 to 1 (default, TF-Hub's), -1 to 1, or 0 to 255",
    )
    model.add_argument(
        "--fit",
        choices=("crop", "pad", "squash"),
        help="how a photo becomes a square (default: crop)",
    )
    model.add_argument("--batch", type=int, metavar="N", help="photos at once (default: 32)")
    return model


def _add_pictures(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--tile", type=int, metavar="PX", help="a photo's side in the mosaic (64)")
    group.add_argument(
        "--preview",
        type=int,
        metavar="PX",
        help=f"side of the larger picture of each photo in the Grid tab, 0 for none (default: "
        f"{DEFAULT_PREVIEW}, about 14 kB a photo)",
    )


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", metavar="NAME", help="write to DIR/NAME instead of DIR")
    _add_model(command, several=True).add_argument(
        "--metric",
        choices=("cosine", "euclidean"),
        help="between vectors (default: cosine for networks, euclidean for pixels)",
    )
    layout = command.add_argument_group("layout")
    layout.add_argument(
        "--layout",
        choices=("tsne", "umap", "pca", "flas", "best"),
        default="tsne",
        help="how vectors become places (default: tsne; umap and flas are extras); best tries all "
        "of them, and keeps the one of the highest DPQ_16, of equals that of the highest DPQ_2",
    )
    layout.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="of CPU time, after which best begins no other layout (default: 120)",
    )
    layout.add_argument(
        "--perplexity",
        type=float,
        metavar="P",
        help="t-SNE's number of neighbours (default: 25, less for few photos)",
    )
    layout.add_argument(
        "--engine",
        choices=("opentsne", "sklearn", "intelex"),
        default="opentsne",
        help="of t-SNE (default: opentsne; sklearn is slower, intelex an extra)",
    )
    layout.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    shape = layout.add_mutually_exclusive_group()
    shape.add_argument("--grid", type=_grid_shape, metavar="ROWSxCOLS", help="default: by --aspect")
    shape.add_argument(
        "--aspect", type=_aspect, default=1.0, metavar="W:H", help="of the grid (default: 1:1)"
    )
    layout.add_argument(
        "--assignment-cost",
        choices=("squared", "euclidean"),
        default="squared",
        help="cost minimised by the grid assignment (default: squared distances)",
    )
    layout.add_argument(
        "--solver",
        choices=("auto", "lapjv", "scipy", "windows"),
        default="auto",
        help="of the assignment (default: auto, the fastest that serves)",
    )
    layout.add_argument(
        "--exact",
        action="store_true",
        help="the least total distance there is, even where that takes minutes",
    )
    layout.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="exchange photos after the snap until each resembles its neighbours more (default)",
    )
    layout.add_argument(
        "--refine-seconds",
        type=float,
        metavar="S",
        help="stop that after so long (default: no limit)",
    )
    _add_pictures(layout)
    groups = command.add_argument_group("groups")
    groups.add_argument(
        "--duplicates",
        choices=("show", "stack", "off"),
        default="show",
        help="copies among the photos: named (default), one tile with a count, not looked for",
    )
    groups.add_argument(
        "--min-cluster",
        type=int,
        metavar="N",
        help="photos that make a cluster, 0 for none (default: half the root of all, at least 5)",
    )
    kept = command.add_argument_group("cache").add_mutually_exclusive_group()
    kept.add_argument("--cache", metavar="DIR", help="another cache than the user's own")
    kept.add_argument("--no-cache", action="store_true", help="compute all anew, keep nothing")
    _add_output(command)


def _add_output(command: argparse.ArgumentParser) -> None:
    output = command.add_argument_group("output")
    output.add_argument("--quiet", action="store_true", help="only the result, and errors")
    output.add_argument("--verbose", action="store_true", help="also what libraries print")
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
