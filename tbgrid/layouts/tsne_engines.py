"""Engines of t-SNE: points with initial positions become a layout.

Every engine is a `TsneEngine`. Divergences are Kullback-Leibler divergences, in nats.
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
from typing import Any, NamedTuple, Protocol

import numpy as np

from tbgrid.choices import Engine
from tbgrid.layouts.exact_gradient import ExactGradient
from tbgrid.options import require_engine
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array
from tbgrid.util.threads import THREADS_FROM
from tbgrid.vectors.neighbors import iter_nearest_points

STAGE = "t-SNE"
PACKAGES = {"opentsne": "openTSNE", "sklearn": "scikit-learn", "intelex": "scikit-learn-intelex"}

# Of `opentsne`. Measured on photos and digits, 800 to 20,000: exaggeration 4 ends at a lower
# divergence than the usual 12, in fewer iterations, and keeps more neighbors on the grid.
EARLY_EXAGGERATION = 4.0  # of attraction; a power of two, so that undoing it rounds nothing
EARLY_EXAGGERATION_ITERATIONS, ITERATIONS = 150, 250
MOMENTUM, LARGE_N_MOMENTUM = 0.8, 0.95
LARGE_N = 2500  # points from which larger steps pay: the layout has farther to spread
# (exaggeration, iterations) of `tsne_warm`, and the standard deviation that it starts with. On the
# vectors of a network in training, step after step, they keep as many neighbors as `opentsne` in
# less than half the time, and points move half as far as between aligned layouts of that. A little
# exaggeration lets points pass each other; scaled down at first, the layout does not spread further
# at each step, which would be worse for the grid.
WARM_SCHEDULE, WARM_INIT_STD = ((1.5, 50), (1.0, 100)), 3.0
# The same below `SMALL_N` points, where the sum over all pairs takes a third of the tree's time, so
# that more iterations take no longer: photos of a network that did not change move by less than a
# cell.
WARM_SCHEDULE_SMALL_N, SMALL_N = ((1.5, 50), (1.0, 250)), 500
EXACT_BELOW = 2500  # points: with fewer, the sum over all pairs is faster than a Barnes-Hut tree
FFT_ABOVE = 10_000  # points: with more, repulsion is interpolated (FIt-SNE)
# The interval of its mesh in units of the layout. At 10,000 points one of 2 ends 4 % higher than
# one of 1.5, at 20,000 less than 1 %, in two thirds of the time.
FFT_INTERVAL, WIDE_FFT_INTERVAL, WIDE_FFT_FROM = 1.5, 2.0, 15_000
MAX_ITER = 1000  # of the other engines
_CHUNK = 4096  # points from which the search for neighbors reports progress


class TsneEngine(Protocol):
    """Signature of a t-SNE engine."""

    def __call__(
        self,
        points: Float32Array,
        perplexity: float,
        start: Float32Array,
        seed: int,
        progress: Progress,
    ) -> tuple[Float64Array, float]:
        """Compute a layout.

        Args:
            points: float32[n, d] under the Euclidean distance.
            perplexity: at most (n - 1) / 3, but at least 1.
            start: float32[n, 2], the initial positions.
            seed: of random numbers.
            progress: called as the iterations proceed.

        Returns:
            float64[n, 2] positions and their divergence.
        """


class _Phase(NamedTuple):
    """Some iterations of gradient descent with the same settings."""

    exaggeration: float
    iterations: int
    learning_rate: float
    momentum: float


@functools.cache
def engine_version(engine: Engine) -> str:
    """Name the engine's package with its version, which the result depends on."""
    return f"{PACKAGES[engine]} {importlib.metadata.version(PACKAGES[engine])}"


def find_engine(engine: Engine) -> TsneEngine:
    """Give the engine of that name.

    Raises:
        UsageError: it is not installed.
    """
    require_engine(engine)
    return _ENGINES[engine]


