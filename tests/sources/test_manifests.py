"""Manifests, joined tables and vectors from elsewhere, and the maps that come of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tbgrid
from tbgrid import open_source
from tbgrid.check.run import check
from tbgrid.errors import TbgridError, UsageError
from tbgrid.options import SourceOptions
from tbgrid.photos import Source
from tests.support.embedders import MeanColour

NINE = [f"p{number}.png" for number in range(9)]


def draw(folder: Path, *names: str) -> Path:
    """A picture a name, each of another colour."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (25 * number, 250 - 25 * number, 90)).save(path, "PNG")
    return folder


def manifest(folder: Path, content: str, name: str = "list.csv") -> Path:
    (folder / name).write_bytes(content.encode())
    return folder / name


def names(source: Source) -> list[str]:
    return [photo.name for photo in source.photos]


def reasons(source: Source) -> dict[str, str]:
    return {left_out.name: left_out.reason for left_out in source.skipped}


def save(path: Path, vectors: Any) -> Path:
    np.save(path, vectors)
    return path


# --- Manifests -------------------------------------------------------------------------------


def test_a_manifest_names_photos_labels_and_further_columns(tmp_path: Path) -> None:
    draw(tmp_path, "b.png", "deep/a.png", "c d.png")
    path = manifest(tmp_path, "Year,PATH,Label\n1,c d.png,cat\n2,./deep//a.png, \n3,b.png\n")
    source = open_source(path)
    assert source.name == "list"
    assert names(source) == ["c d.png", "deep/a.png", "b.png"], "in the manifest's order"
    assert [photo.label for photo in source.photos] == ["cat", None, None]
    assert source.columns == ("Year",)
    assert [photo.fields for photo in source.photos] == [("1",), ("2",), ("3",)]
    assert [photo.row for photo in source.photos] == [0, 1, 2]
    assert all(photo.path and photo.path.is_file() for photo in source.photos)


