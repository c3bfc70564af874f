"""An export as a user sees it: a real TensorBoard in a real browser."""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor
from playwright.sync_api import Browser, Locator, Page, expect

import tbgrid
from tbgrid.types import Float64Array, UInt8Array
from tests.support.chromium import CHROMIUM, Visitor
from tests.support.embedders import MeanColour
from tests.support.photos import COLOURS
from tests.support.preloaded import Preloaded
from tests.support.projector_page import PATIENCE, Projector
from tests.support.screenshots import picture
from tests.support.tensorboard_process import tensorboard

pytestmark = [
    pytest.mark.slow,  # the Projector takes long to load; test_projector.py asks its back end
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH"),
]

PROJECTION = "p => p.projection.projectionType"
RUNNING = "p => p.dataSet.hasTSNERun || p.dataSet.hasUmapRun || p.dataSet.tSNEIteration > 0"
TINTS = """p => p.dataSet.points.map(point => {
    const colour = p.selectedColorOption;
    return colour.map ? colour.map(point.metadata[colour.name]) : "#ffffff";
})"""
PIXELS = """image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tbgrid.ExportResult:
    """An export of 400 plain pictures at <logdir>/large, whose grid stands upright."""
    folder = tmp_path_factory.mktemp("plain")
    rng = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (folder / label).mkdir()
        for number in range(134 if label == "red" else 133):
            ground = np.clip(rng.normal(colour, 25), 0, 200).astype(int).tolist()
            Image.new("RGB", (20, 20), tuple(ground)).save(folder / label / f"{number}.png")
    logdir, options = tmp_path_factory.mktemp("logdir"), tbgrid.ExportOptions(tile=20)
    return tbgrid.export(folder, logdir, options, run_name="large", embedder=MeanColour())


@pytest.fixture(scope="module")
def address(
    exported: tbgrid.ExportResult,
    large: tbgrid.ExportResult,
    preloaded: Preloaded,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A TensorBoard over both exports, of which it shows `exported` first."""
    logdir = large.directory.parent
    shutil.copytree(exported.directory, logdir / exported.directory.name)
    log = tmp_path_factory.mktemp("tensorboard") / "log"
    with tensorboard(preloaded, logdir, log) as found:
        yield found


# Turns the cloud as the Projector does at first, by a few degrees for each frame that is drawn,
# but without waiting for frames.
TURN = """p => {
    const plot = p.projectorScatterPlotAdapter.scatterPlot;
    plot.startOrbitAnimation();
    for (let frame = 0; frame < 60; frame++) plot.orbitCameraControls.update();
    plot.stopOrbitAnimation();
    plot.render();
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page, on which nothing may go wrong."""
    visitor = Visitor(browser)
    found = visitor.page()
    found.set_default_timeout(1000 * PATIENCE)
    yield found
    visitor.leave()


def axes_stretched(points: Any) -> Float64Array:
    """Points with each axis stretched to [-1, 1], as the Projector shows them."""
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    return np.asarray((points - (low + high) / 2) / ((high - low) / 2))


def assert_laid_out_as(shown: Float64Array, given: Float64Array, pixel: float = 1.0) -> None:
    """`shown` (x, y down) lies as `given` does up to the scale of each axis, to one pixel."""
    tolerance = 2 * pixel / np.ptp(shown, axis=0).min()
    np.testing.assert_allclose(axes_stretched(shown), axes_stretched(given), atol=tolerance)


def assert_stays(projector: Projector, seconds: float = 2) -> None:
    """Nothing moves, and neither t-SNE nor UMAP has begun to run."""
    before = projector.places()
    projector.page.wait_for_timeout(1000 * seconds)
    np.testing.assert_allclose(projector.places(), before, atol=0.01)
    assert not projector.ask(RUNNING)


@pytest.fixture(scope="module")
def opened(browser: Browser, address: str) -> Iterator[Projector]:
    """The Projector, which takes its time to load, on a page on which nothing may go wrong."""
    visitor = Visitor(browser)
    page = visitor.page(base_url=address)
    page.set_default_timeout(1000 * PATIENCE)
    yield Projector(page, address)
    visitor.leave()


