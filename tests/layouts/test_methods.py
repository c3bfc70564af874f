"""Layouts by name keep neighbours, repeat under a seed and make runs that TensorBoard accepts; the
best of them is the best."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

import tbgrid
from tbgrid import ExportOptions, GridOptions, TsneOptions, UsageError
from tbgrid.check.run import check
from tbgrid.choices import NAMES, Method
from tbgrid.cli import main
from tbgrid.grid.cells import cell_centers
from tbgrid.layouts import methods
from tbgrid.layouts.procrustes import aligned_cells
from tbgrid.mapping.arrange import DPQ_TOLERANCE, arrange, best_index
from tbgrid.options import RefineOptions
from tbgrid.types import Float32Array
from tbgrid.util.cache import Cache
from tests.support.embedders import MeanColour
from tests.support.event_files import events

METHODS: tuple[Method, ...] = get_args(Method)
SHAPE = (18, 17)


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    """Skip what is about a layout whose package is missing."""
    method = getattr(request.node, "callspec", None) and request.node.callspec.params.get("method")
    module = {"umap": "umap", "flas": "vc_flas"}.get(method or "")
    if module and importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}: pip install -e '.[test-all]'")


@pytest.fixture(scope="module")
def digits() -> tuple[Float32Array, list[str]]:
    bunch = load_digits()
    return bunch.data[:300].astype(np.float32), [str(label) for label in bunch.target[:300]]


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_stay_and_equal_seeds_give_equal_layouts(
    method: Method, digits: tuple[Float32Array, list[str]]
) -> None:
    vectors, labels = digits
    one, other = (
        tbgrid.layout(vectors, method, options=TsneOptions(seed=4), shape=SHAPE, metric="euclidean")
        for _ in range(2)
    )
    assert one.positions.tobytes() == other.positions.tobytes()
    assert one.positions.shape == (300, 2)
    assert one.positions.dtype == np.float64
    assert one.engine.split()[1][0].isdigit()
    near = NearestNeighbors(n_neighbors=6).fit(one.positions).kneighbors(return_distance=False)
    names = np.array(labels)
    assert (names[near] == names[:, None]).mean() > (0.5 if method == "pca" else 0.7)
    assert (one.perplexity is None) == (one.kl is None) == (method != "tsne")
    assert ("perplexity" in one.to_dict(4, 64)) == (method == "tsne")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "vectors",
    [np.eye(3), np.eye(4), np.ones((5, 4)), np.repeat([[0.0], [1]], 9, 0), np.zeros((20, 1))],
    ids=["three", "four", "equal", "two places", "zeros"],
)
def test_few_or_equal_vectors_get_places(method: Method, vectors: np.ndarray) -> None:
    found = arrange(
        vectors.astype(np.float32), None, "euclidean", ExportOptions(layout=method), Cache(None)
    )
    assert np.isfinite(found.layout.positions).all()
    assert len(np.unique(found.grid.cells)) == len(vectors)


@pytest.mark.parametrize("shape", [None, (20, 30), (3, 100), (100, 3)])
def test_flas_chooses_the_cells_and_the_snap_has_nothing_to_do(
    shape: tuple[int, int] | None, digits: tuple[Float32Array, list[str]]
) -> None:
    pytest.importorskip("vc_flas", reason="needs vc-flas, which has no wheels for this Python")
    found = arrange(
        digits[0],
        None,
        "euclidean",
        ExportOptions(layout="flas", grid=GridOptions(shape=shape)),
        Cache(None),
    )
    assert shape is None or (found.grid.rows, found.grid.columns) == shape
    assert (found.grid.cost, found.grid.gap, found.card.displacement) == (0, 0, 0)
    assert found.layout.cells is not None
    assert np.array_equal(found.grid.cells, found.layout.cells)
    assert len(np.unique(found.grid.cells)) == 300
    assert np.array_equal(
        found.layout.positions, cell_centers(found.grid.cells, found.grid.columns)
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_layout_comes_back_from_the_cache_as_it_was(
    method: Method,
    digits: tuple[Float32Array, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = ExportOptions(layout=method)
    with Cache(tmp_path) as cache:
        first = arrange(*digits, "euclidean", options, cache)
        monkeypatch.setattr(methods, "layout", None)  # which would fail if it were called
        again = arrange(*digits, "euclidean", options, cache)
    assert first.card == again.card
    for name, value in vars(first.layout).items():
        assert np.array_equal(value, getattr(again.layout, name)), name


@pytest.mark.parametrize("method", [m for m in METHODS if m != "tsne"])
def test_the_run_names_its_layout_and_tensorboard_accepts_it(
    method: Method, photos: Path, tmp_path: Path
) -> None:
    done = tbgrid.export(photos, tmp_path, ExportOptions(layout=method), embedder=MeanColour())
    assert not check(tmp_path)
    name = NAMES[method]
    tags = events(tmp_path)
    assert "tbgrid/tsne" not in tags
    assert (f"tbgrid/{method}" in tags) == ("tbgrid/snap" in tags) == (method != "flas")
    text = tags["tbgrid/report"][0][1].tensor.string_val[0].decode()
    assert f"**{name}**" in text
    assert "t-SNE" not in text
    report = json.loads((done.export / "report.json").read_text())
    assert set(report[name]) == {"seed", "engine", "dimensions"}
    assert "KL_divergence" not in report["report card"]
    bookmarks = json.loads((done.export / "bookmarks.json").read_text())
    assert {state["label"].partition(",")[0] for state in bookmarks} == {name, "grid 8 x 8"}
    assert json.loads((done.export / "map/manifest.json").read_text())["layout"] == name


@pytest.mark.slow
def test_best_is_never_below_a_candidate(digits: tuple[Float32Array, list[str]]) -> None:
    vectors, labels = digits
    found = arrange(vectors, labels, "euclidean", ExportOptions(layout="best"), Cache(None))
    tried = [c for c in found.candidates if c.card is not None]
    titles = [c.title for c in found.candidates]
    assert titles[0] == "t-SNE, perplexity 25"
    assert {"PCA", "FLAS", "UMAP", "t-SNE, perplexity 10", "t-SNE, perplexity 5"} <= set(titles)
    assert len(set(titles)) == len(titles)
    cards = [c.card for c in tried if c.card and c.card.dpq_16]
    highest = max(card.dpq_16 or 0 for card in cards)
    alike = [card for card in cards if (card.dpq_16 or 0) >= highest - DPQ_TOLERANCE]
    assert found.card in alike
    assert found.card.dpq_2 == max(card.dpq_2 or 0 for card in alike)
    (kept,) = [c for c in tried if c.remark]
    assert kept.card == found.card
    assert kept.title == found.layout.title
    # Labels have no part in it.
    blind = arrange(vectors, None, "euclidean", ExportOptions(layout="best"), Cache(None))
    assert np.array_equal(blind.grid.cells, found.grid.cells)
    assert all("neighbour_agreement" in c.row for c in tried)


def test_the_best_is_the_highest_dpq_16_and_of_equals_the_highest_dpq_2(
    digits: tuple[Float32Array, list[str]],
) -> None:
    card = arrange(*digits, "euclidean", ExportOptions(layout="pca"), Cache(None)).card

    def best(*scores: tuple[float | None, float | None]) -> int:
        return best_index([replace(card, dpq_16=near, dpq_2=far) for near, far in scores])

    assert best((0.8, 0.9), (0.9, 0.5), (0.7, 0.9)) == 1
    assert best((0.9, 0.5), (0.895, 0.6), (0.885, 0.9)) == 1
    assert best((0.9, 0.5), (0.9, 0.5)) == 0
    assert best((None, None), (0.1, 0.1)) == 1
    assert best((None, None), (None, None)) == 0


def test_best_of_equal_vectors_is_the_default() -> None:
    found = arrange(
        np.ones((9, 3), np.float32), None, "euclidean", ExportOptions(layout="best"), Cache(None)
    )
    assert found.card.dpq_16 is None
    assert found.layout.method == "tsne"


def test_a_budget_that_is_used_up_leaves_the_default_and_says_so(photos: Path) -> None:
    images = tbgrid.embed(tbgrid.find_photos(photos), MeanColour())
    options = ExportOptions(layout="best", budget=0.0)
    found = arrange(images.vectors, None, "euclidean", options, Cache(None))
    first, *others = found.candidates
    assert first.card == found.card
    assert found.layout.method == "tsne"
    assert all(other.card is None for other in others)
    assert any("the budget of 0 CPU seconds is used up" in other.remark for other in others)


def test_a_refinement_that_ran_out_of_time_is_told(
    digits: tuple[Float32Array, list[str]],
) -> None:
    def notes(seconds: float | None) -> tuple[str, ...]:
        options = ExportOptions(layout="pca", refine=RefineOptions(seconds))
        return arrange(*digits, "euclidean", options, Cache(None)).notes

    assert "refinement was stopped when its time was up" in notes(1e-9)
    assert not any("refinement" in note for note in notes(None))


def test_perplexities_that_are_tried_fit_the_photos() -> None:
    for count in (3, 4, 5, 31, 32, 91, 1000):
        tried = methods.candidates(TsneOptions(), count)
        given = [options.perplexity for method, options in tried if method == "tsne"]
        assert given[0] is None
        assert all(3 * p < count for p in given[1:] if p)
        assert len({m for m, _ in tried}) == 4
    only = methods.candidates(TsneOptions(7.0), 1000)
    assert [o.perplexity for m, o in only if m == "tsne"] == [7.0]


@pytest.mark.slow
def test_best_stands_in_the_report_and_the_text_tab(photos: Path, tmp_path: Path) -> None:
    options = ExportOptions(layout="best", budget=3.0)
    done = tbgrid.export(photos, tmp_path, options, embedder=MeanColour())
    assert not check(tmp_path)
    rows = json.loads((done.export / "report.json").read_text())["layouts tried"]
    assert [row["layout"] for row in rows] == [c.title for c in done.map_result.candidates]
    assert rows[0]["cpu_seconds"] >= 0
    text = events(tmp_path)["tbgrid/report"][0][1].tensor.string_val[0].decode()
    assert "**Layouts tried**" in text
    assert text.count("| kept |") == 1


def test_a_missing_package_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, digits: tuple[Float32Array, list[str]]
) -> None:
    absent = ("umap", "vc_flas", "sklearnex")
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda m: None if m in absent else find_spec(m)
    )
    with pytest.raises(UsageError, match=r"layout umap needs umap-learn.*'tbgrid\[umap\]'"):
        ExportOptions(layout="umap")
    with pytest.raises(UsageError, match=r"pip install 'tbgrid\[flas\]'"):
        ExportOptions(layout="flas")
    with pytest.raises(UsageError, match=r"engine intelex needs.*'tbgrid\[intelex\]'"):
        ExportOptions(tsne=TsneOptions(engine="intelex"))
    options = ExportOptions(layout="best", tsne=TsneOptions(10.0))
    found = arrange(*digits, "euclidean", options, Cache(None))
    remarks = {c.title: c.remark for c in found.candidates}
    assert "pip install 'tbgrid[umap]'" in remarks["UMAP"]
    assert "pip install 'tbgrid[flas]'" in remarks["FLAS"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout", "pca", "--perplexity", "5"], "only t-SNE has it: leave out --perplexity"),
        (["--layout", "pca", "--engine", "sklearn"], "only t-SNE has it: leave out --engine"),
        (["--budget", "5"], "use --layout best"),
        (["--layout", "best", "--budget", "-1"], "give seconds, 0 or more"),
        (["--layout", "best", "--budget", "nan"], "give seconds, 0 or more"),
        (["--no-refine", "--refine-seconds", "5"], "not refined: leave it out"),
        (["--refine-seconds", "0"], "give a number above 0"),
    ],
)
def test_options_that_cannot_be_meant_end_in_one_line(
    arguments: list[str],
    message: str,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["export", str(photos), "--logdir", str(tmp_path / "run"), *arguments]
    assert main.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


def test_flas_needs_two_rows(digits: tuple[Float32Array, list[str]]) -> None:
    pytest.importorskip("vc_flas", reason="needs vc-flas, which has no wheels for this Python")
    row = GridOptions(shape=(1, 300))
    with pytest.raises(UsageError, match="it needs two rows and two columns"):
        arrange(*digits, "euclidean", ExportOptions(layout="flas", grid=row), Cache(None))
    options = ExportOptions(layout="best", tsne=TsneOptions(10.0), grid=row, budget=0.0)
    found = arrange(*digits, "euclidean", options, Cache(None))
    assert "it needs two rows" in {c.title: c.remark for c in found.candidates}["FLAS"]


@pytest.mark.parametrize("method", METHODS)
def test_a_map_turned_towards_itself_in_a_mirror_is_that_mirror_image(
    method: Method, digits: tuple[Float32Array, list[str]]
) -> None:
    options = ExportOptions(layout=method, grid=GridOptions(shape=SHAPE), refine=None)
    plain = arrange(*digits, "euclidean", options, Cache(None))
    mirror = plain.layout.positions * (-1, 1)
    turned = arrange(*digits, "euclidean", options, Cache(None), towards=mirror)
    middle = mirror - mirror.mean(axis=0)
    found = turned.layout.positions - turned.layout.positions.mean(axis=0)
    np.testing.assert_allclose(found, middle, atol=1e-6 * np.abs(middle).max())
    rows, columns = plain.grid.cells // SHAPE[1], plain.grid.cells % SHAPE[1]
    mirrored = rows * SHAPE[1] + SHAPE[1] - 1 - columns
    assert (turned.grid.cells == mirrored).mean() > 0.98  # ties of the snap aside
    assert turned.card.cost == pytest.approx(plain.card.cost)


@pytest.mark.parametrize(("rows", "columns", "ways"), [(5, 5, 8), (4, 6, 4)])
def test_cells_are_turned_as_a_whole(rows: int, columns: int, ways: int) -> None:
    cells = np.random.default_rng(0).permutation(rows * columns)[:17]
    found = set()
    board = np.arange(rows * columns).reshape(rows, columns)
    boards = [np.rot90(b, k) for b in (board, board[::-1]) for k in range(4)]
    for turned in boards:
        if turned.shape == board.shape:
            wanted = turned.ravel()[cells]
            back = aligned_cells(cells, rows, columns, 3 * cell_centers(wanted, columns) + 7)
            assert np.array_equal(back, wanted)
            found.add(tuple(back))
    assert len(found) == ways
