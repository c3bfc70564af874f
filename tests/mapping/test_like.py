"""A map that begins at an earlier one: what was there stays, and what is said of it is so."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

import tbgrid
from tbgrid import ExportOptions, GridOptions, TbgridError, TsneOptions, UsageError, run_format
from tbgrid.cli import main
from tbgrid.embedding.model_info import ModelInfo
from tbgrid.grid.cells import choose_shape
from tbgrid.grid.snap import assign
from tbgrid.grouping.badges import draw_badge
from tbgrid.grouping.picture_keys import picture_keys
from tbgrid.layouts.tsne import INIT_NEIGHBORS, tsne_from
from tbgrid.layouts.tsne_engines import ITERATIONS
from tbgrid.mapping.arrange import MapResult, arrange
from tbgrid.mapping.previous_run import read_previous_run, same_photos
from tbgrid.mapping.warm_start import (
    MAX_EMPTY_SHARE,
    MIN_ITERATIONS,
    WarmStart,
    _exchange_offsets,
    lay_out_like,
    measure_stability,
    shape_like,
    snap_like,
)
from tbgrid.metrics.quality import distance_preservation
from tbgrid.run_format import CURRENT, HOME, REPORT
from tbgrid.types import Float32Array
from tbgrid.util.cache import Cache
from tests.support.embedders import MeanColour
from tests.support.examples import examples
from tests.support.photos import draw_photos

MODEL = MeanColour()
OLD, NEW = 400, 4
DIGITS = load_digits(return_X_y=True)[0][: OLD + NEW].astype(np.float32)


DEFAULT = ExportOptions()


def arranged(
    vectors: Float32Array, start: WarmStart | None = None, options: ExportOptions = DEFAULT
) -> MapResult:
    return arrange(vectors, None, "euclidean", options, Cache(None), start=start)


def start_of(old: MapResult, of: Sequence[int]) -> WarmStart:
    grid = old.grid
    return WarmStart(
        run="old",
        previous_rows=np.array(of),
        rows=grid.rows,
        columns=grid.columns,
        cells=grid.cells,
        places=grid.places,
        positions=old.layout.positions,
        solver=grid.solver,
        cost=grid.cost,
        gap=grid.gap,
    )


@pytest.fixture(scope="module")
def old() -> MapResult:
    """A map of the first digits, on a grid without an empty cell."""
    made = arranged(DIGITS[:OLD])
    assert made.grid.rows * made.grid.columns == OLD
    return made


def made_up(cells: Sequence[int], rows: int, columns: int, of: Sequence[int]) -> WarmStart:
    """A map of which only the grid is used."""
    nowhere = np.zeros((len(cells), 2))
    return WarmStart(
        run="old",
        previous_rows=np.array(of),
        rows=rows,
        columns=columns,
        cells=np.array(cells),
        places=nowhere,
        positions=nowhere,
        aspect=columns / rows,
    )


def test_a_new_point_starts_among_its_likes_and_the_others_where_they_were(
    old: MapResult,
) -> None:
    start = np.full((OLD + NEW, 2), np.nan)
    start[:OLD] = old.layout.positions
    found = tsne_from(DIGITS, start, 0, metric="euclidean").positions
    assert np.array_equal(found[:OLD], start[:OLD])
    for row in range(OLD, OLD + NEW):
        far = [math.dist(DIGITS[row], vector) for vector in DIGITS[:OLD]]
        likes = sorted(range(OLD), key=far.__getitem__)[:INIT_NEIGHBORS]
        width = np.ptp(start[:OLD], axis=0).max()
        assert np.allclose(found[row], start[likes].mean(axis=0), atol=0.01 * width)


def test_a_layout_without_places_or_of_another_engine_is_refused() -> None:
    with pytest.raises(TbgridError, match="no photo matches the earlier layout"):
        tsne_from(DIGITS[:9], np.full((9, 2), np.nan), 0)
    with pytest.raises(UsageError, match=r"engine sklearn cannot .*: leave out"):
        tsne_from(DIGITS[:9], np.zeros((9, 2)), 0, TsneOptions(engine="sklearn"))


def test_the_same_photos_in_any_order_keep_their_very_cells(old: MapResult) -> None:
    order = np.random.default_rng(0).permutation(OLD)
    made = arranged(DIGITS[order], start_of(old, order.tolist()))
    assert np.array_equal(made.grid.cells, old.grid.cells[order])
    assert np.allclose(made.grid.places, old.grid.places[order], atol=1e-9)
    assert np.allclose(made.layout.positions, old.layout.positions[order])
    stability = made.stability
    assert stability is not None
    assert (stability.kept, stability.new, stability.removed) == (OLD, 0, 0)
    assert (stability.move_median, stability.move_p95, stability.unmoved_share) == (0, 0, 1)
    assert made.layout.kl == pytest.approx(old.layout.kl, rel=1e-3)  # an approximate sum
    assert made.card.cost == pytest.approx(old.card.cost)


@pytest.mark.slow
def test_photos_move_less_than_a_cell_when_one_in_a_hundred_is_new() -> None:
    """The median of five sets, whose grids gain a row by it."""
    every = load_digits(return_X_y=True)[0].astype(np.float32)
    moves = []
    for seed in range(5):
        some = every[np.random.default_rng(seed).permutation(len(every))[: OLD + NEW]]
        before = arranged(some[:OLD])
        made = arranged(some, start_of(before, [*range(OLD), *[-1] * NEW]))
        assert made.stability is not None
        moves.append(made.stability.move_median)
    assert np.median(moves) <= 0.8


@pytest.mark.parametrize("removed", [0, 4, 120], ids="{} removed".format)
@pytest.mark.parametrize("new", [0, NEW], ids="{} new".format)
def test_photos_that_were_there_stay_near(old: MapResult, new: int, removed: int) -> None:
    kept = np.random.default_rng(1).permutation(OLD)[: OLD - removed]
    rows = np.concatenate([kept, np.arange(OLD, OLD + new)])
    of = [row if row < OLD else -1 for row in rows]
    made = arranged(DIGITS[rows], start_of(old, of))
    grid, stability = made.grid, made.stability
    assert len(set(grid.cells.tolist())) == len(rows)
    assert 0 <= grid.cells.min() <= grid.cells.max() < grid.rows * grid.columns
    assert stability is not None
    far, still = [], 0
    for row, cell in zip(kept.tolist(), grid.cells.tolist(), strict=False):
        before = divmod(int(old.grid.cells[row]), old.grid.columns)
        down, right = divmod(cell, grid.columns)
        half = Fraction(1, 2)
        now = (
            (down + half) * old.grid.rows / grid.rows - half,
            (right + half) * old.grid.columns / grid.columns - half,
        )
        far.append(math.dist(now, before))
        still += max(abs(a - b) for a, b in zip(now, before, strict=True)) < half
    assert (stability.kept, stability.new, stability.removed) == (len(kept), new, removed)
    assert stability.move_median == pytest.approx(float(np.median(far)))
    assert stability.move_p95 == pytest.approx(float(np.percentile(far, 95)))
    assert stability.unmoved_share == pytest.approx(still / len(kept))
    assert stability.move_median <= (1 if removed < 100 else 1.5)
    fresh = arranged(DIGITS[rows])
    assert made.card.dpq_16 is not None
    assert fresh.card.dpq_16 is not None
    assert made.card.dpq_16 > fresh.card.dpq_16 - 0.02
    again = arranged(DIGITS[rows], start_of(old, of))
    assert np.array_equal(again.grid.cells, grid.cells)
    assert again.stability == stability


def test_when_half_is_new_the_map_is_as_good_as_a_fresh_one(old: MapResult) -> None:
    half = arranged(DIGITS[: OLD // 2])
    made = arranged(DIGITS[:OLD], start_of(half, [*range(OLD // 2), *[-1] * (OLD // 2)]))
    assert made.card.dpq_16 is not None
    assert old.card.dpq_16 is not None
    assert made.card.dpq_16 > old.card.dpq_16 - 0.02
    assert made.stability is not None
    assert made.stability.move_median < 2


def test_the_layout_lies_as_the_earlier_one_did(old: MapResult) -> None:
    """Whatever the turn of the earlier places, the new ones follow it."""
    angle = np.array([[math.cos(1), math.sin(1)], [-math.sin(1), math.cos(1)]])
    start = start_of(old, [*range(OLD), *[-1] * NEW])
    turned = dataclasses.replace(start, positions=start.positions @ angle + (5, -3))
    one, other = (lay_out_like(DIGITS, each, metric="euclidean") for each in (start, turned))
    assert np.abs(one.positions @ angle + (5, -3) - other.positions).max() < 2
    assert np.abs(one.positions[:OLD] - start.positions).mean() < 1


def test_exchanged_photos_stay_exchanged(old: MapResult) -> None:
    """Where photos changed places after the snap, the cells count and not t-SNE's places."""
    rng = np.random.default_rng(2)
    cells = old.grid.cells.copy()
    swapped = rng.permutation(OLD)[:100].reshape(-1, 2)
    for one, other in swapped:
        cells[[one, other]] = cells[[other, one]]
    start = dataclasses.replace(start_of(old, [*range(OLD)]), cells=cells)
    rows, columns = old.grid.rows, old.grid.columns
    options = GridOptions()
    wanted = old.grid.places + _exchange_offsets(old.grid.places, start, rows, columns, options)
    assert np.array_equal(assign(wanted, rows, columns).cells, cells)
    # Refinement would put right what was exchanged at random here.
    start = dataclasses.replace(start, previous_rows=np.array([*range(OLD), *[-1] * NEW]))
    made = arranged(DIGITS, start, ExportOptions(refine=None))
    assert made.stability is not None
    assert made.stability.move_median <= 1


