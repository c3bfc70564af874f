"""CPU time and memory of the snap, and how near the optimum it is. Prints a table.

    python -m tests.benchmarks.grid [--runs 3] [--most 1000000]

The points are a t-SNE layout, made here, of 10,000 blends of two of scikit-learn's digits of the
same class; for more points it is resampled, each point moved by about as much as its nearest
neighbour is away. Each run is a process of its own; medians are printed. Imports are paid for
before the clock starts; memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from sklearn.datasets import load_digits

from tbgrid.layouts.tsne import tsne
from tbgrid.types import Float64Array

BASE = 10_000
RUN = """
import json, re, sys, time
import numpy as np, scipy.fft, scipy.optimize, scipy.sparse.csgraph
from tbgrid import GridOptions, snap
path, rows, columns, solver = sys.argv[1:]
if solver == "lapjv":
    import lapjv
places = np.load(path)
options = GridOptions(shape=(int(rows), int(columns)), solver=solver)
start = time.process_time()
grid = snap(places, options)
seconds = time.process_time() - start
with open("/proc/self/status") as status:
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1]) / 1024
print(json.dumps([seconds, peak, grid.cost, grid.gap, grid.solver]))
"""
# points, rows, columns, kind, solver
ROWS = (
    (1_024, 32, 32, "t-SNE", "lapjv"),
    (1_024, 32, 32, "t-SNE", "auto"),
    (10_000, 100, 100, "t-SNE", "auto"),
    (10_000, 100, 100, "t-SNE", "windows"),
    (10_000, 105, 105, "t-SNE", "auto"),
    (10_000, 320, 320, "t-SNE", "auto"),
    (10_000, 100, 100, "uniform", "auto"),
    (102_400, 320, 320, "t-SNE", "auto"),
    (102_400, 320, 320, "t-SNE", "windows"),
    (1_000_000, 1000, 1000, "t-SNE", "auto"),
)


def tsne_points() -> Float64Array:
    """float64[10,000, 2]: a t-SNE layout."""
    digits, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    one = rng.integers(0, len(digits), BASE)
    other = np.empty(BASE, np.int64)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        chosen = labels[one] == label
        other[chosen] = rng.choice(members, chosen.sum())
    share = rng.uniform(0.6, 1, (BASE, 1))
    blends = share * digits[one] + (1 - share) * digits[other]
    return tsne(blends.astype(np.float32), metric="euclidean").positions


def resampled(base: Float64Array, count: int) -> Float64Array:
    """float64[count, 2] points that lie as `base` does."""
    if count <= len(base):
        return base[:count]
    rng = np.random.default_rng(count)
    nearest = cKDTree(base).query(base, k=2)[0][:, 1]
    drawn = rng.integers(0, len(base), count)
    return np.asarray(base[drawn] + rng.normal(0, 1, (count, 2)) * nearest[drawn, None])


def measured(
    path: Path, rows: int, columns: int, solver: str, runs: int
) -> tuple[float, float, float, float, str]:
    """Medians of CPU seconds and peak megabytes; cost, gap and the name of the solver."""
    arguments = [str(path), str(rows), str(columns), solver]
    found = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True, check=True
        )
        found.append(json.loads(done.stdout))
    seconds, megabytes = (statistics.median(run[part] for run in found) for part in (0, 1))
    assert all(run[2:] == found[0][2:] for run in found), "the same each time"
    return seconds, megabytes, *found[0][2:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.grid", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most", type=int, default=1_000_000, help="leave out larger layouts")
    given = parser.parse_args()
    base = tsne_points()
    print("| points | cells | solver | CPU-s | peak MB | cost per point | proven gap |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        for count, rows, columns, kind, solver in ROWS:
            if count > given.most:
                continue
            uniform = np.random.default_rng(0).random((count, 2))
            path = Path(scratch, "places.npy")
            np.save(path, uniform if kind == "uniform" else resampled(base, count))
            seconds, megabytes, cost, gap, name = measured(path, rows, columns, solver, given.runs)
            print(
                f"| {count:,} {kind} | {rows} x {columns} | {name} | {seconds:.3g} "
                f"| {megabytes:.0f} | {cost / count:.8g} | {gap:.2g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
