"""What large sets cost: t-SNE alone, and whole exports of 70,000 digits and 100,000 photos.

    python -m tests.benchmarks.scale tsne MNIST [--runs 3]
    python -m tests.benchmarks.scale digits MNIST [--runs 1]
    python -m tests.benchmarks.scale photos SCRATCH [--count 100000]

MNIST: a folder with the four idx files, packed or not. `tsne` lays out its first 20,000 digits by
tbgrid and by scikit-learn, each from the raw pixels, and measures both layouts by the same numbers.
`digits` exports all 70,000 and every tenth of them. `photos` draws this number of photos into
SCRATCH/photos, unless they exist, exports them twice, the second time with another perplexity, and
compares how fast their vectors are available. Prints a table; CPU time is without imports, and each
figure is from a process of its own.
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
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

PRELUDE = """
import json, os, resource, sys, time, warnings
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
warnings.filterwarnings("ignore")
import matplotlib.backends.backend_agg, matplotlib.figure, numpy as np, openTSNE
import sklearn.decomposition, sklearn.manifold, tensorflow as tf
import tbgrid.pipeline.export
from tbgrid.sources.arrays import read_images
tf.constant(1) + 1
told = {}
start = time.process_time()
def finish(**more):
    told["cpu"] = time.process_time() - start
    told["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**told, **more}))
"""
VECTORS = """
images, _ = read_images(sys.argv[1])
vectors = images[:20000].reshape(20000, -1).astype(np.float32) / 255
start = time.process_time()
"""
OURS = """
layout = tbgrid.tsne(vectors, metric="euclidean")
np.save(sys.argv[2], layout.positions)
finish()
"""
THEIRS = """
places = sklearn.manifold.TSNE(init="pca", random_state=0).fit_transform(vectors)
np.save(sys.argv[2], places)
finish()
"""
# Kullback-Leibler divergences over one P: of the raw pixels, exact neighbours, perplexity 30.
JUDGE = """
from openTSNE import TSNEEmbedding
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from sklearn.neighbors import NearestNeighbors
from tbgrid.metrics.quality import neighbors_in_plane
far, near = NearestNeighbors(n_neighbors=90, algorithm="brute").fit(vectors).kneighbors()
P = PerplexityBasedNN(perplexity=30, knn_index=PrecomputedNeighbors(near, far), n_jobs=2)
for name, path in zip(("ours", "theirs"), sys.argv[2:]):
    places = np.load(path).astype(float)
    layout = TSNEEmbedding(places.copy(), P, negative_gradient_method="bh", theta=0.2, n_jobs=2)
    told[name] = [float(layout.optimize(0).kl_divergence), neighbors_in_plane(vectors, places)[0]]
finish()
"""
EXPORT = """
options = tbgrid.ExportOptions(
    model=sys.argv[3],
    cache=sys.argv[4] or None,
    use_cache=bool(sys.argv[4]),
    tsne=tbgrid.TsneOptions(perplexity=float(sys.argv[5])),
)
result = tbgrid.export(sys.argv[1], sys.argv[2], options)
finish(seconds=result.report["seconds"], photos=len(result.images.photos), gap=result.grid.gap)
"""


def measured(program: str, *arguments: object) -> dict[str, Any]:
    """What `program` tells at its end, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def mnist_file(folder: Path, part: str) -> Path:
    """The idx file of pictures of `part`, train or t10k."""
    return next(folder.glob(f"{part}-images*"))


def tsne(folder: Path, runs: int) -> None:
    """20,000 digits by both engines."""
    digits = mnist_file(folder, "train")
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch, f"{name}.npy") for name in ("ours", "theirs")]
        spent = [
            statistics.median(measured(VECTORS + program, digits, path)["cpu"] for _ in range(runs))
            for program, path in zip((OURS, THEIRS), paths, strict=True)
        ]
        judged = measured(VECTORS + JUDGE, digits, *paths)
    print("| 20,000 raw digits, t-SNE | CPU-s | KL divergence | trustworthiness |")
    print("| --- | --- | --- | --- |")
    for name, key, cpu in zip(
        ("scikit-learn", "tbgrid"), ("theirs", "ours"), spent[::-1], strict=True
    ):
        print(f"| {name} | {cpu:.1f} | {judged[key][0]:.4f} | {judged[key][1]:.4f} |")
    (kl, trust), (their_kl, their_trust) = judged["ours"], judged["theirs"]
    print(
        f"| times less (at least 6); within 3 %; within .002 | {spent[1] / spent[0]:.1f} "
        f"| {100 * (kl / their_kl - 1):+.1f} % | {trust - their_trust:+.4f} |"
    )