def test_one_row_tells_nothing_of_several() -> None:
    flat = arrange(
        DIGITS[:30],
        None,
        "euclidean",
        ExportOptions(grid=GridOptions(shape=(1, 30))),
        Cache(None),
    )
    start = start_of(flat, range(30))
    grid = snap_like(flat.layout, start, GridOptions(shape=(5, 6)))
    assert (grid.rows, grid.columns) == (5, 6)
    assert np.ptp(grid.places[:, 0]) == pytest.approx(4)
    assert measure_stability(grid, start).kept == 30


@examples(200)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 1600), st.integers(1, 4000))
def test_the_grid_is_kept_grown_or_made_anew(
    rows: int, columns: int, before: int, after: int
) -> None:
    before = min(before, rows * columns)
    start = made_up(range(before), rows, columns, [0])
    found = shape_like(after, start)
    cells, old_cells = found[0] * found[1], rows * columns
    assert cells >= after
    if after > old_cells:
        assert found[0] >= rows
        assert found[1] >= columns
        for sides in ((found[0] - 1, found[1]), (found[0], found[1] - 1)):
            smaller = sides[0] >= rows and sides[1] >= columns
            assert not smaller or sides[0] * sides[1] < after, "no row or column too many"
    elif found != (rows, columns):
        assert found == choose_shape(after, columns / rows)
        assert old_cells - after > max(MAX_EMPTY_SHARE * old_cells, old_cells - before)
        assert cells < old_cells
    else:
        few = old_cells - after <= max(MAX_EMPTY_SHARE * old_cells, old_cells - before)
        fresh = choose_shape(after, columns / rows)
        assert few or fresh[0] * fresh[1] >= old_cells


