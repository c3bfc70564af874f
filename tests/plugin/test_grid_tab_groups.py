"""Copies and clusters in the Grid tab: badges of stacks, columns to colour and to search."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

import tbgrid
from tbgrid import ExportOptions, GroupOptions
from tbgrid.photos import Photo, Source
from tbgrid.types import UInt8Array
from tests.support.chromium import CHROMIUM, Visitor
from tests.support.grid_page import Known, Tab, sampled
from tests.support.photos import scene
from tests.support.preloaded import Preloaded
from tests.support.tensorboard_process import tensorboard

COUNT = 42  # different photos, on a grid that fills a phone's width
TILE = 64  # px
COPIES = {0: 1, 5: 2, 13: 11}  # of these photos so many more
GREY = (128, 128, 128)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


@pytest.fixture(scope="module")
def source() -> Source:
    rng = np.random.default_rng(0)
    pictures = [np.asarray(scene(rng, 128)) for _ in range(COUNT)]
    vectors = rng.standard_normal((COUNT, 8)).astype(np.float32)
    rows = [*range(COUNT), *(row for row, more in COPIES.items() for _ in range(more))]
    photos = [
        Photo(
            path=None,
            name=f"{'ab'[row % 2]}/{at:02}.png",
            label="ab"[row % 2],
            pixels=pictures[row],
            row=at,
        )
        for at, row in enumerate(rows)
    ]
    return Source(name="scenes", photos=tuple(photos), listed=len(rows), vectors=vectors[rows])


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logdir")


@pytest.fixture(scope="module")
def stacked(logdir: Path, source: Source) -> tbgrid.ExportResult:
    return exported(logdir, source, "stack")


@pytest.fixture(scope="module")
def shown(logdir: Path, source: Source) -> tbgrid.ExportResult:
    return exported(logdir, source, "show")


def exported(logdir: Path, source: Source, name: str) -> tbgrid.ExportResult:
    groups = GroupOptions(name, 5)  # type: ignore[arg-type]
    options = ExportOptions(tile=TILE, preview=128, use_cache=False, groups=groups)
    return tbgrid.export(source, logdir, options, run_name=name)


@pytest.fixture(scope="module")
def address(
    logdir: Path,
    stacked: tbgrid.ExportResult,
    shown: tbgrid.ExportResult,
    preloaded: Preloaded,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    del stacked, shown
    log = tmp_path_factory.mktemp("tensorboard") / "log"
    with tensorboard(preloaded, logdir, log, ready="tbgrid") as found:
        yield found
    assert "Traceback" not in log.read_text()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    made = Visitor(browser)
    yield made
    made.leave()


def corners(tab: Tab, known: Known, side: int) -> UInt8Array:
    """uint8[n, side / 2, side / 2, 3]: each photo's upper right quarter on the screen, as if it
    had so many pixels."""
    view, shown = tab.whole(known), Image.fromarray(tab.seen())
    half = view.scale / 2
    return np.stack(
        [
            np.asarray(shown.resize((side // 2, side // 2), box=(x, y - half, x + half, y)))
            for x, y in view.on_screen(known.centres)
        ]
    )


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_stacks_have_badges(
    width: int,
    scheme: str,
    visitor: Visitor,
    address: str,
    stacked: tbgrid.ExportResult,
    shown: tbgrid.ExportResult,
) -> None:
    """On a desk, where they are seen larger than tiles are, and on a phone by night."""
    page = visitor.page(width, 844, color_scheme=scheme)
    tab = Tab.alone(page, address, run="stack").settle()
    plain = shown.images.thumbnails[:COUNT, : TILE // 2, TILE // 2 :]
    seen = corners(tab, Known.of("stack", stacked), TILE)
    changed = np.abs(seen.astype(int) - plain).mean(axis=(1, 2, 3)) > 10
    assert np.flatnonzero(changed).tolist() == list(COPIES)
    assert tab.frame.evaluate("document.documentElement.scrollWidth") <= width
    if tab.panel.count() == 0:
        tab.button("Panel").click()
    expect(tab.open_panel("Report")).to_contain_text("14 exact of 3 photos")
    expect(tab.panel).to_contain_text(f"{COUNT} shown")


def test_copies_can_be_searched(visitor: Visitor, address: str, shown: tbgrid.ExportResult) -> None:
    """Shown each by itself, they are told by the column."""
    tab = Tab.alone(visitor.page(), address, run="show").settle()
    total = len(shown.images.photos)
    for row, more in COPIES.items():
        tab.search.fill(f'duplicates:"{shown.images.photos[row].name} ("')
        expect(tab.hits).to_have_text(f"{more + 1} of {total}")
    tab.search.fill('duplicates=""')
    expect(tab.hits).to_have_text(f"{COUNT - len(COPIES)} of {total}")


@pytest.mark.slow
def test_clusters_have_colours_and_what_is_in_none_is_grey(
    visitor: Visitor, address: str, stacked: tbgrid.ExportResult
) -> None:
    clusters = stacked.groups.clusters
    assert clusters is not None
    counts = Counter(clusters.label_names)
    assert len(clusters.names) >= 2, "a test of several"
    assert counts[""] > 0, "and of some in none"
    tab = Tab.alone(visitor.page(), address, run="stack").settle()
    tab.frame.get_by_role("combobox", name=re.compile("^Colour")).select_option("cluster")
    items = tab.frame.locator(".legend .item")
    expect(items).to_have_count(len(counts))
    expect(items.last).to_have_text("(none)")
    colours = {}
    for item in items.all():
        painted = item.locator("i").evaluate("it => getComputedStyle(it).backgroundColor")
        colours[item.inner_text()] = [int(part) for part in re.findall(r"\d+", painted)]
    assert set(colours) == {name or "(none)" for name in counts}
    assert tuple(colours["(none)"]) == GREY
    tab.settle()
    known = Known.of("stack", stacked)
    view = tab.whole(known)
    edges = view.on_screen(known.centres) - np.array([view.scale / 2, 0])
    found = sampled(tab.seen(), np.ceil(edges), 0)
    wanted = np.array([colours[name or "(none)"] for name in clusters.label_names])
    assert np.abs(found - wanted).max() < 40
