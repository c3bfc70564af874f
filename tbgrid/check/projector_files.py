"""The Projector's rules for sprites, bookmarks and tensors.

They were read in the source of TensorBoard 2.21: `projector_plugin.py` is its back end, the other
files are in tensorboard/plugins/projector/vz_projector. An error hides or breaks something, or
shows it at the wrong point; a warning is a blemish.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from tbgrid.check.findings import Finding, enumerate_items, error, warning
from tbgrid.run_format import MAX_POINTS, MAX_SPRITE_SIDE
from tbgrid.types import Float32Array, Float64Array

Shape: TypeAlias = tuple[int, int]

_BLOCK = 4096  # lines of a tensor's file that are parsed together
# Those that img_mime_type_detector.py knows; others are sent as a download without a type.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP")
# Without these vz-projector.ts (loadState) and vz-projector-projections-panel.ts
# (restoreUIFromBookmark) throw, and the panel stays broken until the page is loaded again.
_CUSTOM = [f"custom{side}" for side in ("XLeft", "XRight", "YUp", "YDown")]
_STATE_NEEDS = (
    *("selectedProjection", "projections", "pcaComponentDimensions", "tSNEIteration"),
    *("tSNEPerplexity", "tSNELearningRate", "selectedPoints"),
    *(f"{name}Text" for name in _CUSTOM),
)
# Without these a choice of the panel is left undefined (data.ts, State).
_STATE_WANTS = (
    *("label", "dataSetDimensions", "tSNEis3d", "umapIs3d", "umapNeighbors", "umapMinDist"),
    *("customSelectedSearchByMetadataOption", *(f"{name}Regex" for name in _CUSTOM), "cameraDef"),
    *("selectedColorOptionName", "forceCategoricalColoring", "selectedLabelOption"),
)


def check_sprite(
    path: Path, subject: str, cell: Sequence[int], counts: Sequence[int]
) -> Iterator[Finding]:
    """Findings on a sprite, of which only the header is read.

    Args:
        path: the file.
        subject: its name in findings.
        cell: width and height of one picture in it.
        counts: numbers of points of the tensors that it belongs to.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                (width, height), form = picture.size, picture.format or ""
    except Image.DecompressionBombError:
        message = f"far more than {MAX_SPRITE_SIDE:,} x {MAX_SPRITE_SIDE:,} px; it never loads"
        yield error(subject, message, "shrink each picture")
        return
    except (OSError, SyntaxError, ValueError):
        yield error(subject, "not a picture; the page waits for it forever", "write a PNG or JPEG")
        return
    if form not in _FORMATS:
        message = f"{form}: TensorBoard has no MIME type for it ({', '.join(_FORMATS)} expected)"
        yield warning(subject, message, "save the sprite as PNG or JPEG")
    needed = max(math.ceil(math.sqrt(min(count, MAX_POINTS))) for count in (*counts, 2))
    cure = f"write a square of {needed} x {needed} pictures, row by row, the rest blank"
    if max(width, height) > MAX_SPRITE_SIDE:  # data-provider.ts: the data set never loads
        message = f"{width:,} x {height:,} px; more than {MAX_SPRITE_SIDE:,} never loads"
        yield error(subject, message, f"shrink each picture to {MAX_SPRITE_SIDE // needed} px")
    elif len(cell) != 2 or min(cell) < 1:
        message = f"single_image_dim is {list(cell)}, not the width and height of one picture"
        yield error(subject, message, "write single_image_dim twice: width, then height")
    else:
        # scatterPlotVisualizerSprites.ts: the column is the index modulo the columns, but the row
        # is the index divided by the number of rows.
        across, down = width / cell[0], height / cell[1]
        found = f"{width} x {height} px is {across:.5g} x {down:.5g} pictures"
        if width % cell[0] or height % cell[1]:
            yield error(subject, f"{found} of {cell[0]} x {cell[1]} px, not whole ones", cure)
        elif across != down:
            yield error(subject, f"{found}; the numbers of columns and rows must be equal", cure)
        elif across < needed:
            message = f"{found}, too few for {max(counts, default=2):,} points"
            yield error(subject, message, cure)


