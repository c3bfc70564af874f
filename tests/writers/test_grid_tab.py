"""The files of the Grid tab: each holds what the stages gave, and nothing is lost on the way."""

from __future__ import annotations

import hashlib
import io
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tbgrid
from tbgrid import ExportOptions, GridOptions, UsageError, export, run_format
from tbgrid.choices import Fit
from tbgrid.embedding.decode import decode, preview_side
from tbgrid.embedding.embed import embed
from tbgrid.embedding.pixels import PixelEmbedder
from tbgrid.grid.cells import grid_from_cells
from tbgrid.metrics.harmony import local_coherence
from tbgrid.run_format import natural_order
from tbgrid.sources.folders import find_photos
from tbgrid.types import Float32Array, UInt8Array
from tbgrid.vectors.neighbors import find_neighbors
from tbgrid.vectors.pca import normalize_for
from tbgrid.writers.deep_zoom import write_pyramid
from tbgrid.writers.grid_tab import make_column
from tbgrid.writers.mosaic import mosaic
from tests.support.embedders import MeanColour
from tests.support.photos import draw_photos

MODEL = MeanColour()


class Files:
    """An export as the tab reads it."""

    def __init__(self, export: Path) -> None:
        self.folder = export / run_format.FOLDER
        self.manifest: dict[str, Any] = json.loads((self.folder / run_format.MANIFEST).read_bytes())
        self.count = self.manifest["photos"]

    def numbers(self, name: str, kind: str, *shape: int) -> np.ndarray:
        return np.fromfile(self.folder / name, kind).reshape(shape or (-1,))

    def column(self, name: str) -> list[Any]:
        """The values of a column, as a reader of the format finds them."""
        (number,) = [i for i, c in enumerate(self.manifest["columns"]) if c["name"] == name]
        told, stem = self.manifest["columns"][number], f"column-{number}"
        if told["kind"] == "number":
            return list(self.numbers(f"{stem}.f64", "<f8", self.count).tolist())
        places = self.numbers(f"{stem}.u32", "<u4")
        if told["kind"] == "category":
            values = json.loads((self.folder / f"{stem}.json").read_bytes())
            assert len(values) == told["values"]
            return [values[place] for place in places]
        data = (self.folder / f"{stem}.utf8").read_bytes()
        return [data[a:b].decode() for a, b in pairwise(places)]

    def preview(self, row: int) -> Image.Image:
        ends = self.numbers(run_format.PREVIEW_OFFSETS, "<u8", self.count + 1)
        data = (self.folder / run_format.PREVIEWS).read_bytes()
        assert len(data) == ends[-1]
        return Image.open(io.BytesIO(data[int(ends[row]) : int(ends[row + 1])]))


def level(folder: Path, number: int) -> UInt8Array:
    """A whole level of a pyramid, put together from its tiles."""
    tiles = {
        tuple(map(int, path.stem.split("_"))): np.asarray(Image.open(path))
        for path in (folder / run_format.TILES / str(number)).iterdir()
    }
    columns, rows = (max(part) + 1 for part in zip(*tiles, strict=True))
    assert len(tiles) == rows * columns
    lines = [np.hstack([tiles[x, y] for x in range(columns)]) for y in range(rows)]
    return np.vstack(lines)


def through_jpeg(picture: Image.Image, subsampling: int) -> UInt8Array:
    """What is left of a picture after it was cut into tiles, encoded and decoded."""
    board = np.array(picture)
    for top in range(0, len(board), run_format.TILE):
        for left in range(0, board.shape[1], run_format.TILE):
            part = board[top : top + run_format.TILE, left : left + run_format.TILE]
            buffer = io.BytesIO()
            Image.fromarray(part).save(buffer, "JPEG", quality=80, subsampling=subsampling)
            part[:] = np.asarray(Image.open(buffer))
    return board