@pytest.mark.parametrize(
    ("rows", "columns", "count", "expected"),
    [(32, 32, 1034, (33, 32)), (33, 32, 1060, (34, 32)), (36, 3, 127, (43, 3))],
)
def test_a_full_grid_gets_a_row_or_a_column(
    rows: int, columns: int, count: int, expected: tuple[int, int]
) -> None:
    assert shape_like(count, made_up(range(rows * columns), rows, columns, [0])) == expected


def test_a_grid_that_grows_again_and_again_keeps_its_aspect() -> None:
    rows, columns = 9, 16
    for count in range(144, 1500, 7):
        start = made_up(range(min(count, rows * columns)), rows, columns, [0])
        rows, columns = shape_like(count, dataclasses.replace(start, aspect=16 / 9))
    assert columns / rows == pytest.approx(16 / 9, rel=0.05)


def test_an_explicit_grid_counts() -> None:
    start = made_up(range(12), 3, 4, [0])
    assert shape_like(12, start, GridOptions(shape=(2, 7))) == (2, 7)
    with pytest.raises(UsageError, match="grid 3x3 has 9 cells for 12 photos"):
        shape_like(12, start, GridOptions(shape=(3, 3)))


def test_t_sne_goes_the_farther_the_more_has_changed() -> None:
    def iterations(of: Sequence[int], before: int = 1000) -> int:
        return made_up(range(before), 40, 40, of).iterations

    assert iterations(range(1000)) == 0
    assert iterations([*range(1000), -1]) == MIN_ITERATIONS
    assert iterations(range(999)) == MIN_ITERATIONS
    assert iterations([*range(1000), *[-1] * 50]) == pytest.approx(ITERATIONS / 2, rel=0.1)
    assert iterations([*range(1000), *[-1] * 200]) == ITERATIONS
    assert iterations(range(800)) == ITERATIONS
    other = dataclasses.replace(made_up(range(5), 2, 3, range(5)), same_inputs=False)
    assert other.iterations == ITERATIONS


