"""What the maps of a training cost, and how far pictures move between them. Prints a table.

    python -m tests.benchmarks.training mnist/ [--epochs 5]

A network of two convolutions learns MNIST's digits (the directory holds its `idx` files), once
60,000 of them less those shown, once 10,000; others are mapped after each epoch. Costs are CPU
seconds of all threads, the first map of a training left out. Movement is that from one map to the
next in cells, beside that between maps of the same vectors that are made each by itself.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tbgrid
from tbgrid.mapping.arrange import MapResult
from tbgrid.sources.arrays import read_images
from tbgrid.training.grid_writer import mean_movement


def network() -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


class Watched(tbgrid.GridWriter):
    """One that keeps its maps, and the vectors of each."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.maps: list[MapResult] = []
        self.vectors: list[Any] = []

    def add(self, step: int, vectors: Any, **options: Any) -> MapResult:
        self.vectors.append(vectors)
        self.maps.append(super().add(step, vectors, **options))
        return self.maps[-1]


class Costly(tbgrid.GridCallback):
    """One that counts its CPU seconds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._writer = self.writer = Watched(*arguments)
        self.seconds: list[float] = []

    def _write(self, epoch: int) -> float:
        start = time.process_time()
        taken = super()._write(epoch)
        self.seconds.append(time.process_time() - start)
        return taken


def told(maps: list[MapResult]) -> str:
    moved = [
        mean_movement(one.grid.cells, other.grid.cells, one.grid.columns)
        for one, other in itertools.pairwise(maps)
    ]
    kept = np.mean([one.card.neighbors_kept or 0 for one in maps[1:]])
    agreement = " to ".join(f"{one.card.agreement:.3f}" for one in (maps[0], maps[-1]))
    return f"{np.mean(moved):.2f} cells, neighbours kept {kept:.3f}, agreement {agreement}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.training", description=__doc__
    )
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    images, labels = read_images(given.mnist / "train-images-idx3-ubyte.gz")
    pictures = images[..., None] / np.float32(255)
    codes = np.array(labels, np.int64)
    for learnt, shown in ((59_000, 500), (10_000, 500), (10_000, 1000)):
        with tempfile.TemporaryDirectory() as logdir:
            ours = Costly(logdir, pictures[-shown:], codes[-shown:])
            start = time.process_time()
            network().fit(
                pictures[:learnt],
                codes[:learnt],
                epochs=given.epochs,
                batch_size=128,
                verbose=0,
                callbacks=[ours],
            )
            whole = time.process_time() - start
            alone = [
                tbgrid.GridWriter(f"{logdir}/{step}", pictures[-shown:], codes[-shown:]).add(0, one)
                for step, one in enumerate(ours.writer.vectors)
            ]
        epoch = (whole - sum(ours.seconds)) / given.epochs
        each = float(np.mean(ours.seconds[1:]))
        print(
            f"{shown} of {learnt:,}: {each:.2f} s a map, {100 * each / epoch:.0f} % of an epoch's "
            f"{epoch:.1f} s\n  each from the last: {told(ours.writer.maps)}\n"
            f"  each by itself:     {told(alone)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
