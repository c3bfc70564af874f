"""The options of all stages: frozen dataclasses that refuse invalid values when they are built.

Without NumPy, so that the command line can read defaults and choices here and stay quick. An
option is named by its path from `ExportOptions` on, such as `grid.shape`; command line and service
each have their own spelling of it (`tbgrid.errors.option`).
"""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass, field
from typing import Any, get_args

from tbgrid import run_format
from tbgrid.choices import (
    AssignmentCost,
    Duplicates,
    Engine,
    Fit,
    InputRange,
    LayoutName,
    Method,
    Metric,
    Solver,
)
from tbgrid.errors import UsageError, option

MAX_PERPLEXITY = 1_000_000  # three times this number of photos is more than can be laid out
MAX_SEED = 2**32 - 1
TILE_SIDE = (8, 512)  # px
MAX_BATCH = 4096
MIN_PHOTOS = 3  # of a map
DEFAULT_BUDGET = 120.0  # seconds of CPU time
# The module and the package of layouts that are extras.
LAYOUT_PACKAGES = {"umap": ("umap", "umap-learn"), "flas": ("vc_flas", "vc-flas")}

# The options that decide about vectors and pictures; fixed once photos are embedded.
EMBEDDING = ("model", "image_size", "input_range", "fit", "tile", "preview")


@dataclass(frozen=True)
class TsneOptions:
    """Options of t-SNE. Equal seeds give equal layouts.

    Attributes:
        perplexity: the effective number of neighbors, from 1 to 1,000,000; None for 25, or what a
            small set allows.
        seed: of the random numbers, also of other layouts than t-SNE.
        engine: "opentsne", "sklearn" (the reference) or "intelex" (its faster twin by Intel).

    Raises:
        UsageError: a value out of its range.
    """

    perplexity: float | None = None
    seed: int = 0
    engine: Engine = "opentsne"

    def __post_init__(self) -> None:
        name = option("tsne.perplexity")
        if self.perplexity is not None:
            if not (math.isfinite(self.perplexity) and self.perplexity > 0):
                raise UsageError(f"{name} {self.perplexity}", "give a number above 0")
            if not 1 <= self.perplexity <= MAX_PERPLEXITY:
                raise UsageError(
                    f"{name} {self.perplexity:g}",
                    f"it is a number of neighbours: give one from 1 to {MAX_PERPLEXITY}",
                )
        _require_seed("tsne.seed", self.seed)
        _require_choice("tsne.engine", self.engine, Engine)


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """Options of the grid and of the assignment to its cells.

    Attributes:
        shape: (rows, columns); None for a grid near `aspect` that holds all photos.
        aspect: width / height, from 0.001 to 1000.
        assignment_cost: the sum to minimize, of "squared" or "euclidean" distances.
        solver: "auto" takes the fastest that fits; "lapjv", "scipy" and "windows" by name.
        exact: insist on the proven optimum, even where that takes minutes.

    Raises:
        UsageError: a value out of its range, or options that contradict each other.
    """

    shape: tuple[int, int] | None = None
    aspect: float = 1.0
    assignment_cost: AssignmentCost = "squared"
    solver: Solver = "auto"
    exact: bool = False

    def __post_init__(self) -> None:
        if self.shape is not None and min(self.shape) < 1:
            raise UsageError(
                f"{option('grid.shape')} {self.shape[0]}x{self.shape[1]}",
                "give at least one row and one column",
            )
        if not (math.isfinite(self.aspect) and 1e-3 <= self.aspect <= 1e3):
            raise UsageError(
                f"{option('grid.aspect')} {self.aspect}", "give width / height, from 0.001 to 1000"
            )
        _require_choice("grid.assignment_cost", self.assignment_cost, AssignmentCost)
        _require_choice("grid.solver", self.solver, Solver)
        if self.solver == "windows" and self.assignment_cost != "squared":
            raise UsageError(
                "solver windows works on squared distances",
                f"leave out {option('grid.assignment_cost')}",
            )
        if self.solver == "windows" and self.exact:
            raise UsageError(
                "solver windows is not exact",
                f"leave out {option('grid.solver')} or {option('grid.exact')}",
            )