def test_rows_that_cannot_be_tried_are_told(tmp_path: Path) -> None:
    draw(tmp_path, "a.png", "b.png")
    (tmp_path / "folder").mkdir()
    rows = ["a.png", "gone.png", '""', "https://x.org/a.png?b", "folder", "./x/../a.png", "b.png"]
    source = open_source(manifest(tmp_path, "path,x\n" + "".join(f"{row},1\n" for row in rows)))
    assert names(source) == ["a.png", "b.png"]
    assert [photo.row for photo in source.photos] == [0, 6]
    assert source.listed == 7
    assert reasons(source) == {
        "gone.png": "No such file or directory",
        "line 4": "no path",
        "https://x.org/a.png?b": "a URL: download it and use the path of the file",
        "folder": "not a regular file",
        "a.png": "is listed twice in the manifest (lines 2 and 7)",
    }


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (["{d}/lists/own/x.png", "y.png"], ["own/x.png", "y.png"]),
        (["../photos/a/1.png", "../photos/b/1.png"], ["a/1.png", "b/1.png"]),
        (["{d}/photos/a/1.png", "../photos/a/2.png"], ["1.png", "2.png"]),
        (["own/../../photos/a/1.png", "y.png"], ["photos/a/1.png", "lists/y.png"]),
        (["own\\x.png", " y.png "], ["own/x.png", "y.png"]),
        (["..\\photos\\a\\1.png", "{d}/photos/b/1.png"], ["a/1.png", "b/1.png"]),
        (["file://{d}/photos/a/1.png", "{d}/photos/b/1.png"], ["a/1.png", "b/1.png"]),
        (["{d}/photos/a/1.png", "/gone.png"], ["1.png"]),
        (["{d}/photos/a/1.png", "{d}/photos/b/1.png", "/a/gone.png"], ["a/1.png", "b/1.png"]),
        (["C:\\Users\\me\\1.png", "\\\\server\\me\\2.png", "y.png"], ["y.png"]),
    ],
)
def test_names_say_nothing_of_where_files_lie(
    rows: list[str], shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path, "photos/a/1.png", "photos/a/2.png", "photos/b/1.png")
    draw(tmp_path / "lists", "own/x.png", "y.png")
    monkeypatch.chdir(tmp_path / "photos")  # where the command runs must not matter
    lines = "".join(f'"{row.format(d=tmp_path)}"\n' for row in rows)
    source = open_source(manifest(tmp_path / "lists", "path\n" + lines))
    assert names(source) == shown
    for name in [*shown, *reasons(source)]:
        assert not name.startswith("/")
        assert "me" not in name.replace("\\", "/").split("/")
        assert str(tmp_path).strip("/") not in name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("photo,label\na.png,x\n", r"list.csv has no column path \(found photo, label\): rename"),
        ("path\n", "list.csv lists no photo that exists: paths are relative to the manifest"),
        ("path\ngone.png\n", r"no photo that exists \(gone.png: No such file"),
        ("", "list.csv is empty"),
    ],
)
def test_a_manifest_of_nothing_is_refused(content: str, message: str, tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    with pytest.raises(TbgridError, match=message):
        open_source(manifest(tmp_path, content))


def test_a_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    draw(tmp_path, "a.png")
    rows = "".join(f"gone/{row}.png,x,{row}\n" for row in range(100_000))
    path = manifest(tmp_path, f"path,label,n\n{rows}a.png,y,\n")
    begin = time.process_time()
    source = open_source(path)
    assert (names(source), len(source.skipped)) == (["a.png"], 100_000)
    assert time.process_time() - begin < 5


def test_a_manifest_becomes_a_map_with_its_columns(tmp_path: Path) -> None:
    """Columns named as ours, without a name, and with values that no table of tabs can hold."""
    draw(tmp_path, *NINE)
    rows = "".join(f'{name},"tab\there\n{n}",,{n},wide\n' for n, name in enumerate(NINE[:-1]))
    path = manifest(tmp_path, f"path,note,,Width,width 2\n{rows}{NINE[-1]},,3\n")
    done = tbgrid.export(path, tmp_path / "run", embedder=MeanColour())
    assert check(done.directory) == []
    lines = [line.split("\t") for line in (done.export / "metadata.tsv").read_text().splitlines()]
    assert lines[0] == ["path", "width", "height", "note", "column 3", "Width 2", "width 2 2"]
    assert lines[1] == ["p0.png", "20", "10", "tab here 0", "-", "0", "wide"]
    assert lines[9] == ["p8.png", "20", "10", "-", "3", "-", "-"]
    told = b"".join(file.read_bytes() for file in done.directory.rglob("*") if file.is_file())
    assert str(tmp_path).encode() not in told


# --- Joined tables ---------------------------------------------------------------------------


def test_metadata_is_joined_and_what_it_lacks_is_noted(tmp_path: Path) -> None:
    draw(tmp_path / "photos", "a/1.png", "a/2.png", "b/1.png", "b/3.png")
    table = manifest(
        tmp_path, "file,label,year\na\\1.png,cat,1\n2.png,,2\n1.png,dog,3\n9.png,x,4\n"
    )
    source = open_source(tmp_path / "photos", SourceOptions(metadata=table))
    assert source.columns == ("year",)
    assert [(photo.label, photo.fields) for photo in source.photos] == [
        ("cat", ("1",)),
        ("a", ("2",)),  # an empty label leaves the folder's
        ("b", ("",)),
        ("b", ("",)),
    ]
    assert source.notes == (
        "list.csv does not list 2 of the photos (1 of them share a file name: list their paths)",
    )


def test_metadata_adds_to_a_manifest_s_columns(tmp_path: Path) -> None:
    draw(tmp_path, *NINE)
    lines = "".join(f"{name},x,1\n" for name in NINE)
    path = manifest(tmp_path, "path,label,year\n" + lines)
    table = manifest(tmp_path, "path,LABEL,year\n" + lines.replace("x,1", "y,2"), "more.csv")
    source = open_source(path, SourceOptions(metadata=table))
    assert source.columns == ("year", "year")
    assert {(photo.label, photo.fields) for photo in source.photos} == {("y", ("1", "2"))}
    assert source.notes == ()


def test_metadata_of_other_photos_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "photos", "a.png")
    table = manifest(tmp_path, "path,x\nb.png,1\n")
    with pytest.raises(TbgridError, match=r"lists none of the 1 photos \(the first is a.png\)"):
        open_source(tmp_path / "photos", SourceOptions(metadata=table))


# --- Vectors from elsewhere ------------------------------------------------------------------

VECTORS = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)


def test_vectors_follow_the_rows_of_a_manifest(tmp_path: Path) -> None:
    """What leaves takes its vector with it: a missing file, a damaged one, a NaN."""
    draw(tmp_path, *NINE)
    (tmp_path / "p4.png").write_bytes(b"damaged")
    order = [8, 1, 2, 4, 5, 6, 7, 3, 0]
    rows = "".join(f"p{number}.png,{number}\n" for number in order)
    (tmp_path / "p1.png").unlink()
    vectors = VECTORS.copy()
    vectors[:, 0] = order
    vectors[5, 2] = np.nan
    options = tbgrid.ExportOptions(source=SourceOptions(vectors=save(tmp_path / "v.npy", vectors)))
    done = tbgrid.export(manifest(tmp_path, "path,number\n" + rows), tmp_path / "run", options)
    assert check(done.directory) == []
    assert names_of(done) == ["p8.png", "p2.png", "p5.png", "p7.png", "p3.png", "p0.png"]
    assert done.images.vectors[:, 0].tolist() == [8, 2, 5, 7, 3, 0]
    assert [photo.fields for photo in done.images.photos] == [
        ("8",),
        ("2",),
        ("5",),
        ("7",),
        ("3",),
        ("0",),
    ]
    assert {item.name: item.reason for item in done.skipped} == {
        "p1.png": "No such file or directory",
        "p4.png": "not a picture that Pillow can open",
        "p6.png": "row 5 of v.npy is not finite",
    }
    assert done.report["model"]["name"] == "vectors of v.npy"


