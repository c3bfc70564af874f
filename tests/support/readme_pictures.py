"""Make the pictures of README and manual: the demo's digits by tbgrid, in a real TensorBoard.

python -m tests.support.readme_pictures
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Page

import tbgrid
from tbgrid.cli import demo
from tbgrid.writers.scatter import scatter
from tests.support.chromium import chromium
from tests.support.paths import ROOT
from tests.support.projector_page import Projector
from tests.support.tensorboard_process import tensorboard

DOCS = ROOT / "docs" / "images"


def main() -> None:
    """Export the digits; keep the mosaic, the scatter plot, the Projector and the Grid tab."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder, logdir = Path(scratch, "digits"), Path(scratch, "runs")
        demo.digits(folder)
        result = tbgrid.export(folder, logdir, run_name="digits")
        mosaic = Image.open(result.mosaic)
        size = (mosaic.width * 24 // 64, mosaic.height * 24 // 64)
        mosaic.resize(size, Image.Resampling.LANCZOS).save(DOCS / "digits-mosaic.jpg", quality=80)
        title = f"digits: t-SNE of {len(result.images.photos)} photos, builtin"
        points = scatter(result.layout.positions, result.images.labels, title, 900)
        Image.open(io.BytesIO(points)).convert("P", palette=Image.Palette.ADAPTIVE).save(
            DOCS / "digits-scatter.png", optimize=True
        )
        executable = Path(sys.executable).with_name("tensorboard")
        with (
            tensorboard(executable, logdir, Path(scratch, "log")) as address,
            chromium() as browser,
        ):
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            page.set_default_timeout(180_000)
            projector = Projector(page, address)
            page.wait_for_timeout(5000)
            projector.open_bookmark(f"grid {result.grid.rows} x {result.grid.columns}, by label")
            page.wait_for_timeout(4000)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot.save(DOCS / "projector-grid.jpg", quality=85)
            photo = next(photo for photo in result.images.photos if photo.label == "8")
            show_grid_tab(page, address, photo.name)


def show_grid_tab(page: Page, address: str, photo: str) -> None:
    """Keep the Grid tab: `photo` pinned on the grid, and the t-SNE places coloured by label."""
    page.set_viewport_size({"width": 1300, "height": 820})
    for name, state in (
        ("grid-tab", f"p.tbgrid.pin={quote(photo, safe='')}"),
        ("grid-tab-tsne", "p.tbgrid.snap=0&p.tbgrid.colour=label"),
    ):
        page.goto("about:blank")
        page.goto(f"{address}/#tbgrid&{state}")
        page.frame_locator("iframe").locator(".map[aria-busy=false]").wait_for()
        page.wait_for_timeout(1500)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        shot.save(DOCS / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()
