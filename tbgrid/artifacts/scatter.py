"""The points of the layout, coloured by label, with a legend."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tbgrid.types import Float64Array, UInt8Array

LEGEND_LABELS = 32  # more are drawn in grey, as "other"
LONGEST_LABEL = 28
_MARKERS = "os^D"
_OTHER = "#b0b0b0"
# Okabe and Ito's colours, which people with any colour vision tell apart, and two between them.
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
    positions: Float64Array, labels: Sequence[str] | None, title: str, pixels: int = 1600
) -> bytes:
    """A PNG of float64[n, 2] positions (x, y up), `pixels` high; the largest labels have a legend.

    Labels are told apart by ten colours and four marks.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    inches = 8.0
    order, groups = _groups(labels, len(positions))
    columns = -(-len(order) // 16)
    figure = Figure(figsize=(inches + 2.6 * columns, inches), dpi=pixels / inches)
    FigureCanvasAgg(figure)
    width = inches + 2.6 * columns
    axes = figure.add_axes((0.15 / width, 0.15 / inches, (inches - 0.3) / width, 0.925))
    size = float(np.clip(40_000 / len(positions), 3, 60))
    for number, name in enumerate(order):
        member = groups == number
        other = labels is not None and number == LEGEND_LABELS
        axes.scatter(
            positions[member, 0],
            positions[member, 1],
            s=size,
            c=_OTHER if other else _COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[0 if other else number // len(_COLOURS) % len(_MARKERS)],
            linewidths=0,
            alpha=0.85,
            zorder=1 if other else 2,
            label=name,
        )
    if not order:
        axes.scatter(positions[:, 0], positions[:, 1], s=size, c=_COLOURS[0], linewidths=0)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d0d0d0")
    axes.set_title(_plain(title, 70), loc="left", fontsize=16)
    if order:
        legend = figure.legend(
            loc="upper left",
            bbox_to_anchor=(inches / width, 0.95),
            ncols=columns,
            frameon=False,
            fontsize=12,
            handletextpad=0.2,
            columnspacing=0.8,
        )
        for handle in legend.legend_handles:
            if handle is not None and hasattr(handle, "set_sizes"):
                handle.set_sizes([45.0])
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*[Gg]lyph.*")  # scripts the font lacks
        figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.12)
    return buffer.getvalue()


def point_colours(labels: Sequence[str] | None, components: Float64Array) -> UInt8Array:
    """uint8[n, 3]: a colour for each point, of its label as `scatter` draws it; without labels the
    first three principal components, float64[n, 3], as red, green and blue."""
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
    """Legend texts, and for each point the number of its text."""
    if labels is None:
        return [], np.zeros(count, np.int64)
    ranked = sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))
    shown = sorted(name for name, _ in ranked[:LEGEND_LABELS])
    number = {name: index for index, name in enumerate(shown)}
    groups = np.array([number.get(label, LEGEND_LABELS) for label in labels])
    sizes = dict(ranked)
    texts = [f"{_plain(name, LONGEST_LABEL)} ({sizes[name]})" for name in shown]
    others = len(ranked) - len(shown)
    if others:
        texts.append(f"{others} other ({int((groups == LEGEND_LABELS).sum())})")
    return texts, groups


def _plain(text: str, longest: int) -> str:
    """One line of at most `longest` characters, with nothing that matplotlib would interpret."""
    line = " ".join(text.split())
    if len(line) > longest:  # labels often differ at their ends
        line = f"{line[: longest - longest // 3 - 1]}…{line[-(longest // 3) :]}"
    return line.replace("$", r"\$")