def check_bookmarks(path: Path, subject: str, shapes: Sequence[Shape]) -> Iterator[Finding]:
    """Findings on a bookmarks file that belongs to tensors of these `shapes`."""
    strange: list[str] = []  # NaN and Infinity, which JSON.parse refuses
    try:
        states = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=strange.append)
    except (ValueError, RecursionError) as bad:
        strange.append(" ".join(str(bad).split()))
    if strange:
        message = f"not JSON in UTF-8 ({strange[0]}); the page's reader throws"
        yield error(subject, message, "write a JSON array of states, with finite numbers only")
    elif not isinstance(states, list) or not all(isinstance(state, dict) for state in states):
        yield error(subject, "not an array of objects", "write a JSON array of states, [{...}]")
    else:
        for number, state in enumerate(states, 1):
            yield from _state(f"state {number}", subject, state, shapes)


def _state(
    which: str, subject: str, state: dict[str, Any], shapes: Sequence[Shape]
) -> Iterator[Finding]:
    cure = "give a state every key of State (vz_projector/data.ts)"
    absent = [key for key in _STATE_NEEDS if state.get(key) is None]
    if absent:
        message = f"{which} lacks {', '.join(absent)}: a click on it breaks the panel"
        yield error(subject, message, cure)
    unset = [key for key in _STATE_WANTS if key not in state]
    if unset:
        yield warning(subject, f"{which} lacks {', '.join(unset)}", cure)
    projection = state.get("selectedProjection")
    components = state.get("pcaComponentDimensions")
    if components is not None and not (isinstance(components, list) and 2 <= len(components) <= 3):
        message = f"{which}: pcaComponentDimensions is {components!r:.60}"
        yield error(subject, message, "give the 2 or 3 components that are shown, such as [0, 1]")
        components = None
    if projection == "tsne":
        message = f"{which}: selectedProjection tsne runs t-SNE again and discards the positions"
        yield warning(subject, message, "use custom with linear-x and linear-y, or umap")
    elif projection not in (None, "pca", "umap", "custom"):
        message = f"{which}: selectedProjection {projection!r:.60} throws"
        yield error(subject, message, "give pca, umap or custom")
    dimensions = state.get("dataSetDimensions")
    for shape in shapes:
        if dimensions is not None and dimensions != [min(shape[0], MAX_POINTS), shape[1]]:
            message = f"{which}: dataSetDimensions is {dimensions!r:.60}, the tensor {list(shape)}"
            yield warning(subject, message, "give the tensor's rows and columns")
    yield from _places(which, subject, state, [shape[0] for shape in shapes], components)


def _places(
    which: str,
    subject: str,
    state: dict[str, Any],
    counts: Iterable[int],
    components: Sequence[object] | None,
) -> Iterator[Finding]:
    """vz-projector.ts, loadState: one entry per point, which replaces the point's projections."""
    points = state.get("projections")
    if points is None:
        return
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        yield error(subject, f"{which}: projections is not an array of objects", "give one a point")
        return
    kept = state.get("filteredPoints")
    for count in counts:
        shown = len(kept) if isinstance(kept, list) and kept else min(count, MAX_POINTS)
        if len(points) != shown:
            effect = "the surplus throws" if len(points) > shown else "the others get no position"
            message = f"{which}: {len(points):,} projections for {shown:,} points; {effect}"
            yield error(subject, message, "give one entry per point, in the order of rows")
    axes = {
        "custom": ["linear-x", "linear-y"],
        "umap": [f"umap-{i}" for i in range(3 if state.get("umapIs3d") else 2)],
        "tsne": [f"tsne-{i}" for i in range(3 if state.get("tSNEis3d") else 2)],
        "pca": [f"pca-{i}" for i in components or ()],
    }
    needed = set(axes.get(str(state.get("selectedProjection")), []))
    lacking = [number for number, point in enumerate(points) if not needed <= point.keys()]
    if lacking:
        message = (
            f"{which}: {enumerate_items('projection', lacking)} without {', '.join(sorted(needed))}"
        )
        yield error(subject, message, "give every entry all coordinates of selectedProjection")
    values = list(chain.from_iterable(point.values() for point in points))
    if not _all_finite(values):
        bad = [n for n, point in enumerate(points) if not _all_finite(list(point.values()))]
        message = f"{which}: not only finite numbers in {enumerate_items('projection', bad)}"
        yield error(subject, message, "write finite numbers only")


