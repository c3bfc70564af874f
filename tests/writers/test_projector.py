"""What TensorBoard's own Projector backend reads from an export, and the rules of its files."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import tbgrid
from tbgrid import run_format
from tbgrid.check.run import check
from tbgrid.types import Float64Array, UInt8Array
from tbgrid.writers import projector
from tbgrid.writers.mosaic import png
from tests.support.embedders import MeanColour
from tests.support.photos import draw_photos
from tests.support.projector_backend import STATE_KEYS, Backend

pytestmark = pytest.mark.filterwarnings("ignore:html5lib's sanitizer:DeprecationWarning")


def names_of(exported: tbgrid.ExportResult) -> tuple[str, str]:
    """The names of an export's tensors, the embedding and the grid."""
    embedding, grid = projector.tensors(exported.images.vectors, exported.grid)
    return embedding, grid


def axes_stretched(points: Any) -> Float64Array:
    """Points with each axis stretched to [-1, 1], as the Projector shows them."""
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    return np.asarray((points - (low + high) / 2) / ((high - low) / 2))


def thumbnails_in(sheet: UInt8Array, side: int, count: int) -> UInt8Array:
    """The first `count` pictures of a sprite, as the Projector's shader finds them."""
    across = sheet.shape[1] // side
    corners = [(row // across * side, row % across * side) for row in range(count)]
    return np.stack([sheet[top : top + side, left : left + side] for top, left in corners])


def cells_of(grid: tbgrid.Grid) -> Float64Array:
    """(x, y up) of each photo's cell."""
    return np.column_stack([grid.cells % grid.columns, -(grid.cells // grid.columns)]).astype(float)


@pytest.fixture(scope="module")
def backend(exported: tbgrid.ExportResult) -> Backend:
    return Backend(exported.directory.parent)


def test_the_run_has_both_tensors_and_no_other(
    backend: Backend, exported: tbgrid.ExportResult
) -> None:
    count, dimensions = exported.images.vectors.shape
    assert backend.json("runs") == ["colours"]
    embedding, grid = names_of(exported)
    found = backend.tensors("colours")
    assert {name: entry["tensorShape"] for name, entry in found.items()} == {
        embedding: [count, dimensions],
        grid: [count, 3],
    }


def test_the_names_of_tensors_are_of_their_values(exported: tbgrid.ExportResult) -> None:
    embedding, grid = names_of(exported)
    assert re.fullmatch("embedding-[0-9a-f]{6}", embedding)
    assert re.fullmatch("grid-[0-9a-f]{6}", grid)
    assert names_of(exported) == (embedding, grid)
    changed = exported.images.vectors.copy()
    changed[-1, -1] += 1
    other, same = projector.tensors(changed, exported.grid)
    assert other != embedding
    assert same == grid
    turned = dataclasses.replace(exported.grid, cells=exported.grid.cells[::-1])
    same, other = projector.tensors(exported.images.vectors, turned)
    assert same == embedding
    assert other != grid


def test_the_config_leaves_the_checkpoint_to_tensorboard(exported: tbgrid.ExportResult) -> None:
    text = (exported.directory / "projector_config.pbtxt").read_text("utf-8")
    assert text_format.Parse(text, ProjectorConfig()).model_checkpoint_path == ""


def test_the_embedding_is_what_the_model_gave(
    backend: Backend, exported: tbgrid.ExportResult
) -> None:
    served = backend.bytes("tensor", run="colours", name=names_of(exported)[0])
    assert served == exported.images.vectors.astype(np.float32).tobytes()


def test_the_grid_tensor_is_the_cells_about_their_mean(
    backend: Backend, exported: tbgrid.ExportResult
) -> None:
    served = backend.tensor("colours", names_of(exported)[1])
    cells = cells_of(exported.grid)
    np.testing.assert_allclose(served[:, :2], cells - cells.mean(axis=0), atol=1e-4)
    assert not served[:, 2].any()


@pytest.mark.parametrize("tensor", [0, 1])
def test_metadata_rows_are_the_photos_in_order(
    backend: Backend, exported: tbgrid.ExportResult, tensor: int
) -> None:
    name = names_of(exported)[tensor]
    lines = backend.bytes("metadata", run="colours", name=name).decode().splitlines()
    expected = [
        [photo.label, photo.name, str(width), str(height)]
        for photo, (width, height) in zip(
            exported.images.photos, exported.images.sizes, strict=True
        )
    ]
    assert lines[0].split("\t") == [
        *("label", "path", "width", "height"),
        *exported.groups.columns(),
    ]
    assert [line.split("\t")[:4] for line in lines[1:]] == expected


@pytest.mark.parametrize("tensor", [0, 1])
def test_each_thumbnail_is_at_its_row_of_the_sprite(
    backend: Backend, exported: tbgrid.ExportResult, tensor: int
) -> None:
    name = names_of(exported)[tensor]
    thumbnails = exported.images.thumbnails
    side = thumbnails.shape[1]
    sheet = backend.sprite("colours", name)
    assert backend.tensors("colours")[name]["sprite"]["singleImageDim"] == [side, side]
    assert sheet.shape == (8 * side, 8 * side, 3)
    np.testing.assert_array_equal(thumbnails_in(sheet, side, len(thumbnails)), thumbnails)


@pytest.fixture(scope="module")
def states(backend: Backend, exported: tbgrid.ExportResult) -> list[dict[str, Any]]:
    """The bookmarks of the export, of which there is a list for the embedding alone."""
    embedding, grid = names_of(exported)
    # A bookmark of the wrong dimensions would break the panel.
    assert "bookmarksPath" not in backend.tensors("colours")[grid]
    found: list[dict[str, Any]] = backend.json("bookmarks", run="colours", name=embedding)
    return found


def places_in(state: Mapping[str, Any]) -> Float64Array:
    """(x, y up) of each point of a bookmark."""
    x, y = {"custom": ("linear-x", "linear-y"), "umap": ("umap-0", "umap-1")}[
        state["selectedProjection"]
    ]
    return np.array([(point[x], point[y]) for point in state["projections"]])


def test_bookmarks_are_the_layout_and_the_grid_by_label_and_as_photos(
    states: list[dict[str, Any]], exported: tbgrid.ExportResult
) -> None:
    layout = f"t-SNE, perplexity {exported.layout.perplexity:.3g}"
    assert [(state["label"], state["selectedColorOptionName"]) for state in states] == [
        (f"{layout}, by label", "label"),
        ("grid 8 x 8, by label", "label"),
        (f"{layout}, photos", "No color map"),
        ("grid 8 x 8, photos", "No color map"),
    ]
    places = [exported.layout.positions, cells_of(exported.grid)] * 2
    for state, expected in zip(states, places, strict=True):
        np.testing.assert_allclose(
            axes_stretched(places_in(state)), axes_stretched(expected), atol=1e-4
        )


def test_bookmarks_keep_the_shape_of_the_layout(
    states: list[dict[str, Any]], exported: tbgrid.ExportResult
) -> None:
    scale = np.ptp(places_in(states[0]), axis=0) / np.ptp(exported.layout.positions, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-3)


FORMS = {
    "custom": {"linear-x", "linear-y", "pca-0", "pca-1", "pca-2"},
    "umap": {"umap-0", "umap-1", "umap-2", "pca-0", "pca-1", "pca-2"},
}


def assert_complete(state: Mapping[str, Any], form: str, shape: Sequence[int]) -> None:
    """The state has every key, and one finite place for each of `shape[0]` photos."""
    assert set(state) >= STATE_KEYS
    # "tsne" would start t-SNE in the browser; shuffledDataIndices would reorder the points.
    assert "shuffledDataIndices" not in state
    assert state["selectedProjection"] == form
    assert state["umapIs3d"] == (form == "umap")
    assert state["dataSetDimensions"] == list(shape)
    assert [set(point) for point in state["projections"]] == [FORMS[form]] * shape[0]
    values = [value for point in state["projections"] for value in point.values()]
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= 1


@pytest.mark.parametrize("number", range(4))
def test_bookmarks_have_every_key_and_one_finite_place_a_photo(
    states: list[dict[str, Any]], exported: tbgrid.ExportResult, number: int
) -> None:
    assert_complete(states[number], "custom", exported.images.vectors.shape)
    assert states[number]["selectedLabelOption"] == "label"


@pytest.mark.parametrize("shape", [(1, 1), (12, 12), (13, 13), (9, 14), (64, 5), (100, 2)])
def test_the_grid_stands_upright_where_its_photos_fit(shape: tuple[int, int]) -> None:
    count = shape[0] * shape[1]
    positions = np.random.default_rng(0).normal(size=(count, 2))
    grid = tbgrid.snap(positions, tbgrid.GridOptions(shape=shape))
    names = {"path": [f"{number}.jpg" for number in range(count)]}
    vectors = positions.astype(np.float32)
    layout, cells = projector.bookmarks(vectors, positions, grid, names, "t-SNE", 5.0)
    assert_complete(layout, "custom", (count, 2))
    assert_complete(cells, "umap" if max(shape) >= 13 else "custom", (count, 2))
    # One scale for both axes, and the same plane for both forms.
    spans, shown = np.ptp(cells_of(grid), axis=0), places_in(cells)
    np.testing.assert_allclose(np.ptp(shown, axis=0), spans / max(1, *spans) * 2, atol=1e-4)
    np.testing.assert_allclose(shown.max(axis=0), -shown.min(axis=0), atol=1e-4)
    assert {point.get("umap-2", 0) for point in cells["projections"]} == {0}


@pytest.mark.parametrize(
    ("labels", "looks"),
    [
        (None, [""]),
        (["a"] * 60, [""]),
        (["a", "b"] * 30, [", by label", ", photos"]),
        ([str(number % 50) for number in range(60)], [", by label", ", photos"]),
        ([str(number % 51) for number in range(60)], [""]),
        (["", "-"] * 30, [""]),  # shown alike
    ],
    ids=["none", "one", "two", "50", "51", "alike"],
)
def test_there_are_bookmarks_by_label_where_the_projector_can_tell_labels_apart(
    labels: list[str] | None, looks: list[str]
) -> None:
    positions = np.random.default_rng(0).normal(size=(60, 2))
    columns = {"label": labels} if labels else {}
    states = projector.bookmarks(
        positions.astype(np.float32),
        positions,
        tbgrid.snap(positions),
        {**columns, "path": [f"{number}.jpg" for number in range(60)]},
        "t-SNE, perplexity 25",
        30.0,
    )
    names = ["t-SNE, perplexity 25", "grid 8 x 8"]
    assert [state["label"] for state in states] == [name + look for look in looks for name in names]
    colours = {"": "No color map", ", photos": "No color map", ", by label": "label"}
    assert [state["selectedColorOptionName"] for state in states] == [
        colours[look] for look in looks for _ in names
    ]
    assert {state["selectedLabelOption"] for state in states} == {"label" if labels else "path"}


def test_bookmarks_of_photos_that_are_all_the_same_are_finite() -> None:
    vectors = np.ones((4, 5), np.float32)
    grid = tbgrid.snap(np.zeros((4, 2)))
    states = projector.bookmarks(vectors, np.zeros((4, 2)), grid, {"path": list("abcd")}, "PCA")
    assert "NaN" not in projector.bookmarks_json(states)
    values = [value for s in states for point in s["projections"] for value in point.values()]
    assert np.isfinite(values).all()


# Metadata

CELLS = st.one_of(
    st.text(st.characters(exclude_categories=())),  # lone surrogates too
    st.text(st.sampled_from("\t\n\r\v\f\x00\x1c\x85\u2028\u2029\xa0\ufeff\ud800 a😀é")),
    st.integers(),
    st.none(),
)


@st.composite
def tables(draw: st.DrawFn) -> Mapping[str, Sequence[object]]:
    count = draw(st.integers(1, 6))
    names = draw(st.sampled_from([("label", "path"), ("path", "width", "height")]))
    return {name: draw(st.lists(CELLS, min_size=count, max_size=count)) for name in names}


def as_the_projector_reads(text: str) -> list[list[str]]:
    """Rows of cells by the rules of vz_projector/data-provider.ts: lines end in a line feed, blank
    ones are dropped, cells are what lies between tabs, without quoting."""
    lines = text.encode("utf-8").decode("utf-8").split("\n")
    return [line.split("\t") for line in lines if not is_blank(line)]


def is_blank(text: str) -> bool:
    """Whether JavaScript's trim() leaves nothing: it removes U+FEFF, Python's strip() does not."""
    return not text.replace("\ufeff", "").strip()


@given(tables())
def test_metadata_is_a_row_a_photo_whatever_the_texts(
    columns: Mapping[str, Sequence[object]],
) -> None:
    text = projector.metadata_tsv(columns)
    header, *rows = as_the_projector_reads(text)
    assert header == list(columns)
    assert len(rows) == len(next(iter(columns.values())))
    assert {len(row) for row in rows} == {len(columns)}
    assert not [cell for row in rows for cell in row if is_blank(cell)]
    # Python's own idea of lines is stricter: no other reader sees more of them either.
    assert len(text.splitlines()) == len(rows) + 1
    assert text.endswith("\n")


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1), min_size=1))
def test_metadata_keeps_ordinary_text_as_it_is(texts: list[str]) -> None:
    rows = as_the_projector_reads(projector.metadata_tsv({"label": texts, "path": texts}))
    assert rows[1:] == [[text, text] for text in texts]


def test_metadata_of_one_column_would_have_no_header() -> None:
    with pytest.raises(ValueError, match="two columns"):
        projector.metadata_tsv({"label": ["a", "b"]})


def test_metadata_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        projector.metadata_tsv({"label": ["a", "b"], "path": ["c"]})


# Sprite


def numbered(count: int, side: int) -> UInt8Array:
    """Thumbnails that differ from each other and from blank padding."""
    rng = np.random.default_rng(count)
    return rng.integers(1, 256, (count, side, side, 3), np.uint8)


@pytest.mark.parametrize(("count", "across"), [(1, 2), (3, 2), (4, 2), (5, 3), (9, 3), (10, 4)])
def test_a_sprite_is_square_and_padded_with_blanks(count: int, across: int) -> None:
    thumbnails = numbered(count, 6)
    sheet = projector.sprite(thumbnails)
    assert sheet.shape == (across * 6, across * 6, 3)
    np.testing.assert_array_equal(thumbnails_in(sheet, 6, count), thumbnails)
    assert not thumbnails_in(sheet, 6, across * across)[count:].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (70, 300)])
