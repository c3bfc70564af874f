"""README, CONTRIBUTING.md and the manual, and the commands on them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(language: str, pages: list[Path] | None = None) -> list[str]:
    """The code blocks of a language on all pages, or on some; none twice."""
    found = [
        block
        for page in pages or PAGES
        for block in re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.M | re.S)
    ]
    return list(dict.fromkeys(found))


def commands(pages: list[Path] | None = None) -> list[str]:
    """Each command of the bash blocks, without its comment; none twice."""
    found = [
        shlex.join(words)
        for block in blocks("bash", pages)
        for line in block.splitlines()
        for words in _commands_of(line)
    ]
    return list(dict.fromkeys(found))


def _commands_of(line: str) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word == "&&":
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]