@pytest.mark.parametrize(
    ("rows", "columns", "photos", "side", "cell"),
    [
        (2, 2, 3, 64, 64),
        (1, 9, 9, 64, 64),
        (7, 5, 31, 48, 32),
        (40, 90, 1500, 8, 8),
        (3, 3, 2, 512, 256),
        (130, 2, 40, 12, 8),
    ],
)
def test_the_pyramid_is_the_mosaic_at_every_level(
    rows: int, columns: int, photos: int, side: int, cell: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (photos, 1, 1, 3))
    ramp = np.linspace(-40, 40, side)[None, :, None, None]
    thumbnails = np.clip(colours + ramp, 0, 255).astype(np.uint8)
    thumbnails = np.broadcast_to(thumbnails, (photos, side, side, 3))
    cells = rng.permutation(rows * columns)[:photos]
    grid = grid_from_cells(cells, rows, columns, "")
    assert write_pyramid(tmp_path, thumbnails, grid) == cell
    height, width = rows * cell, columns * cell
    last = math.ceil(math.log2(max(height, width)))
    levels = sorted(int(path.name) for path in (tmp_path / run_format.TILES).iterdir())
    assert levels == list(range(last + 1))
    described = (tmp_path / run_format.PYRAMID).read_text()
    for part in ('Overlap="0"', 'TileSize="512"', f'Width="{width}" Height="{height}"'):
        assert part in described
    picture = Image.fromarray(mosaic(thumbnails, grid, cell))
    for number in reversed(levels):
        factor = 2 ** (last - number)
        assert picture.size == (-(-width // factor), -(-height // factor))
        expected = through_jpeg(picture, subsampling=2 if cell // factor >= 32 else 0)
        assert np.array_equal(level(tmp_path, number), expected), number
        picture = picture.reduce(2)


def test_a_large_empty_part_of_a_grid_is_white(tmp_path: Path) -> None:
    thumbnails = np.zeros((1, 64, 64, 3), np.uint8)
    grid = grid_from_cells(np.array([0]), 30, 30, "")
    write_pyramid(tmp_path, thumbnails, grid)
    board = level(tmp_path, 11)
    assert board.shape == (1920, 1920, 3)
    assert board[:64, :64].max() == 0
    assert board[64:].min() == board[:, 64:].min() == 255


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("most", [10**8, 10], ids=["all", "candidates"])
def test_neighbours_are_those_of_a_plain_search(metric: Any, most: int) -> None:
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(1)
    vectors = (rng.normal(size=(300, 40)) / np.arange(1, 41)).astype(np.float32)
    found = find_neighbors(vectors, 12, metric, max_work=most)
    metric = {"metric": metric}
    plain = NearestNeighbors(algorithm="brute", **metric).fit(vectors.astype(float))
    distances, rows = plain.kneighbors(n_neighbors=12)
    assert np.array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)
    assert found.exact is (most == 10**8)


@pytest.mark.parametrize("most", [10**4, 3], ids=["all", "candidates"])
def test_neighbours_of_equal_vectors_are_in_the_order_of_rows(most: int) -> None:
    vectors = np.repeat(np.eye(3, 5, dtype=np.float32) * 0.7, 4, axis=0)
    vectors[4:8] = 0  # which has no direction
    for metric in ("cosine", "euclidean"):
        found = find_neighbors(vectors, 5, metric, max_work=most)
        others = [[other for other in range(12) if other // 4 == row // 4] for row in range(12)]
        for row, own in enumerate(others):
            own.remove(row)
            assert found.rows[row, :3].tolist() == own
            assert found.distances[row, :3].tolist() == [0, 0, 0]
        assert np.isfinite(found.distances).all()
        assert (np.diff(found.distances) >= 0).all()
    alone = find_neighbors(np.zeros((3, 1), np.float32), 12, "cosine", max_work=most)
    assert alone.rows.tolist() == [[1, 2], [0, 2], [0, 1]]


def test_harmony_by_hand() -> None:
    """Photos 0, 1 and 2 in a row and 3 apart, at 0, 1, 4 and 9: the mean of 6 distances is 5."""
    vectors = np.array([[0], [1], [4], [9]], np.float32)
    found = local_coherence(vectors, np.array([0, 1, 2, 11]), 3, 4, "euclidean")
    np.testing.assert_allclose(found, [1 - 1 / 5, 1 - 2 / 5, 1 - 3 / 5, np.nan], rtol=1e-6)
    equal = local_coherence(np.ones((4, 1), np.float32), np.array([0, 1, 2, 11]), 3, 4, "cosine")
    np.testing.assert_array_equal(equal, [0, 0, 0, np.nan])


def test_harmony_is_nought_by_chance_and_better_in_order() -> None:
    rng = np.random.default_rng(2)
    places = np.argwhere(np.ones((30, 30))).astype(np.float32)
    found = local_coherence(places, np.arange(900), 30, 30, "euclidean")
    by_chance = local_coherence(places, rng.permutation(900), 30, 30, "euclidean")
    assert abs(by_chance.mean()) < 0.05
    assert found.min() > 0.9


HOSTILE = ["", "a\tb", "c\nd\r", '"q"', "é ü 漢 🐈", "\0", "</script>", "-", " ", "a\u2028b", "ﾃ"]


def read_back(values: list[str]) -> tuple[str, list[Any]]:
    made = make_column("other", values)
    if made.kind == "number":
        return made.kind, np.frombuffer(made.files["f64"], "<f8").tolist()
    places = np.frombuffer(made.files["u32"], "<u4").tolist()
    if made.kind == "category":
        distinct = json.loads(made.files["json"])
        return made.kind, [distinct[place] for place in places]
    data = made.files["utf8"]
    return made.kind, [data[a:b].decode() for a, b in pairwise(places)]


def test_columns_keep_every_value() -> None:
    assert read_back(HOSTILE) == ("text", HOSTILE)
    assert read_back(HOSTILE * 3) == ("category", HOSTILE * 3)
    assert read_back(["", ""]) == ("text", ["", ""])
    assert read_back(["half \ud83d", "x"]) == ("text", ["half \ufffd", "x"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2.50", "0", "0.5", "1e-05", ""], "number"),
        (["9007199254740992"], "number"),
        (["9007199254740993"], "text"),
        (["007", "1"], "text"),
        (["1", "nan"], "number"),
        (["1", "-inf", "NA"], "number"),
        (["nan", "NA"], "text"),
        (["1e+999"], "text"),
        (["1e5"], "text"),
        (["+1"], "text"),
        (["1 "], "text"),
        (["1_000"], "text"),
        (["٣"], "text"),
        (["", "", ""], "category"),
        (["a", "b", "a", "b", "a"], "category"),
        (["a", "b", "a", "b"], "text"),
        ([f"v{n % 256}" for n in range(600)], "category"),
        ([f"v{n % 257}" for n in range(600)], "text"),
    ],
)
def test_the_kind_of_a_column(values: list[str], kind: str) -> None:
    found, back = read_back(values)
    assert found == kind
    if kind == "number":
        missing = {"", "nan", "-inf", "NA"}
        assert [b if b == b else "" for b in back] == [
            "" if v in missing else float(v) for v in values
        ]
    else:
        assert back == values


def test_labels_are_a_category_and_paths_are_text() -> None:
    assert make_column("label", ["1", "2", "3"]).kind == "category"
    assert make_column("path", ["1", "1", "1"]).kind == "text"
    names = ["b10", "B2", "b2", "a", "", "b002", "9" * 5000]
    assert sorted(names, key=natural_order) == ["", "9" * 5000, "a", "B2", "b002", "b2", "b10"]


def test_the_files_hold_what_the_stages_gave(exported: tbgrid.ExportResult) -> None:
    files, images, grid = Files(exported.export), exported.images, exported.grid
    told = files.manifest
    assert told["format"] == run_format.FORMAT
    assert (told["title"], told["photos"], told["skipped"]) == (told["title"], 60, 0)
    assert told["grid"] == [grid.rows, grid.columns]
    assert told["report"] == [
        list(line) for line in (*exported.card.summary_rows(), *exported.groups.summary_rows())
    ]
    assert dict(told["summary"])["model"] == told["model"] == "builtin"
    assert told["notes"] == list(exported.notes)
    assert told["columns"][told["key"]] == {"name": "path", "kind": "text"}
    places = files.numbers(run_format.PLACES, "<f4", 60, 2)
    np.testing.assert_allclose(places[:, ::-1], grid.places, rtol=1e-6)
    assert files.numbers(run_format.CELLS, "<u4").tolist() == grid.cells.tolist()
    k = told["neighbours"]
    assert k == run_format.N_NEIGHBORS
    rows = files.numbers(run_format.NEIGHBORS, "<u4", 60, k)
    apart = normalize_for(images.vectors, "cosine")[rows[:, 0]] - normalize_for(
        images.vectors, "cosine"
    )
    nearest_first = files.numbers(run_format.DISTANCES, "<f4", 60, k)[:, 0]
    np.testing.assert_allclose(nearest_first, (apart**2).sum(axis=1) / 2, rtol=1e-3, atol=1e-6)
    assert files.numbers(run_format.HARMONY, "<f4", 60).mean() > 0.3
    assert files.column("path") == [photo.name for photo in images.photos]
    assert files.column("label") == images.labels
    assert files.column("width") == images.sizes[:, 0].tolist() == [96] * 60


@pytest.mark.parametrize(("fit", "longest", "side"), [("crop", 256, 72), ("pad", 80, 80)])
def test_previews_are_the_photos(fit: Fit, longest: int, side: int, tmp_path: Path) -> None:
    folder = draw_photos(tmp_path / "in", each=2)
    Image.new("RGB", (1, 9), (9, 99, 199)).save(folder / "thin.png")
    (folder / "damaged.jpg").write_bytes(b"-")
    options = ExportOptions(fit=fit, preview=longest, use_cache=False)
    done = export(folder, tmp_path / "run", options, embedder=MODEL)
    files = Files(done.export)
    assert files.manifest["preview"] == longest
    for row, photo in enumerate(done.images.photos):
        assert photo.path is not None
        shown = files.preview(row)
        assert shown.format == "JPEG"
        own = side if photo.name != "thin.png" else (1 if fit == "crop" else 9)
        assert shown.size == (own, own)
        plain = decode(photo.path, [(own, own)], fit).views[0].astype(int)
        assert np.abs(np.asarray(shown) - plain).mean() < (6 if own > 9 else 12)


def test_a_large_photo_keeps_its_detail_and_changes_nothing_else(tmp_path: Path) -> None:
    """JPEGs are decoded at a scale of their own; what the model sees must not depend on it."""
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    path = tmp_path / "large.jpg"
    Image.fromarray(pixels).resize((2000, 1500), Image.Resampling.NEAREST).save(path, quality=95)
    plain, some, much = (decode(path, [(64, 64), (48, 32)], "crop", side) for side in (0, 256, 900))
    assert plain.preview == b""
    for view, one, other in zip(plain.views, some.views, much.views, strict=True):
        assert np.array_equal(view, one)
        assert np.array_equal(view, other)
    shown = Image.open(io.BytesIO(much.preview))
    assert shown.size == (900, 900)
    with Image.open(path) as whole:
        exact = whole.crop((250, 0, 1750, 1500)).resize((900, 900), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(shown, int) - np.asarray(exact, int)).mean() < 12
    assert preview_side((2000, 1500), "crop", 4000) == 1500
    assert preview_side((2000, 1500), "pad", 4000) == 2000


def test_a_photo_that_is_left_out_late_leaves_no_gap(tmp_path: Path) -> None:
    """Its vector is not finite, which shows after its preview is made."""

    class Spoilt(MeanColour):
        def __call__(self, images: Float32Array) -> Float32Array:
            vectors = super().__call__(images)
            vectors[images.mean(axis=(1, 2)).argmax(axis=1) == 1] = np.nan  # the green ones
            return vectors

    folder = draw_photos(tmp_path / "in", each=3)
    spool = tmp_path / "previews"
    source = find_photos(folder)
    images = embed(source, Spoilt(), preview=64, preview_file=spool, batch=4)
    assert [photo.label for photo in images.photos] == ["blue"] * 3 + ["red"] * 3
    data = spool.read_bytes()
    assert images.previews[0] == 0
    assert images.previews[-1] == len(data)
    for row, photo in enumerate(images.photos):
        assert photo.path is not None
        part = data[images.previews[row] : images.previews[row + 1]]
        assert part == decode(photo.path, [(32, 32)], "crop", 64).preview


def test_without_pictures_there_are_colours_and_no_previews(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    options = ExportOptions(source=tbgrid.SourceOptions(vectors=str(tmp_path / "vectors.npy")))
    done = export(None, tmp_path / "run", options)
    files = Files(done.export)
    assert files.manifest["pictured"] is False
    assert files.manifest["preview"] == 0
    assert not list(files.folder.glob("previews*"))
    assert (files.folder / run_format.TILES / "0" / "0_0.jpg").is_file()
    assert files.manifest["metric"] == "euclidean"
    rows = files.numbers(run_format.NEIGHBORS, "<u4", 30, 12)
    apart = np.linalg.norm(vectors[rows] - vectors[:, None], axis=2)
    np.testing.assert_allclose(files.numbers(run_format.DISTANCES, "<f4", 30, 12), apart, rtol=1e-5)


def digest(export: Path) -> dict[str, str]:
    return {
        path.relative_to(export).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (export / run_format.FOLDER).rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_with_and_without_the_cache_the_files_are_the_same(tmp_path: Path) -> None:
    folder = draw_photos(tmp_path / "in", each=4)
    made = {}
    for name, options in {
        "none": {"use_cache": False},
        "new": {"cache": tmp_path / "cache"},
        "full": {"cache": tmp_path / "cache"},
        "batch": {"use_cache": False, "batch": 5},
    }.items():
        chosen = ExportOptions(tile=16, grid=GridOptions(shape=(4, 4)), **options)  # type: ignore[arg-type]
        made[name] = export(folder, tmp_path / name, chosen, embedder=PixelEmbedder(16))
    first, *others = [digest(done.export) for done in made.values()]
    assert len(first) > 20
    for other in others:
        assert other == first


@pytest.mark.parametrize("side", [-1, 1, 31, 2049])
def test_a_preview_of_no_use_is_refused(side: int, photos: Path) -> None:
    with pytest.raises(UsageError, match="from 32 to 2048, or 0"):
        ExportOptions(preview=side)
    if side < 0:
        with pytest.raises(UsageError, match="preview"):
            embed(find_photos(photos), MODEL, preview=side)