NAMES = st.lists(st.sampled_from("abcd"), max_size=6)
PICTURES = st.integers(0, 3)


@given(NAMES, NAMES, st.data())
def test_each_photo_is_found_once(before: list[str], now: list[str], data: st.DataObject) -> None:
    sizes = [len(before), len(now)]
    one, other = (
        np.array(data.draw(st.lists(PICTURES, min_size=n, max_size=n)), np.uint64) for n in sizes
    )
    by_name = same_photos(before, None, now, None)
    for name in set(now):
        rows = [at for at, each in enumerate(before) if each == name]
        found = [row for row, each in zip(by_name.tolist(), now, strict=True) if each == name]
        assert found == (rows + [-1] * len(found))[: len(found)]
    found = same_photos(before, one, now, other).tolist()
    there = [row for row in found if row >= 0]
    assert len(set(there)) == len(there)
    same_inputs = any(row >= 0 and one[row] == other[at] for at, row in enumerate(by_name))
    for at, row in enumerate(found):
        if row >= 0 and same_inputs:
            assert one[row] == other[at]
        if row < 0:  # no picture is left that is the same
            assert other[at] not in {one[r] for r in range(len(before)) if r not in there}


def test_renamed_photos_are_found_and_replaced_ones_are_not() -> None:
    pictures = np.arange(4, dtype=np.uint64)
    found = same_photos(["a", "b", "c", "d"], pictures, ["a", "b", "z"], pictures[[0, 3, 2]])
    assert found.tolist() == [0, 3, 2]  # "b" is the picture that was "d"
    # Thumbnails of another size are all different, which says nothing: names count.
    found = same_photos(["a", "b"], pictures[:2], ["b", "a"], pictures[2:])
    assert found.tolist() == [1, 0]


def test_equal_pictures_have_equal_keys() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    keys = picture_keys(pictures[[0, 1, 0, 2]])
    assert keys[0] == keys[2]
    assert len(set(keys.tolist())) == 3


