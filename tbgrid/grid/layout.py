"""A layout: positions of vectors in the plane, which `snap` puts on a grid.

Layouts are computed in `tbgrid.layouts`; the class is here since grid and report card take it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tbgrid.choices import NAMES, Method
from tbgrid.errors import TbgridError
from tbgrid.types import Float64Array, IntArray, Json


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Positions of n vectors in the plane.

    Attributes:
        positions: float64[n, 2], x to the right and y up.
        method: what computed them.
        engine: the package that did, with its version.
        components: number of principal components that it was given; 0 for all dimensions.
        perplexity: the perplexity used, of t-SNE; None for other methods.
        kl: the Kullback-Leibler divergence that t-SNE ended with, in nats; None for other methods.
        cells: int64[n], where the method has assigned cells of a grid itself, whose centers the
            positions are; None if that is left to the snap.
        notes: what the user should know about how the options were applied.
    """

    positions: Float64Array
    method: Method = "tsne"
    engine: str = ""
    components: int = 0
    perplexity: float | None = None
    kl: float | None = None
    cells: IntArray | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The method as it is written in texts, such as "t-SNE"."""
        return NAMES[self.method]

    @property
    def title(self) -> str:
        """The name, with the perplexity if there is one."""
        return layout_title(self.method, self.perplexity)

    def to_dict(self, seed: int, dimensions: int) -> Json:
        """Describe the layout for the report.

        Args:
            seed: the seed that it was computed with.
            dimensions: of the vectors.
        """
        if_known = {"perplexity": self.perplexity, "KL_divergence": self.kl}
        found = {
            "perplexity": self.perplexity,
            "seed": seed,
            "engine": self.engine,
            "dimensions": self.components or dimensions,
            "KL_divergence": self.kl,
        }
        return {key: value for key, value in found.items() if if_known.get(key, value) is not None}


def layout_title(method: Method, perplexity: float | None) -> str:
    """Name a layout in texts."""
    name = NAMES[method]
    return name if perplexity is None else f"{name}, perplexity {perplexity:.3g}"


def positions_of(layout: Layout | npt.ArrayLike) -> Float64Array:
    """Give the positions of a layout, or positions themselves as float64[n, 2].

    Raises:
        TbgridError: they are not finite, of another shape, or none.
    """
    found = layout.positions if isinstance(layout, Layout) else layout
    positions = np.asarray(found, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not len(positions):
        shape = list(positions.shape)
        raise TbgridError(f"positions of shape {shape}", "expected float64[n, 2], n >= 1")
    if not np.isfinite(positions).all():
        raise TbgridError("positions that are not finite", "leave out rows with NaN or infinity")
    return positions
