"""How fast embedders are compared with MobileNetV2 1.0 at 224, all run by `tbgrid.load_embedder`.

    python speed.py builtin

MobileNetV2 has random weights, which cost as much time as trained ones; it becomes a SavedModel as
the others are. All take turns, so that other work on the machine slows each alike. Processor time
counts all threads, and says more than the clock on a busy machine. Figures are medians of rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

import tbgrid

SIDE = 224


class Cost(NamedTuple):
    """Seconds per picture."""

    wall: float
    processor: float


def save_mobilenet(folder: Path) -> None:
    """MobileNetV2 1.0 with random weights: float32[n, 224, 224, 3] in [0, 1] -> [n, 1280]."""
    import tensorflow as tf

    network: Any = tf.keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), include_top=False, weights=None, pooling="avg"
    )

    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, images: Any) -> Any:
            return self.network(images * 2 - 1, training=False)

    tf.saved_model.save(Module(), str(folder))


def measure(embedder: tbgrid.Embedder, pictures: NDArray[np.float32], batches: int) -> Cost:
    """What one picture costs, over some batches."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(batches):
        embedder(pictures)
    count = batches * len(pictures)
    return Cost((time.perf_counter() - wall) / count, (time.process_time() - processor) / count)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="pictures per second, compared with MobileNetV2")
    parser.add_argument("embedder", nargs="+", help="what tbgrid's --model takes")
    parser.add_argument("--size", type=int, help="side of the input, where it is free")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        save_mobilenet(Path(folder))
        found = {"MobileNetV2 1.0, random": tbgrid.load_embedder(folder)}
    found |= {name: tbgrid.load_embedder(name, args.size) for name in args.embedder}
    rng = np.random.default_rng(0)
    pictures = {
        name: rng.random((args.batch, *e.input_size, 3), np.float32) for name, e in found.items()
    }
    for name, embedder in found.items():
        measure(embedder, pictures[name], 2)  # the first calls also build
    rounds = [
        {name: measure(embedder, pictures[name], 4) for name, embedder in found.items()}
        for _ in range(args.rounds)
    ]
    first = next(iter(found))
    print("| embedder | pictures/s | times | processor ms/picture | times |")
    print("| --- | --- | --- | --- | --- |")
    for name, embedder in found.items():
        costs = [one[name] for one in rounds]
        gains = [Cost(*np.divide(one[first], one[name])) for one in rounds]
        print(
            f"| {name} at {embedder.input_size[0]} "
            f"| {1 / statistics.median(cost.wall for cost in costs):.0f} "
            f"| {statistics.median(gain.wall for gain in gains):.2f} "
            f"| {1000 * statistics.median(cost.processor for cost in costs):.2f} "
            f"| {statistics.median(gain.processor for gain in gains):.2f} |"
        )


if __name__ == "__main__":
    main()