def test_a_stack_is_the_same_photo_however_many_copies_it_has() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    keys = picture_keys(np.stack([picture, draw_badge(picture, 2), draw_badge(picture, 3)]))
    assert len(set(keys.tolist())) == 1


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tbgrid.ExportResult]:
    """A folder of 60 photos, and its export to `run` beside it. To be copied, not changed."""
    folder = tmp_path_factory.mktemp("like")
    photos = draw_photos(folder / "photos", each=20)
    return folder, tbgrid.export(photos, folder / "run", QUICK, embedder=MODEL)


QUICK = ExportOptions(tile=16, preview=0)


def like(folder: Path, logdir: str = "run", **changes: Any) -> tbgrid.ExportResult:
    options = dataclasses.replace(QUICK, **{"like": folder / "run", **changes})
    return tbgrid.export(folder / "photos", folder / logdir, options, embedder=MODEL)


@pytest.fixture
def folder(first: tuple[Path, tbgrid.ExportResult], tmp_path: Path) -> Path:
    shutil.copytree(first[0], tmp_path / "copy")
    return tmp_path / "copy"


def test_a_run_is_read_as_it_was_written(first: tuple[Path, tbgrid.ExportResult]) -> None:
    folder, result = first
    found = read_previous_run(folder / "run")
    assert found.run == "run"
    assert found.names == tuple(photo.name for photo in result.images.photos)
    assert (found.rows, found.columns) == (result.grid.rows, result.grid.columns)
    assert np.array_equal(found.cells, result.grid.cells)
    assert np.allclose(found.places, result.grid.places, atol=1e-5)
    assert np.allclose(found.positions, result.layout.positions, rtol=1e-6)
    assert found.pictures is not None
    assert np.array_equal(found.pictures, picture_keys(result.images.thumbnails))
    assert (found.model, found.metric) == ("mean-colour", "euclidean")
    assert found.aspect == 1
    assert (found.cost, found.gap) == (result.grid.cost, result.grid.gap)


def test_a_run_is_replaced_by_one_like_itself(
    folder: Path, first: tuple[Path, tbgrid.ExportResult]
) -> None:
    before = {p.name: c for p, c in zip(first[1].images.photos, first[1].grid.cells, strict=True)}
    result = like(folder)
    assert {p.name: c for p, c in zip(result.images.photos, result.grid.cells, strict=True)} == (
        before
    )
    draw_photos(folder / "photos" / "more", each=1, seed=9)
    (folder / "photos/red/003.jpg").rename(folder / "photos/blue/moved.jpg")
    (folder / "photos/red/004.jpg").unlink()
    result = like(folder)
    told = json.loads((result.export / "report.json").read_text())["like"]
    assert told == result.report["like"]
    assert (told["run"], told["kept"], told["new"], told["removed"]) == ("run", 59, 3, 1)
    assert 0 <= told["move_median"] <= 1 <= told["move_p95"] < 5
    assert 0.2 < told["unmoved_share"] < 1
    manifest = json.loads((result.export / run_format.FOLDER / run_format.MANIFEST).read_text())
    lines = {name: value for name, value in manifest["report"] if name.startswith("like run")}
    assert lines["like run, photos"] == "59 kept, 3 new, 1 removed"
    assert "did not move" in lines["like run, moves"]
    assert "59 kept" in result._repr_html_()
    events = next((folder / "run").glob("events.out.tfevents.*.tbgrid")).read_bytes()
    assert b"move median" in events
    assert len(list((folder / "run" / HOME).iterdir())) == 3, "the earlier export is gone"


def test_a_map_of_other_vectors_begins_at_the_places_and_says_so(folder: Path) -> None:
    result = like(folder, "other", metric="cosine")
    (note,) = [note for note in result.notes if "starts from its positions" in note]
    assert note.startswith("run was made with mean-colour and euclidean distances")
    assert result.report["like"]["kept"] == 60
    wider = like(folder, "wider", tsne=TsneOptions(perplexity=5))
    assert wider.layout.perplexity == 5
    assert not np.allclose(wider.layout.positions, read_previous_run(folder / "run").positions)