def test_a_png_is_lossless(size: tuple[int, int]) -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with Image.open(io.BytesIO(png(canvas))) as whole:
        whole.verify()  # its checksums
    with Image.open(io.BytesIO(png(canvas))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(picture), canvas)


def test_thumbnails_shrink_to_keep_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "MAX_SPRITE_SIDE", 40)
    thumbnails = np.repeat(np.arange(10, 255, 24, dtype=np.uint8), 16 * 16 * 3).reshape(
        -1, 16, 16, 3
    )
    sheet = projector.sprite(thumbnails[:10])
    side = projector.sprite_side(10, 16)
    assert (side, sheet.shape) == (10, (40, 40, 3))
    small = thumbnails_in(sheet, side, 10)
    np.testing.assert_array_equal(small[:, 0, 0], thumbnails[:10, 0, 0])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 10, 1024, 16_384, 16_385, 20_000, 100_000])
@pytest.mark.parametrize("thumbnail", [8, 64, 512])
def test_no_sprite_passes_8192_pixels(count: int, thumbnail: int) -> None:
    across = max(2, math.ceil(math.sqrt(count)))
    side = projector.sprite_side(count, thumbnail)
    assert across * side <= 8192
    assert side == thumbnail or across * (side + 1) > 8192


@pytest.mark.parametrize("count", [16_384, 16_385, 100_000])
def test_sprites_of_very_many_photos_are_square(count: int) -> None:
    across = math.ceil(math.sqrt(count))
    assert projector.sprite(np.ones((count, 1, 1, 3), np.uint8)).shape[:2] == (across, across)


