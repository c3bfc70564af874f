"""The errors that a user can fix. Any other exception is a bug of ours and keeps its traceback."""

from __future__ import annotations

from collections.abc import Callable

# Encloses the path of an option in a text. A control character, which no option's path holds.
_MARK = "\x1e"


def option(path: str) -> str:
    """Mark `path` as the name of an option in the text of an error.

    Args:
        path: the option as Python names it from `ExportOptions` on, such as "tsne.perplexity", or
            the parameter of a function, such as "logdir".

    Returns:
        Text for an f-string. `TbgridError.spelled` writes it as `--perplexity` on the command line
        and as `perplexity` in an answer of the service; `str` keeps the path.
    """
    return f"{_MARK}{path}{_MARK}"


class TbgridError(Exception):
    """What was found and what was expected (`message`), and the way out (`hint`). Exit code 1."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def spelled(self, spell: Callable[[str], str]) -> str:
        """The error in one line.

        Args:
            spell: gives each option's path the spelling of the reader, and any other text back.
        """
        text = f"{self.message}: {self.hint}" if self.hint else self.message
        parts = text.split(_MARK)
        parts[1::2] = [spell(part) for part in parts[1::2]]
        return " ".join("".join(parts).split())

    def __str__(self) -> str:
        return self.spelled(str)


class UsageError(TbgridError, ValueError):
    """An invalid option or combination of options. Exit code 2."""

    exit_code = 2
