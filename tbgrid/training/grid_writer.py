"""Maps of the same pictures while a network learns, one per step, for TensorBoard's slider.

A training loop gives the pictures once and then vectors at each step. Nothing here loads TensorFlow
or Keras.
"""

from __future__ import annotations

import contextlib
import hashlib
import operator
import os
import time
import zipfile
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tbgrid.choices import Metric
from tbgrid.embedding.decode import fit_to_sizes
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.grid.cells import choose_shape
from tbgrid.grid.snap import snap
from tbgrid.layouts.procrustes import aligned
from tbgrid.layouts.tsne import tsne
from tbgrid.mapping.arrange import MapResult
from tbgrid.metrics.report_card import report_card
from tbgrid.options import GridOptions, TsneOptions
from tbgrid.run_format import printable
from tbgrid.types import Float32Array, Float64Array, IntArray, UInt8Array
from tbgrid.util.timing import Times
from tbgrid.writers import mosaic, run_directory
from tbgrid.writers.event_file import EventLog, ImageSummary, ScalarSummary, Summary

RUN_NAME = "grid"  # below the logdir, next to `train` and `validation` of Keras
LAST_FILE = "last.npz"  # the last map, for resumed trainings
TILE_RANGE = (32, 64)  # px: the default tile is the picture's side, limited to this range
MAX_MOSAIC_SIDE = 2048  # px; a mosaic is written at each step
# With a smaller one more pictures move although the vectors stay the same.
DEFAULT_PERPLEXITY = 30.0


@dataclass(frozen=True)
class _Step:
    """The map of a step: positions float64[n, 2] and cells int64[n]."""

    step: int
    positions: Float64Array
    cells: IntArray