def _all_finite(values: list[object]) -> bool:
    try:
        array = np.array(values or [0])
    except ValueError:  # lists of unequal length
        return False
    return array.ndim == 1 and array.dtype.kind in "fiu" and bool(np.isfinite(array).all())


def check_tensor_shape(subject: str, shape: Shape, declared: Sequence[int]) -> Iterator[Finding]:
    """Findings on the shape of a tensor and on the shape that the config declares."""
    if min(shape) < 2:  # vz-projector-data-panel.ts
        message = f"{shape[0]} x {shape[1]}: listed only with at least 2 rows and 2 columns"
        yield error(subject, message, "add a row or a column of zeros")
    if declared and list(declared) != list(shape):
        message = f"tensor_shape is {list(declared)}, the tensor's {list(shape)}"
        yield error(subject, message, "leave tensor_shape out")
    if shape[0] > MAX_POINTS:
        message = f"{shape[0]:,} points, of which the page loads the first {MAX_POINTS:,}"
        yield warning(subject, message, "export fewer points")


def check_tensor_file(
    path: Path, subject: str, declared: Sequence[int]
) -> Generator[Finding, None, Shape | None]:
    """Findings on a tensor's own file; returns its shape if it can be read.

    A file that is not UTF-8 is raw float32 of the declared shape (projector_plugin.py). A file
    that cannot be parsed makes the back end answer 500 for every run of the logdir.

    Args:
        path: the file.
        subject: its name in findings.
        declared: the shape in the config.
    """
    fatal = "no run of the logdir shows in the Projector"
    wrong, strange, rows, width = list[int](), list[int](), 0, 0
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, row in _numbers(lines):
                rows, width = rows + 1, width or len(row)
                if len(row) != width or not width:
                    wrong.append(number)
                elif not np.isfinite(row).all():
                    strange.append(number)
    except UnicodeDecodeError:
        size = path.stat().st_size
        if len(declared) != 2 or 4 * declared[0] * declared[1] != size:
            message = f"not UTF-8, so raw float32: {size:,} bytes, tensor_shape {list(declared)}"
            cure = "write tab-separated numbers, or tensor_shape into the config"
            yield error(subject, f"{message}; {fatal}", cure)
            return None
        values = np.fromfile(path, np.float32).reshape(declared[0], declared[1])
        yield from check_finite(subject, values)
        return declared[0], declared[1]
    if wrong or not rows:
        what = f"{enumerate_items('line', wrong)} not" if wrong else "nothing, not a line of"
        message = f"{what} {width or 'some'} numbers between tabs; {fatal}"
        yield error(subject, message, "write lines of equal length, without a header")
        return None
    if strange:
        yield _not_finite(subject, enumerate_items("line", strange))
    return rows, width


def _numbers(lines: Iterator[str]) -> Iterator[tuple[int, Float32Array]]:
    """The number of each line that is not empty, and its float32[d]; d = 0 if it is invalid."""
    read = 0
    while block := list(islice(lines, _BLOCK)):
        kept = [(number, line) for number, line in enumerate(block, read + 1) if line != "\n"]
        read += len(block)
        try:
            if not all(line.strip() for _, line in kept):  # loadtxt would skip it
                raise ValueError
            texts = [line for _, line in kept] or ["0"]
            rows = list(np.loadtxt(texts, delimiter="\t", comments=None, ndmin=2))
        except ValueError:
            rows = [_parsed(line) for _, line in kept]
        with np.errstate(over="ignore"):
            for (number, _), row in zip(kept, rows, strict=False):
                yield number, row.astype(np.float32)


def _parsed(line: str) -> Float64Array:
    try:
        return np.array([float(cell) for cell in line.split("\t")])
    except ValueError:
        return np.empty(0)


def check_finite(subject: str, values: np.ndarray[Any, Any]) -> Iterator[Finding]:
    """Findings on the values of a tensor, which the page gets as float32[n, d]."""
    with np.errstate(over="ignore"):
        good = np.isfinite(values.astype(np.float32, copy=False))
    if not good.all():
        yield _not_finite(
            subject, enumerate_items("row", np.flatnonzero(~good.all(axis=1)).tolist())
        )


def _not_finite(subject: str, where: str) -> Finding:
    # data.ts subtracts the mean of all points from each, so one NaN makes all of them NaN.
    message = f"NaN or infinite values in {where}: PCA and t-SNE of all points fail"
    return error(subject, message, "remove such points, or fix their values")
