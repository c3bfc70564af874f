"""Engines of t-SNE: points with a starting layout become places in the plane.

Each engine takes float32[n, d] points under the Euclidean distance, the perplexity, float32[n, 2]
places to start from and a seed; it gives float64[n, 2] and the Kullback-Leibler divergence in nats.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from tbgrid.choices import Engine
from tbgrid.layouts.exact_gradient import ExactGradient
from tbgrid.options import require_engine
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.util.threads import THREADS_FROM
from tbgrid.vectors.neighbors import nearest_points

STAGE = "t-SNE"
PACKAGES = {"opentsne": "openTSNE", "sklearn": "scikit-learn", "intelex": "scikit-learn-intelex"}

# The descent of `opentsne`. Measured on photos and digits, 800 to 20,000: exaggeration 4 ends at a
# lower divergence than the usual 12, in fewer iterations, and keeps more neighbours on the grid.
EXAGGERATION = 4.0  # of attraction at first; a power of two, so that undoing it rounds nothing
EXAGGERATED, PLAIN = 150, 250  # iterations
# (exaggeration, iterations) of `settled`, and the standard deviation that it starts with. On the
# vectors of a network in training, step after step, they keep as many neighbours as `opentsne` in
# less than half the time, and points move half as far as between aligned layouts of that. A little
# exaggeration lets points pass each other; drawn together at first, the layout does not spread
# further at each step, which would cost the grid.
SETTLING, DRAWN = ((1.5, 50), (1.0, 100)), 3.0
# The same below `FEW` points, where the sum over all pairs takes a third of the tree's time, and so
# more of it no longer: photos of a network that did not change move by less than a cell.
SETTLING_FEW, FEW = ((1.5, 50), (1.0, 250)), 500
MOMENTUM, FAST_MOMENTUM = 0.8, 0.95
FAST = 2500  # points from which larger steps pay: the layout has farther to spread
SUMMED = 2500  # points below which the sum over all pairs takes less time than a tree of points
INTERPOLATED = 10_000  # points beyond which repulsion comes by interpolation (FIt-SNE)
# Its mesh in units of the layout. At 10,000 points one of 2 ends 4 % higher than one of 1.5, at
# 20,000 less than 1 %, in two thirds of the time.
MESH, WIDE_MESH, WIDE_FROM = 1.5, 2.0, 15_000
MAX_ITER = 1000  # of the other engines
_CHUNK = 4096  # points whose neighbours are sought together


class Descent(Protocol):
    """What an engine is."""

    def __call__(
        self,
        points: Float32Array,
        perplexity: float,
        start: Float32Array,
        seed: int,
        progress: Progress,
    ) -> tuple[Float64Array, float]:
        """Places float64[n, 2] and their divergence."""


@functools.cache
def version(engine: Engine) -> str:
    """The engine's package with its version, which its layouts depend on."""
    return f"{PACKAGES[engine]} {importlib.metadata.version(PACKAGES[engine])}"


def find(engine: Engine) -> Descent:
    """The engine of that name.

    Raises:
        UsageError: it is not installed.
    """
    require_engine(engine)
    return {"opentsne": opentsne, "sklearn": scikit, "intelex": intelex}[engine]


