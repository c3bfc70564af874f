"""Make the pictures of the README: the demo's digits by tbgrid, in a real TensorBoard.

python tests/readme_pictures.py
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from conftest import ROOT
from PIL import Image
from playwright.sync_api import sync_playwright
from tensorboard_process import tensorboard
from test_browser import ARGUMENTS, CHROMIUM, Projector

import tbgrid
from tbgrid import demo
from tbgrid.artifacts.scatter import scatter

DOCS = ROOT / "docs"


def main() -> None:
    """Export the digits; keep the mosaic, the scatter plot and the grid in the Projector."""
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
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            page.set_default_timeout(180_000)
            projector = Projector(page, address)
            page.wait_for_timeout(5000)
            projector.open_bookmark(f"grid {result.grid.rows} x {result.grid.columns}, by label")
            page.wait_for_timeout(4000)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot.save(DOCS / "projector-grid.jpg", quality=85)
            browser.close()


if __name__ == "__main__":
    main()
