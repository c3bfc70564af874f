"""How well embedders place similar pictures side by side, as vectors and on tbgrid's map.

    python evaluate.py builtin pixels hog --data photos/ t10k-images-idx3-ubyte.gz digits
    python evaluate.py builtin --size 48 64 96 --data photos/ --json

An embedder is anything that `tbgrid.load_embedder` takes (a short name, a SavedModel's folder, a
TF-Hub handle, keras:NAME, ...), or `hog`: handmade histograms of oriented gradients and of colours
(needs scikit-image). A set is any source of `tbgrid export` with labels (a folder of
one folder of pictures per label, a manifest, an .npz, MNIST's idx files or their folder), or
`digits`, scikit-learn's. Pictures go through tbgrid's own stages with their defaults, so that the
map is the one that `tbgrid export` makes.

Three shares: kNN-10, how often the majority of a picture's ten nearest neighbors (the first label
at a tie) has its label; precision@10, how many of these ten have it; agreement, how many adjacent
cells of the map have equal labels. The last row is a random order.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import tbgrid

NEAREST = 10
MNIST_TEST = "t10k-images-idx3-ubyte*"


@dataclass(frozen=True)
class HogEmbedder:
    """Oriented gradients (cells of 8 x 8 pixels, 9 directions) and the root of a histogram of hue,
    saturation and value, each of length one."""

    model_id: ClassVar[str] = "hog"
    input_size: ClassVar[tuple[int, int]] = (64, 64)
    metric: ClassVar[tbgrid.Metric] = "cosine"
    notes: ClassVar[tuple[str, ...]] = ()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed float32[b, 64, 64, 3] in [0, 1] as float32[b, 1892]."""
        from skimage.feature import hog

        rows = []
        for pixels in np.rint(images * 255).astype(np.uint8):
            picture = Image.fromarray(pixels)
            grey = np.asarray(picture.convert("L"))
            shape = hog(grey, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2))
            hsv = np.asarray(picture.convert("HSV")).reshape(-1, 3)
            counts, _ = np.histogramdd(hsv, bins=(8, 4, 4), range=[(0, 256)] * 3)
            colour = np.sqrt(counts.ravel() / len(hsv))
            rows.append(np.concatenate([shape / (np.linalg.norm(shape) + 1e-9), colour]))
        return np.stack(rows).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The quality of one embedder on one set; shares in [0, 1]."""

    data: str
    pictures: int
    labels: int
    embedder: str
    side: int
    dimensions: int
    knn: float
    precision: float
    agreement: float
    agreement_random: float


def embedders(name: str, sides: list[int]) -> Iterator[tbgrid.Embedder]:
    """The embedder of an argument, once per side if it takes any side."""
    if name == "hog":
        yield HogEmbedder()
        return
    if not sides:
        yield tbgrid.load_embedder(name)
    for side in sides:
        try:
            yield tbgrid.load_embedder(name, side)
        except tbgrid.UsageError:  # it takes no other side than its own
            yield tbgrid.load_embedder(name)
            return


def load_data(word: str, sample: int, seed: int) -> tbgrid.Source:
    """At most `sample` labelled pictures of an argument."""
    options = tbgrid.SourceOptions(sample=sample, seed=seed)
    if word == "digits":
        from sklearn.datasets import load_digits

        bunch = load_digits()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "digits.npz")
            images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
            np.savez(file, images=images, y=bunch.target)
            return tbgrid.open_source(file, options)
    mnist = sorted(Path(word).glob(MNIST_TEST))
    found = tbgrid.open_source(mnist[0] if mnist else word, options)
    if any(photo.label is None for photo in found.photos):
        raise tbgrid.TbgridError(f"{word} has pictures without a label", "leave them out")
    return found


def shares(near: NDArray[np.int64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """kNN accuracy and precision of neighbors int64[n, k]."""
    theirs = labels[near]
    votes = (theirs[:, :, None] == np.arange(labels.max() + 1)).sum(1)
    right = votes.argmax(1) == labels
    return float(right.mean()), float((theirs == labels[:, None]).mean())


def score(data: str, source: tbgrid.Source, name: str, embedder: tbgrid.Embedder) -> Score:
    """Make the map as `tbgrid export` does, and measure it."""
    images = tbgrid.embed(source, embedder)
    metric = embedder.metric
    layout = tbgrid.tsne(images.vectors, metric=metric)
    grid = tbgrid.snap(layout)
    card = tbgrid.report_card(images.vectors, layout, grid, images.labels, metric=metric)
    names, labels = np.unique(np.array(images.labels), return_inverse=True)
    near = tbgrid.find_neighbors(images.vectors, NEAREST, metric).rows
    knn, precision = shares(near, labels)
    return Score(
        data=data,
        pictures=len(labels),
        labels=len(names),
        embedder=name,
        side=embedder.input_size[0],
        dimensions=images.vectors.shape[1],
        knn=knn,
        precision=precision,
        agreement=card.agreement or 0.0,
        agreement_random=card.agreement_random or 0.0,
    )


def table(scores: list[Score]) -> str:
    """A Markdown table with one row per embedder and one column per set."""
    sets = list(dict.fromkeys((s.data, s.pictures, s.labels) for s in scores))
    rows = list(dict.fromkeys((s.embedder, s.side) for s in scores))
    lines = [
        ["embedder", *(f"{name} ({n:,}, {labels} labels)" for name, n, labels in sets)],
        ["---"] * (len(sets) + 1),
    ]
    cells = {
        (s.embedder, s.side, s.data): " / ".join(
            f"{100 * share:.1f}" for share in (s.knn, s.precision, s.agreement)
        )
        for s in scores
    }
    for name, side in rows:
        lines.append([f"{name} at {side}", *(cells[name, side, data] for data, _, _ in sets)])
    chance = {s.data: f"- / - / {100 * s.agreement_random:.1f}" for s in scores}
    lines.append(["random order", *chance.values()])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="kNN-10, precision@10 and agreement on the map")
    parser.add_argument("embedder", nargs="+", help="what tbgrid's --model takes, or hog")
    parser.add_argument("--data", nargs="+", required=True, help="labelled sets, or digits")
    parser.add_argument("--size", nargs="+", type=int, default=[], help="sides of the input")
    parser.add_argument("--sample", type=int, default=2048, help="pictures of a set, at most")
    parser.add_argument("--seed", type=int, default=0, help="draws the sample")
    parser.add_argument("--json", action="store_true", help="the figures for programs")
    args = parser.parse_args()
    scores = []
    try:
        sets = {word: load_data(word, args.sample, args.seed) for word in args.data}
        for name in args.embedder:
            for embedder in embedders(name, args.size):
                for data, source in sets.items():
                    scores.append(score(data, source, name, embedder))
                    print(scores[-1], file=sys.stderr, flush=True)
    except tbgrid.TbgridError as error:
        raise SystemExit(f"evaluate.py: {error}") from error
    print(json.dumps([asdict(s) for s in scores], indent=1) if args.json else table(scores))


if __name__ == "__main__":
    main()
