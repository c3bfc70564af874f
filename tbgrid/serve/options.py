"""The options of a visualization: those of `tbgrid export` that suit a service, in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tbgrid.choices import (
    AssignmentCost,
    Duplicates,
    Engine,
    Fit,
    InputRange,
    LayoutName,
    Metric,
    Solver,
)
from tbgrid.errors import UsageError, option
from tbgrid.grid.cells import shape_for
from tbgrid.layouts.tsne import choose_perplexity
from tbgrid.option_paths import option_paths, options_from_paths
from tbgrid.options import MAX_SEED, TILE_SIDE, ExportOptions
from tbgrid.serve.paths import ServicePaths

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # of applications and runs: a directory on every system
_MAX_SIDE = 1024  # px of a model's input: memory grows as its square
_DEFAULT = ExportOptions()
# Every other option is called by the last part of its path.
_NAMES = {"grid.shape": "grid", "refine.seconds": "refine_seconds", "run_name": "name"}


def name_of(path: str) -> str:
    """What JSON calls an option: "grid" for "grid.shape"."""
    return _NAMES.get(path, path.rpartition(".")[2])


class Options(BaseModel):
    """The options of `tbgrid export`, by the same names."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=500)] = _DEFAULT.model
    image_size: Annotated[int, Field(ge=1, le=_MAX_SIDE)] | None = _DEFAULT.image_size
    input_range: InputRange = _DEFAULT.input_range
    fit: Fit = _DEFAULT.fit
    metric: Metric | None = _DEFAULT.metric
    tile: Annotated[int, Field(ge=TILE_SIDE[0], le=TILE_SIDE[1])] = _DEFAULT.tile
    preview: Annotated[int, Field(ge=0, le=2**31)] = _DEFAULT.preview
    layout: LayoutName = _DEFAULT.layout
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = _DEFAULT.budget
    perplexity: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = _DEFAULT.tsne.perplexity
    engine: Engine = _DEFAULT.tsne.engine
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = _DEFAULT.tsne.seed
    grid: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}x[1-9][0-9]{0,5}$")] | None = None
    aspect: Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})?:[0-9]{1,4}$")] = "1:1"
    assignment_cost: AssignmentCost = _DEFAULT.grid.assignment_cost
    solver: Solver = _DEFAULT.grid.solver
    exact: bool = _DEFAULT.grid.exact
    refine: bool = _DEFAULT.refine is not None
    refine_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    like: (
        Annotated[
            str,
            Field(
                pattern="^[0-9a-f]{32}$",
                description="id of an earlier visualization whose map this one starts from",
            ),
        ]
        | None
    ) = None
    duplicates: Duplicates = _DEFAULT.groups.duplicates
    min_cluster: Annotated[int, Field(ge=0, le=2**31)] | None = _DEFAULT.groups.min_cluster


# The options of `ExportOptions` that a client may set; those of the source are the service's own.
_SERVED = [
    path
    for path in (*option_paths(), "refine")
    if name_of(path) in Options.model_fields and not path.startswith("source.")
]


class VisualizationRequest(Options):
    """The body of a request for a visualization.

    Attributes:
        name: of the run; None for the visualization's id.
    """

    name: Annotated[str, Field(pattern=NAME)] | None = None


def models_by_name(models: Sequence[str]) -> dict[str, str]:
    """The models that clients may request.

    Args:
        models: names, handles and directories, as `load_embedder` takes them.

    Returns:
        The clients' name of each model -> what `load_embedder` takes. A directory is called by its
        last part, so that its location stays private.

    Raises:
        UsageError: two would have the same name.
    """
    named: dict[str, str] = {}
    for model in models:
        path = Path(model)
        name = path.absolute().name if path.is_absolute() or path.exists() else model
        if named.setdefault(name, model) != model:
            raise UsageError(f"two models are called {name}", "give one of them another name")
    return named


def require_fit(options: ExportOptions, count: int) -> None:
    """Check the options against a number of photos, as far as possible without the photos.

    Raises:
        UsageError: the grid is too small or far too large, or the perplexity too large.
    """
    rows, columns = options.grid.shape or (0, 0)
    # Stacked duplicates may need fewer cells, and only the export knows them.
    if options.groups.duplicates != "stack" or rows * columns > count:
        shape_for(count, options.grid)
    if options.layout == "tsne":
        choose_perplexity(count, options.tsne.perplexity)


def export_options(
    requested: Options, paths: ServicePaths, models: Mapping[str, str], like: Path | None = None
) -> ExportOptions:
    """Build the options of the export for a request.

    Args:
        requested: the options of the request.
        paths: of the service.
        models: see `models_by_name`; others are refused, since they could be any file or address.
        like: the run of the visualization that `requested.like` names.

    Raises:
        UsageError: an invalid option or combination of options, or a model that is not offered.
    """
    if requested.model not in models:
        raise UsageError(f"model {requested.model}", f"expected one of {', '.join(models)}")
    values = {path: getattr(requested, name_of(path)) for path in _SERVED}
    values |= {"model": models[requested.model], "cache": paths.cache, "like": like}
    width, _, height = requested.aspect.partition(":")
    if not float(height):
        raise UsageError(
            f"{option('grid.aspect')} {requested.aspect}", "expected W:H, such as 16:9"
        )
    values["grid.aspect"] = float(width) / float(height)
    if requested.grid is not None:
        rows, _, columns = requested.grid.partition("x")
        values["grid.shape"] = int(rows), int(columns)
    given = {path: value for path, value in values.items() if value is not None}
    return options_from_paths(given)