# Checkpoint


def test_a_checkpoint_of_one_dimension_has_two_columns(tmp_path: Path) -> None:
    import tensorflow as tf

    vectors = np.array([[3.0], [1.0], [2.0]], np.float32)
    grid = tbgrid.snap(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
    values = projector.tensors(vectors, grid)
    projector.write_checkpoint(tmp_path / "embedding.ckpt", values)
    reader = tf.train.load_checkpoint(str(tmp_path / "embedding.ckpt"))
    embedding, places = values
    assert reader.get_variable_to_shape_map() == {embedding: [3, 2], places: [3, 3]}
    np.testing.assert_array_equal(reader.get_tensor(embedding)[:, :1], vectors)
    assert not reader.get_tensor(embedding)[:, 1].any()


# More photos than the Projector can bear


def test_a_sample_is_shown_of_very_many_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_format, "MAX_POINTS", 8)
    photos = draw_photos(tmp_path / "photos", each=4)  # of three labels
    found = small_export(photos, tmp_path / "logs")
    assert len(found.images.photos) == 12
    assert check(found.directory) == []
    note = "the Projector shows a sample of 8 of the 12 photos, stratified by label"
    assert [told for told in found.notes if told.startswith(note)]

    backend = Backend(tmp_path / "logs")
    shown = backend.tensors("again")
    embedding, grid = sorted(shown)
    assert re.fullmatch("embedding-sample-of-12-[0-9a-f]{6}", embedding)
    assert re.fullmatch("grid-sample-of-12-[0-9a-f]{6}", grid)
    vectors = backend.tensor("again", embedding)
    lines = backend.bytes("metadata", run="again", name=embedding).decode().splitlines()[1:]
    labels, names, *_ = zip(*(line.split("\t") for line in lines), strict=True)
    assert sorted(Counter(labels).values()) == [2, 3, 3]
    rows = [[photo.name for photo in found.images.photos].index(name) for name in names]
    assert rows == sorted(rows)
    np.testing.assert_array_equal(vectors, found.images.vectors[rows])
    sheet = backend.sprite("again", embedding)
    np.testing.assert_array_equal(thumbnails_in(sheet, 64, 8), found.images.thumbnails[rows])
    cells = cells_of(found.grid)[rows]
    np.testing.assert_allclose(
        backend.tensor("again", grid)[:, :2], cells - cells.mean(axis=0), atol=1e-5
    )
    for state in backend.json("bookmarks", run="again", name=embedding):
        assert len(state["projections"]) == 8
    assert len((found.export / "map" / "cells.u32").read_bytes()) == 4 * 12  # the Grid tab has all


