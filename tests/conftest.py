"""What the tests share: generated photos, a quick embedder, public data where it is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from PIL import Image, ImageDraw

import tbgrid
from tbgrid.types import Float32Array

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A machine that runs tests is busy; OpenMP threads that spin while they wait make it worse.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The tests' own cache, so that they neither find nor leave anything in the user's.
_CACHE = tempfile.TemporaryDirectory(prefix="tbgrid-test-cache-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

ROOT = Path(__file__).resolve().parents[1]
# Public photos, odd files and a pretrained network: data/photos, data/odd, models/...
DATA = Path(os.environ.get("TBGRID_TEST_DATA", ROOT.parent / "shared"))
# They take longest, and begin first, so that no process has one of them left at the end; the two
# that paint with a browser all the time lie far apart.
LONGEST = (
    "test_wheel.py",
    "test_grid_tab.py",
    "test_serve_kill.py",
    "test_runners.py",
    "test_serve_schema.py",
    "test_readme.py",
    "test_serve_load.py",
    "test_bad_input.py",
    "test_browser.py",
    "test_serve_guard.py",
)
COLOURS = {"blue": (30, 60, 220), "green": (20, 160, 60), "red": (220, 40, 30)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for all tests; those of single files run in this one, as a debugger needs."""
    return 2 if all(Path(argument).is_dir() for argument in config.args) else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
    return report


@dataclass(frozen=True)
class MeanColour:
    """An embedder that needs no TensorFlow: a picture's colours at 4 x 4 places."""

    model_id: ClassVar[str] = "mean-colour"
    input_size: ClassVar[tuple[int, int]] = (32, 32)
    distance: ClassVar[str] = "euclidean"
    notes: ClassVar[Sequence[str]] = ()

    def __call__(self, images: Float32Array) -> Float32Array:
        blocks = images.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4))
        return blocks.reshape(len(images), -1).astype(np.float32)


def draw_photos(folder: Path, each: int, seed: int = 0) -> Path:
    """`each` pictures of a label: blue ones of a ball, green ones of bars, red ones of a roof."""
    rng = np.random.default_rng(seed)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            ground = tuple(int(v) for v in np.clip(rng.normal(colour, 12), 0, 255))
            picture = Image.new("RGB", (96, 72), ground)
            x, y = (int(v) for v in rng.integers(22, 46, 2))
            pen, light = ImageDraw.Draw(picture), (240, 230, 200)
            if label == "blue":
                pen.ellipse((x, y, x + 22, y + 22), fill=light)
            elif label == "green":
                for bar in range(3):
                    pen.rectangle((x + 9 * bar, 6, x + 9 * bar + 3, 66), fill=light)
            else:
                pen.polygon(((8, 66), (x + 16, y - 16), (88, 66)), outline=light, width=3)
            picture.save(folder / label / f"{number:03}.jpg", quality=90)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures in three labelled folders."""
    return draw_photos(tmp_path_factory.mktemp("photos"), each=20)


@pytest.fixture(scope="session")
def exported(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tbgrid.ExportResult:
    """An export of `photos` by the built-in network, at <logdir>/colours. Not to be changed."""
    logdir = tmp_path_factory.mktemp("logdir")
    return tbgrid.export(photos, logdir, run_name="colours")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one, without a window."""
    from chromium import chromium

    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public photos, odd files, camera photos and MNIST."""
    if not (DATA / "data" / "photos").is_dir():
        pytest.skip("no public test data beside the project (TBGRID_TEST_DATA)")
    return DATA / "data"
