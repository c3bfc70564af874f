"""The public names resolve, compose, and name no type that is not public itself."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import numpy as np
import pytest

import tbgrid
from tests.support.embedders import MeanColour

# Results are made by tbgrid itself; the callback would load Keras.
SKIPPED = {"__version__", "ExportResult", "EmbedResult", "GridCallback"}
NAMES = sorted({*tbgrid.__all__} - SKIPPED)


def types_in(annotation: object) -> set[type]:
    """The classes that an annotation names."""
    found = {annotation} if isinstance(annotation, type) else set[type]()
    return found.union(*(types_in(part) for part in typing.get_args(annotation)))


@pytest.mark.parametrize("name", NAMES)
def test_types_of_public_signatures_are_public(name: str) -> None:
    value = getattr(tbgrid, name)
    if isinstance(value, type) and issubclass(value, Exception):
        return
    hints = typing.get_type_hints(value if inspect.isfunction(value) else value.__init__)
    hints.pop("return" if inspect.isclass(value) else "", None)
    ours = {one for hint in hints.values() for one in types_in(hint)}
    ours = {one for one in ours if one.__module__.startswith("tbgrid")}
    assert {one.__name__ for one in ours} <= set(tbgrid.__all__)


def test_each_stage_takes_what_the_last_one_gives(photos: Path) -> None:
    source = tbgrid.open_source(photos)
    images = tbgrid.embed(source, MeanColour(), thumbnail=16)
    layout = tbgrid.layout(images.vectors, method="tsne", metric="cosine")
    grid = tbgrid.refine(tbgrid.snap(layout), images.vectors, metric="cosine")
    card = tbgrid.report_card(images.vectors, layout, grid, images.labels)
    picture = tbgrid.mosaic(images.thumbnails, grid, 16)
    assert picture.shape == (16 * grid.rows, 16 * grid.columns, 3)
    assert (card.kl, card.layout) == (layout.kl, "t-SNE")
    # Plain arrays serve as well.
    again = tbgrid.snap(layout.positions.tolist())
    np.testing.assert_array_equal(again.cells, grid.snapped.cells)
    assert tbgrid.report_card(images.vectors, layout.positions, grid).dpq_16 == card.dpq_16


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.zeros((0, 2)), "positions of shape"),
        (np.zeros(4), "positions of shape"),
        (np.zeros((4, 3)), "expected float64"),
        (np.full((4, 2), np.nan), "not finite"),
    ],
)
def test_positions_that_are_none_are_refused(positions: np.ndarray, message: str) -> None:
    with pytest.raises(tbgrid.TbgridError, match=message):
        tbgrid.snap(positions)


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(tbgrid.UsageError, match="layout isomap: expected one of tsne, umap"):
        tbgrid.layout(np.eye(5, dtype=np.float32), "isomap")  # type: ignore[arg-type]
