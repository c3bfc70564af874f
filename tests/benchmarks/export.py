"""What an export costs over its bare parts, in CPU time and memory. Prints a table.

    python -m tests.benchmarks.export PHOTOS [--runs 3]

PHOTOS: a folder of photos, about a thousand. "Bare parts" is what a script by hand does in one
process: decode, forward pass, t-SNE, assignment, with nothing written. Imports are paid for
before the clock starts. Each run is a process of its own; medians are printed.
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

PRELUDE = """
import gc, json, os, sys, time, warnings
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
warnings.filterwarnings("ignore")
import matplotlib.backends.backend_agg, matplotlib.figure, numpy as np, scipy.optimize
import ai_edge_litert.interpreter, openTSNE, tensorboard.plugins.hparams.summary
import sklearn.decomposition, sklearn.manifold, tensorflow as tf, tensorflow_hub as hub
from PIL import Image
import tbgrid.pipeline.export
from tbgrid.embedding import decode
from tbgrid.embedding.load_embedder import BUILTIN, BUILTIN_INPUT
tf.constant(1) + 1
folder, scratch = sys.argv[1:]
decode.register_heif()
gc.collect()  # of what the imports left
start = time.process_time()
"""
FINISH = "print(json.dumps(time.process_time() - start))"
EXPORT = """
options = tbgrid.ExportOptions(use_cache=False)
tbgrid.export(folder, scratch, options)
"""
BARE = """
from pathlib import Path
side = BUILTIN_INPUT
model = hub.load(str(BUILTIN))
pictures = []
for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
    with Image.open(path) as image:
        short = min(image.size)
        image.draft("RGB", (image.size[0] * side // short, image.size[1] * side // short))
        w, h = image.size
        edge = min(w, h)
        box = ((w - edge) / 2, (h - edge) / 2, (w + edge) / 2, (h + edge) / 2)
        small = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS, box)
        pictures.append(np.asarray(small))
batches = [np.stack(pictures[i : i + 32]) for i in range(0, len(pictures), 32)]
vectors = np.concatenate([model(tf.constant(b / np.float32(255))).numpy() for b in batches])
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
places = sklearn.manifold.TSNE(init="pca", random_state=0).fit_transform(vectors)
side = int(np.ceil(np.sqrt(len(places))))
places = (places - places.min(0)) / np.ptp(places, axis=0) * (side - 1)
cells = np.indices((side, side)).reshape(2, -1).T
costs = ((places[:, None] - cells[None]) ** 2).sum(2)
scipy.optimize.linear_sum_assignment(costs)
"""


def cpu_seconds(program: str, photos: Path) -> float:
    """CPU seconds of `program` in a process of its own, without its imports."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + program + FINISH, str(photos), scratch],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
    return float(json.loads(done.stdout))


def command(*arguments: str) -> tuple[float, float]:
    """CPU seconds and peak memory (MB, of the largest process) of a tbgrid command."""
    program = (
        "import resource, subprocess, sys, json\n"
        "subprocess.run([sys.executable, '-m', 'tbgrid', *sys.argv[1:]], check=True,\n"
        "               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


def large_photos(photos: Path, folder: Path) -> Path:
    """As many 12-megapixel JPEGs as there are photos, from eight of them."""
    from PIL import Image

    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    for number in range(8):
        with Image.open(paths[number * len(paths) // 8]) as image:
            big = image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
        big.save(folder / f"{number}-0.jpg", quality=90)
    for number in range(8, len(paths)):
        os.link(folder / f"{number % 8}-0.jpg", folder / f"{number % 8}-{number}.jpg")
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.export", description=__doc__.splitlines()[0]
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    count = sum(1 for path in given.photos.rglob("*") if path.is_file())

    whole, bare = [], []
    for _ in range(given.runs):
        whole.append(cpu_seconds(EXPORT, given.photos))
        bare.append(cpu_seconds(BARE, given.photos))
    ratio = statistics.median(whole) / statistics.median(bare)
    print(f"| {count} photos, built-in network, imports aside | CPU-s |")
    print("| --- | --- |")
    print(f"| whole export | {statistics.median(whole):.1f} |")
    print(f"| bare parts by hand | {statistics.median(bare):.1f} |")
    print(f"| ratio (at most 1.5) | {ratio:.2f} |")
    with tempfile.TemporaryDirectory() as scratch:
        _, peak = command("export", str(given.photos), "--logdir", f"{scratch}/run", "--no-cache")
        print(f"| peak memory, MB (below 1500) | {peak:.0f} |", flush=True)
        folder = Path(scratch, "large")
        folder.mkdir()
        large = large_photos(given.photos, folder)
        _, peak = command("export", str(large), "--logdir", f"{scratch}/run2", "--no-cache")
        print(f"| the same, as many 12-megapixel JPEGs | {peak:.0f} |", flush=True)
    seconds = statistics.median(command("--help")[0] for _ in range(max(3, given.runs)))
    print(f"| tbgrid --help, CPU-s (below 0.3) | {seconds:.2f} |")


if __name__ == "__main__":
    main()
