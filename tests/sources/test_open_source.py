"""What a folder or a pattern is taken to hold, what is left out with which reason, and samples."""

from __future__ import annotations

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tbgrid import open_source
from tbgrid.embedding.decode import ImageError, decode
from tbgrid.errors import TbgridError, UsageError
from tbgrid.options import SourceOptions
from tbgrid.photos import Source
from tbgrid.run_format import printable
from tbgrid.sources.folders import find_photos
from tests.support.values import present

posix = pytest.mark.skipif(os.name != "posix", reason="what only POSIX file systems hold")
NOBODY = 65534


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    return root


def names(source: Source) -> list[str]:
    return [photo.name for photo in source.photos]


def reasons(source: Source) -> dict[str, str]:
    return {left_out.name: left_out.reason for left_out in source.skipped}


def test_photos_are_sorted_by_folder_and_labelled_by_the_first(tmp_path: Path) -> None:
    # As strings "a b/1" and "a-b/1" would come before "a/2", and "Z" after "a" is not ours to fold.
    make(tmp_path, "a/2.jpg", "a-b/1.png", "a b/1", "a/deep/er/1.gif", "root.jpg", "Z.webp")
    found = find_photos(tmp_path)
    assert [(photo.name, photo.label) for photo in found.photos] == [
        ("Z.webp", None),
        ("a/2.jpg", "a"),
        ("a/deep/er/1.gif", "a"),
        ("a b/1", "a b"),
        ("a-b/1.png", "a-b"),
        ("root.jpg", None),
    ]
    assert found.name == tmp_path.name
    assert found.skipped == ()
    assert all(present(photo.path).is_file() for photo in found.photos)


def test_files_without_folders_have_no_labels(tmp_path: Path) -> None:
    found = find_photos(make(tmp_path, "1.jpg", "2.jpg"))
    assert [photo.label for photo in found.photos] == [None, None]


def test_a_relative_folder_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make(tmp_path, "a/1.jpg"))
    assert find_photos(".").name == tmp_path.name
    assert names(find_photos(".")) == names(find_photos(tmp_path)) == ["a/1.jpg"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/.2.jpg", ".DS_Store", ".git/objects/1")
    found = find_photos(tmp_path)
    assert names(found) == ["a/1.jpg"]
    assert reasons(found) == {
        ".DS_Store": "hidden file",
        ".git": "hidden folder",
        "a/.2.jpg": "hidden file",
    }


@posix
def test_what_is_no_regular_file_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "1.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "null").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.jpg")
        found = find_photos(tmp_path)
    assert names(found) == ["1.jpg"]
    assert reasons(found) == dict.fromkeys(("null", "pipe.jpg", "socket.jpg"), "not a regular file")


@posix
def test_links_are_followed_and_each_folder_is_shown_once(tmp_path: Path) -> None:
    shown = "link to a folder that is shown already"
    root = make(tmp_path / "photos", "real/1.jpg", "real/deep/2.jpg")
    make(tmp_path / "elsewhere", "3.jpg", "deep/4.jpg")
    (root / "a link").symlink_to(root / "real")  # sorts before the real folder
    (root / "b").symlink_to("../elsewhere")
    (root / "c").symlink_to("../elsewhere")
    (root / "d").symlink_to("../elsewhere/deep")
    (root / "file.jpg").symlink_to("real/1.jpg")
    (root / "real" / "up").symlink_to("..")
    (root / "broken.jpg").symlink_to("nowhere")
    (root / "circle").symlink_to("circle")
    found = find_photos(root)
    assert names(found) == [
        "b/3.jpg",
        "b/deep/4.jpg",
        "file.jpg",
        "real/1.jpg",
        "real/deep/2.jpg",
    ]
    assert [photo.label for photo in found.photos] == ["b", "b", None, "real", "real"]
    assert reasons(found) == {
        "a link": shown,
        "broken.jpg": "cannot be reached: No such file or directory",
        "c": shown,
        "circle": "cannot be reached: Too many levels of symbolic links",
        "d": shown,
        "real/up": shown,
    }


@posix
def test_a_link_may_be_the_folder_itself(tmp_path: Path) -> None:
    make(tmp_path / "photos", "a/1.jpg")
    (tmp_path / "link").symlink_to("photos")
    assert names(find_photos(tmp_path / "link")) == ["a/1.jpg"]


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of a user who is bound by permissions, as root is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for path in folder.rglob("*"):
            path.chmod(0o755)


class Nobody:
    """Acts as the user nobody where the tests run as root."""

    def __enter__(self) -> None:
        self.root = os.geteuid() == 0
        if self.root:
            os.seteuid(NOBODY)

    def __exit__(self, *_: object) -> None:
        if self.root:
            os.seteuid(0)