def digits(folder: Path, runs: int) -> None:
    """All of MNIST, and a tenth of it."""
    from tbgrid.sources.arrays import read_images

    both = [read_images(mnist_file(folder, part)) for part in ("train", "t10k")]
    images = np.concatenate([pictures for pictures, _ in both])
    labels = np.concatenate([np.array(names) for _, names in both])
    print("| digits, export --model pixels | CPU-s | peak memory, MB |")
    print("| --- | --- | --- |")
    spent = []
    with tempfile.TemporaryDirectory() as scratch:
        for step in (10, 1):
            path = Path(scratch, f"{step}.npz")
            np.savez(path, images=images[::step], y=labels[::step])
            found = [
                measured(EXPORT, path, Path(scratch, f"run-{step}-{run}"), "pixels", "", 30)
                for run in range(runs)
            ]
            spent.append(statistics.median(each["cpu"] for each in found))
            peak = statistics.median(each["peak"] for each in found)
            print(f"| {len(images[::step]):,} | {spent[-1]:.0f} | {peak:.0f} |", flush=True)
    print(f"| ratio (at most 13); at most 2,500 | {spent[1] / spent[0]:.1f} | |")


def draw(folder: Path, count: int) -> None:
    """`count` different photos of 240 x 180 px, shapes on a gradient with noise, in 50 folders."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:180, :240] / 240
    for number in range(count):
        kind = number % 50
        base, slope = rng.integers(0, 200, 3), rng.normal(0, 80, (2, 3))
        pixels = base + row[..., None] * slope[0] + column[..., None] * slope[1]
        noise = rng.integers(-12, 12, (180, 240, 1))
        picture = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
        pen = ImageDraw.Draw(picture)
        for _ in range(1 + kind % 5):
            x, y = float(rng.integers(0, 180)), float(rng.integers(0, 120))
            size = int(rng.integers(20, 70))
            fill = tuple(int(part) for part in rng.integers(0, 255, 3))
            corners = (x, y, x + size, y + size)
            if kind % 3 == 0:
                pen.ellipse(corners, fill)
            elif kind % 3 == 1:
                pen.rectangle(corners, fill)
            else:
                pen.regular_polygon((x + size / 2, y + size / 2, size / 2), 3 + kind % 6, fill=fill)
        path = folder / f"kind {kind:02}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=85)


def photos(scratch: Path, count: int) -> None:
    """Photos on disk, twice."""
    folder = scratch / "photos"
    if not folder.exists():
        draw(folder, count)
    print("| photos, export --model builtin | CPU-s | peak memory, MB | embed, photos/s |")
    print("| --- | --- | --- | --- |")
    speeds = []
    with tempfile.TemporaryDirectory(dir=scratch) as inner:
        for name, perplexity in (("first", 30), ("again, other perplexity", 50)):
            cache = Path(inner, "cache")
            found = measured(EXPORT, folder, Path(inner, "run"), "builtin", cache, perplexity)
            speeds.append(found["photos"] / found["seconds"]["embed"])
            print(
                f"| {found['photos']:,}, {name} | {found['cpu']:.0f} | {found['peak']:.0f} "
                f"| {speeds[-1]:.0f} |",
                flush=True,
            )
            print(f"{found['seconds']}, gap {found['gap']}", file=sys.stderr, flush=True)
    print(f"| at most 3,000 MB; at least 20 times | | | {speeds[1] / speeds[0]:.1f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.scale", description=__doc__.splitlines()[0]
    )
    parser.add_argument("what", choices=("tsne", "digits", "photos"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    if given.what == "tsne":
        tsne(given.folder, given.runs or 3)
    elif given.what == "digits":
        digits(given.folder, given.runs or 1)
    else:
        photos(given.folder, given.count)


if __name__ == "__main__":
    main()
