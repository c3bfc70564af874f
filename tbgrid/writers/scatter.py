"""A scatter plot of the layout, coloured by label, with a legend."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from tbgrid.types import Float64Array, UInt8Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEGEND_LABELS = 32  # more are drawn in grey, as "other"
LONGEST_LABEL = 28
TITLE_LINE = 56  # characters
_MARKERS = "os^D"
_OTHER = "#b0b0b0"
# Okabe and Ito's colours, distinct for people with any colour vision, and two more.
_COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#222222",
    "#d9cb00",
    "#6a3d9a",
    "#8c6d31",
)


def scatter(
    positions: Float64Array, labels: Sequence[str] | None, title: str, pixels: int = 1000
) -> bytes:
    """Draw the positions, with a legend of the largest labels.

    Ten colours and four markers distinguish the labels. TensorBoard shrinks the picture to 350 px
    by dropping pixels, so lines are thick and the picture is not larger than a screen.

    Args:
        positions: float64[n, 2], x and y, y upwards.
        labels: of the points; None if they have none.
        title: shown above.
        pixels: height, approximately.

    Returns:
        PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), dpi=pixels / 8)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 0.95, 0.95))
    order, groups = _groups(labels, len(positions))
    size = float(np.clip(40_000 / len(positions), 2, 120))
    for number in range(max(1, len(order))):
        member = groups == number
        other = number == LEGEND_LABELS
        axes.scatter(
            positions[member, 0],
            positions[member, 1],
            s=size,
            c=_OTHER if other else _COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[0 if other else number // len(_COLOURS) % len(_MARKERS)],
            linewidths=0,
            alpha=0.85,
            zorder=1 if other else 2,
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="#d0d0d0", linewidth=2)
    lines = textwrap.wrap(_short(title, 2 * TITLE_LINE - 4), TITLE_LINE)
    axes.set_title("\n".join(map(_plain, lines)), loc="left", fontsize=18)
    if order:
        _add_legend(axes, order)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*[Gg]lyph.*")  # scripts the font lacks
        # What "tight" would cut, without drawing it all a first time.
        frame = figure.get_tightbbox().padded(0.12)
        figure.savefig(buffer, format="png", bbox_inches=frame)
    return buffer.getvalue()


def _add_legend(axes: Axes, order: Sequence[str]) -> None:
    # One column as high as the plot, since TensorBoard's cards are narrow.
    longest = max(map(len, order))
    letters = float(np.clip(min(380 / len(order), 500 / longest), 11, 18))
    legend = axes.legend(
        axes.collections,
        [f" {_plain(text)}" for text in order],  # one that began with _ would be left out
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        fontsize=letters,
        borderpad=0,
        borderaxespad=0,
        handletextpad=0,
        labelspacing=0.35,
    )
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([(0.55 * letters) ** 2])


def point_colours(labels: Sequence[str] | None, components: Float64Array) -> UInt8Array:
    """A colour for each point: that of its label in `scatter`, or of its principal components.

    Args:
        labels: of the points; None if they have none.
        components: float64[n, 3], become red, green and blue if there are no labels.

    Returns:
        uint8[n, 3].
    """
    if labels is None:
        span = np.ptp(components, axis=0)
        share = (components - components.min(axis=0)) / np.where(span > 0, span, 1)
        return np.asarray(40 + 190 * share, np.uint8)
    order, groups = _groups(labels, len(labels))
    names = [
        _OTHER if number == LEGEND_LABELS else _COLOURS[number % len(_COLOURS)]
        for number in range(len(order))
    ]
    return np.asarray(np.array([_rgb(name) for name in names], np.uint8)[groups])


def _rgb(name: str) -> tuple[int, int, int]:
    return int(name[1:3], 16), int(name[3:5], 16), int(name[5:7], 16)


def _groups(labels: Sequence[str] | None, count: int) -> tuple[list[str], np.ndarray]:
    """The texts of the legend, and the index of each point's text."""
    if labels is None:
        return [], np.zeros(count, np.int64)
    ranked = sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))
    shown = sorted(name for name, _ in ranked[:LEGEND_LABELS])
    number = {name: index for index, name in enumerate(shown)}
    groups = np.array([number.get(label, LEGEND_LABELS) for label in labels])
    sizes = dict(ranked)
    texts = [_short(name, LONGEST_LABEL) for name in shown]
    if len(set(texts)) < len(texts):  # they differ only in what was cut
        alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*shown, strict=False))
        start = len(list(alike))
        texts = [f"…{_short(name[start:], LONGEST_LABEL - 1)}" for name in shown]
    texts = [f"{text} ({sizes[name]})" for text, name in zip(texts, shown, strict=True)]
    others = len(ranked) - len(shown)
    if others:
        texts.append(f"{others} other ({int((groups == LEGEND_LABELS).sum())})")
    return texts, groups


def _short(text: str, longest: int) -> str:
    """One line of at most `longest` characters, cut in the middle, as ends often differ."""
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    return f"{line[: longest - longest // 3 - 1]}…{line[-(longest // 3) :]}"


def _plain(line: str) -> str:
    """`line` escaped, so that matplotlib finds no formula in it."""
    return line.replace("$", r"\$")