def test_photos_that_are_framed_otherwise_are_known_by_name(folder: Path) -> None:
    """Square ones look as before, which says nothing of the others."""
    for number, path in enumerate(sorted((folder / "photos").rglob("*.jpg"))):
        with Image.open(path) as picture:
            width = picture.width if number % 2 else 2 * picture.width
            picture.resize((width, picture.width)).save(path)
    tbgrid.export(folder / "photos", folder / "run", QUICK, embedder=MODEL)
    options = dataclasses.replace(QUICK, fit="pad", like=folder / "run")
    told = tbgrid.export(folder / "photos", folder / "new", options, embedder=MODEL).report["like"]
    assert (told["kept"], told["new"], told["removed"]) == (60, 0, 0)


class Retrained(MeanColour):
    """Goes by the name of the first, and gives other vectors."""

    def __call__(self, images: Float32Array) -> Float32Array:
        return np.sin(1000 * super().__call__(images))


def test_other_vectors_of_the_same_name_are_followed_too(
    folder: Path, first: tuple[Path, tbgrid.ExportResult]
) -> None:
    """Else the map would stay what it was, whatever the new vectors say."""
    options = dataclasses.replace(QUICK, like=folder / "run")
    result = tbgrid.export(folder / "photos", folder / "new", options, embedder=Retrained())
    (note,) = [note for note in result.notes if "starts from its positions" in note]
    assert note.startswith("photos of run have changed vectors, though mean-col")
    before = first[1].grid
    stale = distance_preservation(result.images.vectors, before.cells, before.columns)
    assert result.card.dpq_16 is not None
    assert stale is not None
    assert result.card.dpq_16 > stale + 0.05


@pytest.mark.parametrize("factor", [1.0, 1.001, 1.2])
def test_vectors_are_the_same_if_distances_are(
    factor: float, first: tuple[Path, tbgrid.ExportResult]
) -> None:
    """Whatever the order of the photos, and though some are gone and others new."""
    earlier, images = read_previous_run(first[0] / "run"), first[1].images
    rows = np.random.default_rng(0).permutation(60)[:40]
    names = [*(images.photos[row].name for row in rows), "new"]
    vectors = np.concatenate([images.vectors[rows], images.vectors[:1] + 9])
    vectors[:, ::2] *= factor
    model = ModelInfo(model_id="mean-colour", input_size=(32, 32), metric="euclidean")
    start = earlier.start(names, None, vectors, model, "crop", earlier.perplexity)
    assert start.previous_rows.tolist() == [*rows.tolist(), -1]
    assert start.same_inputs == (factor < 1.1)
    assert len(start.notes) == (factor > 1.1)


def test_a_smaller_map_is_closed(folder: Path) -> None:
    for path in sorted((folder / "photos").rglob("*.jpg"))[::2]:
        path.unlink()
    result = like(folder)
    assert (result.grid.rows, result.grid.columns) == choose_shape(30)
    assert any("fewer empty cells" in note for note in result.notes)


class Counting(MeanColour):
    """Counts what it embeds, and may break off."""

    fingerprint: ClassVar[str] = "counting"
    seen: ClassVar[list[int]] = []
    broken: ClassVar[bool] = False

    def __call__(self, images: Float32Array) -> Float32Array:
        if self.broken:
            raise KeyboardInterrupt
        self.seen.append(len(images))
        return super().__call__(images)


def test_old_photos_are_not_embedded_again_and_a_broken_export_leaves_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(QUICK, cache=folder / "cache")

    def export(options: ExportOptions) -> tbgrid.ExportResult:
        Counting.seen.clear()
        return tbgrid.export(folder / "photos", folder / "run", options, embedder=Counting())

    export(options)
    assert sum(Counting.seen) == 60
    draw_photos(folder / "photos" / "more", each=1, seed=9)
    again = dataclasses.replace(options, like=folder / "run")
    current = (folder / "run" / HOME / CURRENT).read_text()
    monkeypatch.setattr(Counting, "broken", True)
    with pytest.raises(KeyboardInterrupt):
        export(again)
    assert (folder / "run" / HOME / CURRENT).read_text() == current
    assert len(read_previous_run(folder / "run").names) == 60
    monkeypatch.setattr(Counting, "broken", False)
    export(again)
    assert sum(Counting.seen) == 3
    assert len(read_previous_run(folder / "run").names) == 63


