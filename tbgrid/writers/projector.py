"""Files for TensorBoard's Projector: checkpoint, metadata, sprite, bookmarks and config.

The rules are those of tensorboard/plugins/projector in TensorBoard 2.21; comments name the file
that each comes from.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tbgrid.grid.cells import Grid
from tbgrid.run_format import (
    BOOKMARKS,
    CHECKPOINT_PREFIX,
    MAX_SPRITE_SIDE,
    METADATA,
    SPRITE,
    TENSOR_DIGEST,
)
from tbgrid.types import Float32Array, Float64Array, IntArray, UInt8Array
from tbgrid.util.disk_arrays import drop_pages, iter_releasing
from tbgrid.vectors.pca import principal_components
from tbgrid.writers.mosaic import resized

COLOUR_LABELS = 50  # vz_projector/vz-projector-data-panel.ts: more labels get no colours
NO_COLOUR = "No color map"  # the same file: the choice without colours
SLICE = 2**26  # bytes of a tensor that are saved together
# Rows or columns from which a grid is clearer as a plane in space than as a flat view, tried in a
# browser up to 100. In space a photo's side is 1/37 of the plane at any zoom, which leaves wide
# gaps between few cells; in a flat view it is 1/10, a heap when there are many.
UPRIGHT = 13
_PCA = ("pca-0", "pca-1", "pca-2")
_EMPTY_CELL = "-"
# Control characters, line ends, and white space of JavaScript that Python does not know.
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def tensors(vectors: Float32Array, grid: Grid, total: int = 0) -> dict[str, Float32Array]:
    """The tensors of the checkpoint: `embedding` float32[n, d] and `grid` float32[n, 3].

    A name ends in a digest of the values, since a running TensorBoard never loads a tensor again
    whose name it has shown (projector_plugin.py, tensor_cache). `grid` holds (column, -row, 0) with
    mean zero, so that plain PCA shows the grid. The Projector needs two columns at least, so a
    one-dimensional embedding gets a second one of zeros.

    Args:
        vectors: float32[n, d].
        grid: their cells.
        total: the number of all photos if these are a sample, which their names then state.
    """
    if vectors.shape[1] < 2:
        vectors = np.pad(vectors, ((0, 0), (0, 1)))
    places = np.zeros((len(vectors), 3), np.float32)
    places[:, 0] = grid.cells % grid.columns
    places[:, 1] = -(grid.cells // grid.columns)
    places -= places.mean(axis=0)
    of = f"-sample-of-{total}" if total > len(vectors) else ""
    return {
        f"{name}{of}-{_digest(values)}": values
        for name, values in (("embedding", vectors), ("grid", places))
    }


def _digest(values: Float32Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()[:TENSOR_DIGEST]


def write_checkpoint(prefix: Path, values: Mapping[str, Float32Array]) -> None:
    """Write a checkpoint of `values` by their names.

    TensorFlow copies what it saves and does not free the memory, so large tensors are saved in
    slices as separate files, which are then merged into one checkpoint.
    """
    import tensorflow as tf

    def save(path: Path, names: Sequence[str], places: Sequence[str], arrays: list[Any]) -> None:
        tensors = [tf.constant(array) for array in arrays]
        tf.raw_ops.SaveV2(
            prefix=str(path), tensor_names=names, shape_and_slices=places, tensors=tensors
        )

    with tf.device("CPU"):
        if sum(array.nbytes for array in values.values()) <= SLICE:
            save(prefix, list(values), [""] * len(values), list(values.values()))
            return
        parts: list[str] = []
        for name, array in values.items():
            count, width = array.shape
            step = max(1, SLICE // (width * array.itemsize))
            for first in range(0, count, step):
                part = array[first : first + step]
                path = prefix.with_name(f"{prefix.name}.part-{len(parts)}")
                save(path, [name], [f"{count} {width} {first},{len(part)}:0,{width}"], [part])
                parts.append(str(path))
                drop_pages(array)
        tf.raw_ops.MergeV2Checkpoints(
            checkpoint_prefixes=parts, destination_prefix=str(prefix), delete_old_dirs=False
        )


def metadata_tsv(columns: Mapping[str, Sequence[object]]) -> str:
    """The metadata TSV with a header.

    The Projector takes line 1 as a header only if it holds a tab; it knows no quoting, drops blank
    lines and fails on empty cells (vz_projector/data-provider.ts). So there must be two columns at
    least, line breaks and tabs in a value become spaces, and an empty value becomes "-".

    Args:
        columns: name -> n values.
    """
    if len(columns) < 2:
        raise ValueError("the Projector reads a header only with two columns or more")
    lines = [columns.keys(), *zip(*columns.values(), strict=True)]
    return "".join("\t".join(_cell(value) for value in line) + "\n" for line in lines)


def _cell(value: object) -> str:
    text = _BREAKS.sub(" ", str(value))
    return text if text.strip() else _EMPTY_CELL


def sprite(thumbnails: UInt8Array, rows: IntArray | None = None) -> UInt8Array:
    """The sprite: a square of ceil(sqrt(n)) x ceil(sqrt(n)) thumbnails in the order of rows.

    It must be square, since the shader divides by the number of columns where it needs the rows'
    (vz_projector/scatterPlotVisualizerSprites.ts). Thumbnails shrink to stay within 8192 px.

    Args:
        thumbnails: uint8[n, t, t, 3].
        rows: int64[m], those to show; None for all.
    """
    chosen = np.arange(len(thumbnails)) if rows is None else rows
    side = sprite_side(len(chosen), thumbnails.shape[1])
    across = max(2, math.ceil(math.sqrt(len(chosen))))
    board = np.zeros((across * side, across * side, 3), np.uint8)
    for at, row in enumerate(iter_releasing(thumbnails, chosen)):
        down, right = at // across * side, at % across * side
        board[down : down + side, right : right + side] = resized(thumbnails[row : row + 1], side)
    return board


def sprite_side(count: int, thumbnail: int) -> int:
    """Side in pixels of one thumbnail in the `sprite` of `count` photos."""
    return min(thumbnail, MAX_SPRITE_SIDE // max(2, math.ceil(math.sqrt(count))))


def bookmarks(
    vectors: Float32Array,
    positions: Float64Array,
    grid: Grid,
    columns: Mapping[str, Sequence[object]],
    title: str,
    perplexity: float | None = None,
    clusters: str | None = None,
) -> list[dict[str, Any]]:
    """Bookmarks, states that the Projector shows by one click: the layout and the grid.

    With labels there are two of each, coloured by label and not, since the Projector multiplies
    the colours into the photos; without labels the column `clusters` takes their place.

    A state with the projection "tsne" would run t-SNE again, so a layout is a flat "custom"
    projection, or a plane in a 3-D "umap" projection (vz_projector/data.ts,
    vz-projector-projections-panel.ts). The Projector stretches each axis to [-1, 1]. Loading a
    state replaces all projections of a point, so each includes the PCA.

    Args:
        vectors: float32[n, d].
        positions: float64[n, 2], of the layout.
        grid: the cells.
        columns: the metadata, name -> n values.
        title: of the layout.
        perplexity: of the layout; None if it has none.
        clusters: the name of their column; None without clusters.

    Returns:
        JSON objects.
    """
    pca = principal_components(vectors, 3).astype(np.float64)
    pca = pca / (np.abs(pca).max() or 1.0)
    label = "label" if "label" in columns else next(iter(columns))
    by = "label" if label == "label" else clusters
    names = len({_cell(value) for value in columns[by]}) if by else 0
    coloured = by is not None and 1 < names <= COLOUR_LABELS
    layout = _center(positions)
    cells = _center(
        np.column_stack([grid.cells % grid.columns, -(grid.cells // grid.columns)]).astype(float)
    )
    common = _common_state(vectors.shape, label, perplexity)
    planes = {
        title: _flat(layout, pca),
        f"grid {grid.rows} x {grid.columns}": (
            _upright(cells, pca) if max(grid.rows, grid.columns) >= UPRIGHT else _flat(cells, pca)
        ),
    }
    looks = {f", by {by}": by, ", photos": NO_COLOUR} if coloured else {"": NO_COLOUR}
    return [
        {"label": name + look, **plane, **common, "selectedColorOptionName": colour}
        for look, colour in looks.items()
        for name, plane in planes.items()
    ]


def _common_state(shape: tuple[int, ...], label: str, perplexity: float | None) -> dict[str, Any]:
    """The keys of a state that do not depend on the view."""
    return {
        "isSelected": False,
        "dataSetDimensions": [shape[0], max(2, shape[1])],
        "tSNEIteration": 0,
        "tSNEPerplexity": 30 if perplexity is None else perplexity,
        "tSNELearningRate": 1,
        "tSNEis3d": False,
        "umapNeighbors": 15,
        "umapMinDist": 0.1,
        "pcaComponentDimensions": [0, 1, 2],
        "customSelectedSearchByMetadataOption": label,
        **{f"custom{side}Text": "" for side in ("XLeft", "XRight", "YUp", "YDown")},
        **{f"custom{side}Regex": False for side in ("XLeft", "XRight", "YUp", "YDown")},
        "filteredPoints": None,
        "selectedPoints": [],
        "forceCategoricalColoring": False,
        "selectedLabelOption": label,
    }


def _flat(points: Float64Array, pca: Float64Array) -> dict[str, Any]:
    """A flat view, in which photos keep their size on the screen."""
    return {
        "selectedProjection": "custom",
        "umapIs3d": False,
        "projections": _points(("linear-x", "linear-y", *_PCA), points, pca),
        "cameraDef": {
            "orthographic": True,
            "position": [0, 0, 4],
            "target": [0, 0, 0],
            "zoom": 1,
        },
    }


def _upright(points: Float64Array, pca: Float64Array) -> dict[str, Any]:
    """A plane in space, seen from the front, in which photos grow with the zoom."""
    depth = np.zeros((len(points), 1))
    return {
        "selectedProjection": "umap",
        "umapIs3d": True,
        "projections": _points(("umap-0", "umap-1", "umap-2", *_PCA), points, depth, pca),
        "cameraDef": {
            "orthographic": False,
            "position": [0, 0, 1.8],
            "target": [0, 0, 0],
            "zoom": 1,
        },
    }


def _center(points: Float64Array) -> Float64Array:
    """Points scaled into [-1, 1]², centered, with one scale for both axes."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - (low + high) / 2) / ((high - low).max() / 2 or 1.0))