def tsne_opentsne(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """Compute a layout by openTSNE (Poličar, Stražar and Zupan, 2024) on exact neighbors.

    Repulsion is summed over all pairs below `EXACT_BELOW` points (`layouts.exact_gradient`), by a
    Barnes-Hut tree up to `FFT_ABOVE`, and interpolated beyond (Linderman et al., Nature Methods 16,
    2019). The learning rate is n over the exaggeration, as Belkina et al. recommend (Nature
    Communications 10, 2019), and twice that for many points. See `TsneEngine`.
    """
    count = len(points)
    large = count >= LARGE_N
    rate = count * (2 if large else 1)
    momentum = LARGE_N_MOMENTUM if large else MOMENTUM
    schedule = (
        _Phase(
            EARLY_EXAGGERATION, EARLY_EXAGGERATION_ITERATIONS, count / EARLY_EXAGGERATION, MOMENTUM
        ),
        _Phase(1.0, ITERATIONS, rate, momentum),
    )
    return _run_opentsne(points, perplexity, start, seed, progress, schedule)


def tsne_warm(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """Compute a layout that is like `start`, a layout of similar points. See `TsneEngine`."""
    centered = start - start.mean(axis=0)
    start = centered * (WARM_INIT_STD / max(float(centered.std()), 1e-12))
    phases = WARM_SCHEDULE_SMALL_N if len(points) < SMALL_N else WARM_SCHEDULE
    schedule = [_Phase(more, steps, len(points) / more, MOMENTUM) for more, steps in phases]
    return _run_opentsne(points, perplexity, start, seed, progress, schedule)


def tsne_resume(
    points: Float32Array,
    perplexity: float,
    start: Float64Array,
    iterations: int,
    seed: int,
    progress: Progress,
) -> tuple[Float64Array, float]:
    """Continue a finished layout, in small steps, so that what is in place stays there.

    Uses a tree or interpolation for few points, too: for so few iterations that is fast enough, and
    on sets of 400 to 700 digits photos moved a little less than with the sum over all pairs.

    Args:
        points: float32[n, d] under the Euclidean distance.
        perplexity: as for `TsneEngine`.
        start: float64[n, 2], the positions to continue from.
        iterations: without exaggeration; with 0 only the divergence is computed.
        seed: of random numbers.
        progress: called as the iterations proceed.

    Returns:
        float64[n, 2] positions and their divergence.
    """
    schedule = [_Phase(1.0, iterations, float(len(points)), MOMENTUM)] if iterations else []
    return _run_opentsne(points, perplexity, start, seed, progress, schedule, by_tree=True)


def _run_opentsne(
    points: Float32Array,
    perplexity: float,
    start: Float32Array | Float64Array,
    seed: int,
    progress: Progress,
    schedule: Sequence[_Phase],
    *,
    by_tree: bool = False,
) -> tuple[Float64Array, float]:
    """Run the phases of `schedule`; `by_tree`: not by all pairs, however few points there are."""
    from openTSNE import TSNEEmbedding

    count = len(points)
    iterations = sum(phase.iterations for phase in schedule)
    jobs = -1 if count >= THREADS_FROM else 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="openTSNE")
        affinities = _affinities(points, perplexity, jobs, progress)
        exact: Any = ExactGradient(affinities.P) if count < EXACT_BELOW else "bh"
        gradient: Any = "fft" if count > FFT_ABOVE else "bh"
        if count < EXACT_BELOW and not by_tree:
            gradient = exact
        progress(STAGE, 0, iterations)
        layout = TSNEEmbedding(
            start.astype(np.float64),
            affinities,
            negative_gradient_method=gradient,
            ints_in_interval=WIDE_FFT_INTERVAL if count >= WIDE_FFT_FROM else FFT_INTERVAL,
            n_jobs=jobs,
            random_state=seed,
        )
        done = 0
        for phase in schedule:
            layout = layout.optimize(
                phase.iterations,
                exaggeration=phase.exaggeration,
                learning_rate=phase.learning_rate,
                momentum=phase.momentum,
                callbacks=_ProgressCallback(progress, done, iterations),
                callbacks_every_iters=10,
            )
            done += phase.iterations
        positions = np.array(layout, np.float64)
        # The divergence is computed again, without interpolation, which errs by some per cent, and
        # on one thread: on several, the last digits of the sum depend on their order.
        last = TSNEEmbedding(
            positions.copy(),
            affinities,
            negative_gradient_method=exact,
            n_jobs=1,
            random_state=seed,
        )
        divergence = max(0.0, float(last.optimize(0).kl_divergence))
    progress(STAGE, iterations, iterations)
    return positions, divergence


def _affinities(points: Float32Array, perplexity: float, jobs: int, progress: Progress) -> Any:
    """openTSNE's affinities between points and their exact nearest neighbors."""
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count = len(points)
    near = min(count - 1, int(3 * perplexity))
    rows = np.empty((count, near), np.int64)
    far = np.empty((count, near))
    for chosen, found, distances in iter_nearest_points(points, near):
        if count > _CHUNK:  # it takes a while
            progress("neighbours", int(chosen[-1]) + 1, count)
        rows[chosen], far[chosen] = found, distances
    return PerplexityBasedNN(
        perplexity=perplexity, knn_index=PrecomputedNeighbors(rows, far), n_jobs=jobs
    )


class _ProgressCallback:
    """Called by openTSNE every few iterations."""

    def __init__(self, progress: Progress, done: int, total: int) -> None:
        self.progress, self.done, self.total = progress, done, total

    def __call__(self, iteration: int, _error: float, _layout: object) -> bool:
        """Report progress, and answer that the optimization shall not stop."""
        self.progress(STAGE, self.done + iteration, self.total)
        return False


def tsne_sklearn(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """Compute a layout by scikit-learn's Barnes-Hut t-SNE with its defaults. See `TsneEngine`."""
    from sklearn.manifold import TSNE

    with _report_printed_iterations(progress):
        return _run_sklearn(TSNE, points, perplexity, start, seed, progress)


def tsne_intelex(
    points: Float32Array, perplexity: float, start: Float32Array, seed: int, progress: Progress
) -> tuple[Float64Array, float]:
    """Compute the same by Intel's extension, which reports no progress. See `TsneEngine`."""
    from sklearnex.manifold import TSNE

    progress(STAGE, 0, None)
    return _run_sklearn(TSNE, points, perplexity, start, seed, silent)


def _run_sklearn(
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
def _report_printed_iterations(progress: Progress) -> Iterator[None]:
    """Turn the lines that scikit-learn prints every 50 iterations into progress."""
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


_ENGINES: dict[Engine, TsneEngine] = {
    "opentsne": tsne_opentsne,
    "sklearn": tsne_sklearn,
    "intelex": tsne_intelex,
}
