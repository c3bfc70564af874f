"""Arrays as sources: what is read, with which labels, and what is refused."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tbgrid
from tbgrid import open_source
from tbgrid.check.run import check
from tbgrid.errors import TbgridError
from tbgrid.sources.arrays import read_images, read_vectors
from tests.support.embedders import MeanColour

GREY = np.random.default_rng(0).integers(0, 256, (12, 9, 7)).astype(np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (12, 9, 7, 3)).astype(np.uint8)
VECTORS = np.random.default_rng(2).normal(size=(6, 4))


def idx(values: np.ndarray, code: int = 8) -> bytes:
    """MNIST's format of an array."""
    head = bytes((0, 0, code, values.ndim))
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return head + sizes + values.tobytes()


@pytest.mark.parametrize("pictures", [GREY, RGB, np.asfortranarray(RGB)])
@pytest.mark.parametrize("suffix", [".npy", ".npz", "-idx3-ubyte", ".idx3-ubyte.gz"])
def test_pictures_are_read_as_they_are(pictures: Any, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"set{suffix}"
    if suffix == ".npy":
        np.save(path, pictures)
    elif suffix == ".npz":
        np.savez_compressed(path, images=pictures)
    else:
        content = idx(pictures)
        path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    source = open_source(path)
    assert source.name.startswith("set")
    assert [photo.name for photo in source.photos] == [f"{row:02}" for row in range(12)]
    assert all(photo.label is None for photo in source.photos)
    for row, photo in enumerate(source.photos):
        np.testing.assert_array_equal(photo.pixels, pictures[row])


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (np.arange(12), "0"),
        (np.arange(12, dtype=np.uint8)[:, None], "0"),
        (np.array(["cat", "dög"] * 6), "cat"),
        (np.array([b"c\xc3\xa4t", b"dog"] * 6), "cät"),
    ],
)
def test_labels_of_an_npz(labels: Any, first: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=GREY, y=labels)
    photos = open_source(tmp_path / "set.npz").photos
    assert photos[0].label == first
    assert len({photo.label for photo in photos}) == len(set(labels.ravel().tolist()))


@pytest.mark.parametrize(("packed", "beside"), [("", ""), (".gz", ""), ("", ".gz")])
def test_labels_beside_an_idx_file(packed: str, beside: str, tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint8)
    for name, values in (
        (f"train-images-idx3-ubyte{packed}", GREY),
        (f"train-labels-idx1-ubyte{beside}", labels),
    ):
        content = idx(values)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    _, found = read_images(tmp_path / f"train-images-idx3-ubyte{packed}")
    assert found == [str(label) for label in labels]


def test_mnist(data: Path) -> None:
    """The ten thousand digits for tests: each label's mean picture is its own digits' best."""
    source = open_source(data / "mnist" / "t10k-images-idx3-ubyte.gz")
    assert source.name == "t10k-images-idx3-ubyte"
    labels = np.array([photo.label for photo in source.photos])
    assert "".join(labels[:10]) == "7210414959"
    assert np.bincount(labels.astype(int)).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    pixels = np.stack([p.pixels for p in source.photos if p.pixels is not None]).astype(float)
    means = np.stack([pixels[labels == str(digit)].mean(axis=0) for digit in range(10)])
    distance = ((pixels[:500, None] - means) ** 2).sum(axis=(2, 3))
    assert np.mean(distance.argmin(axis=1).astype(str) == labels[:500]) > 0.7


def test_an_export_of_an_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=RGB, y=np.arange(12) % 3)
    done = tbgrid.export(tmp_path / "set.npz", tmp_path / "run", embedder=MeanColour())
    assert check(done.directory) == []
    assert done.images.labels == [str(row % 3) for row in range(12)]
    assert done.images.sizes[0].tolist() == [7, 9]
    lines = (done.export / "metadata.tsv").read_text().splitlines()
    assert lines[:2] == ["label\tpath\twidth\theight", "0\t00\t7\t9"]


class Trap:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> Any:
        return Path.touch, (self.sprung,)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def save_y(path: Path, labels: object) -> None:
    np.savez(path, images=GREY, y=np.asarray(labels))


def damaged_member(path: Path) -> None:
    np.savez_compressed(path, images=GREY)
    content = bytearray(path.read_bytes())
    content[120:160] = b"\xff" * 40
    path.write_bytes(bytes(content))


def saved_and_cut(
    save: Callable[..., None], *arrays: Any, **named: Any
) -> Callable[[Path], object]:
    """What writes arrays to a file, and cuts it."""

    def write(path: Path) -> None:
        save(path, *arrays, **named)
        cut(path)

    return write


