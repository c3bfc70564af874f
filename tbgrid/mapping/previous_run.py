"""Reads the map of a previous run, and finds its photos among those of a new one."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from tbgrid import run_format
from tbgrid.choices import AssignmentCost, Fit, Metric
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.errors import TbgridError, option
from tbgrid.mapping.warm_start import WarmStart
from tbgrid.run_format import CURRENT, HOME, REPORT, column_file, printable
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.neighbors import Neighbors, distances_between

_WAY_OUT = f"give {option('like')} the directory of a run of tbgrid export, or leave it out"
_PERPLEXITY_TOLERANCE = 0.1  # relative; a small set's perplexity changes with its size
# Relative. A converted network changes distances by some 0.2 %; another size or framing of its
# input changes them by 10 % and more.
_DISTANCE_TOLERANCE = 0.03
_AGAIN = f"export it again without {option('like')}"
_SAMPLE = 1000  # photos whose distances are compared


@dataclass(frozen=True, kw_only=True)
class PreviousRun:
    """The map of a previous run. Row i of m is the same photo in every array.

    Attributes:
        run: the name of its directory.
        names: of the photos.
        pictures: uint64[m], keys of the thumbnails (`picture_keys`); None without pictures.
        rows: of the grid.
        columns: of the grid.
        cells: int64[m], row * columns + column.
        places: float64[m, 2], (row, column) in cells.
        positions: float64[m, 2], as t-SNE computed them.
        neighbors: the nearest neighbors of each photo by its vector.
        model: the name of the model that gave the vectors.
        fit: how photos were framed, see `ExportOptions`.
        metric: of the vectors.
        perplexity: of t-SNE; NaN for another layout.
        aspect: width / height that the grid was meant to have.
        assignment_cost: of the snap, as solver, cost and gap; see `Grid`.
        solver: see `Grid`.
        cost: see `Grid`.
        gap: see `Grid`.
    """

    run: str
    names: tuple[str, ...]
    pictures: npt.NDArray[np.uint64] | None
    rows: int
    columns: int
    cells: IntArray
    places: Float64Array
    positions: Float64Array
    neighbors: Neighbors
    model: str
    fit: str
    metric: Metric
    perplexity: float
    aspect: float
    assignment_cost: AssignmentCost
    solver: str
    cost: float
    gap: float | None

    def start(
        self,
        names: Sequence[str],
        pictures: npt.NDArray[np.uint64] | None,
        vectors: Float32Array,
        model: ModelInfo,
        fit: Fit,
        perplexity: float,
    ) -> WarmStart:
        """Where the new map of n photos starts.

        Args:
            names: of the photos.
            pictures: uint64[n], keys of their thumbnails; None without pictures.
            vectors: float32[n, d].
            model: that gave the vectors.
            fit: how the photos are framed.
            perplexity: of t-SNE on the new map.

        Raises:
            TbgridError: none of the photos is on the previous map.
        """
        # Thumbnails that were framed in another way cannot be compared.
        framed = self.pictures if self.fit == fit else None
        previous_rows = same_photos(self.names, framed, names, pictures)
        if (previous_rows < 0).all():
            raise TbgridError(
                f"none of the {len(names)} photos is in {self.run} "
                f"({names[0]} is not among {self.names[0]} and {len(self.names) - 1} others)",
                f"leave out {option('like')}, or give a run of these photos",
            )
        same, notes = self._compare_vectors(previous_rows, vectors, model)
        change = abs(perplexity - self.perplexity)
        return WarmStart(
            run=self.run,
            previous_rows=previous_rows,
            rows=self.rows,
            columns=self.columns,
            cells=self.cells,
            places=self.places,
            positions=self.positions,
            aspect=self.aspect,
            assignment_cost=self.assignment_cost,
            solver=self.solver,
            cost=self.cost,
            gap=self.gap,
            same_inputs=same and change <= _PERPLEXITY_TOLERANCE * self.perplexity,
            notes=notes,
        )

    def _compare_vectors(
        self, rows: IntArray, vectors: Float32Array, model: ModelInfo
    ) -> tuple[bool, tuple[str, ...]]:
        """Whether the vectors are those of the previous map, and a note if they are not."""
        if (self.model, self.metric) != (model.model_id, model.metric):
            note = (
                f"{self.run} was made with {self.model} and {self.metric} distances: the map "
                f"starts from its positions and follows the vectors of {model.model_id}"
            )
            return False, (note,)
        if self._distances_unchanged(rows, vectors):
            return True, ()
        note = (
            f"photos of {self.run} have changed vectors, though {self.model} is the same: the "
            "map starts from its positions and follows the new vectors"
        )
        return False, (note,)

    def _distances_unchanged(self, rows: IntArray, vectors: Float32Array) -> bool:
        """Whether known photos have the same distances as before.

        A model of the same name may have been trained again, or have got other input.
        """
        now = np.full(len(self.names), -1)
        now[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        known = np.flatnonzero(now >= 0)
        sample = known[:: -(-len(known) // _SAMPLE)]
        pairs = np.stack(
            np.broadcast_arrays(now[sample, None], now[self.neighbors.rows[sample]]), axis=2
        )
        both = pairs[:, :, 1] >= 0
        before = self.neighbors.distances[sample][both].astype(np.float64)
        after = distances_between(vectors, pairs[both], self.metric)
        return float(np.abs(after - before).sum()) <= _DISTANCE_TOLERANCE * float(before.sum())


def same_photos(
    before: Sequence[str],
    pictures_before: npt.NDArray[np.uint64] | None,
    now: Sequence[str],
    pictures_now: npt.NDArray[np.uint64] | None,
) -> IntArray:
    """Find each photo's row on a previous map.

    Photos of the same name are the same; repeated names match in their order. The remaining photos
    match by equal pictures, since files are renamed and sorted into folders. If pictures can be
    compared (at least one photo has kept name and picture), a photo of the same name with another
    picture is a new photo.

    Args:
        before: names of the photos of the previous map.
        pictures_before: uint64[m], keys of their thumbnails, or None.
        now: names of the n photos.
        pictures_now: uint64[n], keys of their thumbnails, or None.

    Returns:
        int64[n]: a row of `before`, -1 for a new photo.
    """
    found = np.full(len(now), -1, np.int64)
    _match(found, before, now, range(len(before)))
    if pictures_before is None or pictures_now is None:
        return found
    named = np.flatnonzero(found >= 0)
    neighbors = pictures_before[found[named]] == pictures_now[named]
    if neighbors.any():
        found[named[~neighbors]] = -1
    left = np.setdiff1d(np.arange(len(before)), found)
    _match(found, pictures_before.tolist(), pictures_now.tolist(), left.tolist())
    return found


def _match(
    found: IntArray, before: Sequence[Hashable], now: Sequence[Hashable], left: Sequence[int]
) -> None:
    """Assign each item of `now` that has no row the first one `left` with the same key."""
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row in reversed(left):
        rows[before[row]].append(row)
    for at, key in enumerate(now):
        if found[at] < 0 and rows.get(key):
            found[at] = rows[key].pop()


def read_previous_run(directory: Path) -> PreviousRun:
    """Read the map of the run at `directory`.

    Raises:
        TbgridError: there is no run, or its files do not have the format of this version.
    """
    shown = printable(directory)
    home = directory / HOME
    try:
        if not directory.is_dir():
            raise TbgridError(f"no such directory: {shown}", _WAY_OUT)
        if not (home / CURRENT).is_file():
            inner = next(iter(sorted(directory.glob(f"*/{(HOME / CURRENT).as_posix()}"))), None)
            hint = _WAY_OUT
            if inner is not None:
                below = printable(inner.parents[2])
                hint = f"give {option('like')} one of the runs below it, such as {below}"
            raise TbgridError(f"{shown} holds no export of tbgrid", hint)
    except OSError as error:  # a name that is too long, a directory of others
        raise TbgridError(f"cannot read {shown} ({error.strerror})", _WAY_OUT) from error
    try:
        export = home / (home / CURRENT).read_text("utf-8").strip()
        return _read(printable(directory.resolve().name), export)
    except TbgridError:
        raise
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.filename is not None:
            reason = f"{Path(os.fsdecode(error.filename)).name}: {error.strerror}"
        raise TbgridError(f"the map of {shown} cannot be read ({reason})", _AGAIN) from error


def _read(run: str, export: Path) -> PreviousRun:
    folder = export / run_format.FOLDER
    manifest = json.loads((folder / run_format.MANIFEST).read_text("utf-8"))
    if manifest["format"] != run_format.FORMAT or not (folder / run_format.POSITIONS).exists():
        raise TbgridError(f"{run} was written by another version of tbgrid", _AGAIN)
    report = json.loads((export / REPORT).read_text("utf-8"))
    model, layout, grid = report["model"], report.get("t-SNE", {}), report["grid"]
    count, (rows, columns) = int(manifest["photos"]), (int(side) for side in manifest["grid"])
    cells = _numbers(folder / run_format.CELLS, "<u4", count).astype(np.int64)
    places = (
        _numbers(folder / run_format.PLACES, "<f4", 2 * count).reshape(-1, 2).astype(np.float64)
    )
    positions = (
        _numbers(folder / run_format.POSITIONS, "<f4", 2 * count).reshape(-1, 2).astype(np.float64)
    )
    if not count or len(np.unique(cells)) < count or cells.max() >= rows * columns:
        raise ValueError("its cells are not those of a grid")
    if not (np.isfinite(places).all() and np.isfinite(positions).all()):
        raise ValueError("its positions are not finite")
    near = int(manifest["neighbours"])
    neighbors = Neighbors(
        _numbers(folder / run_format.NEIGHBORS, "<u4", near * count)
        .reshape(count, near)
        .astype(np.int64),
        _numbers(folder / run_format.DISTANCES, "<f4", near * count).reshape(count, near),
        bool(manifest["neighbours_exact"]),
    )
    if neighbors.rows.max() >= count or not np.isfinite(neighbors.distances).all():
        raise ValueError("its neighbors are not among its photos")
    pictures = folder / run_format.PICTURES
    return PreviousRun(
        run=run,
        names=_texts(folder, int(manifest["key"]), count),
        pictures=_numbers(pictures, "<u8", count) if pictures.exists() else None,
        rows=rows,
        columns=columns,
        cells=cells,
        places=places[:, ::-1],
        positions=positions,
        neighbors=neighbors,
        model=str(model["name"]),
        fit=str(model["fit"]),
        metric=_one_of(get_args(Metric), model["metric"]),
        perplexity=float(layout.get("perplexity", "nan")),
        aspect=_positive(grid["aspect"]),
        assignment_cost=_one_of(get_args(AssignmentCost), grid["assignment_cost"]),
        solver=str(grid["solver"]),
        cost=float(grid["cost"]),
        gap=None if grid["gap"] is None else float(grid["gap"]),
    )


def _one_of(names: Sequence[str], found: Any) -> Any:
    if found not in names:
        raise ValueError(f"{found} is not one of {', '.join(names)}")
    return found


def _positive(found: Any) -> float:
    number = float(found)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{found} is not a number above 0")
    return number


def _numbers(path: Path, kind: str, count: int) -> npt.NDArray[Any]:
    found = np.fromfile(path, kind)
    if len(found) != count:
        raise ValueError(f"{path.name} holds {len(found)} numbers, not {count}")
    return found


def _texts(folder: Path, column: int, count: int) -> tuple[str, ...]:
    """The values of a text column."""
    ends = _numbers(folder / column_file(column, "u32"), "<u4", count + 1).tolist()
    text = column_file(column, "utf8")
    data = (folder / text).read_bytes()
    if ends[-1] != len(data):
        raise ValueError(f"{text} does not have its length")
    return tuple(data[a:b].decode() for a, b in pairwise(ends))
