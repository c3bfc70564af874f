"""Layouts by name: vectors become places in the plane by t-SNE, UMAP, PCA, or cells by FLAS."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from tbgrid.choices import NAMES, Method, Metric
from tbgrid.errors import UsageError
from tbgrid.grid.cells import cell_centers
from tbgrid.layouts import tsne_engines
from tbgrid.layouts.initialization import pca_initialization
from tbgrid.layouts.tsne import DEFAULT_PERPLEXITY, Layout, require_layable, tsne
from tbgrid.options import LAYOUT_PACKAGES, TsneOptions, require_layout
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors import neighbors
from tbgrid.vectors.pca import principal_components, reduce_dimensions

NEIGHBOURS, CLOSEST = 15, 0.1  # of UMAP, its own defaults: neighbours, least distance in the plane
# What FLAS leaves of its radius from step to step. Its own 0.93 takes a quarter of the time, which
# is little anyway, and ends at a DPQ_16 on digits that is 0.024 lower.
DECAY = 0.99
PERPLEXITIES = (10.0, 5.0, 50.0)  # of the t-SNE layouts that are tried beside the default's


def require(method: Method, shape: tuple[int, int]) -> None:
    """Make sure that the method can lay out vectors for a grid of `shape`.

    Raises:
        UsageError: it is not installed, or serves no such grid.
    """
    require_layout(method)
    if method == "flas" and min(shape) < 2:
        raise UsageError(
            f"layout flas on a grid of {shape[0]} x {shape[1]}",
            "it needs two rows and two columns: use another --grid or --layout",
        )


def version(method: Method, options: TsneOptions) -> str:
    """The package that lays out, with its version, which its layouts depend on."""
    if method == "tsne":
        return tsne_engines.version(options.engine)
    package = LAYOUT_PACKAGES[method][1] if method in LAYOUT_PACKAGES else "scikit-learn"
    return f"{package} {importlib.metadata.version(package)}"


def lay_out(
    method: Method,
    vectors: Float32Array,
    options: TsneOptions,
    shape: tuple[int, int],
    *,
    metric: Metric = "cosine",
    progress: Progress = silent,
) -> Layout:
    """Lay out float32[n, d] vectors by `method`, for a grid of `shape` (rows, columns).

    Of more than 5,000 vectors each method sees the first 50 principal components. The seed is that
    of `options`, whose perplexity and engine are t-SNE's alone; equal seeds give equal layouts.

    Raises:
        UsageError: see `require` and `tbgrid.layouts.tsne.tsne`.
        TbgridError: fewer than 3 vectors, or vectors that are not finite.
    """
    require(method, shape)
    if method == "tsne":
        return tsne(vectors, options, metric=metric, progress=progress)
    require_layable(vectors)
    points, components = reduce_dimensions(vectors, metric, options.seed)
    progress(NAMES[method], 0, None)
    cells = None
    if method == "flas":
        cells = _flas(points, shape, options.seed)
        positions = cell_centers(cells, shape[1])
    elif method == "umap":
        positions = _umap(points, options.seed)
    else:
        positions = principal_components(points, 2, options.seed).astype(np.float64)
    progress(NAMES[method], 1, 1)
    return Layout(
        positions,
        engine=version(method, options),
        components=components,
        method=method,
        cells=cells,
    )


def candidates(options: TsneOptions, count: int) -> list[tuple[Method, TsneOptions]]:
    """What `best` tries of `count` vectors, in this order: the default, so that it is there
    whatever the time; what costs little; the rest.

    A perplexity that is given is the only one of t-SNE.
    """
    perplexities: list[float] = []
    if options.perplexity is None:
        fitted = min(DEFAULT_PERPLEXITY, (count - 1) / 3)
        perplexities = [p for p in PERPLEXITIES if 3 * p < count - 1 and p != fitted]
    tsnes: list[tuple[Method, TsneOptions]] = [
        ("tsne", replace(options, perplexity=perplexity)) for perplexity in perplexities
    ]
    plain = replace(options, perplexity=None)
    return [("tsne", options), ("flas", plain), ("pca", plain), *tsnes, ("umap", plain)]


def _umap(points: Float32Array, seed: int) -> Float64Array:
    """UMAP (McInnes, Healy and Melville, 2018) on exact neighbours, from the first two principal
    components, which keeps more of the large (Kobak and Linderman, Nature Biotechnology 39, 2021)
    and comes out the same each time."""
    count = len(points)
    near = min(NEIGHBOURS, count - 1)
    rows, far = np.empty((count, near), np.int64), np.zeros((count, near), np.float32)
    rows[:, 0] = np.arange(count)  # UMAP counts a point among its neighbours
    if near > 1:
        for chosen, found, distances in neighbors.nearest_points(points, near - 1):
            rows[chosen, 1:], far[chosen, 1:] = found, distances
    start = pca_initialization(points, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports, of points that are equal
        from umap import UMAP

        fitted: Any = UMAP(
            n_neighbors=near,
            min_dist=CLOSEST,
            init=start / np.abs(start).max() * 10,
            precomputed_knn=(rows, far),
            force_approximation_algorithm=True,  # or few points have theirs sought all the same
            random_state=seed,
            n_jobs=1,
        ).fit(points)
    return np.asarray(fitted.embedding_, np.float64)


def _flas(points: Float32Array, shape: tuple[int, int], seed: int) -> IntArray:
    """Fast linear assignment sorting (Barthel, Hezel, Jung and Schall, Computer Graphics Forum 42,
    2023): the cell of each point. Empty cells are moved like points."""
    from vc_flas import Grid, flas

    board = Grid.from_features(np.ascontiguousarray(points), size=shape, freeze_holes=False)
    # Its seed is a signed number of 32 bits.
    sorting = flas(board, wrap=False, radius_decay=DECAY, seed=seed % (2**31)).sorting.ravel()
    taken = np.flatnonzero(sorting >= 0)
    cells = np.empty(len(points), np.int64)
    cells[sorting[taken]] = taken
    return cells
