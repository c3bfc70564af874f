"""What can be asked of a visualization: the options of `tbgrid export` that suit a service."""

from __future__ import annotations

import re
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
from tbgrid.errors import UsageError
from tbgrid.grid.cells import shape_for
from tbgrid.layouts.tsne import fitted_perplexity
from tbgrid.options import ExportOptions, GridOptions, GroupOptions, TsneOptions, refining
from tbgrid.run_format import DEFAULT_PREVIEW
from tbgrid.serve.paths import ServicePaths

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # of applications and runs: a directory on every system
_OPTION = re.compile(r"--([a-z][a-z-]*)")
_MOST_SIDE = 1024  # px of a model's input: memory grows as its square


class Options(BaseModel):
    """As the command line has them, by the same names."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=500)] = "builtin"
    image_size: Annotated[int, Field(ge=1, le=_MOST_SIDE)] | None = None
    input_range: InputRange = "unit"
    fit: Fit = "crop"
    metric: Metric | None = None
    tile: Annotated[int, Field(ge=8, le=512)] = 64
    preview: Annotated[int, Field(ge=0, le=2**31)] = DEFAULT_PREVIEW
    layout: LayoutName = "tsne"
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    perplexity: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    engine: Engine = "opentsne"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    grid: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}x[1-9][0-9]{0,5}$")] | None = None
    aspect: Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})?:[0-9]{1,4}$")] = "1:1"
    assignment_cost: AssignmentCost = "squared"
    solver: Solver = "auto"
    exact: bool = False
    refine: bool = True
    refine_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    like: (
        Annotated[
            str, Field(pattern="^[0-9a-f]{32}$", description="id of an earlier one, to begin at")
        ]
        | None
    ) = None
    duplicates: Duplicates = "show"
    min_cluster: Annotated[int, Field(ge=0, le=2**31)] | None = None


class VisualizationRequest(Options):
    """A visualization that is asked for. `name`: of its run, its id if it is left out."""

    name: Annotated[str, Field(pattern=NAME)] | None = None


def as_asked(line: str) -> str:
    """A line that names options of the command line, with their names in JSON."""
    return _OPTION.sub(lambda found: found.group(1).replace("-", "_"), line)


def models_by_name(models: Sequence[str]) -> dict[str, str]:
    """The models that may be asked for: what clients call each, and what `load_embedder` does. One
    on the disk is called by its last part, so that nobody is told where it lies.

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
    """What so many photos make impossible, as far as it is known before they are seen.

    Raises:
        UsageError: the grid is too small or far too large for them, or the perplexity too large.
    """
    rows, columns = options.grid.shape or (0, 0)
    # Stacks of copies may need fewer cells, and only the export knows them.
    if options.groups.duplicates != "stack" or rows * columns > count:
        shape_for(count, options.grid)
    if options.layout == "tsne":
        fitted_perplexity(count, options.tsne.perplexity)


def export_options(
    asked: Options, paths: ServicePaths, models: Mapping[str, str], like: Path | None = None
) -> ExportOptions:
    """How the export is to be made; `like`: the run of the visualization that `asked.like` names.

    Raises:
        UsageError: the options cannot be meant, or the model is none of `models` (see
            `models_by_name`), since others could be any file or address.
    """
    if asked.model not in models:
        raise UsageError(f"model {asked.model}", f"expected one of {', '.join(models)}")
    width, _, height = asked.aspect.partition(":")
    if not float(height):
        raise UsageError(f"aspect {asked.aspect}", "expected W:H, such as 16:9")
    rows, _, columns = (asked.grid or "").partition("x")
    return ExportOptions(
        model=models[asked.model],
        image_size=asked.image_size,
        input_range=asked.input_range,
        metric=asked.metric,
        fit=asked.fit,
        tile=asked.tile,
        preview=asked.preview,
        cache=paths.cache,
        like=like,
        layout=asked.layout,
        budget=asked.budget,
        refine=refining(asked.refine, asked.refine_seconds),
        tsne=TsneOptions(asked.perplexity, asked.seed, asked.engine),
        grid=GridOptions(
            (int(rows), int(columns)) if asked.grid else None,
            float(width) / float(height),
            asked.assignment_cost,
            asked.solver,
            asked.exact,
        ),
        groups=GroupOptions(asked.duplicates, asked.min_cluster),
    )
