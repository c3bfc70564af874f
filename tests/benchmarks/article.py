"""An export beside the way of the articles that it descends from, in CPU time. Prints a table.

    python -m tests.benchmarks.article PHOTOS [--model SAVED_MODEL] [--runs 3]

PHOTOS: a folder of 1,024 photos. The articles' way: one call of a `hub.load`ed model for each
photo, decoded in full and scaled to 224 px; scikit-learn's t-SNE as it comes; lapjv (SciPy where it
is not installed) on the grid; nothing written. tbgrid's is a whole export, with nothing in its
cache but the converted model. Both use one SavedModel, MobileNetV2 1.0 with random weights unless
given. Imports are not counted; what the model's conversion takes, once for good, is told apart.
Each run is a process of its own; medians are printed.
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

from tests.benchmarks.inference import save_mobilenet

PRELUDE = """
import gc, json, os, sys, time, warnings
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
warnings.filterwarnings("ignore")
import matplotlib.backends.backend_agg, matplotlib.figure, numpy as np, scipy.optimize
import ai_edge_litert.interpreter, openTSNE, tensorboard.plugins.hparams.summary
import sklearn.decomposition, sklearn.manifold, tensorflow as tf, tensorflow_hub as hub
from pathlib import Path
from PIL import Image
import tbgrid.pipeline.export
from tbgrid.util.cache import Cache
from tbgrid.embedding import decode, lazy, tflite
try:
    from lapjv import lapjv
except ImportError:
    lapjv = None
tf.lite.TFLiteConverter, tf.constant(1) + 1
folder, model, kept, scratch = sys.argv[1:]
decode.register_heif()
gc.collect()  # of what the imports left
start = time.process_time()
spent = {}
def split(stage):
    global start
    now = time.process_time()
    spent[stage] = now - start
    start = now
"""
FINISH = "print(json.dumps(spent))"
CONVERT = """
with Cache(Path(kept)) as cache:
    embedder = lazy.open_embedder(model, None, "unit", cache, tflite.MIN_PHOTOS)
    side = embedder.input_size[0]
    embedder(np.random.default_rng(0).random((32, side, side, 3), np.float32))
split("convert")
"""
EXPORT = """
options = tbgrid.ExportOptions(model=model, cache=kept)
result = tbgrid.export(folder, scratch, options)
split("all")
"""
ARTICLE = """
side = 224
loaded = hub.load(model)
call = loaded if callable(loaded) else loaded.signatures["serving_default"]
vectors = []
for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB").resize((side, side)), np.float32) / 255
    vectors.append(np.ravel(next(iter(tf.nest.flatten(call(tf.constant(picture[None])))))))
vectors = np.stack(vectors)
split("embed")
places = sklearn.manifold.TSNE().fit_transform(vectors)
split("t-SNE")
side = int(np.ceil(np.sqrt(len(places))))
places = (places - places.min(0)) / np.ptp(places, axis=0) * (side - 1)
cells = np.indices((side, side)).reshape(2, -1).T
costs = ((places[:, None] - cells[None]) ** 2).sum(2)
if lapjv and len(costs) == len(cells):
    lapjv(costs)
else:
    scipy.optimize.linear_sum_assignment(costs)
split("grid")
"""


def cpu_seconds(program: str, *arguments: object) -> dict[str, float]:
    """CPU seconds of the stages of `program` in a process of its own, without its imports."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + program + FINISH, *map(str, arguments), scratch],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.article", description=__doc__.splitlines()[0]
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", type=Path, help="a SavedModel that takes 224 px")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    count = sum(1 for path in given.photos.rglob("*") if path.is_file())
    article, whole, conversion = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        model = given.model or Path(scratch, "mobilenet")
        if given.model is None:
            save_mobilenet(model)
        for number in range(given.runs):
            kept = Path(scratch, f"cache-{number}")
            article.append(cpu_seconds(ARTICLE, given.photos, model, kept))
            conversion.append(cpu_seconds(CONVERT, given.photos, model, kept)["convert"])
            whole.append(cpu_seconds(EXPORT, given.photos, model, kept)["all"])
    totals = [sum(stages.values()) for stages in article]
    print(f"| {count} photos, cold, imports aside | CPU-s |")
    print("| --- | --- |")
    print(f"| the articles' way | {statistics.median(totals):.1f} |")
    for stage in article[0]:
        print(f"| of it {stage} | {statistics.median(each[stage] for each in article):.1f} |")
    print(f"| whole export by tbgrid | {statistics.median(whole):.1f} |")
    ratio = statistics.median(totals) / statistics.median(whole)
    print(f"| times less (at least 3) | {ratio:.1f} |")
    print(f"| loading, conversion and comparison, once | {statistics.median(conversion):.1f} |")


if __name__ == "__main__":
    main()