@posix
def test_what_cannot_be_read_is_left_out(unprivileged: Path) -> None:
    make(unprivileged, "a/1.jpg", "closed/2.jpg", "a/closed.jpg", "listed/3.jpg")
    (unprivileged / "closed").chmod(0)
    (unprivileged / "listed").chmod(0o644)  # its names can be read, and nothing else
    (unprivileged / "a" / "closed.jpg").chmod(0)
    with Nobody():
        found = find_photos(unprivileged)
        # A file that cannot be opened is found out by the decoder.
        assert names(found) == ["a/1.jpg", "a/closed.jpg"]
        with pytest.raises(ImageError, match=r"^cannot be read: Permission denied$"):
            decode(present(found.photos[1].path), [(8, 8)])
    assert reasons(found) == {
        "closed": "folder cannot be read: Permission denied",
        "listed/3.jpg": "cannot be reached: Permission denied",
    }


@posix
def test_a_closed_folder_is_refused(unprivileged: Path) -> None:
    make(unprivileged, "closed/in/1.jpg").joinpath("closed").chmod(0)
    with Nobody():
        assert_refused(unprivileged / "closed", "closed: folder cannot be read: Permission denied")
        assert_refused(
            unprivileged / "closed" / "in", r"in cannot be reached \(Permission denied\)"
        )


@posix
def test_names_are_kept_and_shown_as_valid_text(tmp_path: Path) -> None:
    wild = [
        "tab\there.jpg",
        "line\nbreak.jpg",
        "a&b#c+d%20.jpg",
        "ü 写真 🙂.jpg",
        " .jpg",
        "-n.jpg",
    ]
    make(tmp_path, *(f"a & b/{name}" for name in wild))
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/a & b/caf\xe9.jpg")).write_bytes(b"-")
        wild.append("caf\ufffd.jpg")
    except OSError:  # file systems that take UTF-8 only
        pass
    found = find_photos(tmp_path)
    assert sorted(names(found)) == sorted(f"a & b/{name}" for name in wild)
    for photo in found.photos:
        assert photo.label == "a & b"
        assert photo.name.encode("utf-8")
        assert present(photo.path).read_bytes() == b"-"


def test_printable_has_slashes() -> None:
    assert printable(Path("a", "b")) == "a/b"


def assert_refused(folder: str | Path, message: str) -> None:
    with pytest.raises(TbgridError, match=message) as caught:
        find_photos(folder)
    assert caught.value.exit_code == 1
    assert caught.value.hint, "says the way out"
    assert len(str(caught.value).splitlines()) == 1


def test_a_source_without_photos_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "file.jpg", "hidden/.a", "hidden/.b")
    (tmp_path / "empty" / "er").mkdir(parents=True)
    assert_refused(tmp_path / "missing", "no such folder: .*missing: use")
    assert_refused(tmp_path / "file.jpg", "file.jpg is a file: use the folder")
    assert_refused(tmp_path / "file.jpg" / "in", "cannot be reached|no such folder")
    assert_refused(tmp_path / "empty", "no photos in .*empty: use a folder with at least 3")
    assert_refused(tmp_path / "hidden", r"no photos in .*hidden \(.a: hidden file\): use")
    assert_refused(tmp_path / ("x" * 5000), "cannot be reached|no such folder")
    assert_refused("nul\0byte", "cannot be reached")


# --- Patterns --------------------------------------------------------------------------------


def test_a_pattern_takes_the_files_that_match(tmp_path: Path) -> None:
    make(tmp_path, "b/a1.jpg", "a/a2.jpg", "a/b.jpg", "a/deep/a3.jpg", "a4.jpg", "a/.a5.jpg")
    (tmp_path / "a" / "a-folder.jpg").mkdir()
    for pattern, expected in {
        "*/a*.jpg": [("a/a2.jpg", "a"), ("b/a1.jpg", "b")],
        "**": [
            ("a/a2.jpg", "a"),
            ("a/b.jpg", "a"),
            ("a/deep/a3.jpg", "a"),
            ("a4.jpg", None),
            ("b/a1.jpg", "b"),
        ],
        "**/a[23].jpg": [("a/a2.jpg", "a"), ("a/deep/a3.jpg", "a")],
        "a/?.jpg": [("b.jpg", None)],
    }.items():
        found = open_source(f"{tmp_path}/{pattern}")
        assert [(photo.name, photo.label) for photo in found.photos] == expected
        assert [photo.row for photo in found.photos] == list(range(len(expected)))
        assert found.name == ("a" if pattern == "a/?.jpg" else tmp_path.name)


