"""Vectors become places in the plane, by t-SNE."""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tbgrid.errors import TbgridError, UsageError
from tbgrid.types import Distance, Float32Array, Float64Array, Progress, silent

DEFAULT_PERPLEXITY = 30.0
MAX_ITER = 1000


@dataclass(frozen=True)
class TsneOptions:
    """`perplexity` None: 30, or what a small set allows. Equal seeds give equal layouts."""

    perplexity: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.perplexity is not None and not (
            math.isfinite(self.perplexity) and self.perplexity > 0
        ):
            raise UsageError(f"perplexity {self.perplexity}", "give a number above 0")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}", "give a number from 0 to 4294967295")


@dataclass(frozen=True)
class Layout:
    """`positions` float64[n, 2] (x to the right, y up); `kl`, the Kullback-Leibler divergence that
    t-SNE ended with; the perplexity used."""

    positions: Float64Array
    perplexity: float
    kl: float
    notes: tuple[str, ...] = ()


def unit_length(vectors: Float32Array) -> Float32Array:
    """float32[n, d] with each row scaled to length 1; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def comparable(vectors: Float32Array, distance: Distance) -> Float32Array:
    """Vectors whose Euclidean distances order pairs as `distance` does."""
    return unit_length(vectors) if distance == "cosine" else vectors


def tsne(
    vectors: Float32Array,
    options: TsneOptions = TsneOptions(),
    *,
    distance: Distance = "cosine",
    progress: Progress = silent,
) -> Layout:
    """Lay out float32[n, d] vectors in the plane with scikit-learn's Barnes-Hut t-SNE.

    t-SNE: van der Maaten and Hinton, JMLR 9 (2008). It looks at 3 * perplexity neighbours of each
    point, so an explicit perplexity needs more than three times as many points.

    Raises:
        UsageError: the perplexity is too large for n.
        TbgridError: fewer than 3 vectors, or vectors that are not finite.
    """
    count = len(vectors)
    if count < 3:
        raise TbgridError(f"{count} vectors", "t-SNE needs at least 3")
    if not np.isfinite(vectors).all():
        raise TbgridError("vectors that are not finite", "leave out rows with NaN or infinity")
    notes: tuple[str, ...] = ()
    limit = max(1.0, (count - 1) / 3)  # 1: no other neighbour counts; less there cannot be
    perplexity = float(DEFAULT_PERPLEXITY if options.perplexity is None else options.perplexity)
    if perplexity > limit and options.perplexity is not None:
        raise UsageError(
            f"perplexity {perplexity:g} needs more than {math.floor(3 * perplexity)} photos; "
            f"found {count}",
            f"use --perplexity {math.floor(limit)}",
        )
    if perplexity > limit:
        perplexity = limit
        notes = (f"perplexity {perplexity:.3g}, fitted to {count} photos",)

    from sklearn.manifold import TSNE

    points = comparable(vectors, distance)
    engine = TSNE(
        n_components=2,
        perplexity=perplexity,
        init=_initial(points, options.seed),
        learning_rate="auto",
        max_iter=MAX_ITER,
        random_state=options.seed,
        verbose=0 if progress is silent else 2,
    )
    progress("t-SNE", 0, MAX_ITER)
    with _iterations(progress), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="sklearn")
        positions = np.asarray(engine.fit_transform(points), np.float64)
    progress("t-SNE", MAX_ITER, MAX_ITER)
    if not np.isfinite(positions).all():
        raise TbgridError(
            "t-SNE gave places that are not finite", "use another --perplexity or --model"
        )
    return Layout(positions, perplexity, float(engine.kl_divergence_), notes)


def principal_components(vectors: Float32Array, parts: int, seed: int = 0) -> Float64Array:
    """float64[n, parts]: the first principal components, zeros where there are fewer."""
    from sklearn.decomposition import PCA

    found = np.zeros((len(vectors), parts))
    if np.ptp(vectors, axis=0).max() > 0:
        kept = min(parts, *vectors.shape)
        pca = PCA(n_components=kept, svd_solver="randomized", random_state=seed)
        found[:, :kept] = pca.fit_transform(vectors.astype(np.float64))
    return found


def _initial(points: Float32Array, seed: int) -> Float32Array:
    """The first two principal components, the first with standard deviation 1e-4, as Kobak and
    Berens advise (Nature Communications 10, 2019); noise of that size where there is no spread."""
    start = principal_components(points, 2, seed)
    scale = start[:, 0].std()
    start = start / scale * 1e-4 if scale > 0 else start
    rng = np.random.default_rng(seed)
    for axis in range(2):
        if not start[:, axis].std() > 1e-12:
            start[:, axis] = rng.normal(0, 1e-4, len(points))
    return start.astype(np.float32)


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
                progress("t-SNE", min(int(found.group(1)), MAX_ITER), MAX_ITER)
            return len(text)

    with contextlib.redirect_stdout(Printed()):
        yield
