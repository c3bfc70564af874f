"""The one family of errors that are the user's to mend; anything else is a bug of ours."""

from __future__ import annotations


class TbgridError(Exception):
    """What was found and expected (`message`), and the way out (`hint`). Exit code 1."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.message}: {self.hint}" if self.hint else self.message
        return " ".join(text.split())


class UsageError(TbgridError):
    """An option that cannot be meant. Exit code 2."""

    exit_code = 2
