"""Options are declared once, refused when they are built, and named alike on every face."""

from __future__ import annotations

import argparse
import pickle
from typing import Any

import pytest

from tbgrid import ExportOptions, GridOptions, SourceOptions, TsneOptions, UsageError
from tbgrid.cli.option_groups import flag_of
from tbgrid.cli.parser import command_parser
from tbgrid.errors import TbgridError, option
from tbgrid.option_paths import choices_of, default_of, option_paths, options_from_paths


def parsers() -> dict[str, argparse.ArgumentParser]:
    (commands,) = (
        action
        for action in command_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(commands.choices)


def actions() -> dict[str, argparse.Action]:
    """The options of all commands, by where they are stored."""
    return {action.dest: action for parser in parsers().values() for action in parser._actions}


def test_the_command_line_has_every_option() -> None:
    assert set(option_paths()) <= set(actions())


def test_the_command_line_offers_the_declared_choices() -> None:
    for path in option_paths():
        assert actions()[path].choices == choices_of(path), path


def test_help_shows_the_declared_defaults() -> None:
    for path in ("tile", "batch", "fit", "layout", "tsne.engine", "grid.solver"):
        assert f"default: {default_of(path)}" in str(actions()[path].help), path


def test_an_option_is_stored_only_if_it_was_typed() -> None:
    given = vars(command_parser().parse_args(["export", "photos", "--logdir", "run"]))
    assert not set(option_paths()) & set(given)
    typed = vars(
        command_parser().parse_args(["export", "x", "--logdir", "y", "--grid", "3x4", "--no-cache"])
    )
    assert (typed["grid.shape"], typed["use_cache"]) == ((3, 4), False)


def test_options_come_of_their_paths() -> None:
    given = {"tile": 32, "grid.shape": (4, 5), "tsne.seed": 3, "source.include": ["a", "b"]}
    assert options_from_paths(given) == ExportOptions(
        tile=32,
        grid=GridOptions(shape=(4, 5)),
        tsne=TsneOptions(seed=3),
        source=SourceOptions(include=("a", "b")),
    )
    assert options_from_paths({}) == ExportOptions()
    assert options_from_paths({"refine": False}).refine is None
    with pytest.raises(UsageError, match=r"refine\.seconds for a map that is not refined"):
        options_from_paths({"refine": False, "refine.seconds": 2.0})


def test_every_default_is_that_of_the_dataclass() -> None:
    values = {path: default_of(path) for path in option_paths()}
    assert options_from_paths(values) == ExportOptions()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metric", "miles"),
        ("fit", "stretch"),
        ("input_range", "all"),
        ("layout", "spiral"),
        ("tile", 7),
        ("tile", 513),
        ("preview", 31),
        ("batch", 0),
        ("tsne.perplexity", float("nan")),
        ("tsne.perplexity", 0.5),
        ("tsne.seed", -1),
        ("tsne.engine", "steam"),
        ("grid.shape", (0, 4)),
        ("grid.aspect", 1e4),
        ("grid.assignment_cost", "miles"),
        ("grid.solver", "magic"),
        ("groups.duplicates", "burn"),
        ("groups.min_cluster", 1),
        ("refine.seconds", 0.0),
        ("source.sample", 2),
        ("source.limit", 2),
        ("source.seed", 2**32),
    ],
)
def test_an_invalid_value_is_refused_by_the_name_of_its_option(path: str, value: Any) -> None:
    with pytest.raises(UsageError) as refused:
        options_from_paths({path: value})
    assert isinstance(refused.value, ValueError)
    assert str(refused.value).startswith(f"{path} ")
    assert refused.value.spelled(flag_of).startswith(f"{flag_of(path)} ")


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("grid.shape", "--grid"),
        ("tsne.perplexity", "--perplexity"),
        ("refine.seconds", "--refine-seconds"),
        ("use_cache", "--no-cache"),
        ("run_name", "--run"),
        ("image_size", "--image-size"),
    ],
)
def test_an_option_is_spelled_as_it_is_typed(path: str, typed: str) -> None:
    error = TbgridError("found this", f"use another {option(path)}, or none")
    assert error.spelled(flag_of) == f"found this: use another {typed}, or none"
    assert str(pickle.loads(pickle.dumps(error))) == f"found this: use another {path}, or none"


def test_every_flag_exists() -> None:
    known = {flag for parser in parsers().values() for flag in parser._option_string_actions}
    assert {flag_of(path) for path in option_paths()} <= known
