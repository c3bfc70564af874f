"""The rules of TensorBoard's Projector for each file that a config names.

Read in TensorBoard 2.21: `projector_plugin.py` is its back end, the rest lies in
tensorboard/plugins/projector/vz_projector. An error is what hides or breaks something, or shows it
at the wrong point; a warning is a blemish.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from tbgrid.run_format import MAX_POINTS, MAX_SPRITE_SIDE
from tbgrid.types import Float32Array, Float64Array

Level: TypeAlias = Literal["error", "warning"]
Shape: TypeAlias = tuple[int, int]

MAX_ENUMERATED = 5  # lines or numbers that one message names
# What JavaScript's trim() removes, which decides whether a line is blank (data-provider.ts).
_TRIMMED = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_HEADERS = {"class", "filename", "id", "image", "label", "labels", "name", "path", "target", "word"}
_SEQUENCE = ("__next__", "__seq_next__")  # data.ts: columns that draw lines between points
_CHUNK = 1_000_000  # data-provider.ts, streamParse: bytes that the page reads at once
_BLOCK = 4096  # lines of a tensor's file that are parsed at once
# img_mime_type_detector.py knows these; what it doesn't know goes out as a nameless download.
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


@dataclass(frozen=True)
class Finding:
    """One thing that TensorBoard will not accept (`error`) or not show well (`warning`).

    `subject`: the file, relative to the run, or the tensor; `message`: what was found and what
    was expected; `cure`: what to do.
    """

    level: Level
    subject: str
    message: str
    cure: str


def error(subject: str, message: str, cure: str) -> Finding:
    """A finding that TensorBoard will not accept."""
    return Finding("error", subject, message, cure)


def warning(subject: str, message: str, cure: str) -> Finding:
    """A finding that TensorBoard accepts, with a blemish."""
    return Finding("warning", subject, message, cure)


def enumerate_items(what: str, items: Sequence[object], name: Callable[[Any], str] = str) -> str:
    """`items` in words: "line 3", "lines 3 and 5", "lines 1, 2, 3, 4, 5 and 37 more"."""
    words = [name(item) for item in items[:MAX_ENUMERATED]]
    if len(items) > MAX_ENUMERATED:
        words.append(f"{len(items) - MAX_ENUMERATED:,} more")
    listed = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return f"{what}{'s' if len(items) > 1 else ''} {listed}"


def check_metadata(path: Path, subject: str, counts: Sequence[int]) -> Iterator[Finding]:
    """Findings on a metadata TSV that belongs to tensors of `counts` points."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        message = f"line {line} is not UTF-8 (byte {data[bad.start]:#04x}); answered by code 500"
        yield error(subject, message, "save the file as UTF-8")
        return
    if "\r" in text:
        found = [number for number, line in enumerate(text.split("\n"), 1) if "\r" in line]
        message = f"carriage return in {enumerate_items('line', found)}: dropped where TensorFlow is installed"
        cure = "end lines by a line feed alone, and have none within a value"
        yield warning(subject, f"{message}, else a part of the value", cure)
    lines = text.replace("\r", "").split("\n")
    if not lines[-1]:
        lines.pop()
    elif b"\n" not in data[max(0, len(data) - 2) // _CHUNK * _CHUNK :]:
        # streamParse asks for the next part until one holds a line end, even past the end.
        message = "no line feed near the end, for which the page searches forever"
        yield error(subject, message, "end the last line by a line feed")
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip(_TRIMMED)]
    # The header rule of data-provider.ts and projector_plugin.py: line 1 holds a tab.
    names = kept[0][1].lstrip("\ufeff").split("\t") if kept and "\t" in kept[0][1] else []
    rows = kept[1:] if names else kept
    blank = [number for number, line in enumerate(lines, 1) if not line.strip(_TRIMMED)]
    if kept and len(rows) in counts:
        blank = [number for number in blank if number < kept[-1][0]]
    for count in counts:
        if len(rows) != count:
            yield _miscounted(subject, count, len(rows), bool(names), blank)
    if blank and set(counts) <= {len(rows)}:
        message = f"{enumerate_items('line', blank)} blank, which the page drops"
        yield warning(subject, message, "remove blank lines")
    first = rows[0][1].strip(_TRIMMED) if rows and not names else ""
    if first.lower() in _HEADERS and len(rows) in counts:
        message = f"line 1, {first!r}, looks like a header, but in a single column is the first row"
        yield warning(subject, message, "remove it, or add a second column, which makes it one")
    yield from _cells(subject, names, rows)


def _miscounted(subject: str, count: int, rows: int, headed: bool, blank: Sequence[int]) -> Finding:
    """data.ts, mergeMetadata: two ways to be one off are refused, others shift the labels."""
    why, cure = "", "write one line a point"
    if blank:
        why, cure = (
            f"; {enumerate_items('line', blank)} blank, which the page drops",
            "fill blank lines",
        )
    elif not headed and rows == count + 1:
        why, cure = "; a single column has no header", "remove line 1, or add a second column"
    elif headed and rows == count - 1:
        why, cure = "; line 1 has a tab, so it is the header", "add a line of column names"
    return error(subject, f"{rows:,} rows for the {count:,} points of the tensor{why}", cure)


def _cells(
    subject: str, names: Sequence[str], rows: Sequence[tuple[int, str]]
) -> Iterator[Finding]:
    tabs = max(0, len(names) - 1)
    ragged = [number for number, line in rows if line.count("\t") != tabs]
    if ragged:
        message = (
            f"{enumerate_items('line', ragged)}: not {tabs + 1} cells between tabs, as in line 1"
        )
        yield error(subject, message, "write a cell a column, with no tab within a value")
    empty = [
        number
        for number, line in rows
        if tabs and line.count("\t") == tabs and "\t\t" in f"\t{line}\t"
    ]
    if empty:
        message = (
            f"empty cell in {enumerate_items('line', empty)}: the search of its column fails on it"
        )
        yield warning(subject, message, "write something, such as -")
    if len(set(names)) < len(names) or "" in names:
        twice = sorted({name for name in names if names.count(name) > 1 or not name})
        message = (
            f"{enumerate_items('column name', twice, repr)} empty or twice: the last one is shown"
        )
        yield warning(subject, message, "give each column a name of its own")
    for name in set(names) & set(_SEQUENCE):
        message = f"column {name}: draws lines from each point to the row that it names"
        yield warning(subject, message, "rename the column if no lines are meant")


def check_sprite(
    path: Path, subject: str, cell: Sequence[int], counts: Sequence[int]
) -> Iterator[Finding]:
    """Findings on a sprite of pictures of `cell` (width, height) for tensors of `counts` points.

    Only the head of the file is read.
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
            yield error(subject, f"{found}; columns must be as many as rows", cure)
        elif across < needed:
            message = f"{found}, too few for {max(counts, default=2):,} points"
            yield error(subject, message, cure)


def check_bookmarks(path: Path, subject: str, shapes: Sequence[Shape]) -> Iterator[Finding]:
    """Findings on a bookmarks file that belongs to tensors of `shapes`."""
    strange: list[str] = []  # NaN and its like, which JSON.parse refuses
    try:
        states = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=strange.append)
    except (ValueError, RecursionError) as bad:
        strange.append(" ".join(str(bad).split()))
    if strange:
        message = f"not JSON in UTF-8 ({strange[0]}); the page's reader throws"
        yield error(subject, message, "write a JSON array of states, with finite numbers only")
    elif not isinstance(states, list) or not all(isinstance(state, dict) for state in states):
        yield error(subject, "no array of objects", "write a JSON array of states, [{...}]")
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
        message = f"{which}: selectedProjection tsne starts t-SNE anew, away from the given places"
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
    """vz-projector.ts, loadState: one entry a point, which replaces what the point had."""
    points = state.get("projections")
    if points is None:
        return
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        yield error(subject, f"{which}: projections is no array of objects", "give one a point")
        return
    kept = state.get("filteredPoints")
    for count in counts:
        shown = len(kept) if isinstance(kept, list) and kept else min(count, MAX_POINTS)
        if len(points) != shown:
            effect = "more throw" if len(points) > shown else "the others have no place"
            message = f"{which}: {len(points):,} projections for {shown:,} points; {effect}"
            yield error(subject, message, "give one entry a point, in the order of rows")
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
    """Findings on the shape of a tensor, for which the config may declare another."""
    if min(shape) < 2:  # vz-projector-data-panel.ts
        message = f"{shape[0]} x {shape[1]}: listed only with at least 2 rows and 2 columns"
        yield error(subject, message, "add a row or a column of zeros")
    if declared and list(declared) != list(shape):
        message = f"tensor_shape is {list(declared)}, the tensor's {list(shape)}"
        yield error(subject, message, "leave tensor_shape out")
    if shape[0] > MAX_POINTS:
        message = f"{shape[0]:,} points, of which the page asks for {MAX_POINTS:,}"
        yield warning(subject, message, "export fewer points")


def check_tensor_file(
    path: Path, subject: str, declared: Sequence[int]
) -> Generator[Finding, None, Shape | None]:
    """Findings on a tensor's own file; returns its shape where it has one.

    What is no UTF-8 is raw float32 of the shape that the config declares (projector_plugin.py).
    A file that cannot be parsed makes the back end answer 500 for every run of the logdir.
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
            message = f"no UTF-8, so raw float32: {size:,} bytes, tensor_shape {list(declared)}"
            cure = "write tab-separated numbers, or tensor_shape into the config"
            yield error(subject, f"{message}; {fatal}", cure)
            return None
        values = np.fromfile(path, np.float32).reshape(declared[0], declared[1])
        yield from check_finite(subject, values)
        return declared[0], declared[1]
    if wrong or not rows:
        what = f"{enumerate_items('line', wrong)} not" if wrong else "nothing, not a line of"
        message = f"{what} {width or 'some'} numbers between tabs; {fatal}"
        yield error(subject, message, "write as many numbers in each line, and no header")
        return None
    if strange:
        yield _not_finite(subject, enumerate_items("line", strange))
    return rows, width


def _numbers(lines: Iterator[str]) -> Iterator[tuple[int, Float32Array]]:
    """The number of each line that is not empty, and its float32[d]; d = 0 if it cannot be read."""
    read = 0
    while block := list(islice(lines, _BLOCK)):
        kept = [(number, line) for number, line in enumerate(block, read + 1) if line != "\n"]
        read += len(block)
        try:
            if not all(line.strip() for _, line in kept):  # which loadtxt would skip
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
    # data.ts: the mean of all points goes into every point, so one NaN makes all of them NaN.
    message = f"NaN or infinite values in {where}: PCA and t-SNE of all points fail"
    return error(subject, message, "leave such points out, or mend their values")
