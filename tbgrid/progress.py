"""Progress: the callback that stages report to, and bars for notebooks and scripts."""

from __future__ import annotations

import warnings
from typing import IO, Any, Protocol

_UNITS = {"embed": " photos", "t-SNE": " iterations"}


class Progress(Protocol):
    """A callback that stages call while they run."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report progress.

        Args:
            stage: its name, such as "embed".
            done: finished units of work.
            total: all units of work, None if that is unknown.
        """


def silent(stage: str, done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""


class Bars:
    """A progress bar for each stage, one below the other; a `Progress`.

    In a notebook the bars are widgets where it has them, otherwise text on stderr or `stream`.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream
        self._bar: Any = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Draw the bar of `stage`."""
        if stage != self._stage:
            self.close()
            self._bar = self._new(stage, total)
            self._stage = stage
        if total is not None and self._bar.total != total:
            self._bar.total = total
            self._bar.bar_format = None
        self._bar.update(done - self._bar.n)
        if total is not None and done >= total:
            self._bar.refresh()

    def _new(self, stage: str, total: int | None) -> Any:
        with warnings.catch_warnings():  # tqdm warns if it has to draw text instead of widgets
            warnings.simplefilter("ignore")
            from tqdm import tqdm as text
            from tqdm.auto import tqdm as anywhere

            return (anywhere if self._stream is None else text)(
                desc=f"{stage:<10}",
                total=total,
                unit=_UNITS.get(stage, " steps"),
                file=self._stream,
                dynamic_ncols=True,
                bar_format="{desc} {elapsed}" if total is None else None,
                mininterval=0.1,
            )

    def close(self) -> None:
        """Finish the last bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stage = None, ""


def bars(stage: str, done: int, total: int | None) -> None:
    """A `tbgrid.progress.Progress` for notebooks and scripts: a bar for each stage."""
    _BARS(stage, done, total)
    if total is not None and done >= total:
        _BARS.close()


_BARS = Bars()
