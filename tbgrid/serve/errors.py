"""Error responses."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException

_MAX_LENGTH = 1000  # characters of a description


class RequestError(HTTPException):
    """A request that the service rejects.

    Args:
        status: HTTP status code.
        line: the reason, in one line that clients see.
        headers: additional headers of the response.
    """

    def __init__(self, status: int, line: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, " ".join(line.split()), headers)


def error_body(status: int, line: str) -> dict[str, Any]:
    """The JSON body of an error response.

    Args:
        status: HTTP status code.
        line: the reason. It can quote the client's input, so that it is cut to 1,000 characters
            and what is not printable becomes spaces.
    """
    shown = "".join(letter if letter.isprintable() else " " for letter in line[:_MAX_LENGTH])
    return {"status": {"code": status, "description": " ".join(shown.split())}}