def test_a_large_tensor_is_saved_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    monkeypatch.setattr(projector, "SLICE", 10 * 7 * 4)
    values = np.random.default_rng(0).normal(size=(33, 7)).astype(np.float32)
    projector.write_checkpoint(tmp_path / "x.ckpt", {"embedding": values, "grid": values[:, :3]})
    assert not list(tmp_path.glob("*part*"))
    reader = tf.train.load_checkpoint(str(tmp_path / "x.ckpt"))
    assert reader.get_variable_to_shape_map() == {"embedding": [33, 7], "grid": [33, 3]}
    np.testing.assert_array_equal(reader.get_tensor("embedding"), values)
    np.testing.assert_array_equal(reader.get_tensor("grid"), values[:, :3])


# Exports into a directory that is there already


def small_export(photos: Path, logdir: Path) -> tbgrid.ExportResult:
    return tbgrid.export(photos, logdir, run_name="again", embedder=MeanColour())


def test_a_new_export_is_seen_by_the_same_backend(tmp_path: Path) -> None:
    first = small_export(draw_photos(tmp_path / "few", each=2), tmp_path / "logs")
    backend = Backend(tmp_path / "logs")
    before = backend.json("info", run="again")
    assert backend.tensors("again")[names_of(first)[0]]["tensorShape"] == [6, 48]

    second = small_export(draw_photos(tmp_path / "more", each=3, seed=1), tmp_path / "logs")
    after = backend.json("info", run="again")
    assert after["modelCheckpointPath"] != before["modelCheckpointPath"]
    assert set(backend.tensors("again")) == set(names_of(second))
    embedding, _ = names_of(second)
    assert backend.tensors("again")[embedding]["tensorShape"] == [9, 48]
    np.testing.assert_array_equal(backend.tensor("again", embedding), second.images.vectors)
    metadata = backend.bytes("metadata", run="again", name=embedding).decode()
    assert len(metadata.splitlines()) == 10
    sheet = backend.sprite("again", embedding)
    np.testing.assert_array_equal(thumbnails_in(sheet, 64, 9), second.images.thumbnails)
    bookmarks = backend.json("bookmarks", run="again", name=embedding)
    assert [len(state["projections"]) for state in bookmarks] == [9] * 4

    assert not first.export.exists()
    assert [path for path in second.export.parent.iterdir() if path.is_dir()] == [second.export]
    assert len(list(second.directory.glob("events.out.tfevents.*"))) == 1


