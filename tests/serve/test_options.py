"""The options of a visualization: those of the library under their names in JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the service is the extra `serve`")

from tbgrid import ExportOptions, UsageError
from tbgrid.option_paths import choices_of, default_of, option_paths
from tbgrid.serve.options import Options, export_options, name_of
from tbgrid.serve.paths import ServicePaths

MODELS = {"builtin": "builtin", "mine": "saved_models/mine"}
# What the service decides itself, or takes from the visualization in another form.
OWN = {"cache", "use_cache", "batch", "grid.shape", "grid.aspect", "like"}


def made(tmp_path: Path, **asked: Any) -> ExportOptions:
    return export_options(Options(**asked), ServicePaths(tmp_path), MODELS)


def test_what_is_not_asked_for_has_the_library_s_default(tmp_path: Path) -> None:
    options = made(tmp_path)
    assert options == ExportOptions(cache=ServicePaths(tmp_path).cache)


def test_the_schema_has_every_option_with_its_default_and_choices() -> None:
    properties = Options.model_json_schema()["properties"]
    for path in option_paths():
        if path.startswith("source.") or path in OWN:
            continue
        described = properties[name_of(path)]
        assert described["default"] == default_of(path), path
        variants = [described, *described.get("anyOf", [])]
        enums = [tuple(variant["enum"]) for variant in variants if "enum" in variant]
        assert enums == [choices for choices in (choices_of(path),) if choices], path


def test_options_arrive_where_they_belong(tmp_path: Path) -> None:
    options = made(
        tmp_path, model="mine", grid="4x5", aspect="16:9", seed=7, perplexity=5, min_cluster=0
    )
    assert options.model == "saved_models/mine"
    assert (options.grid.shape, options.grid.aspect) == ((4, 5), 16 / 9)
    assert (options.tsne.seed, options.tsne.perplexity) == (7, 5.0)
    assert options.groups.min_cluster == 0
    assert made(tmp_path, refine=False).refine is None
    assert made(tmp_path, refine_seconds=2).refine.seconds == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"refine": False, "refine_seconds": 3}, "refine_seconds for a map that is not refined"),
        ({"solver": "windows", "exact": True}, "not exact: leave out solver or exact"),
        ({"aspect": "1:0"}, "aspect 1:0: expected W:H, such as 16:9"),
        ({"model": "/etc"}, "model /etc: expected one of builtin, mine"),
    ],
)
def test_errors_name_options_as_json_does(tmp_path: Path, asked: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as refused:
        made(tmp_path, **asked)
    assert line in refused.value.spelled(name_of)
