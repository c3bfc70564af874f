"""How an export is made: the options of all stages, refused at once if they cannot be meant."""

from __future__ import annotations

import importlib.util
import math
import os
from dataclasses import dataclass, field
from typing import get_args

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
from tbgrid.errors import UsageError

_MOST_PERPLEXITY = 1_000_000  # three times as many photos are more than can be laid out
# The module and the package of layouts that are extras.
LAYOUT_PACKAGES = {"umap": ("umap", "umap-learn"), "flas": ("vc_flas", "vc-flas")}

# The options that decide upon vectors and pictures, and cannot be others once photos are embedded.
EMBEDDING = ("model", "image_size", "input_range", "fit", "tile", "preview")


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


def require_engine(engine: Engine) -> None:
    """Raise a UsageError if the engine is not installed."""
    if engine == "intelex" and importlib.util.find_spec("sklearnex") is None:
        raise UsageError(
            "engine intelex needs scikit-learn-intelex, which is not installed",
            "pip install 'tbgrid[intelex]' (x86-64 only), or leave out --engine",
        )


def require_layout(method: Method) -> None:
    """Raise a UsageError if what the method needs is not installed."""
    module, package = LAYOUT_PACKAGES.get(method, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise UsageError(
            f"layout {method} needs {package}, which is not installed",
            f"pip install 'tbgrid[{method}]', or use another --layout",
        )


@dataclass(frozen=True)
class GridOptions:
    """`shape` (rows, columns), or None: near `aspect` (width / height), holding all points.

    `exact`: the least total there is, whatever time it takes, or a `UsageError`.
    """

    shape: tuple[int, int] | None = None
    aspect: float = 1.0
    assignment_cost: AssignmentCost = "squared"
    solver: Solver = "auto"
    exact: bool = False

    def __post_init__(self) -> None:
        if self.shape is not None and min(self.shape) < 1:
            raise UsageError(
                f"grid {self.shape[0]}x{self.shape[1]}", "give at least one row and one column"
            )
        if not (math.isfinite(self.aspect) and 1e-3 <= self.aspect <= 1e3):
            raise UsageError(f"aspect {self.aspect}", "give width / height, from 0.001 to 1000")
        if self.assignment_cost not in ("squared", "euclidean"):
            raise UsageError(
                f"assignment cost {self.assignment_cost}", "expected squared or euclidean"
            )
        if self.solver not in ("auto", "lapjv", "scipy", "windows"):
            raise UsageError(f"solver {self.solver}", "expected auto, lapjv, scipy or windows")
        if self.solver == "windows" and self.assignment_cost != "squared":
            raise UsageError(
                "solver windows works on squared distances", "leave out --assignment-cost euclidean"
            )
        if self.solver == "windows" and self.exact:
            raise UsageError("solver windows is not exact", "leave out --solver or --exact")


@dataclass(frozen=True)
class GroupOptions:
    """`duplicates`: "show" names copies, "stack" shows each group as one tile with a count, "off"
    does not look for any. `min_cluster`: photos that make a cluster, None by their number, 0 for
    no clusters."""

    duplicates: Duplicates = "show"
    min_cluster: int | None = None

    def __post_init__(self) -> None:
        if self.duplicates not in get_args(Duplicates):
            raise UsageError(
                f"duplicates {self.duplicates}",
                f"expected one of {', '.join(get_args(Duplicates))}",
            )
        if self.min_cluster is not None and (self.min_cluster < 0 or self.min_cluster == 1):
            raise UsageError(
                f"min cluster {self.min_cluster}", "give a number of photos from 2, or 0 for none"
            )


@dataclass(frozen=True)
class RefineOptions:
    """`seconds`: of wall time after which no further exchange is sought, but for a first round;
    None for no limit. A short one hurries the cooling; what it leaves out depends on the machine.
    Without one, equal input gives equal cells."""

    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise UsageError(f"{self.seconds} seconds for refinement", "give a number above 0")


@dataclass(frozen=True)
class SourceOptions:
    """Which photos, and what is known of them.

    `include` and `exclude`: patterns of names, as in a shell, where * also stands for slashes.
    `sample`: so many photos, drawn by `seed` from each label in proportion; `limit`: the first so
    many. `metadata`: a table that is joined by path or file name. `vectors`: an .npy file. Without
    photos the rows of the metadata are those of the vectors.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sample: int | None = None
    limit: int | None = None
    seed: int = 0
    metadata: str | os.PathLike[str] | None = None
    vectors: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        for name, value in (("limit", self.limit), ("sample", self.sample)):
            if value is not None and value < 3:
                raise UsageError(f"{name} {value}", "a map needs at least 3 photos")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}", "give a number from 0 to 4294967295")


@dataclass(frozen=True)
class MapOptions:
    """How vectors become a map: by what `layout`. `tsne.seed` is that of each layout.

    `best` is the best (`best_of`) of `layouts.methods.candidates`. One is begun as long as those
    before it have not used up `budget` seconds of CPU time, and then finished; None: 120. Seconds
    of layouts in the cache are those that they took when they were made.

    `refine`: how the cells are refined after the snap (`tbgrid.grid.refine`), None if they are not.
    """

    layout: LayoutName = "tsne"
    tsne: TsneOptions = field(default_factory=TsneOptions)
    grid: GridOptions = field(default_factory=GridOptions)
    budget: float | None = None
    refine: RefineOptions | None = field(default_factory=RefineOptions)

    def __post_init__(self) -> None:
        names = get_args(LayoutName)
        if self.layout not in names:
            raise UsageError(f"layout {self.layout}", f"expected one of {', '.join(names)}")
        if self.layout != "best":
            require_layout(self.layout)
        require_engine(self.tsne.engine)
        if self.layout not in ("tsne", "best"):
            default = TsneOptions()
            for name in ("perplexity", "engine"):
                if getattr(self.tsne, name) != getattr(default, name):
                    raise UsageError(
                        f"--{name} with --layout {self.layout}",
                        f"it is t-SNE's: leave out --{name}",
                    )
        if self.budget is not None:
            if self.layout != "best":
                raise UsageError(
                    f"--budget with --layout {self.layout}",
                    "it is for several layouts: leave it out, or use --layout best",
                )
            if not (math.isfinite(self.budget) and self.budget >= 0):
                raise UsageError(f"budget {self.budget}", "give seconds, 0 or more")


def refining(wanted: bool, seconds: float | None) -> RefineOptions | None:
    """How the cells are refined, None if that is not wanted; at most so many `seconds`.

    Raises:
        UsageError: seconds that are not above 0, or for what is not done.
    """
    if not wanted and seconds is not None:
        raise UsageError("--refine-seconds for a map that is not refined", "leave it out")
    return RefineOptions(seconds) if wanted else None


@dataclass(frozen=True)
class ExportOptions:
    """How an export is made. `model` names the embedder (`load_embedder`); `image_size` its input
    side in pixels; `metric` None is the model's own; `tile` the side of a photo in the mosaic;
    `preview` that of the larger pictures in the Grid tab, at most, 0 for none.

    `layout`, `budget`, `tsne`, `grid`, `refine`: see `tbgrid.options.MapOptions`.
    `like`: the directory of an earlier run, whose places the map begins at (`mapping.warm_start`).
    `cache`: the directory of the cache, None for the user's own; `use_cache` False for none.
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
        if self.metric not in (None, "cosine", "euclidean"):
            raise UsageError(f"metric {self.metric}", "expected cosine or euclidean")
        if self.fit not in ("crop", "pad", "squash"):
            raise UsageError(f"fit {self.fit}", "expected crop, pad or squash")
        if self.input_range not in ("unit", "signed", "bytes"):
            raise UsageError(f"input range {self.input_range}", "expected unit, signed or bytes")
        if not 8 <= self.tile <= 512:
            raise UsageError(f"tile {self.tile}", "give a number of pixels from 8 to 512")
        least, most = run_format.PREVIEW_SIDE
        if self.preview != 0 and not least <= self.preview <= most:
            raise UsageError(
                f"preview {self.preview}",
                f"give a number of pixels from {least} to {most}, or 0 for none",
            )
        if not 1 <= self.batch <= 4096:
            raise UsageError(f"batch {self.batch}", "give a number of photos from 1 to 4096")
        _ = self.map_options  # which refuses what cannot be meant
        if self.like is not None and self.layout != "tsne":
            raise UsageError(
                f"layout {self.layout} cannot begin at the places of an earlier run",
                "leave out --layout or --like",
            )
        if self.like is not None and self.tsne.engine != "opentsne":
            raise UsageError(
                f"engine {self.tsne.engine} cannot begin at the places of an earlier run",
                "leave out --engine or --like",
            )
        if self.like is not None and self.grid.aspect != GridOptions().aspect:
            raise UsageError(
                "an aspect for a map whose grid is that of an earlier run",
                "leave out --aspect or --like, or give --grid ROWSxCOLS",
            )

    @property
    def map_options(self) -> MapOptions:
        """How vectors become a map."""
        return MapOptions(self.layout, self.tsne, self.grid, self.budget, self.refine)
