"""Layouts by name: vectors become positions by t-SNE, UMAP or PCA, or cells of a grid by FLAS."""

from __future__ import annotations

import importlib.metadata
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from tbgrid.choices import NAMES, Method, Metric
from tbgrid.errors import UsageError, option
from tbgrid.grid.cells import cell_centers, choose_shape
from tbgrid.grid.layout import Layout
from tbgrid.layouts import tsne_engines
from tbgrid.layouts.initialization import pca_initialization
from tbgrid.layouts.tsne import DEFAULT_PERPLEXITY, tsne, validate_vectors
from tbgrid.options import LAYOUT_PACKAGES, TsneOptions, require_layout
from tbgrid.progress import Progress, silent
from tbgrid.types import Float32Array, Float64Array, IntArray
from tbgrid.vectors.neighbors import iter_nearest_points
from tbgrid.vectors.pca import principal_components, reduce_dimensions

UMAP_NEIGHBORS, UMAP_MIN_DIST = 15, 0.1  # UMAP's own defaults
# The share of its radius that FLAS keeps from step to step. Its own 0.93 takes a quarter of the
# time, which is little anyway, and ends at a DPQ_16 on digits that is 0.024 lower.
FLAS_RADIUS_DECAY = 0.99
PERPLEXITIES = (10.0, 5.0, 50.0)  # of the t-SNE layouts that `candidates` adds to the default


def layout(
    vectors: Float32Array,
    method: Method = "tsne",
    *,
    options: TsneOptions | None = None,
    metric: Metric = "cosine",
    shape: tuple[int, int] | None = None,
    progress: Progress = silent,
) -> Layout:
    """Compute positions of vectors in the plane.

    More than 5,000 vectors are reduced to their first 50 principal components. Equal seeds give
    equal layouts.

    Args:
        vectors: float32[n, d], n >= 3.
        method: "tsne", "umap", "pca" or "flas".
        options: the seed, used by all methods; perplexity and engine are for t-SNE only.
        metric: the distance between vectors.
        shape: rows and columns of the grid whose cells "flas" assigns; None for a square one.
        progress: called as the method proceeds.

    Raises:
        UsageError: the method is unknown or not installed, or does not support this shape; or see
            `tbgrid.layouts.tsne.tsne`.
        TbgridError: there are fewer than 3 vectors, or some are not finite.
    """
    options = options or TsneOptions()
    shape = shape or choose_shape(max(1, len(vectors)))
    require_method(method, shape)
    if method == "tsne":
        return tsne(vectors, options, metric=metric, progress=progress)
    validate_vectors(vectors)
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
        positions=positions,
        method=method,
        engine=layout_version(method, options),
        components=components,
        cells=cells,
    )


def require_method(method: Method, shape: tuple[int, int]) -> None:
    """Make sure that a method can compute layouts for a grid.

    Args:
        method: its name.
        shape: rows and columns of the grid.

    Raises:
        UsageError: it is unknown or not installed, or does not support this shape.
    """
    if method not in NAMES:
        raise UsageError(f"{option('layout')} {method}", f"expected one of {', '.join(NAMES)}")
    require_layout(method)
    if method == "flas" and min(shape) < 2:
        raise UsageError(
            f"layout flas on a grid of {shape[0]} x {shape[1]}",
            "it needs two rows and two columns: "
            f"use another {option('grid.shape')} or {option('layout')}",
        )


def layout_version(method: Method, options: TsneOptions) -> str:
    """Name the package that computes the layout, with its version, which the result depends on."""
    if method == "tsne":
        return tsne_engines.engine_version(options.engine)
    package = LAYOUT_PACKAGES[method][1] if method in LAYOUT_PACKAGES else "scikit-learn"
    return f"{package} {importlib.metadata.version(package)}"


def candidates(options: TsneOptions, count: int) -> list[tuple[Method, TsneOptions]]:
    """List the layouts that "best" tries, in order.

    The default comes first, so that it is tried however short the time is; then those that take
    little time; then the others.

    Args:
        options: seed and engine; if they have a perplexity, t-SNE is tried with no other one.
        count: number of vectors.
    """
    perplexities: list[float] = []
    if options.perplexity is None:
        default = min(DEFAULT_PERPLEXITY, (count - 1) / 3)
        perplexities = [p for p in PERPLEXITIES if 3 * p < count - 1 and p != default]
    tsnes: list[tuple[Method, TsneOptions]] = [
        ("tsne", replace(options, perplexity=perplexity)) for perplexity in perplexities
    ]
    plain = replace(options, perplexity=None)
    return [("tsne", options), ("flas", plain), ("pca", plain), *tsnes, ("umap", plain)]


def _umap(points: Float32Array, seed: int) -> Float64Array:
    """UMAP (McInnes, Healy and Melville, 2018) with exact neighbors and PCA initialization.

    That initialization keeps more of the global structure (Kobak and Linderman, Nature
    Biotechnology 39, 2021) and makes the result reproducible.
    """
    count = len(points)
    near = min(UMAP_NEIGHBORS, count - 1)
    rows, far = np.empty((count, near), np.int64), np.zeros((count, near), np.float32)
    rows[:, 0] = np.arange(count)  # UMAP counts a point among its neighbors
    if near > 1:
        for chosen, found, distances in iter_nearest_points(points, near - 1):
            rows[chosen, 1:], far[chosen, 1:] = found, distances
    start = pca_initialization(points, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its imports, and about equal points
        from umap import UMAP

        fitted: Any = UMAP(
            n_neighbors=near,
            min_dist=UMAP_MIN_DIST,
            init=start / np.abs(start).max() * 10,
            precomputed_knn=(rows, far),
            force_approximation_algorithm=True,  # else it searches again if there are few points
            random_state=seed,
            n_jobs=1,
        ).fit(points)
    return np.asarray(fitted.embedding_, np.float64)


def _flas(points: Float32Array, shape: tuple[int, int], seed: int) -> IntArray:
    """The cells by fast linear assignment sorting; empty cells are moved like points.

    Barthel, Hezel, Jung and Schall, Computer Graphics Forum 42, 2023.
    """
    from vc_flas import Grid, flas

    board = Grid.from_features(np.ascontiguousarray(points), size=shape, freeze_holes=False)
    # Its seed is a signed number of 32 bits.
    sorted_board = flas(board, wrap=False, radius_decay=FLAS_RADIUS_DECAY, seed=seed % (2**31))
    sorting = sorted_board.sorting.ravel()
    taken = np.flatnonzero(sorting >= 0)
    cells = np.empty(len(points), np.int64)
    cells[sorting[taken]] = taken
    return cells