def names_of(done: tbgrid.ExportResult) -> list[str]:
    return [photo.name for photo in done.images.photos]


def test_vectors_follow_the_sorted_files_of_a_folder(tmp_path: Path) -> None:
    """Tables and vectors that lie among the photos are none."""
    folder = draw(tmp_path / "in", "b/2.png", "b/10.png", "a/z.png", "c.png")
    table = manifest(folder, "path,x\nc.png,1\n", "a list.csv")
    vectors = save(folder / "b" / "v.npy", VECTORS[:4])
    options = tbgrid.ExportOptions(source=SourceOptions(vectors=vectors, metadata=table))
    done = tbgrid.export(folder, tmp_path / "run", options)
    assert check(done.directory) == []
    assert names_of(done) == ["a/z.png", "b/10.png", "b/2.png", "c.png"]
    assert done.skipped == ()
    np.testing.assert_array_equal(done.images.vectors, VECTORS[:4])
    assert (done.export / "sprite.png").is_file()


@pytest.mark.parametrize("count", [8, 10])
def test_vectors_of_another_number_are_refused(count: int, tmp_path: Path) -> None:
    vectors = save(tmp_path / "v.npy", np.ones((count, 2)))
    sources = {
        draw(tmp_path / "in", *NINE): "9 photos",
        manifest(tmp_path, "label\n" + "a\n" * 9): "9 photos",
    }
    for source, found in sources.items():
        with pytest.raises(TbgridError, match=f"v.npy has {count} rows for {found}: use one row"):
            open_source(source, SourceOptions(vectors=vectors))


def test_neither_photos_nor_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no photos"):
        open_source(None)
    nothing = save(tmp_path / "v.npy", np.full((4, 2), np.inf))
    with pytest.raises(TbgridError, match=r"v.npy has no finite row"):
        open_source(None, SourceOptions(vectors=nothing))


def board(done: tbgrid.ExportResult) -> list[tuple[int, ...]]:
    """The colour of each point's cell in the mosaic."""
    mosaic = np.asarray(Image.open(done.mosaic).convert("RGB")).astype(int)
    tile = mosaic.shape[0] // done.grid.rows
    centres = []
    for cell in done.grid.cells:
        row, column = divmod(int(cell), done.grid.columns)
        centre = mosaic[row * tile + tile // 2, column * tile + tile // 2]
        centres.append(tuple(np.rint(centre / 16).astype(int).tolist()))
    return centres


def assert_no_pictures(done: tbgrid.ExportResult) -> None:
    assert check(done.directory) == []
    assert not (done.export / "sprite.png").exists()
    assert "sprite" not in (done.directory / "projector_config.pbtxt").read_text()
    assert done.images.thumbnails.size == 0


def test_a_manifest_without_paths_gives_dots_coloured_by_label(tmp_path: Path) -> None:
    labels = [("cat", "dog", "owl")[row % 3] for row in range(9)]
    rows = "".join(f"{label},{row}\n" for row, label in enumerate(labels))
    vectors = save(tmp_path / "v.npy", VECTORS)
    options = tbgrid.ExportOptions(tile=16, source=SourceOptions(vectors=vectors))
    done = tbgrid.export(manifest(tmp_path, "label,width\n" + rows), tmp_path / "run", options)
    assert_no_pictures(done)
    lines = (done.export / "metadata.tsv").read_text().splitlines()
    assert lines[:2] == ["label\tpath\twidth", "cat\t0\t0"]
    colours = board(done)
    assert len(set(zip(colours, labels, strict=True))) == len(set(colours)) == 3


def test_vectors_alone_give_dots_coloured_by_their_place(tmp_path: Path) -> None:
    """Equal vectors have one colour, others another."""
    vectors = np.repeat(VECTORS[:3], 3, axis=0)
    path = save(tmp_path / "v.npy", vectors)
    options = tbgrid.ExportOptions(tile=16, source=SourceOptions(vectors=path))
    done = tbgrid.export(None, tmp_path / "run", options)
    assert_no_pictures(done)
    assert done.images.labels is None
    colours = board(done)
    assert len(set(colours)) == 3
    assert colours == [colours[row // 3 * 3] for row in range(9)]
    assert json.loads((done.export / "report.json").read_text())["photos"]["source"] == "v"


def test_a_table_for_vectors_alone_follows_their_rows(tmp_path: Path) -> None:
    rows = "".join(f"{tmp_path}/x/{row}.png,l{row % 2},{row}\n" for row in range(9))
    options = SourceOptions(
        vectors=save(tmp_path / "v.npy", VECTORS),
        metadata=manifest(tmp_path, "path,label,n\n" + rows),
    )
    source = open_source(None, options)
    assert not source.pictured
    assert [(p.name, p.label, p.fields) for p in source.photos[:2]] == [
        ("x/0.png", "l0", ("0",)),
        ("x/1.png", "l1", ("1",)),
    ]