def _points(keys: Sequence[str], *parts: Float64Array) -> list[dict[str, float]]:
    values = np.round(np.hstack(parts), 5).tolist()
    return [dict(zip(keys, row, strict=True)) for row in values]


def bookmarks_json(states: Sequence[Mapping[str, Any]]) -> str:
    """The bookmarks as the JSON array that the Projector reads."""
    return json.dumps(states, separators=(",", ":"), ensure_ascii=False)


def config_pbtxt(folder: str, names: Iterable[str], thumbnail: int) -> str:
    """The Projector's config.

    `model_checkpoint_path` stays empty: TensorBoard resolves it against its own working directory
    (projector_plugin.py).

    Args:
        folder: the export's directory, relative to the run.
        names: of the tensors.
        thumbnail: side in pixels of one picture in the sprite, 0 without a sprite.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector import projector_config_pb2

    config = projector_config_pb2.ProjectorConfig()
    for name in names:
        tensor = config.embeddings.add()
        tensor.tensor_name = name
        tensor.metadata_path = f"{folder}/{METADATA}"
        if thumbnail:
            tensor.sprite.image_path = f"{folder}/{SPRITE}"
            tensor.sprite.single_image_dim.extend([thumbnail, thumbnail])
        if name.startswith("embedding"):
            tensor.bookmarks_path = f"{folder}/{BOOKMARKS}"
    return str(text_format.MessageToString(config))


def checkpoint_state(folder: str) -> str:
    """The file that names the newest checkpoint, as text of tf.train.CheckpointState."""
    return f'model_checkpoint_path: "{folder}/{CHECKPOINT_PREFIX}"\n'