def opentsne(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """openTSNE (Poličar, Stražar and Zupan, 2024) on exact neighbours.

    Repulsion comes from all pairs below `SUMMED` points (`layouts.exact_gradient`), is that of
    Barnes and Hut up to `INTERPOLATED` and interpolated beyond (Linderman et al., Nature Methods
    16, 2019). The learning rate is n over the exaggeration, as Belkina et al. advise (Nature
    Communications 10, 2019), twice that for many points.
    """
    count = len(points)
    fast = count >= FAST
    schedule = (
        (EXAGGERATION, EXAGGERATED, count / EXAGGERATION, MOMENTUM),
        (1.0, PLAIN, count * (2 if fast else 1), FAST_MOMENTUM if fast else MOMENTUM),
    )
    return _descended(points, perplexity, start, seed, progress, schedule)


def settled(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """`opentsne` from a `start` that is a layout of similar points: the new one is like it."""
    centred = start - start.mean(axis=0)
    start = centred * (DRAWN / max(float(centred.std()), 1e-12))
    settling = SETTLING_FEW if len(points) < FEW else SETTLING
    schedule = tuple((more, steps, len(points) / more, MOMENTUM) for more, steps in settling)
    return _descended(points, perplexity, start, seed, progress, schedule)


def resumed(
    points: Float32Array,
    perplexity: float,
    start: Float64Array,
    iterations: int,
    seed: int,
    progress: Progress,
) -> tuple[Float64Array, float]:
    """`opentsne` from float64[n, 2] places of a layout that is made already: so many plain
    `iterations`, in its smaller steps, so that what lies well stays; 0 only measures.

    Always by a tree or by interpolation: of so few iterations that is quick too, and on sets of 400
    to 700 digits photos moved a little less than by all pairs.
    """
    schedule = ((1.0, iterations, float(len(points)), MOMENTUM),) if iterations else ()
    return _descended(points, perplexity, start, seed, progress, schedule, by_tree=True)


def _descended(
    points: Float32Array,
    perplexity: float,
    start: Float32Array | Float64Array,
    seed: int,
    progress: Progress,
    schedule: Sequence[tuple[float, int, float, float]],
    *,
    by_tree: bool = False,
) -> tuple[Float64Array, float]:
    """`schedule`: exaggeration, iterations, learning rate and momentum, one after the other.
    `by_tree`: not by all pairs, however few points there are."""
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count = len(points)
    iterations = sum(steps for _, steps, _, _ in schedule)
    near = min(count - 1, int(3 * perplexity))
    jobs = -1 if count >= THREADS_FROM else 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="openTSNE")
        affinities = PerplexityBasedNN(
            perplexity=perplexity,
            knn_index=PrecomputedNeighbors(*_neighbours(points, near, progress)),
            n_jobs=jobs,
        )
        exact: Any = ExactGradient(affinities.P) if count < SUMMED else "bh"
        gradient: Any = "fft" if count > INTERPOLATED else "bh"
        if count < SUMMED and not by_tree:
            gradient = exact
        common: dict[str, Any] = {"random_state": seed}
        progress(STAGE, 0, iterations)
        layout = TSNEEmbedding(
            start.astype(np.float64),
            affinities,
            negative_gradient_method=gradient,
            ints_in_interval=WIDE_MESH if count >= WIDE_FROM else MESH,
            n_jobs=jobs,
            **common,
        )
        done = 0
        for exaggeration, steps, rate, momentum in schedule:
            layout = layout.optimize(
                steps,
                exaggeration=exaggeration,
                learning_rate=rate,
                momentum=momentum,
                callbacks=_Told(progress, done, iterations),
                callbacks_every_iters=10,
            )
            done += steps
        positions = np.array(layout, np.float64)
        # Measured anew: interpolation errs by some per cent, and on several threads the sum's last
        # digits depend on their order.
        last = TSNEEmbedding(
            positions.copy(),
            affinities,
            negative_gradient_method=exact,
            n_jobs=1,
            **common,
        )
        divergence = max(0.0, float(last.optimize(0).kl_divergence))
    progress(STAGE, iterations, iterations)
    return positions, divergence


class _Told:
    """What openTSNE calls as it goes."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self.progress, self.done, self.total = progress, done, total

    def __call__(self, iteration: int, _error: float, _layout: object) -> bool:
        """Report; False, so that it goes on."""
        self.progress(STAGE, self.done + iteration, self.total)
        return False


def _neighbours(
    points: Float32Array, near: int, progress: Progress
) -> tuple[IntArray, Float64Array]:
    rows = np.empty((len(points), near), np.int64)
    far = np.empty((len(points), near))
    for chosen, found, distances in nearest_points(points, near):
        if len(points) > _CHUNK:  # it takes a while
            progress("neighbours", int(chosen[-1]) + 1, len(points))
        rows[chosen], far[chosen] = found, distances
    return rows, far


def scikit(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """scikit-learn's Barnes-Hut t-SNE with its own settings."""
    from sklearn.manifold import TSNE

    with _iterations(progress):
        return _fitted(TSNE, points, perplexity, start, seed, progress)


def intelex(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """The same by Intel's extension of scikit-learn, which says nothing on its way."""
    from sklearnex.manifold import TSNE

    progress(STAGE, 0, None)
    return _fitted(TSNE, points, perplexity, start, seed, silent)


def _fitted(
    kind: Any,
    points: Float32Array,
    perplexity: float,
    start: Float32Array,
    seed: int,
    progress: Progress,
) -> tuple[Float64Array, float]:
    engine = kind(
        n_components=2,
        perplexity=perplexity,
        init=start,
        learning_rate="auto",
        max_iter=MAX_ITER,
        random_state=seed,
        verbose=0 if progress is silent else 2,
    )
    progress(STAGE, 0, MAX_ITER)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="sklearn")
        positions = np.asarray(engine.fit_transform(points), np.float64)
    progress(STAGE, MAX_ITER, MAX_ITER)
    return positions, float(engine.kl_divergence_)


@contextlib.contextmanager
def _iterations(progress: Progress) -> Iterator[None]:
    """Turn what scikit-learn prints at each 50 iterations, its only word of them, into progress."""
    if progress is silent:
        yield
        return

    class Printed(io.TextIOBase):
        def write(self, text: str) -> int:
            found = re.search(r"\[t-SNE\] Iteration (\d+):", text)
            if found:
                progress(STAGE, min(int(found.group(1)), MAX_ITER), MAX_ITER)
            return len(text)

    with contextlib.redirect_stdout(Printed()):
        yield
