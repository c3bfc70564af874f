"""What the tests share: generated photos, a quick embedder, public data where it is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import tbgrid
from tests.support.paths import DATA, ROOT
from tests.support.photos import draw_photos
from tests.support.preloaded import Preloaded
from tests.support.preloaded import preloaded as preloaded_processes

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A machine that runs tests is busy; OpenMP threads that spin while they wait make it worse.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The tests' own cache, so that they neither find nor leave anything in the user's.
_CACHE = tempfile.TemporaryDirectory(prefix="tbgrid-test-cache-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

# Processes that tests start import this tree too, wherever they run.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)

# They take longest, and begin first, so that no process has one of them left at the end.
LONGEST = (
    "plugin/test_grid_tab.py",
    "serve/test_schema.py",
    "serve/test_kill.py",
    "serve/test_middleware.py",
    "test_wheel.py",
    "pipeline/test_ray_runner.py",
    "docs/test_commands.py",
    "writers/test_tensorboard_tabs.py",
    "cli/test_bad_input.py",
    "pipeline/test_kill.py",
    "training/test_keras_callback.py",
    "pipeline/test_resume.py",
)


# How reasons of skipped tests begin that --no-skips lets pass: CI has none of these.
NEEDED_ELSEWHERE = ("needs torch", "needs a container daemon", "needs a GPU")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed")


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis tries many examples where time does not count."""
    settings.register_profile("ci", deadline=None, max_examples=200)
    settings.register_profile("quick", deadline=None, max_examples=25)
    settings.load_profile("ci" if config.getoption("--slow") else "quick")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two processes for all tests; those of single files run in this one, as a debugger needs."""
    return 2 if all(Path(argument).is_dir() for argument in config.args) else 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    order = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else ""
    exempt = reason.removeprefix("Skipped: ").startswith(NEEDED_ELSEWHERE)
    if report.skipped and item.config.getoption("--no-skips") and not exempt:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures in three labelled folders."""
    return draw_photos(tmp_path_factory.mktemp("photos"), each=20)


@pytest.fixture(scope="session")
def exported(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tbgrid.ExportResult:
    """An export of `photos` by the built-in network, at <logdir>/colours. Not to be changed."""
    logdir = tmp_path_factory.mktemp("logdir")
    return tbgrid.export(photos, logdir, run_name="colours")


@pytest.fixture(scope="session")
def preloaded() -> Iterator[Preloaded]:
    """Starts commands in processes that have loaded their modules."""
    with preloaded_processes() as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one, without a window."""
    from tests.support.chromium import chromium

    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public photos, odd files, camera photos and MNIST."""
    if not (DATA / "data" / "photos").is_dir():
        pytest.skip("no public test data beside the project (TBGRID_TEST_DATA)")
    return DATA / "data"
