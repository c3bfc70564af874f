"""What a client is told that asks for what cannot be."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

_MOST = 1000  # letters of a line


class Refused(HTTPException):
    """A request that is not granted: the HTTP `status`, one line, and the headers of the answer."""

    def __init__(self, status: int, line: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, " ".join(line.split()), headers)


def told(status: int, line: str) -> dict[str, Any]:
    """The JSON that goes with a refusal: one line of what can be shown, and no more of it than is
    of use, since clients' own words are in it."""
    shown = "".join(letter if letter.isprintable() else " " for letter in line[:_MOST])
    return {"status": {"code": status, "description": " ".join(shown.split())}}
