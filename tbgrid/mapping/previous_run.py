"""An earlier run's map, read back, and which of its photos are there still."""

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
from tbgrid.errors import TbgridError
from tbgrid.mapping.warm_start import Start
from tbgrid.run_format import CURRENT, HOME, REPORT, printable
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.neighbors import Neighbors, distances_between

_WAY_OUT = "give --like the directory of a run that tbgrid export has written, or leave it out"
_PERPLEXITY = 0.1  # a smaller relative change of it is that of a small set's size
# A smaller relative change of distances is rounding: networks that were converted to run faster
# change them by some 0.2 %, another size or framing of their input by 10 % and more.
_DISTANCES = 0.03
_SAMPLE = 1000  # photos whose distances are looked at


@dataclass(frozen=True)
class Earlier:
    """The map of an earlier run. Row i of m is the same photo in every array.

    `run`: the name of its directory. `names` of the photos; `pictures` uint64[m], what their
    thumbnails are known by (`tab_files.picture_keys`), or None. `cells` int64[m] of `rows` x
    `columns`, `places` float64[m, 2] in cells, (row, column), `positions` float64[m, 2] of t-SNE.
    `alike`: of each photo the nearest by its vector. The rest is what its report says: of the
    vectors, and of the snap.
    """

    run: str
    names: tuple[str, ...]
    pictures: npt.NDArray[np.uint64] | None
    rows: int
    columns: int
    cells: IntArray
    places: Float64Array
    positions: Float64Array
    alike: Neighbors
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
    ) -> Start:
        """Where a new map of photos begins. `vectors` float32[n, d] are theirs, by the `model`;
        `fit` is how their thumbnails were cut.

        Raises:
            TbgridError: none of the photos was there.
        """
        framed = self.pictures if self.fit == fit else None  # else they say nothing
        of = same_photos(self.names, framed, names, pictures)
        if (of < 0).all():
            raise TbgridError(
                f"none of the {len(names)} photos is in {self.run} "
                f"({names[0]} is not among {self.names[0]} and {len(self.names) - 1} others)",
                "leave out --like, or give the run of these photos",
            )
        notes: tuple[str, ...] = ()
        same = False
        if (self.model, self.metric) != (model.model_id, model.metric):
            notes = (
                f"{self.run} is of {self.model}, {self.metric} distances: the map begins at its "
                f"places, and follows the vectors of {model.model_id}",
            )
        elif self._as_far(of, vectors):
            same = True
        else:
            notes = (
                f"photos that were in {self.run} have other vectors there, though of "
                f"{self.model} too: the map begins at its places, and follows the new ones",
            )
        alike = abs(perplexity - self.perplexity) <= _PERPLEXITY * self.perplexity
        return Start(
            self.run,
            of,
            self.rows,
            self.columns,
            self.cells,
            self.places,
            self.positions,
            self.aspect,
            self.assignment_cost,
            self.solver,
            self.cost,
            self.gap,
            same and alike,
            notes,
        )

    def _as_far(self, of: IntArray, vectors: Float32Array) -> bool:
        """Whether photos that were there, `of` as in `Start`, are as far from each other as they
        were then: other input, or a model trained anew, may go by the same name."""
        now = np.full(len(self.names), -1)
        now[of[of >= 0]] = np.flatnonzero(of >= 0)
        known = np.flatnonzero(now >= 0)
        some = known[:: -(-len(known) // _SAMPLE)]
        pairs = np.stack(np.broadcast_arrays(now[some, None], now[self.alike.rows[some]]), axis=2)
        both = pairs[:, :, 1] >= 0
        before = self.alike.distances[some][both].astype(np.float64)
        after = distances_between(vectors, pairs[both], self.metric)
        return float(np.abs(after - before).sum()) <= _DISTANCES * float(before.sum())


def same_photos(
    before: Sequence[str],
    pictures_before: npt.NDArray[np.uint64] | None,
    now: Sequence[str],
    pictures_now: npt.NDArray[np.uint64] | None,
) -> IntArray:
    """int64[n]: the row in `before` of each photo of `now`, -1 where it was not there.

    A photo is the same if its name is; of names that are there several times, in their order. One
    that is left over is the same if its picture is, under whatever name: files may be renamed, or
    sorted into folders. Where pictures can be compared (one of a name is the same), a photo of the
    same name with another picture is another photo.
    """
    found = np.full(len(now), -1, np.int64)
    _match(found, before, now, range(len(before)))
    if pictures_before is None or pictures_now is None:
        return found
    named = np.flatnonzero(found >= 0)
    alike = pictures_before[found[named]] == pictures_now[named]
    if alike.any():
        found[named[~alike]] = -1
    left = np.setdiff1d(np.arange(len(before)), found)
    _match(found, pictures_before.tolist(), pictures_now.tolist(), left.tolist())
    return found


def _match(
    found: IntArray, before: Sequence[Hashable], now: Sequence[Hashable], left: Sequence[int]
) -> None:
    """Give those in `now` that have no row yet the first one `left` of the same key."""
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row in reversed(left):
        rows[before[row]].append(row)
    for at, key in enumerate(now):
        if found[at] < 0 and rows.get(key):
            found[at] = rows[key].pop()


def read_earlier(directory: Path) -> Earlier:
    """The map of the run at `directory`.

    Raises:
        TbgridError: there is no run, or its files are not what this tbgrid writes.
    """
    shown = printable(directory)
    home = directory / HOME
    try:
        if not directory.is_dir():
            raise TbgridError(f"no directory {shown}", _WAY_OUT)
        if not (home / CURRENT).is_file():
            inner = next(iter(sorted(directory.glob(f"*/{(HOME / CURRENT).as_posix()}"))), None)
            hint = _WAY_OUT
            if inner is not None:
                hint = (
                    f"give --like one of the runs below it, such as {printable(inner.parents[2])}"
                )
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
        raise TbgridError(
            f"the map of {shown} cannot be read ({reason})", "export it anew without --like"
        ) from error


def _read(run: str, export: Path) -> Earlier:
    folder = export / run_format.FOLDER
    told = json.loads((folder / run_format.MANIFEST).read_text("utf-8"))
    if told["format"] != run_format.FORMAT or not (folder / run_format.POSITIONS).exists():
        raise TbgridError(f"{run} is of another version of tbgrid", "export it anew without --like")
    report = json.loads((export / REPORT).read_text("utf-8"))
    model, layout, grid = report["model"], report.get("t-SNE", {}), report["grid"]
    count, (rows, columns) = int(told["photos"]), (int(side) for side in told["grid"])
    cells = _numbers(folder / run_format.CELLS, "<u4", count).astype(np.int64)
    places = (
        _numbers(folder / run_format.PLACES, "<f4", 2 * count).reshape(-1, 2).astype(np.float64)
    )
    positions = (
        _numbers(folder / run_format.POSITIONS, "<f4", 2 * count).reshape(-1, 2).astype(np.float64)
    )
    if not count or len(np.unique(cells)) < count or cells.max() >= rows * columns:
        raise ValueError("its cells are none of a grid")
    if not (np.isfinite(places).all() and np.isfinite(positions).all()):
        raise ValueError("its places are not finite")
    near = int(told["neighbours"])
    alike = Neighbors(
        _numbers(folder / run_format.NEIGHBOURS, "<u4", near * count)
        .reshape(count, near)
        .astype(np.int64),
        _numbers(folder / run_format.DISTANCES, "<f4", near * count).reshape(count, near),
        bool(told["neighbours_exact"]),
    )
    if alike.rows.max() >= count or not np.isfinite(alike.distances).all():
        raise ValueError("its neighbours are none of its photos")
    pictures = folder / run_format.PICTURES
    return Earlier(
        run=run,
        names=_texts(folder, int(told["key"]), count),
        pictures=_numbers(pictures, "<u8", count) if pictures.exists() else None,
        rows=rows,
        columns=columns,
        cells=cells,
        places=places[:, ::-1],
        positions=positions,
        alike=alike,
        model=str(model["name"]),
        fit=str(model["fit"]),
        metric=_one_of(get_args(Metric), model["metric"]),
        perplexity=float(layout.get("perplexity", "nan")),  # none of another layout
        aspect=_positive(grid["aspect"]),
        assignment_cost=_one_of(get_args(AssignmentCost), grid["assignment_cost"]),
        solver=str(grid["solver"]),
        cost=float(grid["cost"]),
        gap=None if grid["gap"] is None else float(grid["gap"]),
    )


def _one_of(names: Sequence[str], found: Any) -> Any:
    if found not in names:
        raise ValueError(f"{found} is none of {', '.join(names)}")
    return found


def _positive(found: Any) -> float:
    number = float(found)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{found} is no number above 0")
    return number


def _numbers(path: Path, kind: str, count: int) -> npt.NDArray[Any]:
    found = np.fromfile(path, kind)
    if len(found) != count:
        raise ValueError(f"{path.name} holds {len(found)} numbers, not {count}")
    return found


def _texts(folder: Path, column: int, count: int) -> tuple[str, ...]:
    """The texts of a column of that kind."""
    ends = _numbers(folder / f"column-{column}.u32", "<u4", count + 1).tolist()
    data = (folder / f"column-{column}.utf8").read_bytes()
    if ends[-1] != len(data):
        raise ValueError(f"column-{column}.utf8 is not of its length")
    return tuple(data[a:b].decode() for a, b in pairwise(ends))
