"""The terminal: progress bars and notes on stderr, and libraries kept from writing there."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tbgrid.progress import Bars

_TAIL = 4000  # bytes of native output shown with the traceback of a bug


class Console:
    """Progress and notes of a command.

    Bars are drawn on a terminal only; `quiet` hides everything except errors.
    """

    def __init__(self, stream: IO[str], quiet: bool) -> None:
        self.stream = stream
        self.quiet = quiet
        self._bars = Bars(stream) if not quiet and stream.isatty() else None

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Draw the bar of `stage`; a `tbgrid.progress.Progress`."""
        if self._bars is not None:
            self._bars(stage, done, total)

    def close(self) -> None:
        """Finish the last bar."""
        if self._bars is not None:
            self._bars.close()

    def note(self, text: str) -> None:
        """One line for the user."""
        self.close()
        if not self.quiet:
            self._print(text)

    def error(self, text: str) -> None:
        """One line that `--quiet` shows too."""
        self.close()
        self._print(f"tbgrid: {text}")

    def _print(self, text: str) -> None:
        """One line, whatever names and messages hold: line ends, escape sequences, half bytes."""
        shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
        with contextlib.suppress(OSError):  # a stderr that is full or closed must not end the work
            print(shown, file=self.stream, flush=True)


@contextlib.contextmanager
def native_output_hidden(verbose: bool = False) -> Iterator[IO[str]]:
    """Hide what C libraries write to file descriptor 2; yield the real stderr.

    TensorFlow, libtiff and libjpeg write there past Python. Python's own stderr stays the user's,
    so that a traceback arrives, followed by the end of what was hidden.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if verbose:
        yield sys.stderr
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        fd = sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # stderr is not a file: a notebook, a test
        yield sys.stderr
        return
    sys.stderr.flush()
    user = os.fdopen(os.dup(fd), "w", encoding=sys.stderr.encoding, errors="backslashreplace")
    before = sys.stderr
    with _scratch() as hidden:
        os.dup2(hidden.fileno(), fd)
        sys.stderr = user
        try:
            yield user
        except Exception:
            hidden.seek(max(0, hidden.seek(0, os.SEEK_END) - _TAIL))
            tail = hidden.read().decode("utf-8", "replace")
            if tail.strip():
                print(f"Hidden output of libraries, its end:\n{tail}", file=user)
            raise
        finally:
            user.flush()
            os.dup2(user.fileno(), fd)
            sys.stderr = before
            user.close()


def _scratch() -> IO[bytes]:
    """A file for hidden output; where none can be made, nowhere."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return Path(os.devnull).open("r+b")