def test_a_new_export_s_vectors_replace_those_that_were_shown(tmp_path: Path) -> None:
    # TensorBoard keeps the last tensor by run and name (projector_plugin.py, tensor_cache).
    def shown() -> np.ndarray:
        (name,) = (n for n, entry in served.tensors("again").items() if "bookmarksPath" in entry)
        return served.tensor("again", name)

    first = small_export(draw_photos(tmp_path / "one", each=2), tmp_path / "logs")
    served = Backend(tmp_path / "logs")
    assert np.array_equal(shown(), first.images.vectors)
    second = small_export(draw_photos(tmp_path / "two", each=2, seed=1), tmp_path / "logs")
    assert np.array_equal(shown(), second.images.vectors)


FOREIGN = {
    "config": ("projector_config.pbtxt", b'embeddings { tensor_name: "w" metadata_path: "m" }'),
    "config without paths": ("projector_config.pbtxt", b'embeddings { tensor_name: "w" }'),
    "config in single quotes": ("projector_config.pbtxt", b"embeddings { metadata_path: 'm' }"),
    "empty config": ("projector_config.pbtxt", b""),
    "config that is not UTF-8": ("projector_config.pbtxt", b"\xff\xfe"),
    "checkpoint": ("checkpoint", b'model_checkpoint_path: "model.ckpt-5"\n'),
    "checkpoint elsewhere": ("checkpoint", b'model_checkpoint_path: "/plugins/tbgrid/x"\n'),
    "config of the plugin's assets": (
        "plugins/org_tensorflow_tensorboard_projector/projector_config.pbtxt",
        b'embeddings { metadata_path: "plugins/tbgrid/m" }',
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_another_tool_s_directory_is_refused_and_left_as_it_is(
    case: str, photos: Path, tmp_path: Path
) -> None:
    name, content = FOREIGN[case]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    (tmp_path / "events.out.tfevents.1.other").write_bytes(b"theirs")

    def everything() -> dict[Path, bytes | None]:
        return {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")}

    before = everything()
    with pytest.raises(tbgrid.TbgridError, match=r"another tool's .*: give another logdir"):
        tbgrid.export(photos, tmp_path, embedder=MeanColour())
    assert everything() == before
