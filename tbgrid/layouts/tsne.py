"""Vectors become positions in the plane by t-SNE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tbgrid.choices import Metric
from tbgrid.errors import TbgridError, UsageError, option
from tbgrid.grid.layout import Layout
from tbgrid.layouts import tsne_engines
from tbgrid.layouts.initialization import pca_initialization
from tbgrid.options import TsneOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array
from tbgrid.vectors.pca import reduce_dimensions

# Of 20, 25 and the usual 30 the one whose grids, refined, are best on 1,024 photos and digits, all
# numbers of the report card taken together.
DEFAULT_PERPLEXITY = 25.0
INIT_NEIGHBORS = 5  # nearest points of an earlier layout, at whose mean a new point starts
_CHUNK = 4096  # vectors that are processed together


def tsne(
    vectors: Float32Array,
    options: TsneOptions | None = None,
    *,
    metric: Metric = "cosine",
    init: Float64Array | None = None,
    progress: Progress = silent,
) -> Layout:
    """Compute positions by t-SNE (van der Maaten and Hinton, JMLR 9, 2008).

    It looks at 3 * perplexity neighbors of each vector, so a perplexity that is given needs more
    than three times as many vectors. More than 5,000 vectors are reduced to their first 50
    principal components.

    Args:
        vectors: float32[n, d], n >= 3.
        options: perplexity, seed and engine.
        metric: the distance between vectors.
        init: float64[n, 2], the positions of similar vectors, such as those of a network one epoch
            before. The new layout starts there and stays similar. For engine "opentsne" only.
        progress: called as the iterations proceed.

    Raises:
        UsageError: the perplexity is too large for n, the engine is not installed, or it cannot
            start from `init`.
        TbgridError: there are fewer than 3 vectors, or some are not finite.
    """
    options = options or TsneOptions()
    if init is not None:
        _require_opentsne(options, "use engine opentsne")
    prepared = _prepare_input(vectors, options, metric)
    if init is None:
        engine = tsne_engines.find_engine(options.engine)
        start = pca_initialization(prepared.points, options.seed)
    else:
        engine, start = tsne_engines.tsne_warm, init.astype(np.float32)
    found = engine(prepared.points, prepared.perplexity, start, options.seed, progress)
    return prepared.layout(*found, tsne_engines.engine_version(options.engine))


def tsne_from(
    vectors: Float32Array,
    start: Float64Array,
    iterations: int,
    options: TsneOptions | None = None,
    *,
    metric: Metric = "cosine",
    progress: Progress = silent,
) -> Layout:
    """Continue a t-SNE layout after vectors were added, removed or changed.

    There is no early exaggeration, which would rearrange the map.

    Args:
        vectors: float32[n, d], n >= 3.
        start: float64[n, 2], positions in the earlier layout; NaN for new vectors, which start at
            the mean of the `INIT_NEIGHBORS` most similar ones that have a position.
        iterations: of gradient descent; with 0 the positions are the initial ones.
        options: perplexity and seed, as for `tsne`.
        metric: the distance between vectors.
        progress: called as the iterations proceed.

    Raises:
        UsageError: the perplexity is too large for n, or the engine is not opentsne.
        TbgridError: there are fewer than 3 vectors, some are not finite, or none has a position.
    """
    options = options or TsneOptions()
    _require_opentsne(options, f"leave out {option('tsne.engine')} or {option('like')}")
    prepared = _prepare_input(vectors, options, metric)
    initial = _initial_positions(prepared.points, start, options.seed)
    found = tsne_engines.tsne_resume(
        prepared.points, prepared.perplexity, initial, iterations, options.seed, progress
    )
    return prepared.layout(*found, tsne_engines.engine_version(options.engine))


def choose_perplexity(count: int, wanted: float | None) -> float:
    """Choose the perplexity for a number of vectors.

    Args:
        count: number of vectors.
        wanted: the perplexity asked for; None for 25, or less if there are few vectors.

    Raises:
        UsageError: `wanted` is too large for `count`.
    """
    limit = max(1.0, (count - 1) / 3)  # at 1 a single neighbor counts; it cannot be lower
    if wanted is None:
        return min(DEFAULT_PERPLEXITY, limit)
    if wanted > limit:
        raise UsageError(
            f"perplexity {wanted:g} needs more than {math.floor(3 * wanted)} photos; found {count}",
            f"use {option('tsne.perplexity')} {math.floor(limit)}",
        )
    return float(wanted)


def validate_vectors(vectors: Float32Array) -> int:
    """Make sure that vectors can be laid out, and count them.

    Raises:
        TbgridError: there are fewer than 3, or some are not finite.
    """
    count = len(vectors)
    if count < 3:
        raise TbgridError(f"{count} vectors", "a layout needs at least 3")
    if not all(np.isfinite(vectors[i : i + _CHUNK]).all() for i in range(0, count, _CHUNK)):
        raise TbgridError("vectors that are not finite", "leave out rows with NaN or infinity")
    return count


def _require_opentsne(options: TsneOptions, hint: str) -> None:
    if options.engine != "opentsne":
        raise UsageError(f"engine {options.engine} cannot start from an earlier layout", hint)


@dataclass(frozen=True)
class _PreparedInput:
    """What an engine is given."""

    points: Float32Array
    perplexity: float
    components: int
    notes: tuple[str, ...]

    def layout(self, positions: Float64Array, kl: float, engine: str) -> Layout:
        """The layout, from what the engine has returned."""
        if not np.isfinite(positions).all():
            raise TbgridError(
                "t-SNE gave positions that are not finite",
                f"use another {option('tsne.perplexity')} or {option('model')}",
            )
        return Layout(
            positions=positions,
            engine=engine,
            components=self.components,
            perplexity=self.perplexity,
            kl=kl,
            notes=self.notes,
        )


def _prepare_input(vectors: Float32Array, options: TsneOptions, metric: Metric) -> _PreparedInput:
    count = validate_vectors(vectors)
    notes: tuple[str, ...] = ()
    perplexity = choose_perplexity(count, options.perplexity)
    if options.perplexity is None and perplexity < DEFAULT_PERPLEXITY:
        notes = (f"perplexity {perplexity:.3g}, fitted to {count} photos",)

    tsne_engines.find_engine(options.engine)  # before the work: it may not be installed
    points, components = reduce_dimensions(vectors, metric, options.seed)
    return _PreparedInput(points, perplexity, components, notes)


def _initial_positions(points: Float32Array, start: Float64Array, seed: int) -> Float64Array:
    """`start` with positions for all points."""
    from sklearn.neighbors import NearestNeighbors

    known = np.isfinite(start).all(axis=1)
    old, new = np.flatnonzero(known), np.flatnonzero(~known)
    if not len(old):
        raise TbgridError("no photo matches the earlier layout", "run without it")
    placed: Float64Array = start.copy()
    if len(new):
        near = min(INIT_NEIGHBORS, len(old))
        index = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(points[old])
        for first in range(0, len(new), _CHUNK):
            some = new[first : first + _CHUNK]
            similar = old[index.kneighbors(points[some], return_distance=False)]
            placed[some] = start[similar].mean(axis=1)
        # Points at one position would never part: nothing drives them away from each other.
        rng = np.random.default_rng(seed)
        width = np.ptp(start[old], axis=0).max() or 1.0
        placed[new] += rng.normal(0, 1e-3 * width, (len(new), 2))
    return placed
