"""Copies and clusters in an export: columns, numbers, lists and stacks that agree."""

from __future__ import annotations

import csv
import io
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tbgrid
from tbgrid import run_format
from tbgrid.check.run import check
from tbgrid.grouping.badges import draw_badge
from tbgrid.options import GroupOptions
from tbgrid.writers.grid_tab import make_column
from tests.support.embedders import MeanColour
from tests.support.photos import scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 scenes of two labels; of the first two a copy, and two, of the third a smaller form."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(30):
        path = root / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        scene(rng).save(path)
    for name, copy in (("a/00", "a/x"), ("b/01", "b/x"), ("b/01", "b/y")):
        shutil.copy(root / f"{name}.png", root / f"{copy}.png")
    with Image.open(root / "a/02.png") as picture:
        picture.resize((64, 64)).save(root / "a/small.png")
    return root


def exported(folder: Path, logdir: Path, **groups: object) -> tbgrid.ExportResult:
    options = tbgrid.ExportOptions(
        preview=64,
        groups=GroupOptions(**groups),  # type: ignore[arg-type]
    )
    return tbgrid.export(folder, logdir, options, embedder=MeanColour())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_shown_copies_are_named_and_counted(folder: Path, tmp_path: Path) -> None:
    result = exported(folder, tmp_path / "run")
    assert len(result.images.photos) == 34
    rows = {row["path"]: row for row in table(result.export / "metadata.tsv")}
    told = {path: row["duplicates"] for path, row in rows.items() if row["duplicates"] != "-"}
    assert told == {
        **dict.fromkeys(["a/00.png", "a/x.png"], "a/00.png (2)"),
        **dict.fromkeys(["b/01.png", "b/x.png", "b/y.png"], "b/01.png (3)"),
        **dict.fromkeys(["a/02.png", "a/small.png"], "a/02.png (2)"),
    }
    listed = table(result.export / "duplicates.tsv")
    assert [(row["group"], row["path"], row["kind"], row["of"]) for row in listed] == [
        ("1", "a/00.png", "original", ""),
        ("1", "a/x.png", "exact copy", "a/00.png"),
        ("2", "a/02.png", "original", ""),
        ("2", "a/small.png", "near copy", "a/02.png"),
        ("3", "b/01.png", "original", ""),
        ("3", "b/x.png", "exact copy", "b/01.png"),
        ("3", "b/y.png", "exact copy", "b/01.png"),
    ]
    report = json.loads((result.export / "report.json").read_text())
    numbers = report["duplicates"]
    assert (numbers["groups"], numbers["exact_copies"], numbers["near_copies"]) == (3, 3, 1)
    assert ("duplicates", "3 exact, 1 near of 3 photos") in result.groups.summary_rows()
    manifest = json.loads((result.export / run_format.FOLDER / run_format.MANIFEST).read_text())
    assert ["duplicates", "3 exact, 1 near of 3 photos"] in manifest["report"]
    assert not check(tmp_path / "run")


def test_stacked_copies_lie_under_one_tile(folder: Path, tmp_path: Path) -> None:
    """Row i is the same photo in each file, and what is not shown is in the ledger."""
    shown = exported(folder, tmp_path / "shown")
    result = exported(folder, tmp_path / "run", duplicates="stack")
    names = [photo.name for photo in result.images.photos]
    assert len(names) == 30
    rows = table(result.export / "metadata.tsv")
    assert [row["path"] for row in rows] == names
    ledger = {row["path"]: row["reason"] for row in table(result.skipped_tsv)}
    assert ledger == {
        "a/x.png": "exact copy of a/00.png",
        "a/small.png": "near copy of a/02.png",
        "b/x.png": "exact copy of b/01.png",
        "b/y.png": "exact copy of b/01.png",
    }
    assert not result.skipped
    before = {photo.name: row for row, photo in enumerate(shown.images.photos)}
    chosen = [before[name] for name in names]
    assert (result.images.vectors == shown.images.vectors[chosen]).all()
    assert (result.images.sizes == shown.images.sizes[chosen]).all()
    changed = (result.images.thumbnails != shown.images.thumbnails[chosen]).any(axis=(1, 2, 3))
    assert {name for name, new in zip(names, changed, strict=True) if new} == {
        "a/00.png",
        "a/02.png",
        "b/01.png",
    }

    def previews(of: tbgrid.ExportResult) -> list[bytes]:
        data, ends = (
            (of.export / run_format.FOLDER / run_format.PREVIEWS).read_bytes(),
            of.images.previews,
        )
        assert len(data) == ends[-1]
        return [data[a:b] for a, b in pairwise(ends)]

    every = previews(shown)
    for name, encoded, old in zip(
        names, previews(result), (every[row] for row in chosen), strict=True
    ):
        if name not in {"a/00.png", "a/02.png", "b/01.png"}:
            assert encoded == old
            continue
        one, other = (np.asarray(Image.open(io.BytesIO(each)), int) for each in (encoded, old))
        far = np.abs(one - other).max(axis=2)
        assert far[:20, 44:].max() > 150, "the badge"
        assert far[32:].max() < 40, "and the picture, encoded once more"
    folder_of_tab = result.export / run_format.FOLDER
    assert not list(folder_of_tab.glob("*.fewer"))
    near = np.fromfile(folder_of_tab / run_format.NEIGHBORS, "<u4")
    assert len(near) == 30 * 12
    assert near.max() < 30
    assert not check(tmp_path / "run")