def test_a_pattern_may_start_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "in/a/1.jpg", "in/b/2.jpg", "shoot [2020]/c/3.jpg", "shoot 2/4.jpg")
    monkeypatch.chdir(tmp_path / "in")
    for pattern in ("**", "*/*.jpg", "./*/*", "../in/*/*"):
        found = open_source(pattern)
        assert (names(found), found.name) == (["a/1.jpg", "b/2.jpg"], "in")
    # What looks like a wildcard is the name of a folder if that is there.
    assert names(open_source("../shoot [2020]/*/*")) == ["c/3.jpg"]
    assert names(open_source("../shoot [2020]")) == ["c/3.jpg"]
    assert names(open_source("../shoot [0-9]/*")) == ["shoot 2/4.jpg"]


@posix
def test_a_pattern_takes_each_file_once(tmp_path: Path) -> None:
    root = make(tmp_path / "photos", "real/1.jpg", "real/deep/2.jpg")
    (root / "a link").symlink_to(root / "real")
    (root / "real" / "up").symlink_to("..")
    (root / "broken.jpg").symlink_to("nowhere")
    os.mkfifo(root / "pipe.jpg")
    found = open_source(f"{root}/**/*.jpg")
    assert names(found) == ["real/1.jpg", "real/deep/2.jpg"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{d}/*.png", r"no files match .*\*.png: use"),
        ("{d}/*", r"only folders: end it in /\*\* for the files in them"),
        ("{d}/\0*", "no files match|cannot be reached"),
        ("{d}/\0/*", "no files match|cannot be reached"),
        ("{d}/" + "x" * 5000, "no such folder|cannot be reached"),
        ("{d}/" + "x" * 5000 + "*", "no files match"),
        ("https://example.org/a.jpg?b", "is a URL: download it"),
        ("{d}/a/1.jpg", "a file of an unsupported type: use a folder"),
    ],
)
def test_what_is_no_source_is_refused(source: str, message: str, tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg")
    with pytest.raises(TbgridError, match=message) as caught:
        open_source(source.format(d=tmp_path))
    assert caught.value.exit_code == 1
    assert len(str(caught.value).splitlines()) == 1


# --- Some of the photos ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 cats, 30 dogs and 10 owls."""
    root = tmp_path_factory.mktemp("hundred")
    for label, count in {"cat": 60, "dog": 30, "owl": 10}.items():
        make(root, *(f"{label}/{number:02}.jpg" for number in range(count)))
    return root


@pytest.mark.parametrize(
    ("options", "labels", "notes"),
    [
        (SourceOptions(), {"cat": 60, "dog": 30, "owl": 10}, ()),
        (SourceOptions(limit=70), {"cat": 60, "dog": 10}, ("the first 70 of 100 photos",)),
        (SourceOptions(limit=100, sample=100), {"cat": 60, "dog": 30, "owl": 10}, ()),
        (
            SourceOptions(sample=10, seed=3),
            {"cat": 6, "dog": 3, "owl": 1},
            ("a sample of 10 of 100 photos (seed 3)",),
        ),
        (
            SourceOptions(sample=33),
            {"cat": 20, "dog": 10, "owl": 3},
            ("a sample of 33 of 100 photos (seed 0)",),
        ),
        (
            SourceOptions(include=("dog/*", "*/07.jpg"), exclude=("0?.jpg",)),
            {"dog": 20},
            ("80 photos excluded by the name patterns",),
        ),
        (
            SourceOptions(exclude=("cat/*",), sample=20, limit=5),
            {"dog": 5},
            (
                "60 photos excluded by the name patterns",
                "a sample of 20 of 40 photos (seed 0)",
                "the first 5 of 20 photos",
            ),
        ),
    ],
)
def test_some_of_the_photos(
    options: SourceOptions, labels: dict[str, int], notes: tuple[str, ...], hundred: Path
) -> None:
    found = open_source(hundred, options)
    assert Counter(photo.label for photo in found.photos) == labels
    assert found.notes == notes
    assert names(found) == sorted(names(found)), "in their order"
    assert found.listed == 100


def test_a_seed_draws_the_same_sample_again(hundred: Path) -> None:
    draws = [names(open_source(hundred, SourceOptions(sample=20, seed=s))) for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_no_photo_that_passes_is_refused(hundred: Path) -> None:
    with pytest.raises(TbgridError, match=r"none of 100 photos passes .* names such as cat/00.jpg"):
        open_source(hundred, SourceOptions(include=("CAT/*",)))


@pytest.mark.parametrize("wrong", [{"limit": 2}, {"sample": 0}, {"seed": -1}])
def test_options_that_cannot_be_meant_are_refused(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=f"{name} {value}"):
        SourceOptions(**wrong)  # type: ignore[arg-type]


@posix
@pytest.mark.parametrize("option", ["metadata", "vectors"])
def test_a_pipe_beside_the_photos_is_refused_and_not_waited_for(
    option: str, photos: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    given: dict[str, Any] = {option: pipe}
    with pytest.raises(TbgridError, match="is not a regular file"):
        open_source(photos, SourceOptions(**given))
