"""The command line: arguments, progress, exit codes. stdout is the result, stderr the story.

Exit codes: 0 a map came out, 1 the data are at fault, 2 the arguments are, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tbgrid import __version__
from tbgrid.errors import TbgridError

if TYPE_CHECKING:
    from tbgrid.console import Console
    from tbgrid.pipeline import ExportOptions, ExportResult

SHOWN_LEFT_OUT = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
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
            return int(given.command(given, console))
        except TbgridError as error:
            console.error(str(error))
            return error.exit_code
        except KeyboardInterrupt:
            console.error("interrupted; what was there before is unchanged")
            return 130
        finally:
            console.close()


def command_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
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
        description="Embed the photos of a folder, lay them out by t-SNE, snap them to a grid and "
        "write it all as one TensorBoard run.",
        allow_abbrev=False,
    )
    export.add_argument("source", metavar="PHOTOS", help="folder; its first sub-folders are labels")
    export.add_argument("--logdir", required=True, metavar="DIR", help="the run's directory")
    _add_options(export)
    export.set_defaults(command=_export)
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
    demo.set_defaults(command=_demo)
    return parser


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", metavar="NAME", help="write to DIR/NAME instead of DIR")
    model = command.add_argument_group("model")
    model.add_argument(
        "--model",
        default="builtin",
        help="builtin (default), pixels, a TF-Hub handle, a URL, or a SavedModel's directory",
    )
    model.add_argument(
        "--image-size", type=int, metavar="PX", help="side of the model's input, where it is free"
    )
    model.add_argument(
        "--distance",
        choices=("cosine", "euclidean"),
        help="between vectors (default: cosine for networks, euclidean for pixels)",
    )
    model.add_argument(
        "--fit",
        choices=("crop", "pad", "squash"),
        default="crop",
        help="how a photo becomes a square (default: crop)",
    )
    model.add_argument(
        "--batch", type=int, default=32, metavar="N", help="photos at once (default: 32)"
    )
    layout = command.add_argument_group("layout")
    layout.add_argument(
        "--perplexity",
        type=float,
        metavar="P",
        help="t-SNE's number of neighbours (default: 30, less for few photos)",
    )
    layout.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    shape = layout.add_mutually_exclusive_group()
    shape.add_argument("--grid", type=_grid_shape, metavar="ROWSxCOLS", help="default: by --aspect")
    shape.add_argument(
        "--aspect", type=_aspect, default=1.0, metavar="W:H", help="of the grid (default: 1:1)"
    )
    layout.add_argument(
        "--metric",
        choices=("sqeuclidean", "euclidean"),
        default="sqeuclidean",
        help="what the snap makes least in total (default: squared distances)",
    )
    layout.add_argument(
        "--solver",
        choices=("auto", "lapjv", "scipy", "windows"),
        default="auto",
        help="of the assignment (default: auto, the fastest that serves)",
    )
    layout.add_argument(
        "--tile", type=int, default=64, metavar="PX", help="a photo's side in the mosaic (64)"
    )
    output = command.add_argument_group("output")
    output.add_argument("--quiet", action="store_true", help="only the result, and errors")
    output.add_argument("--verbose", action="store_true", help="also what libraries print")
    output.add_argument("--json", action="store_true", help="print the report as JSON")


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


def _options(given: argparse.Namespace) -> ExportOptions:
    from tbgrid.grid import GridOptions
    from tbgrid.layout import TsneOptions
    from tbgrid.pipeline import ExportOptions

    return ExportOptions(
        model=given.model,
        image_size=given.image_size,
        distance=given.distance,
        fit=given.fit,
        tile=given.tile,
        batch=given.batch,
        tsne=TsneOptions(given.perplexity, given.seed),
        grid=GridOptions(given.grid, given.aspect, given.metric, given.solver),
    )


def _export(given: argparse.Namespace, console: Console) -> int:
    from tbgrid.pipeline import export

    result = export(
        given.source,
        given.logdir,
        _options(given),
        run_name=given.run,
        progress=console.progress,
    )
    _tell(result, given, console)
    return 0


def _demo(given: argparse.Namespace, console: Console) -> int:
    from tbgrid import demo
    from tbgrid.pipeline import export

    make: Callable[[Path], Any] = demo.tiles if given.set == "tiles" else demo.digits
    logdir = given.logdir or str(Path("runs", f"demo-{given.set}"))
    options = _options(given)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, given.set)
        make(folder)
        result = export(folder, logdir, options, run_name=given.run, progress=console.progress)
    given.logdir = logdir
    _tell(result, given, console)
    return 0


def _tell(result: ExportResult, given: argparse.Namespace, console: Console) -> None:
    """The result on stdout: a summary to read, or JSON."""
    from tbgrid.artifacts.run import weight
    from tbgrid.sources import printable

    console.close()
    for note in result.notes:
        console.note(f"note: {note}")
    command = f"tensorboard --logdir {shlex.quote(given.logdir)}"
    size = weight(result.directory)
    if given.json:
        report = dict(result.report)
        report["run"] = {
            "directory": os.fspath(result.directory),
            "mosaic": os.fspath(result.mosaic),
            "bytes": size,
            "command": command,
        }
        report["left_out"] = [
            {"path": item.name, "reason": item.reason} for item in result.rejected
        ]
        print(json.dumps(report, indent=1))
        return
    for item in result.rejected[:SHOWN_LEFT_OUT]:
        console.note(f"left out: {item.name} ({item.reason})")
    more = len(result.rejected) - SHOWN_LEFT_OUT
    if more > 0:
        console.note(f"left out: {more} more, all listed in {printable(result.ledger)}")
    shown, grid = len(result.images.photos), result.grid
    print(f"mosaic: {printable(result.mosaic)}")
    print(
        f"{shown:,} photos shown on a grid of {grid.rows} x {grid.columns}, "
        f"{len(result.rejected):,} left out; {size / 1e6:.1f} MB in {printable(result.directory)}"
    )
    print(f"Now type: {command}")


if __name__ == "__main__":
    sys.exit(main())