@dataclass(frozen=True)
class GroupOptions:
    """Options of duplicates and clusters.

    Attributes:
        duplicates: "show" lists near-duplicates, "stack" collapses each group into one tile, "off"
            skips their detection.
        min_cluster: the smallest number of photos in a cluster; None for a number that fits the
            set, 0 for no clusters.

    Raises:
        UsageError: a value out of its range.
    """

    duplicates: Duplicates = "show"
    min_cluster: int | None = None

    def __post_init__(self) -> None:
        _require_choice("groups.duplicates", self.duplicates, Duplicates)
        if self.min_cluster is not None and (self.min_cluster < 0 or self.min_cluster == 1):
            raise UsageError(
                f"{option('groups.min_cluster')} {self.min_cluster}",
                "give a number of photos from 2, or 0 for no clusters",
            )


@dataclass(frozen=True)
class RefineOptions:
    """Options of the refinement of the cells.

    Attributes:
        seconds: limit of wall time, after which no further exchange is sought, except in the first
            round; None for no limit. With a limit the result depends on the machine; without one,
            equal input gives equal cells.

    Raises:
        UsageError: a limit that is not above 0.
    """

    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"{option('refine.seconds')} {self.seconds}", "give a number above 0")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Which photos of a source to take, and what to join to them.

    Attributes:
        include: shell patterns of paths or file names; * matches slashes too. Empty for all.
        exclude: the same, for photos to leave out.
        sample: draw this number of photos at random, stratified by label.
        limit: take the first photos, up to this number.
        seed: of the sample.
        metadata: a table that is joined by path or file name. Without photos its rows are those of
            the vectors.
        vectors: an .npy file of embeddings, float[n, d], to use instead of a model.

    Raises:
        UsageError: a value out of its range.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sample: int | None = None
    limit: int | None = None
    seed: int = 0
    metadata: str | os.PathLike[str] | None = None
    vectors: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for path, value in (("source.limit", self.limit), ("source.sample", self.sample)):
            if value is not None and value < MIN_PHOTOS:
                raise UsageError(
                    f"{option(path)} {value}", f"a map needs at least {MIN_PHOTOS} photos"
                )
        _require_seed("source.seed", self.seed)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How an export is made.

    Attributes:
        model: the embedder, as `tbgrid.load_embedder` names it.
        image_size: side of the model's input in pixels, where it is free.
        input_range: the range of the numbers that the model is given.
        metric: between vectors; None for the model's own.
        fit: how a photo becomes a square.
        tile: side of a photo in the mosaic, in pixels, from 8 to 512.
        preview: longest side of the larger pictures in the Grid tab, in pixels; 0 for none.
        batch: photos that the model is given at a time, from 1 to 4096.
        cache: directory of the cache; None for the user's own.
        use_cache: False to neither read nor write a cache.
        like: directory of an earlier run, from whose positions the map starts.
        source: which photos to take.
        layout: the method; "best" tries several (`tbgrid.layouts.methods.candidates`) and keeps
            the best by its report card.
        budget: for layout "best", the CPU time in seconds after which no further layout is
            started; None for 120. A cached layout counts with the time it once took.
        tsne: of t-SNE; its seed is that of every layout.
        grid: of the grid.
        refine: how the cells are refined after the assignment; None to leave them.
        groups: of duplicates and clusters.

    Raises:
        UsageError: a value out of its range, options that contradict each other, or a layout or an
            engine that is not installed.
    """

    model: str = "builtin"
    image_size: int | None = None
    input_range: InputRange = "unit"
    metric: Metric | None = None
    fit: Fit = "crop"
    tile: int = 64
    preview: int = run_format.DEFAULT_PREVIEW
    batch: int = 32
    cache: str | os.PathLike[str] | None = None
    use_cache: bool = True
    like: str | os.PathLike[str] | None = None
    source: SourceOptions = field(default_factory=SourceOptions)
    layout: LayoutName = "tsne"
    budget: float | None = None
    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)
    refine: RefineOptions | None = field(default_factory=RefineOptions)
    groups: GroupOptions = field(default_factory=GroupOptions)

    def __post_init__(self) -> None:
        if self.metric is not None:
            _require_choice("metric", self.metric, Metric)
        _require_choice("fit", self.fit, Fit)
        _require_choice("input_range", self.input_range, InputRange)
        _require_within("tile", self.tile, *TILE_SIDE, "of pixels")
        if self.preview != 0:
            _require_within(
                "preview", self.preview, *run_format.PREVIEW_SIDE, "of pixels", ", or 0 for none"
            )
        _require_within("batch", self.batch, 1, MAX_BATCH, "of photos")
        self._check_layout()
        self._check_like()

    def _check_layout(self) -> None:
        """Refuse a layout that is not installed, and options of another layout."""
        _require_choice("layout", self.layout, LayoutName)
        if self.layout != "best":
            require_layout(self.layout)
        require_engine(self.tsne.engine)
        if self.layout not in ("tsne", "best"):
            for name in ("perplexity", "engine"):
                if getattr(self.tsne, name) != getattr(TsneOptions(), name):
                    raise UsageError(
                        f"{option(f'tsne.{name}')} with {option('layout')} {self.layout}",
                        f"only t-SNE has it: leave out {option(f'tsne.{name}')}",
                    )
        if self.budget is not None:
            if self.layout != "best":
                raise UsageError(
                    f"{option('budget')} with {option('layout')} {self.layout}",
                    f"it limits several layouts: leave it out, or use {option('layout')} best",
                )
            if not (math.isfinite(self.budget) and self.budget >= 0):
                raise UsageError(f"{option('budget')} {self.budget}", "give seconds, 0 or more")

    def _check_like(self) -> None:
        """Refuse what a map that starts from an earlier one cannot have."""
        if self.like is None:
            return
        for path, value, needed in (
            ("layout", self.layout, "tsne"),
            ("tsne.engine", self.tsne.engine, "opentsne"),
        ):
            if value != needed:
                raise UsageError(
                    f"{option(path)} {value} cannot start from an earlier map",
                    f"leave out {option(path)} or {option('like')}",
                )
        if self.grid.aspect != GridOptions().aspect:
            raise UsageError(
                f"{option('grid.aspect')} for a map that keeps the grid of an earlier one",
                f"leave out {option('grid.aspect')} or {option('like')}, "
                f"or give {option('grid.shape')} instead",
            )


def require_engine(engine: Engine) -> None:
    """Check that an engine of t-SNE is installed.

    Raises:
        UsageError: it is not.
    """
    if engine == "intelex" and importlib.util.find_spec("sklearnex") is None:
        raise UsageError(
            "engine intelex needs scikit-learn-intelex, which is not installed",
            f"pip install 'tbgrid[intelex]' (x86-64 only), or leave out {option('tsne.engine')}",
        )


def require_layout(method: Method) -> None:
    """Check that what a layout needs is installed.

    Raises:
        UsageError: it is not.
    """
    module, package = LAYOUT_PACKAGES.get(method, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise UsageError(
            f"layout {method} needs {package}, which is not installed",
            f"pip install 'tbgrid[{method}]', or use another {option('layout')}",
        )


def _require_choice(path: str, value: object, literal: Any) -> None:
    *first, last = get_args(literal)
    if value not in get_args(literal):
        raise UsageError(f"{option(path)} {value}", f"expected {', '.join(first)} or {last}")


def _require_within(
    path: str, value: int, low: int, high: int, unit: str, otherwise: str = ""
) -> None:
    if not low <= value <= high:
        raise UsageError(
            f"{option(path)} {value}", f"give a number {unit} from {low} to {high}{otherwise}"
        )


def _require_seed(path: str, seed: int) -> None:
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"{option(path)} {seed}", f"give a number from 0 to {MAX_SEED}")
