"""The manual's lists of command-line options, read from the parser when the manual is built.

A Markdown extension: a line `::: options tbgrid export` becomes a heading for each group of that
command's options and a definition list of them, so that an option is described in one place.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from tbgrid.cli.parser import command_parser

MARKER = re.compile(r"^::: options (?P<command>tbgrid(?: \w+)*)$")


def find_parser(command: str) -> argparse.ArgumentParser:
    """The parser of a command such as "tbgrid serve key add".

    Raises:
        KeyError: there is no such command.
    """
    parser = command_parser()
    for word in command.split()[1:]:
        parser = _subcommands(parser)[word]
    return parser


def commands(parser: argparse.ArgumentParser, name: str = "tbgrid") -> Iterator[str]:
    """The names of all commands, those of subcommands included."""
    for word, subparser in _subcommands(parser).items():
        yield f"{name} {word}"
        yield from commands(subparser, f"{name} {word}")


def option_list(command: str) -> str:
    """The command's arguments and options as Markdown."""
    parser = find_parser(command)
    lines: list[str] = [_escape(parser.description or ""), ""]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if _is_listed(action)]
        if not actions:
            continue
        title = {"positional arguments": "", "options": ""}.get(group.title or "", group.title)
        if title:
            anchor = f"{command.replace(' ', '-')}-{title}"
            lines += [f"#### {title.capitalize()} {{ #{anchor} }}", ""]
        for action in actions:
            lines += [_term(action), f":   {_help(action)}", ""]
    return "\n".join(lines)


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _is_listed(action: argparse.Action) -> bool:
    hidden = isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
    return not hidden and action.help is not argparse.SUPPRESS


def _term(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    if action.nargs == 0:
        value = ""
    elif action.choices is not None:
        value = " " + "|".join(map(str, action.choices))
    else:
        value = f" {action.metavar or action.dest.upper()}"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings)


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": "tbgrid"}
    return _escape(text[:1].upper() + text[1:]) + ("." if text and text[-1] not in ".?" else "")


def _escape(text: str) -> str:
    """Help is plain text, in which options and patterns shall not become markup."""
    text = re.sub(r"([\\*_\[\]<>#`])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r"`\1`", text)


class _Preprocessor(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        result: list[str] = []
        for line in lines:
            found = MARKER.match(line)
            result += option_list(found["command"]).splitlines() if found else [line]
        return result


class OptionLists(Extension):
    """Replaces `::: options COMMAND`."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Come before mkdocstrings, whose markers look alike."""
        md.preprocessors.register(_Preprocessor(md), "option_lists", 100)


def makeExtension(**configuration: object) -> OptionLists:  # noqa: N802
    """Called by Markdown."""
    return OptionLists(**configuration)
