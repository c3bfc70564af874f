"""Groups of options of the command line, and how it spells the library's options."""

from __future__ import annotations

import argparse
from typing import Any

from tbgrid.option_paths import choices_of, default_of

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


def add_option(group: argparse._ActionsContainer, path: str, **settings: Any) -> None:
    """Add an option of `ExportOptions`, with its choices; `{default}` in its help is filled in."""
    if "action" not in settings and (choices := choices_of(path)):
        settings["choices"] = choices
    settings["help"] = settings["help"].format(default=default_of(path))
    group.add_argument(flag_of(path), dest=path, default=argparse.SUPPRESS, **settings)


def add_source_options(command: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add which photos to take; return their group."""
    source = command.add_argument_group("photos")
    add_option(
        source,
        "source.metadata",
        metavar="FILE",
        help="a CSV or TSV whose columns are joined by path or file name",
    )
    for path, verb in (("source.include", "take only"), ("source.exclude", "leave out")):
        add_option(
            source,
            path,
            action="append",
            metavar="PATTERN",
            help=f"{verb} photos whose path or file name matches, such as 'cat/*'; repeatable",
        )
    add_option(
        source,
        "source.sample",
        type=int,
        metavar="N",
        help="use a random sample of N photos, stratified by label",
    )
    add_option(source, "source.limit", type=int, metavar="N", help="use the first N photos")
    source.add_argument(
        "--strict",
        action="store_true",
        help="exit 1 if a photo was skipped, after writing everything",
    )
    return source


def add_model_options(
    command: argparse.ArgumentParser, *, several: bool = False
) -> argparse._ArgumentGroup:
    """Add the model and its input; return their group. `several`: it may be given repeatedly."""
    model = command.add_argument_group("model")
    add_option(
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
    add_option(
        model,
        "image_size",
        type=int,
        metavar="PX",
        help="side of the model's input, where it is free",
    )
    add_option(
        model,
        "input_range",
        help="what the model expects: unit is 0 to 1 (TF-Hub's convention), signed is -1 to 1, "
        "bytes is 0 to 255 (default: {default})",
    )
    add_option(model, "fit", help="how a photo becomes a square (default: {default})")
    add_option(model, "batch", type=int, metavar="N", help="photos per batch (default: {default})")
    return model


def add_picture_options(group: argparse._ArgumentGroup) -> None:
    """Add the sizes of the pictures that are written."""
    add_option(
        group,
        "tile",
        type=int,
        metavar="PX",
        help="side of a photo in the mosaic (default: {default})",
    )
    add_option(
        group,
        "preview",
        type=int,
        metavar="PX",
        help="side of each photo's larger picture in the Grid tab, 0 for none (default: {default}, "
        "about 14 kB per photo)",
    )


def add_export_options(command: argparse.ArgumentParser) -> None:
    """The options that `export` and `demo` share."""
    command.add_argument("--run", metavar="NAME", help="write to DIR/NAME instead of DIR")
    add_option(
        add_model_options(command, several=True),
        "metric",
        help="between vectors (default: cosine for networks, euclidean for pixels)",
    )
    layout = command.add_argument_group("layout")
    _add_layout(layout)
    _add_grid(layout)
    add_picture_options(layout)
    groups = command.add_argument_group("groups")
    add_option(
        groups,
        "groups.duplicates",
        help="near-duplicates: list them (show, default), collapse each group into one tile "
        "(stack), or skip detection (off)",
    )
    add_option(
        groups,
        "groups.min_cluster",
        type=int,
        metavar="N",
        help="smallest cluster, 0 for no clusters (default: half the square root of the number of "
        "photos, at least 5)",
    )
    cache = command.add_argument_group("cache").add_mutually_exclusive_group()
    add_option(cache, "cache", metavar="DIR", help="use another cache than the user's own")
    add_option(cache, "use_cache", action="store_false", help="do not read or write the cache")
    add_output_options(command)


def _add_layout(layout: argparse._ArgumentGroup) -> None:
    add_option(
        layout,
        "layout",
        help="how vectors become positions (default: {default}; umap and flas are extras); best "
        "tries all and keeps the highest DPQ_16, of near-equals the highest DPQ_2",
    )
    add_option(
        layout,
        "budget",
        type=float,
        metavar="SECONDS",
        help="CPU time after which --layout best starts no further layout (default: 120)",
    )
    add_option(
        layout,
        "tsne.perplexity",
        type=float,
        metavar="P",
        help="t-SNE's effective number of neighbours (default: 25, less for few photos)",
    )
    add_option(
        layout,
        "tsne.engine",
        help="of t-SNE (default: {default}; sklearn is slower, intelex an extra)",
    )
    add_option(
        layout, "tsne.seed", type=int, metavar="N", help="of every random step (default: {default})"
    )


def _add_grid(layout: argparse._ArgumentGroup) -> None:
    shape = layout.add_mutually_exclusive_group()
    add_option(
        shape, "grid.shape", type=_grid_shape, metavar="ROWSxCOLS", help="default: by --aspect"
    )
    add_option(
        shape,
        "grid.aspect",
        type=_aspect,
        metavar="W:H",
        help="width to height of the grid (default: 1:1)",
    )
    add_option(
        layout,
        "grid.assignment_cost",
        help="cost minimised by the grid assignment: the sum of squared (default) or of euclidean "
        "distances",
    )
    add_option(
        layout,
        "grid.solver",
        help="of the assignment (default: {default}, the fastest that fits)",
    )
    add_option(
        layout,
        "grid.exact",
        action="store_true",
        help="insist on the proven optimum, even where that takes minutes",
    )
    add_option(
        layout,
        "refine",
        action=argparse.BooleanOptionalAction,
        help="exchange photos after the assignment until neighbours resemble each other more "
        "(default)",
    )
    add_option(
        layout,
        "refine.seconds",
        type=float,
        metavar="S",
        help="limit refinement to S seconds (default: no limit)",
    )


def add_output_options(command: argparse.ArgumentParser) -> None:
    """Add what to print."""
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