REFUSED: list[tuple[str, Callable[[Path], object], str]] = [
    ("a.npy", lambda p: p.touch(), "cannot read"),
    ("a.npy", lambda p: p.write_bytes(b"no array " * 9), "cannot read"),
    ("a.npy", saved_and_cut(np.save, GREY), "cannot read"),
    ("a.npy", lambda p: np.save(p, GREY.astype(float)), r"holds float64\[12, 9, 7\]: expected"),
    ("a.npy", lambda p: np.save(p, GREY[0]), r"holds uint8\[9, 7\]"),
    ("a.npy", lambda p: np.save(p, RGB[..., :2]), r"holds uint8\[12, 9, 7, 2\]"),
    ("a.npy", lambda p: np.save(p, GREY[:, :0]), "holds no pictures|cannot read"),
    ("a.npy", lambda p: np.save(p, GREY[:0]), "holds no pictures|cannot read"),
    ("a.npz", lambda p: np.savez(p, x_train=GREY), "holds x_train: expected .*'images'"),
    ("a.npz", lambda p: np.savez(p), "holds nothing"),
    ("a.npz", saved_and_cut(np.savez, images=GREY), "cannot read"),
    ("a.npz", damaged_member, "cannot read 'images' of "),
    ("a.npz", lambda p: save_y(p, range(11)), r"12 pictures and labels of shape \[11\]"),
    ("a.npz", lambda p: save_y(p, np.eye(12)), r"labels of shape \[12, 12\]"),
    ("a.npz", lambda p: save_y(p, np.array([None] * 12)), "cannot read 'y' of "),
    ("a-idx3-ubyte", lambda p: p.touch(), "is not an idx file of bytes"),
    ("a-idx3-ubyte", lambda p: p.write_bytes(idx(GREY)[:11]), "truncated"),
    ("a-idx3-ubyte", lambda p: p.write_bytes(idx(GREY)[:-1]), "755 values for 3 sizes"),
    ("a-idx3-ubyte", lambda p: p.write_bytes(idx(GREY, 13)), "is not an idx file of bytes"),
    ("a-idx1-ubyte", lambda p: p.write_bytes(idx(GREY[0, 0])), r"holds uint8\[7\]"),
    ("a-idx3-ubyte.gz", lambda p: p.write_bytes(idx(GREY)), "cannot read"),
    ("a-idx3-ubyte.gz", lambda p: p.write_bytes(gzip.compress(idx(GREY))[:-30]), "cannot read"),
    ("a-idx3-ubyte.gz", lambda p: p.write_bytes(gzip.compress(b"")[:10] + b"\xff"), "cannot read"),
    ("a.png", lambda p: p.write_bytes(b"x"), "a file of an unsupported type"),
]


@pytest.mark.parametrize(("name", "make", "message"), REFUSED)
def test_what_holds_no_pictures_is_refused(
    name: str, make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(TbgridError, match=message) as caught:
        open_source(tmp_path / name)
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_labels_of_another_set_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(GREY))
    (tmp_path / "labels-idx1-ubyte").write_bytes(idx(np.zeros(13, np.uint8)))
    with pytest.raises(TbgridError, match=r"12 pictures and labels of shape \[13\]"):
        read_images(tmp_path / "images-idx3-ubyte")


@pytest.mark.parametrize("how", ["npy", "pickle", "images", "y"])
def test_pickles_are_never_loaded(how: str, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    holding = np.empty(12, object)
    holding[:] = [trap] * 12
    path = tmp_path / ("set.npz" if how in ("images", "y") else "set.npy")
    if how == "npy":
        np.save(path, holding, allow_pickle=True)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(trap))
    else:
        members: dict[str, Any] = {"images": GREY, how: holding}
        np.savez(path, **members)
    for read in (read_images, read_vectors):
        with pytest.raises(TbgridError):
            read(path)
    assert not trap.sprung.exists()
    np.load(path, allow_pickle=True) if how in ("npy", "pickle") else pickle.loads(
        pickle.dumps(trap)
    )
    assert trap.sprung.exists(), "the trap itself must be able to spring"


# --- Vectors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "<i8", "|u1"])
def test_vectors_of_any_numbers(kind: str, tmp_path: Path) -> None:
    values = (VECTORS * 10 + 50).astype(kind)
    np.save(tmp_path / "v.npy", values)
    found = read_vectors(tmp_path / "v.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values.astype(float), rtol=1e-6)


def test_vectors_too_large_are_infinite(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([[1.0, 1e300]]))
    assert np.isinf(read_vectors(tmp_path / "v.npy")).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: np.save(p, VECTORS[0]), r"holds float64\[4\]: expected float32\[n, d\]"),
        (lambda p: np.save(p, VECTORS[:0]), r"holds float64\[0, 4\]|cannot read"),
        (lambda p: np.save(p, VECTORS > 0), r"holds bool\[6, 4\]"),
        (lambda p: np.save(p, VECTORS.astype(str)), "holds <U"),
        (lambda p: np.save(p, VECTORS + 1j), "holds complex128"),
        (saved_and_cut(np.save, VECTORS), "cannot read"),
        (lambda p: p.mkdir(), "cannot read"),
        (lambda _: None, r"cannot read .*\(No such file"),
    ],
)
def test_what_are_no_vectors_is_refused(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "v.npy")
    with pytest.raises(TbgridError, match=message) as caught:
        read_vectors(tmp_path / "v.npy")
    assert caught.value.hint


def test_an_npz_is_no_vectors(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", a=VECTORS, b=VECTORS)
    with pytest.raises(TbgridError, match=r"is an \.npz: save only the vectors"):
        read_vectors(tmp_path / "v.npz")
