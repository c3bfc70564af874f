"""Vectors become places in the plane, by t-SNE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from tbgrid import engines
from tbgrid.engines import Engine
from tbgrid.errors import TbgridError, UsageError
from tbgrid.types import Distance, Float32Array, Float64Array, IntArray, Json, Progress, silent

Method = Literal["tsne", "umap", "pca", "flas"]
NAMES: dict[Method, str] = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA", "flas": "FLAS"}

# Of 20, 25 and the usual 30 the one whose grids, refined, are best on 1,024 photos and digits, all
# numbers of the report card taken together.
DEFAULT_PERPLEXITY = 25.0
_MOST_PERPLEXITY = 1_000_000  # three times as many photos are more than can be laid out
WHOLE = 5000  # vectors up to which t-SNE sees all their dimensions
PARTS = 50  # principal components that it sees of more: neighbours on digits are as good or better
FITTED = 20_000  # vectors that tell the directions of principal components; fewer if they are long
_HELD = 30_000_000  # numbers of these vectors: 240 MB
LIKES = 5  # nearest neighbours among whom a new point starts
_CHUNK = 4096  # vectors that are projected together


@dataclass(frozen=True)
class TsneOptions:
    """`perplexity` None: 25, or what a small set allows. Equal seeds give equal layouts.

    `engine`: "opentsne", "sklearn", the reference, or "intelex", its faster twin by Intel.
    """

    perplexity: float | None = None
    seed: int = 0
    engine: Engine = "opentsne"

    def __post_init__(self) -> None:
        if self.perplexity is not None and not (
            math.isfinite(self.perplexity) and self.perplexity > 0
        ):
            raise UsageError(f"perplexity {self.perplexity}", "give a number above 0")
        if self.perplexity is not None and not 1 <= self.perplexity <= _MOST_PERPLEXITY:
            raise UsageError(
                f"perplexity {self.perplexity:g}",
                f"it is a number of neighbours: give one from 1 to {_MOST_PERPLEXITY}",
            )
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}", "give a number from 0 to 4294967295")
        if self.engine not in get_args(Engine):
            raise UsageError(
                f"engine {self.engine}", f"expected one of {', '.join(get_args(Engine))}"
            )


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
    if near is not None and options.engine != "opentsne":
        raise UsageError(f"engine {options.engine} starts from no layout", "use engine opentsne")
    ready = _prepared(vectors, options, distance)
    if near is None:
        engine, start = engines.find(options.engine), spread(ready.points, options.seed)
    else:
        engine, start = engines.settled, near.astype(np.float32)
    found = engine(ready.points, ready.perplexity, start, options.seed, progress)
    return ready.layout(*found, engines.version(options.engine))


def tsne_from(
    vectors: Float32Array,
    start: Float64Array,
    iterations: int,
    options: TsneOptions = TsneOptions(),
    *,
    distance: Distance = "cosine",
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
    if options.engine != "opentsne":
        raise UsageError(
            f"engine {options.engine} cannot start from an earlier layout",
            "leave out --engine or --like",
        )
    ready = _prepared(vectors, options, distance)
    placed = _placed(ready.points, start, options.seed)
    found = engines.resumed(
        ready.points, ready.perplexity, placed, iterations, options.seed, progress
    )
    return ready.layout(*found, engines.version(options.engine))


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


def _prepared(vectors: Float32Array, options: TsneOptions, distance: Distance) -> _Seen:
    count = require_layable(vectors)
    notes: tuple[str, ...] = ()
    perplexity = fitted_perplexity(count, options.perplexity)
    if options.perplexity is None and perplexity < DEFAULT_PERPLEXITY:
        notes = (f"perplexity {perplexity:.3g}, fitted to {count} photos",)

    engines.find(options.engine)  # before the work: it may not be installed
    points, components = seen(vectors, distance, options.seed)
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


def seen(vectors: Float32Array, distance: Distance, seed: int) -> tuple[Float32Array, int]:
    """What a method sees of float32[n, d] vectors, under Euclidean distances: all of them, or of
    more than `WHOLE` the first `PARTS` principal components; and how many these are, 0 for all."""
    points = comparable(vectors, distance)
    if len(points) > WHOLE and points.shape[1] > PARTS:
        return principal_components(points, PARTS, seed), PARTS
    return points, 0


def principal_components(vectors: Float32Array, parts: int, seed: int = 0) -> Float32Array:
    """float32[n, parts]: the first principal components, zeros where there are fewer.

    Of more than `FITTED` vectors the directions are those of `FITTED` drawn under `seed`; of very
    long ones, of as many as make `_HELD` numbers, but never less than 2,000.
    """
    from sklearn.decomposition import PCA

    found = np.zeros((len(vectors), parts), np.float32)
    chosen = vectors
    most = min(FITTED, max(2000, _HELD // vectors.shape[1]))
    if len(vectors) > most:
        rows = np.random.default_rng(seed).permutation(len(vectors))[:most]
        chosen = vectors[np.sort(rows)]
    if np.ptp(chosen, axis=0).max() > 0:
        kept = min(parts, *chosen.shape)
        count, width = chosen.shape
        # Multiplications of both ways; those of the second are in narrow products, half as fast.
        covariance, projections = count * width**2 + 5 * width**3, 32 * count * width * (kept + 10)
        solver = "covariance_eigh" if covariance < projections else "randomized"
        # About the mean first: the covariance of numbers far from zero would be mostly rounding.
        middle = chosen.mean(axis=0, dtype=np.float64)
        pca = PCA(n_components=kept, svd_solver=solver, random_state=seed, copy=False)
        pca.fit(chosen - middle)
        for first in range(0, len(vectors), _CHUNK):
            part = slice(first, first + _CHUNK)
            found[part, :kept] = pca.transform(vectors[part] - middle)
    return found


def spread(points: Float32Array, seed: int) -> Float32Array:
    """Places float32[n, 2] to start from: the first two principal components, the first with
    standard deviation 1e-4, as Kobak and Berens advise (Nature Communications 10, 2019); noise of
    that size where there is no spread."""
    start = principal_components(points, 2, seed)
    scale = start[:, 0].std()
    start = start / scale * 1e-4 if scale > 0 else start
    rng = np.random.default_rng(seed)
    for axis in range(2):
        if not start[:, axis].std() > 1e-12:
            start[:, axis] = rng.normal(0, 1e-4, len(points))
    return start.astype(np.float32)
