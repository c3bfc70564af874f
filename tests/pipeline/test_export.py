"""The whole job, as a library does it: what stands in the run, and what happens when it breaks."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import plugin_data_pb2 as hparams_pb2
from threadpoolctl import threadpool_info

import tbgrid
from tbgrid import ExportOptions, GridOptions, TbgridError, TsneOptions, export, run_format
from tbgrid.writers import projector
from tbgrid.writers.mosaic import scatter_photos
from tests.support.embedders import MeanColour
from tests.support.event_files import events
from tests.support.photos import COLOURS, draw_photos
from tests.support.values import present

COLOUR_MODEL = MeanColour()


def picture(value: summary_pb2.Summary.Value) -> Image.Image:
    width, height, encoded = value.tensor.string_val
    shown = Image.open(io.BytesIO(encoded))
    assert shown.size == (int(width), int(height))
    return shown


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_the_run_holds_what_the_stages_gave(exported: tbgrid.ExportResult) -> None:
    names = {path.name for path in exported.export.iterdir()}
    assert names >= {"metadata.tsv", "sprite.png", "bookmarks.json", "mosaic.jpg", "skipped.tsv"}
    report = json.loads((exported.export / "report.json").read_text())
    assert report["photos"]["shown"] == len(exported.images.photos) == 60
    assert report["grid"]["cost"] == exported.grid.cost
    assert report["versions"]["tensorflow"]
    assert (exported.directory / "plugins/tbgrid/current").read_text().strip() == (
        exported.export.name
    )
    told = b"".join(files(exported.directory).values())
    assert str(present(exported.images.photos[0].path).parents[2]).encode() not in told


def test_look_alikes_lie_side_by_side(exported: tbgrid.ExportResult) -> None:
    """At least two thirds of the neighbours on the grid share a label; by chance a third."""
    grid, labels = exported.grid, exported.images.labels
    assert labels is not None
    board = np.full((grid.rows + 2, grid.columns + 2), "", object)
    board[grid.cells // grid.columns + 1, grid.cells % grid.columns + 1] = labels
    pairs = [
        (board[r, c], board[r + dr, c + dc])
        for r in range(1, grid.rows + 1)
        for c in range(1, grid.columns + 1)
        for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1))
    ]
    same = [one == other for one, other in pairs if one and other]
    assert np.mean(same) > 2 / 3


def test_the_mosaic_shows_each_photo_in_its_cell(exported: tbgrid.ExportResult) -> None:
    board = np.asarray(Image.open(exported.mosaic)).astype(int)
    grid, thumbnails = exported.grid, exported.images.thumbnails
    assert board.shape == (grid.rows * 64, grid.columns * 64, 3)
    for row, cell in enumerate(grid.cells):
        r, c = divmod(int(cell), grid.columns)
        shown = board[r * 64 : r * 64 + 64, c * 64 : c * 64 + 64]
        assert np.abs(shown - thumbnails[row]).mean() < 4
    empty = sorted(set(range(grid.rows * grid.columns)) - set(grid.cells.tolist()))
    assert len(empty) == grid.rows * grid.columns - 60
    for cell in empty:
        r, c = divmod(cell, grid.columns)
        assert board[r * 64 + 8 : r * 64 + 56, c * 64 + 8 : c * 64 + 56].min() > 245


def test_the_images_tab_gets_mosaic_places_snap_and_scatter(
    exported: tbgrid.ExportResult,
) -> None:
    found = events(exported.directory)
    assert set(found) >= {f"tbgrid/{tag}" for tag in ("mosaic", "tsne", "snap", "scatter")}
    steps = [step for step, _ in found["tbgrid/snap"]]
    assert steps == list(range(8))
    mosaic = np.asarray(picture(found["tbgrid/mosaic"][0][1])).astype(int)
    first, last = (
        np.asarray(picture(found["tbgrid/snap"][step][1])).astype(int) for step in (0, -1)
    )
    assert np.array_equal(last, mosaic)
    assert np.abs(first - mosaic).mean() > 10
    legend = np.asarray(picture(found["tbgrid/scatter"][0][1]).convert("RGB")).astype(int)
    for colour in ((0, 0x72, 0xB2), (0xE6, 0x9F, 0), (0, 0x9E, 0x73)):
        assert (np.abs(legend - colour).sum(axis=2) < 120).sum() > 500


def test_photos_stand_at_their_places_before_the_snap(exported: tbgrid.ExportResult) -> None:
    """At step 0 the photo drawn last is whole, at the place that t-SNE gave it."""
    frame = np.asarray(picture(events(exported.directory)["tbgrid/snap"][0][1])).astype(int)
    place = np.rint(exported.grid.places[-1] * 64).astype(int)
    shown = frame[place[0] : place[0] + 64, place[1] : place[1] + 64]
    assert np.abs(shown - exported.images.thumbnails[-1]).mean() < 4


def test_the_report_card_stands_in_scalars_hparams_and_report(
    exported: tbgrid.ExportResult,
) -> None:
    found = events(exported.directory)
    report = json.loads((exported.export / "report.json").read_text())
    for name, value in exported.card.scalars().items():
        ((_, scalar),) = found[f"tbgrid/{name}"]
        assert scalar.metadata.plugin_data.plugin_name == "scalars"
        assert scalar.tensor.float_val[0] == pytest.approx(value)
        assert report["report card"][name] == value
    assert exported.card.agreement is not None
    assert exported.card.agreement > 2 / 3
    ((_, hparams),) = found["_hparams_/session_start_info"]
    told = hparams_pb2.HParamsPluginData.FromString(hparams.metadata.plugin_data.content)
    assert told.session_start_info.hparams["model"].string_value == "builtin"
    assert told.session_start_info.hparams["perplexity"].number_value == pytest.approx(59 / 3)
    text = found["tbgrid/report"][0][1].tensor.string_val[0].decode()
    assert "DPQ_16".replace("_", "&#95;") in text


def test_a_notebook_shows_the_mosaic_and_the_card(exported: tbgrid.ExportResult) -> None:
    shown = exported._repr_html_()
    encoded = re.search(r"base64,([^']+)'", shown)
    assert encoded
    picture = Image.open(io.BytesIO(base64.b64decode(encoded.group(1))))
    assert picture.width == min(1024, exported.grid.columns * 64)
    assert "DPQ_16" in shown
    assert "random order" in shown


def test_the_text_tab_tells_model_versions_and_reasons(tmp_path: Path) -> None:
    folder = draw_photos(tmp_path / "in", each=2)
    (folder / "a|b <i>.txt").write_text("no picture")
    done = export(folder, tmp_path / "run", embedder=COLOUR_MODEL)
    text = events(done.directory)["tbgrid/report"][0][1].tensor.string_val[0].decode()
    for word in ("mean-colour", "tensorflow", "perplexity", "1 skipped", "not a picture"):
        assert word in text
    assert "a&#124;b &lt;i&gt;.txt" in text
    assert done.skipped_tsv.read_text().splitlines() == [
        "path\treason",
        "a|b <i>.txt\tnot a picture that Pillow can open",
    ]


@pytest.mark.parametrize(("count", "longest"), [(3, 500), (1000, 2048)])
def test_photos_are_not_lost_on_the_canvas_of_places(count: int, longest: int) -> None:
    thumbnails = np.zeros((count, 64, 64, 3), np.uint8)
    canvas = scatter_photos(thumbnails, np.random.default_rng(0).normal(size=(count, 2)))
    assert max(canvas.shape) <= longest
    assert (canvas == 0).mean() > 0.02


@pytest.mark.parametrize("count", [3, 4, 7])
def test_a_few_photos_make_a_map(tmp_path: Path, count: int) -> None:
    for number in range(count):
        Image.new("RGB", (40, 30), (number * 30, 90, 120)).save(tmp_path / f"{number}.png")
    done = export(tmp_path, tmp_path / "run", embedder=COLOUR_MODEL)
    assert len(np.unique(done.grid.cells)) == count
    assert done.images.labels is None
    header = (done.export / "metadata.tsv").read_text().splitlines()[0]
    assert header.split("\t") == ["path", "width", "height"]


def test_equal_photos_make_a_map_too(tmp_path: Path) -> None:
    for number in range(5):
        Image.new("RGB", (40, 30), (10, 90, 120)).save(tmp_path / f"{number}.png")
    done = export(tmp_path, tmp_path / "run", embedder=COLOUR_MODEL)
    assert len(np.unique(done.grid.cells)) == 5


def test_equal_options_give_equal_maps(photos: Path, tmp_path: Path) -> None:
    options = ExportOptions(tsne=TsneOptions(8, 3), grid=GridOptions(aspect=2.0))
    one, other = (export(photos, tmp_path / name, options, embedder=COLOUR_MODEL) for name in "ab")
    assert np.array_equal(one.layout.positions, other.layout.positions)
    assert np.array_equal(one.grid.cells, other.grid.cells)
    for name in ("metadata.tsv", "sprite.png", "bookmarks.json", "mosaic.jpg"):
        assert (one.export / name).read_bytes() == (other.export / name).read_bytes()
    assert one.grid.columns > one.grid.rows


def test_a_new_export_replaces_the_old_one_whole(photos: Path, tmp_path: Path) -> None:
    first = export(photos, tmp_path, embedder=COLOUR_MODEL)
    second = export(photos, tmp_path, ExportOptions(tile=32), embedder=COLOUR_MODEL)
    assert not first.export.exists()
    left = {name.split("/")[0] for name in files(tmp_path)}
    assert len([name for name in left if name.startswith("events")]) == 1
    assert {path.name for path in (tmp_path / run_format.HOME).iterdir()} == {
        second.export.name,
        "current",
        ".lock",
    }


STEPS = ["rename the directory", "event file", "config", "checkpoint", "current"]


@pytest.mark.parametrize(
    "broken",
    [  # test_kill.py stops before each step in a process
        pytest.param(step, id=name, marks=() if name == "current" else pytest.mark.slow)
        for step, name in enumerate(STEPS)
    ],
)
def test_a_kill_while_publishing_leaves_one_whole_export(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    """Publication stops before each of its steps; what the pointers then name must be there."""

    class KilledError(BaseException):
        pass

    first = export(photos, tmp_path, embedder=COLOUR_MODEL)
    calls = iter(range(100))
    rename, replace = Path.rename, Path.replace

    def dying(original: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def step(self: Path, target: Path) -> Path:
            if next(calls) >= broken:
                raise KilledError
            return original(self, target)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying(rename))
        patch.setattr(Path, "replace", dying(replace))
        with pytest.raises(KilledError):
            export(photos, tmp_path, ExportOptions(tile=32), embedder=COLOUR_MODEL)

    config = (tmp_path / run_format.CONFIG).read_text()
    named = [line.split('"')[1] for line in config.splitlines() if "_path:" in line]
    assert named
    assert all((tmp_path / name).is_file() for name in named)
    state = (tmp_path / run_format.CHECKPOINT_STATE).read_text().split('"')[1]
    assert (tmp_path / f"{state}.index").is_file()
    assert first.export.is_dir()
    assert events(tmp_path)["tbgrid/mosaic"]

    last = export(photos, tmp_path, embedder=COLOUR_MODEL)
    assert [path for path in (tmp_path / run_format.HOME).iterdir() if path.is_dir()] == [
        last.export
    ]
    assert len(list(tmp_path.glob("events*"))) == 1


def test_two_exports_at_once_into_one_run_are_refused(photos: Path, tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(stage: str, *_: object) -> None:
        if stage == "grid":
            entered.set()
            leave.wait(60)

    thread = threading.Thread(
        target=export, args=(photos, tmp_path), kwargs={"embedder": COLOUR_MODEL, "progress": slow}
    )
    thread.start()
    assert entered.wait(60)
    try:
        with pytest.raises(TbgridError, match="another export is writing"):
            export(photos, tmp_path, embedder=COLOUR_MODEL)
    finally:
        leave.set()
        thread.join()
    assert (tmp_path / run_format.CHECKPOINT_STATE).is_file()


def test_a_name_that_the_projector_cannot_fetch_is_told(photos: Path, tmp_path: Path) -> None:
    done = export(photos, tmp_path / "b&w", embedder=COLOUR_MODEL)
    assert any("'&'" in note for note in done.notes)


def test_each_stage_works_alone(photos: Path) -> None:
    source = tbgrid.find_photos(photos)
    images = tbgrid.embed(source, COLOUR_MODEL, thumbnail=16)
    layout = tbgrid.tsne(images.vectors, tbgrid.TsneOptions(perplexity=10))
    grid = tbgrid.snap(layout.positions)
    assert tbgrid.mosaic(images.thumbnails, grid, 8).shape == (grid.rows * 8, grid.columns * 8, 3)
    assert set(images.labels or ()) == set(COLOURS)
    assert projector.sprite_side(100_000, 64) == 25


@pytest.mark.slow
def test_few_photos_are_computed_on_one_thread(photos: Path, tmp_path: Path) -> None:
    seen: dict[str, set[int]] = {}

    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    def look(stage: str, done: int, total: int | None) -> None:  # noqa: ARG001
        seen[stage] = threads()

    before = threads()
    export(photos, tmp_path, embedder=COLOUR_MODEL, progress=look)
    assert seen["quality"] == {1}
    assert threads() == before
