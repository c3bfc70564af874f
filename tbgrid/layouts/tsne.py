"""Vectors become places in the plane, by t-SNE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tbgrid.choices import NAMES, Method, Metric
from tbgrid.errors import TbgridError, UsageError
from tbgrid.layouts import tsne_engines
from tbgrid.layouts.initialization import pca_initialization
from tbgrid.options import TsneOptions
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, IntArray, Json
from tbgrid.vectors.pca import reduce_dimensions

# Of 20, 25 and the usual 30 the one whose grids, refined, are best on 1,024 photos and digits, all
# numbers of the report card taken together.
DEFAULT_PERPLEXITY = 25.0
LIKES = 5  # nearest neighbours among whom a new point starts
_CHUNK = 4096  # vectors that are projected together


@dataclass(frozen=True)
class Layout:
    """`positions` float64[n, 2] (x to the right, y up), by what `method`; the `engine` and its
    version; how many principal `components` of the vectors it saw, 0 for all dimensions.

    t-SNE's alone, None else: the `perplexity` used; `kl`, the Kullback-Leibler divergence that it
    ended with, in nats. `cells` int64[n] where the method chose cells of the grid itself, of which
    the positions are the places; None where the snap is to choose them.
    """

    positions: Float64Array
    perplexity: float | None = None
    kl: float | None = None
    engine: str = ""
    components: int = 0
    notes: tuple[str, ...] = ()
    method: Method = "tsne"
    cells: IntArray | None = None

    @property
    def name(self) -> str:
        """What people call the method."""
        return NAMES[self.method]

    @property
    def title(self) -> str:
        """The name with what tells it from another layout of the same vectors."""
        return title(self.method, self.perplexity)

    def told(self, seed: int, dimensions: int) -> Json:
        """What a report says of it; `dimensions`: those of the vectors."""
        used = {"perplexity": self.perplexity, "KL_divergence": self.kl}
        told = {
            "perplexity": self.perplexity,
            "seed": seed,
            "engine": self.engine,
            "dimensions": self.components or dimensions,
            "KL_divergence": self.kl,
        }
        return {key: value for key, value in told.items() if used.get(key, value) is not None}


def title(method: Method, perplexity: float | None) -> str:
    """A layout in words."""
    name = NAMES[method]
    return name if perplexity is None else f"{name}, perplexity {perplexity:.3g}"


def tsne(
    vectors: Float32Array,
    options: TsneOptions | None = None,
    *,
    metric: Metric = "cosine",
    near: Float64Array | None = None,
    progress: Progress = silent,
) -> Layout:
    """Lay out float32[n, d] vectors in the plane by t-SNE.

    t-SNE: van der Maaten and Hinton, JMLR 9 (2008). It looks at 3 * perplexity neighbours of each
    point, so an explicit perplexity needs more than three times as many points. Of more than 5,000
    vectors it sees the first 50 principal components.

    `near`: float64[n, 2], the layout of similar vectors, such as those of a network one epoch
    before. It is where the engine `opentsne` starts from, and the new layout stays near it.

    Raises:
        UsageError: the perplexity is too large for n, the engine is not installed, or it is
            another one where `near` is given.
        TbgridError: fewer than 3 vectors, or vectors that are not finite.
    """
    options = options or TsneOptions()
    if near is not None and options.engine != "opentsne":
        raise UsageError(f"engine {options.engine} starts from no layout", "use engine opentsne")
    ready = _prepared(vectors, options, metric)
    if near is None:
        engine, start = (
            tsne_engines.find(options.engine),
            pca_initialization(ready.points, options.seed),
        )
    else:
        engine, start = tsne_engines.settled, near.astype(np.float32)
    found = engine(ready.points, ready.perplexity, start, options.seed, progress)
    return ready.layout(*found, tsne_engines.version(options.engine))


def tsne_from(
    vectors: Float32Array,
    start: Float64Array,
    iterations: int,
    options: TsneOptions | None = None,
    *,
    metric: Metric = "cosine",
    progress: Progress = silent,
) -> Layout:
    """Lay out float32[n, d] vectors by t-SNE that starts from `start`, float64[n, 2] positions of
    an earlier layout, with NaN for points that it had not.

    A new point starts at the mean of the `LIKES` points of the earlier layout that are nearest to
    it by vectors. All then go so many plain `iterations`, without the exaggeration that would mix
    them anew; with 0 the positions are as they start. Perplexity and vectors as for `tsne`.

    Raises:
        UsageError: as `tsne`; another engine than opentsne, which alone can do this.
        TbgridError: as `tsne`; no point has a position.
    """
    options = options or TsneOptions()
    if options.engine != "opentsne":
        raise UsageError(
            f"engine {options.engine} cannot start from an earlier layout",
            "leave out --engine or --like",
        )
    ready = _prepared(vectors, options, metric)
    placed = _placed(ready.points, start, options.seed)
    found = tsne_engines.resumed(
        ready.points, ready.perplexity, placed, iterations, options.seed, progress
    )
    return ready.layout(*found, tsne_engines.version(options.engine))


def fitted_perplexity(count: int, wanted: float | None) -> float:
    """The perplexity for `count` points: as `wanted`, or if that is None the default one, or what
    so few allow.

    Raises:
        UsageError: so few do not allow what is wanted.
    """
    limit = max(1.0, (count - 1) / 3)  # 1: no other neighbour counts; less there cannot be
    if wanted is None:
        return min(DEFAULT_PERPLEXITY, limit)
    if wanted > limit:
        raise UsageError(
            f"perplexity {wanted:g} needs more than {math.floor(3 * wanted)} photos; found {count}",
            f"use --perplexity {math.floor(limit)}",
        )
    return float(wanted)


@dataclass(frozen=True)
class _Seen:
    """What an engine is given."""

    points: Float32Array
    perplexity: float
    components: int
    notes: tuple[str, ...]

    def layout(self, positions: Float64Array, kl: float, engine: str) -> Layout:
        """What came of it, checked."""
        if not np.isfinite(positions).all():
            raise TbgridError(
                "t-SNE gave places that are not finite", "use another --perplexity or --model"
            )
        return Layout(positions, self.perplexity, kl, engine, self.components, self.notes)


def _prepared(vectors: Float32Array, options: TsneOptions, metric: Metric) -> _Seen:
    count = require_layable(vectors)
    notes: tuple[str, ...] = ()
    perplexity = fitted_perplexity(count, options.perplexity)
    if options.perplexity is None and perplexity < DEFAULT_PERPLEXITY:
        notes = (f"perplexity {perplexity:.3g}, fitted to {count} photos",)

    tsne_engines.find(options.engine)  # before the work: it may not be installed
    points, components = reduce_dimensions(vectors, metric, options.seed)
    return _Seen(points, perplexity, components, notes)


def _placed(points: Float32Array, start: Float64Array, seed: int) -> Float64Array:
    """`start` with positions for all."""
    from sklearn.neighbors import NearestNeighbors

    known = np.isfinite(start).all(axis=1)
    old, new = np.flatnonzero(known), np.flatnonzero(~known)
    if not len(old):
        raise TbgridError("no point has a position to start from", "lay them out anew")
    placed: Float64Array = start.copy()
    if len(new):
        near = min(LIKES, len(old))
        index = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(points[old])
        for first in range(0, len(new), _CHUNK):
            some = new[first : first + _CHUNK]
            likes = old[index.kneighbors(points[some], return_distance=False)]
            placed[some] = start[likes].mean(axis=1)
        # Points at one place would never part: nothing drives them away from each other.
        rng = np.random.default_rng(seed)
        width = np.ptp(start[old], axis=0).max() or 1.0
        placed[new] += rng.normal(0, 1e-3 * width, (len(new), 2))
    return placed


def require_layable(vectors: Float32Array) -> int:
    """How many vectors there are.

    Raises:
        TbgridError: fewer than 3, or one is not finite.
    """
    count = len(vectors)
    if count < 3:
        raise TbgridError(f"{count} vectors", "a layout needs at least 3")
    if not all(np.isfinite(vectors[i : i + _CHUNK]).all() for i in range(0, count, _CHUNK)):
        raise TbgridError("vectors that are not finite", "leave out rows with NaN or infinity")
    return count