def test_groups_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    result = exported(folder, tmp_path / "run", duplicates="off", min_cluster=0)
    assert result.groups.summary_rows() == []
    assert "duplicates" not in result.report
    assert not (result.export / "duplicates.tsv").exists()
    header = (result.export / "metadata.tsv").read_text().splitlines()[0]
    assert header.split("\t") == ["label", "path", "width", "height"]


def test_clusters_are_a_category_of_all_photos(exported: tbgrid.ExportResult) -> None:
    """The photos' three kinds lie apart, and each gives a cluster its name."""
    clusters = exported.groups.clusters
    assert clusters is not None
    assert {name.split()[0] for name in clusters.names} == {"blue", "green", "red"}
    manifest = json.loads((exported.export / run_format.FOLDER / run_format.MANIFEST).read_text())
    kinds = {told["name"]: told["kind"] for told in manifest["columns"]}
    assert kinds["cluster"] == "category"
    rows = table(exported.export / "metadata.tsv")
    assert [row["cluster"] for row in rows] == [name or "-" for name in clusters.label_names]
    told = exported.report["clusters"]
    assert told["clusters"] == len(clusters.names)
    assert told["share_in_none"] == pytest.approx(clusters.noise_share, abs=1e-4)


def test_too_few_photos_for_a_cluster_are_told(folder: Path, tmp_path: Path) -> None:
    result = exported(folder, tmp_path / "run", min_cluster=1000)
    assert ("clusters", "none of 1,000 photos or more") in result.groups.summary_rows()
    assert "cluster" not in table(result.export / "metadata.tsv")[0]


def test_clusters_named_by_digits_are_a_category() -> None:
    assert make_column("cluster", ["7", "7", "1"]).kind == "number"
    assert make_column("cluster", ["7", "7", "1"], True).kind == "category"


def test_a_column_of_the_user_keeps_its_name(photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "photos.csv"
    files = sorted(photos.rglob("*.jpg"))
    lines = [f"{path},{row}" for row, path in enumerate(files)]
    listed.write_text("\n".join(["path,cluster", *lines]) + "\n")
    result = tbgrid.export(listed, tmp_path / "run", embedder=MeanColour())
    rows = table(result.export / "metadata.tsv")
    assert [row["cluster"] for row in rows] == [str(row) for row in range(60)]
    assert result.groups.clusters is not None
    assert [row["cluster 2"] for row in rows] == [
        name or "-" for name in result.groups.clusters.label_names
    ]
    states = json.loads((result.export / "bookmarks.json").read_text())
    assert states[0]["selectedColorOptionName"] == "cluster 2"
    assert states[0]["label"].endswith(", by cluster 2")


def test_too_few_are_left_to_stack(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = scene(np.random.default_rng(0))
    for number in range(4):
        picture.save(folder / f"{number}.png")
    with pytest.raises(tbgrid.TbgridError, match="4 photos without their copies are 1"):
        exported(folder, tmp_path / "run", duplicates="stack")


@pytest.mark.parametrize("wrong", [{"duplicates": "hide"}, {"min_cluster": 1}, {"min_cluster": -1}])
def test_options_that_cannot_be_meant(wrong: dict[str, object]) -> None:
    with pytest.raises(tbgrid.UsageError):
        GroupOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [8, 16, 64, 512])
@pytest.mark.parametrize("count", [2, 99, 12345])
def test_a_badge_takes_a_corner(side: int, count: int) -> None:
    tile = np.full((side, side, 3), 128, np.uint8)
    changed = (draw_badge(tile, count) != tile).any(axis=2)
    assert changed.any()
    assert not changed[side // 2 :].any()
    assert (tile == 128).all()
