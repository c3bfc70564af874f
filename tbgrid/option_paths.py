"""Options by their paths from `ExportOptions` on, such as "grid.shape", for faces of the library.

Command line and service read here which options there are, their defaults and their choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tbgrid.errors import UsageError, option
from tbgrid.options import (
    ExportOptions,
    GridOptions,
    GroupOptions,
    RefineOptions,
    SourceOptions,
    TsneOptions,
)

_GROUPS: dict[str, Any] = {
    "source": SourceOptions,
    "tsne": TsneOptions,
    "grid": GridOptions,
    "refine": RefineOptions,
    "groups": GroupOptions,
}


def default_of(path: str) -> Any:
    """The default of an option, such as 64 for "tile"."""
    group, _, name = path.rpartition(".")
    return getattr(_GROUPS[group]() if group else ExportOptions(), name)


def choices_of(path: str) -> tuple[str, ...] | None:
    """The values that an option can take, or None if they are not a list of literals."""
    group, _, name = path.rpartition(".")
    hint = get_type_hints(_GROUPS[group] if group else ExportOptions)[name]
    for part in (hint, *get_args(hint)):  # of an optional one its parts
        if get_origin(part) is Literal:
            return get_args(part)
    return None


def option_paths() -> list[str]:
    """The paths of all options."""
    return [
        path
        for top in fields(ExportOptions)
        for path in (
            [f"{top.name}.{part.name}" for part in fields(_GROUPS[top.name])]
            if is_dataclass(_GROUPS.get(top.name))
            else [top.name]
        )
    ]


def options_from_paths(values: Mapping[str, Any]) -> ExportOptions:
    """Build options from values by path, as command line and service have them.

    Args:
        values: path -> value, such as {"tile": 32, "grid.shape": (4, 5)}; what is missing has
            its default. "refine" is whether to refine at all, lists become tuples.

    Raises:
        UsageError: see `ExportOptions`; or `refine.seconds` without refinement.
    """
    top: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        group, dot, name = path.rpartition(".")
        given = tuple(value) if isinstance(value, list) else value
        (parts.setdefault(group, {}) if dot else top)[name] = given
    if top.pop("refine", True) is False:
        if parts.pop("refine", None):
            raise UsageError(
                f"{option('refine.seconds')} for a map that is not refined", "leave it out"
            )
        top["refine"] = None
    for group, given in parts.items():
        top[group] = _GROUPS[group](**given)
    return ExportOptions(**top)
