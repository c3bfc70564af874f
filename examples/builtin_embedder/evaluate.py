"""How well an embedder puts like pictures side by side: kNN-10 accuracy and precision@10.

    python evaluate.py savedmodel --data photos digits mnist --size 64
    python evaluate.py pixels --data photos
    python evaluate.py hog --data photos

An embedder is the folder of a SavedModel (float32 [N, H, W, 3] in [0, 1] -> float32 [N, dim]),
or `pixels` (raw pixels), or `hog` (histograms of oriented gradients beside a colour histogram).
A data set is a folder of one folder of pictures per label, a folder with MNIST's `t10k-*.gz`, an
.npz file with arrays x (uint8 [N, H, W] or [N, H, W, 3]) and y, or the word `digits`
(scikit-learn's).

Both figures are leave-one-out: the ten nearest others of every picture, by cosine (`pixels`:
Euclidean distance). kNN-10 is how often their majority (at a tie the first label) is the picture's
own label; precision@10 is the share of them that bear it.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

NEAREST = 10
Pictures = list[Image.Image]
Labels = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]
Embed = Callable[[Pictures], Vectors]


class Score(NamedTuple):
    """Two shares, in [0, 1]."""

    knn: float
    precision: float


def load_folder(root: Path) -> tuple[Pictures, Labels]:
    """Pictures of a folder of folders, each cropped to its centre square."""
    folders = sorted(p for p in root.iterdir() if p.is_dir())
    pictures, labels = [], []
    for label, folder in enumerate(folders):
        for path in sorted(p for p in folder.iterdir() if p.is_file()):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            pictures.append(picture.crop((left, top, left + side, top + side)))
            labels.append(label)
    return pictures, np.array(labels, np.int64)


def load_mnist(root: Path, count: int = 2048, seed: int = 0) -> tuple[Pictures, Labels]:
    """A random part of MNIST's test digits."""
    with gzip.open(root / "t10k-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(root / "t10k-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    keep = np.random.default_rng(seed).choice(len(x), count, replace=False)
    return from_array(x[keep]), y[keep]


def load_digits() -> tuple[Pictures, Labels]:
    """scikit-learn's 1,797 digits of 8x8."""
    from sklearn.datasets import load_digits as digits

    bunch: Any = digits()
    x = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    return from_array(x), bunch.target.astype(np.int64)


def from_array(x: npt.NDArray[np.uint8]) -> Pictures:
    """uint8 [N, H, W] or [N, H, W, 3] -> RGB pictures."""
    return [Image.fromarray(row).convert("RGB") for row in x]


def load_data(name: str) -> tuple[Pictures, Labels]:
    """The data set of a command-line word."""
    if name == "digits":
        return load_digits()
    path = Path(name)
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return from_array(archive["x"]), archive["y"].astype(np.int64)
    if (path / "t10k-images-idx3-ubyte.gz").exists():
        return load_mnist(path)
    return load_folder(path)


def resized(picture: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    """The picture as uint8 [side, side, 3]; bilinear, averaging where it shrinks."""
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))


def embed_pixels(pictures: Pictures) -> Vectors:
    """Raw pixels: at most 32x32, smaller pictures as they are."""
    side = min(32, pictures[0].width)
    return np.stack([resized(p, side).reshape(-1) for p in pictures]).astype(np.float32)


def embed_hog(pictures: Pictures) -> Vectors:
    """Oriented gradients (64x64, cells of 8, 9 directions) and the root of a colour histogram."""
    from skimage.feature import hog

    rows = []
    for picture in pictures:
        small = picture.resize((64, 64), Image.Resampling.BILINEAR)
        shape = hog(
            np.asarray(small.convert("L")),
            orientations=9,
            pixels_per_cell=(8, 8),
            cells_per_block=(2, 2),
        )
        hsv = np.asarray(small.convert("HSV")).reshape(-1, 3)
        counts, _ = np.histogramdd(hsv, bins=(8, 4, 4), range=[(0, 256)] * 3)
        colour = np.sqrt(counts.reshape(-1) / len(hsv))
        rows.append(np.concatenate([shape / (np.linalg.norm(shape) + 1e-9), colour]))
    return np.stack(rows).astype(np.float32)


def saved_model(path: str, side: int, batch: int = 32) -> Embed:
    """The embedder of a SavedModel, fed with pictures of side x side."""
    import tensorflow as tf

    model: Any = tf.saved_model.load(path)

    def embed(pictures: Pictures) -> Vectors:
        rows = []
        for i in range(0, len(pictures), batch):
            x = np.stack([resized(p, side) for p in pictures[i : i + batch]])
            rows.append(np.asarray(model(tf.constant(x.astype(np.float32) / 255))))
        return np.concatenate(rows)

    return embed


def unit(x: Vectors) -> Vectors:
    """Rows of length one (rows of zeros stay)."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(length, 1e-12), np.float32)


def neighbours(x: Vectors, euclidean: bool = False) -> npt.NDArray[np.int64]:
    """[N, NEAREST]: the nearest other rows of each row."""
    if not euclidean:
        x = unit(x)
    near = 2 * (x @ x.T).astype(np.float64) - np.square(x).sum(1)[None, :]
    np.fill_diagonal(near, -np.inf)
    return np.argpartition(-near, NEAREST, axis=1)[:, :NEAREST].astype(np.int64)


def score(near: npt.NDArray[np.int64], labels: Labels) -> Score:
    """kNN accuracy and precision of nearest neighbours."""
    voted = np.eye(int(labels.max()) + 1, dtype=np.int64)[labels[near]].sum(1).argmax(1)
    return Score(float((voted == labels).mean()), float((labels[near] == labels[:, None]).mean()))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="kNN-10 and precision@10 of an embedder")
    parser.add_argument("embedder", help="folder of a SavedModel, or pixels, or hog")
    parser.add_argument("--data", nargs="+", required=True, help="folders, .npz files, or digits")
    parser.add_argument("--size", type=int, default=64, help="side of a SavedModel's input")
    args = parser.parse_args()
    fixed: dict[str, Embed] = {"pixels": embed_pixels, "hog": embed_hog}
    embed = fixed.get(args.embedder) or saved_model(args.embedder, args.size)
    for name in args.data:
        pictures, labels = load_data(name)
        start = time.perf_counter()
        vectors = embed(pictures)
        seconds = time.perf_counter() - start
        knn, precision = score(neighbours(vectors, args.embedder == "pixels"), labels)
        print(
            f"{name}: {len(labels)} pictures, {vectors.shape[1]} numbers each: "
            f"kNN-10 {100 * knn:.1f} precision@10 {100 * precision:.1f} "
            f"({len(labels) / seconds:.0f} pictures/s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