class GridWriter:
    """Writes maps of the same n pictures, step by step, into the TensorBoard run `logdir`/grid.

    A map starts from the one before and is rotated towards it, so that pictures keep their places
    where possible; a step that is not after the last one starts from scratch. TensorBoard shows
    each step as soon as it is written. Its slider keeps 10 steps unless it is started with
    `--samples_per_plugin images=N`. Existing event files are left alone; if they belong to an
    earlier part of this training, the maps continue from it.

    Args:
        logdir: a local directory.
        pictures: [n, h, w], [n, h, w, 1] or [n, h, w, 3]; uint8, or numbers in [0, 1], [-1, 1] or
            [0, 255].
        labels: one per picture, for `tbgrid/neighbour_agreement` only.
        tile: side of a picture in the mosaic in pixels, from 8 to 512; None for the picture's own,
            from 32 to 64. It is reduced if the mosaic would exceed 2048 px.
        perplexity: of t-SNE; None for 30, or less for few pictures.
        seed: of t-SNE.
        metric: "cosine" or "euclidean", of the vectors.

    Raises:
        UsageError: an invalid argument.
        TbgridError: pictures or labels of an unsuitable shape or range.
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        pictures: npt.ArrayLike,
        labels: Sequence[Hashable] | npt.NDArray[Any] | None = None,
        *,
        tile: int | None = None,
        perplexity: float | None = None,
        seed: int = 0,
        metric: Metric = "cosine",
    ) -> None:
        if "://" in os.fspath(logdir):
            raise UsageError(f"logdir {os.fspath(logdir)} is not a directory", "give a local one")
        if metric not in ("cosine", "euclidean"):
            raise UsageError(f"metric {metric}", "expected cosine or euclidean")
        if tile is not None and not 8 <= tile <= 512:
            raise UsageError(f"tile {tile}", "give a number of pixels from 8 to 512")
        self.directory = run_directory.run_directory(logdir, RUN_NAME)
        shown = as_pictures(pictures)
        count = len(shown)
        if count < 3:
            raise TbgridError(f"{count} pictures", "a map needs at least 3")
        self._labels = None if labels is None else _labels(labels, count)
        self._metric: Metric = metric
        if perplexity is None:
            perplexity = max(1.0, min(DEFAULT_PERPLEXITY, (count - 1) / 3))
        self._tsne = TsneOptions(perplexity, seed)
        shape = choose_shape(count)
        self._grid = GridOptions(shape=shape)
        least, most = TILE_RANGE
        side = tile or min(most, max(least, *shown.shape[1:3]))
        side = max(1, min(side, MAX_MOSAIC_SIDE // max(shape)))
        self._tiles = np.stack([fit_to_sizes(one, [(side, side)], "pad").views[0] for one in shown])
        self._content = hashlib.sha256(self._tiles.tobytes()).hexdigest()
        self._events = EventLog(self.directory)
        self._last = self._read_last()

    def add(self, step: int, vectors: npt.ArrayLike, *, times: Times | None = None) -> MapResult:
        """Write the map of a step.

        In TensorBoard it gives the picture `tbgrid/mosaic`, the numbers of the report card, the
        mean move of a picture since the last step in cells (`tbgrid/moved_cells`), and the times
        (`tbgrid seconds/...`).

        Args:
            step: an integer.
            vectors: [n, d].
            times: of earlier stages of this step; the time of this call is added.

        Returns:
            The map.

        Raises:
            UsageError: the step is not an integer, or the perplexity is too large for n.
            TbgridError: the vectors are not n rows of finite numbers, or the directory cannot be
                written.
        """
        try:
            step = operator.index(step)
        except TypeError as error:
            raise UsageError(f"step {step}", "give an integer") from error
        times = times or Times()
        points = self._points(vectors)
        last = self._last if self._last is not None and self._last.step <= step else None
        with times.stage("map"):
            arranged = self._make_map(points, last)
            cells, columns = arranged.grid.cells, arranged.grid.columns
            picture = mosaic.jpeg(mosaic.mosaic(self._tiles, arranged.grid))
        summaries = self._summaries(step, arranged, picture, times)
        if last is not None:
            moved = mean_movement(last.cells, cells, columns)
            summaries.append(ScalarSummary("tbgrid/moved_cells", moved, step))
        self._last = _Step(step, arranged.layout.positions, cells)
        try:
            self._events.add(summaries, time.time())
            self._write_last(self._last)
        except OSError as error:
            raise TbgridError(
                f"cannot write {printable(self.directory)} ({error.strerror or error})",
                f"free space or give another {option('logdir')}",
            ) from error
        return arranged

    def _points(self, vectors: npt.ArrayLike) -> Float32Array:
        found = _numbers(vectors, "vectors")
        count = len(self._tiles)
        if found.ndim != 2 or len(found) != count or not found.shape[1]:
            raise TbgridError(
                f"vectors of shape {list(found.shape)} for {count} pictures",
                f"expected [{count}, d], one row per picture",
            )
        with np.errstate(over="ignore"):
            return np.asarray(found, np.float32)

    def _make_map(self, points: Float32Array, last: _Step | None) -> MapResult:
        layout = tsne(
            points,
            self._tsne,
            metric=self._metric,
            init=None if last is None else last.positions,
        )
        if last is not None:
            layout = replace(layout, positions=aligned(layout.positions, last.positions))
        grid = snap(layout, self._grid)
        card = report_card(points, layout, grid, self._labels, metric=self._metric)
        return MapResult(layout=layout, grid=grid, card=card)

    def _summaries(
        self, step: int, arranged: MapResult, picture: bytes, times: Times
    ) -> list[Summary]:
        grid = arranged.grid
        description = (
            f"{len(self._tiles)} pictures on a grid of {grid.rows} x {grid.columns}, with those "
            "that the network finds similar side by side. Move the slider."
        )
        return [
            ImageSummary("tbgrid/mosaic", step, picture, description),
            *(
                ScalarSummary(f"tbgrid/{name}", value, step)
                for name, value in arranged.card.scalars().items()
            ),
            *(
                ScalarSummary(f"tbgrid seconds/{name}", value, step)
                for name, value in times.seconds.items()
            ),
        ]

    def _read_last(self) -> _Step | None:
        """The last map of these pictures in the directory, if any."""
        with (
            contextlib.suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile),
            np.load(self.directory / LAST_FILE) as held,
        ):
            if str(held["content"]) == self._content:
                return _Step(int(held["step"]), held["positions"], held["cells"])
        return None

    def _write_last(self, last: _Step) -> None:
        path = self.directory / LAST_FILE
        fresh = path.with_name(f"{LAST_FILE}.{os.getpid()}.new")
        try:
            with fresh.open("wb") as file:
                np.savez(file, content=self._content, **vars(last))
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def mean_movement(before: IntArray, after: IntArray, columns: int) -> float:
    """The mean straight distance between int64[n] cells before and after, in cells."""
    ways = np.subtract(np.divmod(after, columns), np.divmod(before, columns))
    return float(np.hypot(*ways).mean())


def as_pictures(images: npt.ArrayLike) -> UInt8Array:
    """Convert images to uint8.

    Args:
        images: [n, h, w], [n, h, w, 1] or [n, h, w, 3], all in [0, 1], [-1, 1] or [0, 255].

    Returns:
        uint8[n, h, w] or uint8[n, h, w, 3].

    Raises:
        TbgridError: another shape or range.
    """
    found: npt.NDArray[Any] = _numbers(images, "pictures")
    if not (found.ndim == 3 or (found.ndim == 4 and found.shape[3] in (1, 3))) or not found.size:
        raise TbgridError(
            f"pictures of shape {list(found.shape)}",
            "expected [n, h, w] or [n, h, w, 3]; if the model takes another input, give pictures "
            "separately",
        )
    if found.ndim == 4 and found.shape[3] == 1:
        found = found[..., 0]
    if found.dtype == np.uint8:
        return np.asarray(found, np.uint8)
    low, high = float(found.min()), float(found.max())
    if low >= 0 and high <= 1:
        scale, shift = 255.0, 0.0
    elif low >= -1 and high <= 1:
        scale, shift = 127.5, 127.5
    elif low >= 0 and 127 < high <= 255:
        scale, shift = 1.0, 0.0
    else:  # NaN too
        raise TbgridError(
            f"pictures with values from {low:.3g} to {high:.3g}",
            "expected [0, 1], [-1, 1] or [0, 255]: give them as uint8; if the model takes another "
            "input, give pictures separately",
        )
    return np.asarray(np.rint(found.astype(np.float32) * scale + shift), np.uint8)


def _numbers(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    try:
        found = np.asarray(values)
    except Exception as error:  # a tensor with a gradient or on another device, or a ragged one
        raise TbgridError(
            f"{what} of {type(values).__name__} are not an array ({error})",
            f"give a NumPy array; of a PyTorch tensor {what}.detach().cpu().numpy()",
        ) from error
    if found.dtype.name == "bfloat16":  # from networks in mixed precision
        return found.astype(np.float32)
    if found.dtype.kind not in "fiub":
        raise TbgridError(
            f"{what} of {type(values).__name__} hold {found.dtype}", "expected an array of numbers"
        )
    return found


def _labels(labels: Sequence[Hashable] | npt.NDArray[Any], count: int) -> list[Hashable]:
    found = np.asarray(labels)
    if found.shape not in ((count,), (count, 1)):
        raise TbgridError(
            f"labels of shape {list(found.shape)} for {count} pictures",
            "expected one label per picture; for one-hot labels give labels.argmax(axis=1)",
        )
    return list(found.ravel().tolist())
