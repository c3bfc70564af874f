"""The Projector tab in a real browser."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from playwright.sync_api import FrameLocator, Page, expect

import tbgrid
from tbgrid.types import Float64Array, UInt8Array
from tests.support.screenshots import picture

PATIENCE = 30  # seconds for anything to appear: the browser draws in software


# The Projector's state, read from its element `p` (vz_projector/vz-projector.ts).
LOADED = "p => !!(p.projection && p.dataSet?.spriteAndMetadataInfo?.spriteImage)"


POINTS = "p => p.dataSet?.points.length"


BOOKMARKS = "p => p.bookmarkPanel.savedStates.map(state => state.label)"


PLACES = """p => {
    const plot = p.projectorScatterPlotAdapter.scatterPlot;
    const world = plot.worldSpacePointPositions;
    const view = plot.camera.projectionMatrix.clone().multiply(plot.camera.matrixWorldInverse);
    return p.dataSet.points.map((_, i) => {
        const point = plot.camera.position.clone().fromArray(world, 3 * i).applyMatrix4(view);
        return [(point.x + 1) / 2 * plot.width, (1 - point.y) / 2 * plot.height];
    });
}"""


class Projector:
    """The Projector tab, loaded."""

    def __init__(self, page: Page, address: str) -> None:
        page.goto(f"{address}/#projector")
        self.page = page
        self.frame: FrameLocator = page.frame_locator("iframe").frame_locator("iframe")
        self.element = self.frame.locator("vz-projector")
        self.until(LOADED)

    def ask(self, script: str) -> Any:
        return self.element.evaluate(script)

    def until(self, script: str, wanted: object = True) -> None:
        deadline = time.monotonic() + PATIENCE
        while (found := self.ask(script)) != wanted:
            assert time.monotonic() < deadline, f"{found}, not {wanted}: {script}"
            self.page.wait_for_timeout(100)

    def open_run(self, result: tbgrid.ExportResult) -> None:
        """Choose the run, and wait for its points and pictures."""
        run, count = result.directory.name, len(result.images.photos)
        self.element.evaluate("(p, run) => { p.dataPanel.selectedRun = run; }", run)
        self.until(POINTS, count)
        self.until(LOADED)

    def open_bookmark(self, label: str) -> None:
        self.until(f"p => ({BOOKMARKS})(p).includes({json.dumps(label)})")
        rows = self.frame.locator(".state-row")
        expect(rows).to_have_count(4)
        titles = [row.locator(".state-label-input").evaluate("e => e.value") for row in rows.all()]
        rows.nth(titles.index(label)).locator(".state-radio paper-icon-button:visible").click()

    def places(self) -> Float64Array:
        """(x, y down) of each point on the canvas, in pixels."""
        return np.array(self.ask(PLACES))

    def drawn(self) -> UInt8Array:
        return picture(self.frame.locator("#scatter").screenshot())
