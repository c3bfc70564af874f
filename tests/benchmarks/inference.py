"""How fast networks embed pictures on this machine, called plainly and by tbgrid. Prints a table.

    python -m tests.benchmarks.inference [--runs 3]

Networks: MobileNetV2 1.0 at 224 px with random weights, saved by this script, and the built-in one
at 64 px. "hub.load" is `tensorflow_hub.load(...)` called on batches of 1 and of 32, "tbgrid" the
embedder that an export of many photos uses. Pictures are random numbers and wait in memory; imports
and a first call are not counted. Each run is a process of its own; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SAVE = """
import sys, keras
keras.utils.set_random_seed(0)
keras.applications.MobileNetV2(
    include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg"
).export(sys.argv[1], verbose=False)
"""
PRELUDE = """
import json, os, sys, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np, tensorflow as tf, tensorflow_hub as hub
from pathlib import Path
from tbgrid.util.cache import Cache
from tbgrid.embedding import tflite
from tbgrid.embedding.lazy import open_embedder
from tbgrid.embedding.load_embedder import BUILTIN
model, kept, side, batch, count = *sys.argv[1:3], *map(int, sys.argv[3:])
pictures = np.random.default_rng(0).random((batch, side, side, 3), np.float32)
def clock():
    return time.perf_counter(), time.process_time()
def since(start):
    return [now - then for now, then in zip(clock(), start)]
"""
PLAIN = """
loaded = hub.load(str(BUILTIN) if model == "builtin" else model)
call = loaded if callable(loaded) else loaded.signatures["serving_default"]
run = lambda: next(iter(tf.nest.flatten(call(tf.constant(pictures))))).numpy()
run()
"""
TBGRID = """
cache = Cache(Path(kept))
embedder = open_embedder(model, side, "unit", cache, tflite.MIN_PHOTOS)
run = lambda: embedder(pictures)
run()
"""
MEASURE = """
run()
start = clock()
for _ in range(count // batch):
    run()
print(json.dumps(since(start)))
"""
CONVERT = """
from tbgrid.embedding.load_embedder import load_embedder
loaded = load_embedder(model, side)
tf.lite.TFLiteConverter  # imported when first used
start = clock()
tflite.convert(loaded, (side, side))
print(json.dumps(since(start)))
"""


def seconds(program: str, *arguments: object) -> tuple[float, float]:
    """Wall and CPU seconds that `program` prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def save_mobilenet(folder: Path) -> None:
    """MobileNetV2 1.0 with random weights as a SavedModel."""
    subprocess.run(
        [sys.executable, "-c", SAVE, str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.inference", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        mobilenet, kept = Path(scratch, "mobilenet"), Path(scratch, "cache")
        save_mobilenet(mobilenet)
        networks = [
            ("MobileNetV2 1.0, 224 px", mobilenet, 224, 512),
            ("built-in, 64 px", "builtin", 64, 2048),
        ]
        print("| network | way, batch | images/s | CPU-ms an image | times hub.load's images/s |")
        print("| --- | --- | --- | --- | --- |")
        for name, model, side, count in networks:
            ways = [("hub.load", PLAIN, 1), ("hub.load", PLAIN, 32), ("tbgrid", TBGRID, 32)]
            found: list[list[tuple[float, float]]] = [[] for _ in ways]
            for _ in range(runs):  # in turn, since a machine's load changes
                for (_, program, batch), measured in zip(ways, found, strict=True):
                    program += MEASURE
                    measured.append(seconds(program, model, kept, side, batch, count))
            base: dict[int, float] = {}
            for (way, _, batch), measured in zip(ways, found, strict=True):
                wall, cpu = (
                    statistics.median(part) / count for part in zip(*measured, strict=True)
                )
                if way == "hub.load":
                    base[batch] = wall
                ratios = " and ".join(f"{base[b] / wall:.1f} (batch {b})" for b in base)
                print(
                    f"| {name} | {way}, {batch} | {1 / wall:.0f} | {cpu * 1000:.1f} | {ratios} |",
                    flush=True,
                )
        spent = [seconds(CONVERT, mobilenet, kept, 224, 1, 1) for _ in range(runs)]
        wall, cpu = (statistics.median(part) for part in zip(*spent, strict=True))
        print(f"\nConversion of MobileNetV2, kept in the cache: {wall:.1f} s, {cpu:.1f} CPU-s")


if __name__ == "__main__":
    main()