@pytest.fixture
def projector(opened: Projector) -> Projector:
    """The Projector with the projection that it begins with."""
    opened.element.evaluate("p => p.projectionsPanel.showTab('pca')")
    opened.until(PROJECTION, "pca")
    return opened


def test_the_projector_shows_the_photos(projector: Projector) -> None:
    """From one side or another, since photos hide others."""
    for label, colour in COLOURS.items():
        deadline, near = time.monotonic() + PATIENCE, 0
        while near <= 500:
            assert time.monotonic() < deadline, f"{near} pixels of {label} photos"
            projector.ask(TURN)
            drawn = projector.drawn().astype(int)
            near = int((np.abs(drawn - colour).max(axis=2) < 40).sum())


@pytest.mark.parametrize("look", ["by label", "photos"])
def test_a_click_shows_the_tsne_layout(
    projector: Projector, exported: tbgrid.ExportResult, look: str
) -> None:
    projector.open_run(exported)
    projector.open_bookmark(f"t-SNE, perplexity {exported.layout.perplexity:.3g}, {look}")
    projector.until(PROJECTION, "custom")
    assert_laid_out_as(projector.places(), exported.layout.positions * (1, -1))
    assert_coloured(projector, exported, look)
    assert_stays(projector)


@pytest.mark.parametrize("look", ["by label", "photos"])
@pytest.mark.parametrize("run", ["colours", pytest.param("large", marks=pytest.mark.slow)])
def test_a_click_shows_the_grid(
    projector: Projector,
    exported: tbgrid.ExportResult,
    large: tbgrid.ExportResult,
    run: str,
    look: str,
) -> None:
    result, form = {"colours": (exported, "custom"), "large": (large, "umap")}[run]
    grid = result.grid
    projector.open_run(result)
    projector.open_bookmark(f"grid {grid.rows} x {grid.columns}, {look}")
    projector.until(PROJECTION, form)
    places = projector.places()
    cells = np.column_stack([grid.cells % grid.columns, grid.cells // grid.columns])
    assert_laid_out_as(places, cells.astype(np.float64))
    width, height = np.ptp(places, axis=0)
    assert width == pytest.approx(height, abs=2)  # square cells
    tints = assert_coloured(projector, result, look)
    assert_stays(projector)

    # Each photo fills the middle of its cell, and there is a gap to the next one.
    drawn = projector.drawn().astype(float)
    assert (places > 0).all()
    assert (places < drawn.shape[1::-1]).all()
    pitch = width / (grid.columns - 1)
    sides = []
    for x, y in places:
        # Some rows together, since a photo may have white pixels itself.
        rows = drawn[round(y) - 3 : round(y) + 4, round(x) : round(x + 0.6 * pitch)]
        white = np.flatnonzero((rows > 240).all(axis=(0, 2)))
        assert white.size, (x, y)
        sides.append(2 * white[0])
    side = float(np.median(sides))
    assert 0.4 * pitch < side < 0.95 * pitch
    np.testing.assert_allclose(sides, side, atol=3)

    # It is drawn in its own colours, times the tint of its label if there is one.
    half = int(side / 2) - 1
    photos = result.images.thumbnails.mean(axis=(1, 2))
    for number, (x, y) in enumerate(np.rint(places).astype(int)):
        found = drawn[y - half : y + half + 1, x - half : x + half + 1].mean(axis=(0, 1))
        expected = photos[number] * tints[number]
        assert np.abs(found - expected).max() < 15, result.images.photos[number]


def assert_coloured(projector: Projector, result: tbgrid.ExportResult, look: str) -> Float64Array:
    """Labels have colours and a legend, or there is neither; returns each photo's tint, 0 to 1."""
    labels = result.images.labels
    assert labels is not None
    chosen = {"by label": "label", "photos": "No color map"}[look]
    projector.until("p => p.selectedColorOption.name", chosen)
    legend = projector.frame.locator("vz-projector-data-panel .item")
    tints: list[str] = projector.ask(TINTS)
    if look == "by label":
        assert len(set(tints)) == len(set(zip(labels, tints, strict=True))) == len(COLOURS)
        for label, count in Counter(labels).items():
            row = legend.filter(has_text=re.compile(rf"{label}\s*{count}"))
            expect(row).to_be_visible()
    else:
        assert set(tints) == {"#ffffff"}
        expect(legend.filter(visible=True)).to_have_count(0)
    return np.array([ImageColor.getrgb(tint) for tint in tints]) / 255


class Card:
    """One tag of the Images tab."""

    def __init__(self, page: Page, tag: str) -> None:
        self.page = page
        heading = page.get_by_text(f"tag: {tag}", exact=True)
        cards = page.locator("tf-image-loader").filter(has=heading)
        self.element: Locator = cards.filter(has_text="colours")  # the run

    def picture(self) -> UInt8Array:
        """The pixels of the picture that is shown."""
        image = self.element.locator("img")
        image.wait_for()
        image.evaluate("image => image.decode()")
        encoded = image.evaluate(PIXELS).partition(",")[2]
        return picture(base64.b64decode(encoded))

    def go_to_step(self, step: int) -> None:
        """Move the slider from another step with the keyboard."""
        shown = self.element.locator("img").get_attribute("src") or ""
        slider = self.element.locator("paper-slider")
        slider.focus()
        slider.press("Home")
        for _ in range(step):
            slider.press("ArrowRight")
        expect(self.element.get_by_text(re.compile(rf"^\s*step\s+{step}\s*$"))).to_be_visible()
        expect(self.element.locator("img")).not_to_have_attribute("src", shown)


def tile_colours(canvas: UInt8Array, exported: tbgrid.ExportResult) -> Float64Array:
    """The mean colour of each photo's tile of a mosaic, in the order of the photos."""
    grid = exported.grid
    side = canvas.shape[0] // grid.rows
    tiles = canvas.reshape(grid.rows, side, grid.columns, side, 3).mean(axis=(1, 3))
    return np.asarray(tiles[grid.cells // grid.columns, grid.cells % grid.columns])


def test_the_images_tab_shows_the_mosaic_and_its_making(
    page: Page, address: str, exported: tbgrid.ExportResult
) -> None:
    page.goto(f"{address}/#images")
    cards = {name: Card(page, f"tbgrid/{name}") for name in ("mosaic", "tsne", "scatter", "snap")}
    for card in cards.values():
        expect(card.element).to_be_visible(timeout=1000 * PATIENCE)
    grid, thumbnails = exported.grid, exported.images.thumbnails
    side = thumbnails.shape[1]
    photos = thumbnails.mean(axis=(1, 2))

    mosaic = cards["mosaic"].picture()
    assert mosaic.shape == (grid.rows * side, grid.columns * side, 3)
    np.testing.assert_allclose(tile_colours(mosaic, exported), photos, atol=3)

    snap = cards["snap"]
    assert snap.element.locator("paper-slider").evaluate("slider => slider.max") == 7
    np.testing.assert_allclose(tile_colours(snap.picture(), exported), photos, atol=3)
    snap.go_to_step(0)
    start = snap.picture()
    assert start.shape == mosaic.shape
    # The photos are at their t-SNE places; the last one is drawn over all others.
    assert np.abs(tile_colours(start, exported) - photos).max() > 50
    top, left = np.rint(grid.places[-1] * side).astype(int)
    last = start[top : top + side, left : left + side].mean(axis=(0, 1))
    np.testing.assert_allclose(last, photos[-1], atol=3)

    for name in ("tsne", "scatter"):
        shown = cards[name].picture()
        assert (shown < 200).any(axis=2).mean() > 0.001, f"{name} is blank"


def test_the_text_tab_shows_the_report_as_tables(page: Page, address: str) -> None:
    page.goto(f"{address}/#text")
    report = page.locator("tf-text-loader").filter(has_text="colours")  # the run
    row = report.locator("tr", has_text=re.compile(r"^\s*shown\s+60\s*$"))
    expect(row).to_be_visible(timeout=1000 * PATIENCE)
    assert report.locator("th").all_inner_texts() == ["tbgrid", tbgrid.__version__]
    headings = report.locator("td strong").all_inner_texts()
    assert {"Photos", "Report card", "Model", "t-SNE", "Grid", "Versions"} <= set(headings)