def test_runs_that_cannot_be_begun_at_are_refused_in_one_line(folder: Path) -> None:
    def refused(pattern: str) -> None:
        with pytest.raises(TbgridError, match=pattern):
            like(folder, "new")
        assert not (folder / "new" / HOME / CURRENT).exists()

    (folder / "photos/blue").rename(folder / "blue")
    kept = folder / "kept"
    (folder / "run").rename(kept)
    refused(r"no such directory: .*run: give like the directory of a run")
    (folder / "run").mkdir()
    refused(r"run holds no export of tbgrid: give like the directory of a run")
    shutil.copytree(kept, folder / "run" / "inner")
    refused(r"run holds no export of tbgrid: give like one of the runs below it, such as .*inner")
    shutil.rmtree(folder / "run")
    kept.rename(folder / "run")
    map_ = next((folder / "run" / HOME).glob("*/" + run_format.FOLDER))

    def spoilt(name: str, data: bytes, pattern: str) -> None:
        whole = (map_ / name).read_bytes()
        (map_ / name).write_bytes(data)
        refused(pattern)
        (map_ / name).write_bytes(whole)

    spoilt(run_format.CELLS, b"\0" * 4 * 60, r"the map of .*run cannot be read .*: export it again")
    spoilt(run_format.PLACES, b"", r"the map of .*run cannot be read .* 0 numbers, not 120")
    spoilt(run_format.MANIFEST, b"{", r"the map of .*run cannot be read \(JSONDecodeError")
    spoilt(run_format.POSITIONS, b"\xff" * 8 * 60, r"the map of .*run cannot be read .*not finite")
    spoilt(
        run_format.NEIGHBORS,
        b"\xff" * (map_ / run_format.NEIGHBORS).stat().st_size,
        "its neighbors are",
    )
    report = json.loads((map_.parent / REPORT).read_text())
    for part, value, said in (
        ("grid", {**report["grid"], "aspect": 0}, "0 is not a number above 0"),
        (
            "grid",
            {**report["grid"], "assignment_cost": "miles"},
            "miles is not one of squared, euclidean",
        ),
        ("model", {**report["model"], "metric": "miles"}, "miles is not one of cosine, euclidean"),
        ("t-SNE", [], "AttributeError"),
    ):
        text = json.dumps({**report, part: value}).encode()
        spoilt(f"../{REPORT}", text, rf"the map of .*run cannot be read .*{said}")
    (map_.parent / REPORT).rename(folder / "report")
    refused(r"the map of .*run cannot be read \(report.json: No such file or directory\)")
    (folder / "report").rename(map_.parent / REPORT)
    told = json.loads((map_ / run_format.MANIFEST).read_text())
    newer = json.dumps({**told, "format": run_format.FORMAT + 1}).encode()
    spoilt(
        run_format.MANIFEST, newer, r"run was written by another version of tbgrid: export it again"
    )
    shutil.rmtree(folder / "photos")
    draw_photos(folder / "photos" / "strange", each=2, seed=7)
    refused(r"none of the 6 photos is in run \(strange/blue/000.jpg is not among .* 59 others\)")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--like", "nowhere"], 1, "no such directory: nowhere"),
        (["--like", "x" * 5000], 1, "(File name too long): give --like the directory of a run"),
        (["--like", "run", "--engine", "sklearn"], 2, "leave out --engine or --like"),
        (
            ["--like", "run", "--aspect", "2:1"],
            2,
            "leave out --aspect or --like, or give --grid instead",
        ),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    code: int,
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main.main(["export", "photos", "--logdir", "new", *arguments]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
