"""The Grid tab as a user sees it, by what is on the screen of a real browser."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect

import tbgrid
from tbgrid.photos import Photo, Source
from tbgrid.types import Float64Array
from tests.benchmarks import made_run
from tests.support.chromium import CHROMIUM, Visitor
from tests.support.grid_page import (
    ONE_MAP,
    OPTIONS,
    SIDE,
    Known,
    Tab,
    View,
    colours_of,
    extent,
    part_of,
    photos_of,
    sampled,
    striped,
    until,
)
from tests.support.preloaded import Preloaded
from tests.support.screenshots import picture
from tests.support.tensorboard_process import plugins, tensorboard
from tests.support.values import present

WHITE = (255, 255, 255)
SELECTED = (26, 115, 232)  # around what is selected
RING = (232, 113, 10)  # around a photo that is pointed at elsewhere
LARGE = "colours/1024"  # a run's name
ODD = "<u>odd<img src=x onerror=alert(1)>"
WHOLE = {  # what of an answer may be odd
    "title": '"><svg onload=alert(2)>',
    "label": "<script>window.ran = 1</script>",
    "name": "a/<img src=x onerror=alert(3)>.jpg",
    "column": "<i>note</i>",
    "value": "<style>*{display:none}</style>&amp; =1+1",
}
PLACES = [
    pytest.param(False, id="page"),
    pytest.param(True, id="TensorBoard", marks=pytest.mark.slow),
]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


# ---- what is looked at


@pytest.fixture(scope="module")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logdir")


@pytest.fixture(scope="module")
def source() -> Source:
    return photos_of(1024)


@pytest.fixture(scope="module")
def exported(logdir: Path, source: Source) -> tbgrid.ExportResult:
    """1,024 photos on 32 x 32 cells."""
    return tbgrid.export(source, logdir, ONE_MAP, run_name=LARGE)


@pytest.fixture(scope="module")
def large(exported: tbgrid.ExportResult) -> Known:
    return Known.of(LARGE, exported)


@pytest.fixture(scope="module")
def part(logdir: Path, source: Source) -> tbgrid.ExportResult:
    """Every eighth of them, laid out anew."""
    return tbgrid.export(part_of(source, 128), logdir, ONE_MAP, run_name="colours/part")


@pytest.fixture(scope="module")
def three(logdir: Path) -> Known:
    """Three photos, about which all is told in HTML."""
    colours = ((200, 60, 60), (60, 200, 60), (60, 60, 200))
    photos = tuple(
        Photo(path=None, name=name, label=label, pixels=striped(colour), fields=(value,), row=row)
        for row, (colour, name, label, value) in enumerate(
            zip(
                colours,
                (WHOLE["name"], "b.jpg", "c.jpg"),
                (WHOLE["label"], "b", "b"),
                (WHOLE["value"], "x", "x"),
                strict=True,
            )
        )
    )
    vectors = np.array([[0, 0], [3, 0], [0, 5]], np.float32)
    source = Source(
        name=WHOLE["title"],
        photos=photos,
        skipped=(),
        listed=3,
        columns=(WHOLE["column"],),
        vectors=vectors,
    )
    return Known.of(ODD, tbgrid.export(source, logdir, OPTIONS, run_name=ODD))


@pytest.fixture(scope="module")
def huge(logdir: Path) -> Known:
    """10,000 photos on 100 x 100 cells."""
    return made(logdir, 10_000)


def exported_as(logdir: Path, source: Source, name: str) -> Known:
    """A run of these photos."""
    return Known.of(name, tbgrid.export(source, logdir, OPTIONS, run_name=name))


def made(logdir: Path, count: int) -> Known:
    """A run without embedding and t-SNE, of photos of one colour each."""
    colours = colours_of(count)
    tiles = np.broadcast_to(colours[:, None, None], (count, 32, 32, 3)).astype(np.uint8)
    made_run.write_run(logdir, count, tiles)
    places = made_run.places_of(count)
    rows, columns = tbgrid.grid.cells.choose_shape(count)
    cells = made_run.cells_of(places, rows, columns)
    return Known(str(count), rows, columns, cells, places[:, ::-1], colours)


@pytest.fixture(scope="module")
def address(
    logdir: Path,
    large: Known,
    part: tbgrid.ExportResult,
    three: Known,
    preloaded: Preloaded,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A TensorBoard over these runs, beside which lies a broken one."""
    del large, part
    broken = shutil.copytree(logdir / three.run, logdir / "broken")
    cells = next(broken.glob("plugins/tbgrid/*/map/cells.u32"))
    cells.write_bytes(cells.read_bytes()[:-1])
    log = tmp_path_factory.mktemp("tensorboard") / "log"
    with tensorboard(preloaded, logdir, log, ready="tbgrid") as found:
        yield found
    assert "Traceback" not in log.read_text()


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    made = Visitor(browser)
    yield made
    made.leave()


@pytest.fixture
def page(visitor: Visitor) -> Page:
    return visitor.page()


@pytest.fixture
def tab(page: Page, address: str, large: Known) -> Tab:
    """The large run, on a page of its own."""
    return Tab.alone(page, address, run=large.run).settle()


def named(source: Source, mask: NDArray[np.bool_]) -> list[str]:
    """The paths of the photos of a mask."""
    return [source.photos[row].name for row in np.flatnonzero(mask)]


def column(source: Source, name: str) -> NDArray[Any]:
    """The values of a column of all photos."""
    if name == "label":
        return np.array([photo.label for photo in source.photos])
    values = [photo.fields[source.columns.index(name)] for photo in source.photos]
    return np.array(values, int if name == "score" else None)


def photo_in(known: Known, row: int, column: int) -> int:
    """The photo in a cell."""
    return int(np.flatnonzero(known.cells == row * known.columns + column)[0])


def distinct_photo_near(known: Known, row: int, column: int) -> int:
    """Of the photos whose colour none beside them has, the one whose cell is nearest to that."""
    away = np.hypot(*(known.centres - (column, row)).T)
    for photo in np.argsort(away, kind="stable"):
        apart = np.abs(known.around(photo) - known.colours[photo]).max(axis=1)
        if np.count_nonzero(apart < 60) == 1:  # itself
            return int(photo)
    raise AssertionError("all are like their neighbours")


def assert_shows(tab: Tab, known: Known, view: View, tolerance: float = 14) -> None:
    """All photos in sight lie in their cells, as `view` has them."""
    places = view.on_screen(known.centres)
    size = np.array([view.width, view.height])
    inside = ((places > 12) & (places < size - 12)).all(axis=1)
    assert inside.any()
    reach = int(np.clip(0.3 * view.scale, 1, 12))
    found = sampled(tab.seen(), places[inside], reach)
    wrong = np.abs(found - known.colours[inside]).max(axis=1)
    assert wrong.max() < tolerance, f"{(wrong >= tolerance).sum()} of {len(wrong)} photos"


def assert_painted(
    tab: Tab, known: Known, centres: Float64Array, view: View, reach: int = 1
) -> int:
    """Photos are at `centres`, (x, y) in cells; of those that overlap the later lies above.

    Returns how many are hidden by another.
    """
    found = sampled(tab.seen(), view.on_screen(centres), reach)
    compared = covered = 0
    for row, centre in enumerate(centres):
        away = np.abs(centres[row:] - centre).max(axis=1)
        top = row + np.flatnonzero(away < 0.3)[-1]
        if row + np.flatnonzero(away < 0.6)[-1] == top:
            compared, covered = compared + 1, covered + (top != row)
            assert np.abs(found[row] - known.colours[top]).max() < 14, (row, top)
    assert compared > len(centres) / 3
    return covered


def assert_at(tab: Tab, view: View) -> None:
    """The address bar tells of `view`, to half a pixel."""
    told = tab.linked_view()
    assert (told.x, told.y) == pytest.approx((view.x, view.y), abs=0.5 / view.scale + 1e-3)
    assert told.scale == pytest.approx(view.scale, rel=2e-3)


# ---- 1: deep zoom


LARGER = [pytest.param(name, marks=pytest.mark.slow) for name in ("large", "huge")]


@pytest.mark.parametrize("name", ["three", *LARGER])
def test_photos_lie_in_their_cells_and_at_their_tsne_places(
    name: str, page: Page, address: str, request: pytest.FixtureRequest
) -> None:
    known: Known = request.getfixturevalue(name)
    tab = Tab.alone(page, address, run=known.run).settle()
    view = tab.whole(known)
    shown = tab.seen()
    assert_shows(tab, known, view)
    assert tuple(shown[2, 2]) == WHITE, "beside the grid"
    empty = np.setdiff1d(np.arange(known.rows * known.columns), known.cells)
    for cell in empty:
        place = view.on_screen(np.array([cell % known.columns, cell // known.columns]))
        assert tuple(shown[int(place[1]), int(place[0])]) == WHITE

    tab.button("t-SNE").click()
    tab.settle()
    reach = 0 if name == "huge" else 1
    assert assert_painted(tab, known, known.places, view, reach) > 10 or name == "three"
    slider = tab.frame.get_by_role("slider", name="From t-SNE positions to grid cells")
    expect(slider).to_have_value("0")
    slider.fill("0.5")
    tab.settle()
    assert_painted(tab, known, (known.places + known.centres) / 2, view, reach)
    tab.button("Grid").click()
    tab.settle()
    assert_shows(tab, known, view)


def test_the_first_picture_is_a_small_overview(page: Page, address: str, large: Known) -> None:
    tiles: list[str] = []
    hold = """const fetch_ = window.fetch;
        const held = new Promise(go => { window.release = go; });
        window.fetch = async (url, ...more) => {
            if (String(url).includes("/file?")) await held;
            return fetch_(url, ...more);
        };"""
    page.add_init_script(hold)

    def note(request: Request) -> None:
        if "/tile?" in request.url:
            tiles.append(request.url)

    page.on("request", note)
    tab = Tab.alone(page, address, run=large.run)
    overview = tab.frame.locator("img.overview")
    expect(overview).to_be_visible()
    until(page, lambda: overview.evaluate("image => image.complete && image.naturalWidth > 0"))
    stage = tab.frame.locator(".stage")
    box = stage.bounding_box()
    assert box
    view = View(
        15.5, 15.5, 0.96 * min(box["width"], box["height"]) / 32, box["width"], box["height"]
    )
    before = sampled(picture(stage.screenshot()), view.on_screen(large.centres))
    assert np.abs(before - large.colours).max() < 20
    assert len(tiles) == 1
    page.evaluate("release()")
    tab.settle()
    assert tab.whole(large) == view, "the map takes the place of the overview"
    assert_shows(tab, large, view)


@pytest.mark.slow
def test_the_wheel_zooms_down_to_the_preview(tab: Tab, large: Known, source: Source) -> None:
    whole = tab.whole(large)
    row = distinct_photo_near(large, 13, 18)
    colour = large.colours[row]
    at = np.rint(whole.on_screen(large.centres[row]) + tab.corner()) - tab.corner()
    assert extent(tab.seen(), at, colour)[0] == pytest.approx(whole.scale, abs=1.5)

    tab.wheel(at, -200)
    closer = whole.zoomed(at, np.exp(0.3))
    for side in extent(tab.seen(), at, colour):
        assert side == pytest.approx(closer.scale, abs=1.5)

    for _ in range(5):
        tab.wheel(at, -600)
    across = 0.96 * min(whole.width, whole.height)
    view = whole.zoomed(at, across / whole.scale)
    assert_at(tab, view)
    # The pixels of the screen that show the photo, but for its edge, and those that it has there.
    low, high = np.rint(view.on_screen(large.centres[row]) + np.array([[-0.49], [0.49]]) * across)
    stored = Image.fromarray(present(source.photos[row].pixels))
    stored = stored.resize((int(across), int(across)), Image.Resampling.BILINEAR)
    given = np.pad(np.asarray(stored, int), ((900, 900), (900, 900), (0, 0)))
    shown = tab.seen().astype(int)
    (left, top), (right, bottom) = (
        np.clip(edge, 0, (view.width, view.height)).astype(int) for edge in (low, high)
    )
    x, y = np.rint(900 + across / 2 - view.on_screen(large.centres[row])).astype(int)
    given = given[y + top : y + bottom, x + left : x + right]
    shown = shown[top:bottom, left:right]
    assert min(shown.shape[:2]) > 600
    assert np.abs(shown - given).mean() < 12
    assert shown.mean(axis=0).std(axis=0).min() > 20, "stripes of 2 px, which the mosaic has not"

    for _ in range(7):
        tab.wheel(at, 600)
    assert whole.scale / 2.1 < tab.linked_view().scale <= whole.scale, "nobody gets lost"
    tab.button("Show all (0)").click()
    tab.settle()
    assert_shows(tab, large, whole)


def test_drag_double_click_and_keys(tab: Tab, large: Known) -> None:
    whole = tab.whole(large)
    middle = np.array([whole.width, whole.height]) / 2

    def check(view: View) -> None:
        tab.settle()
        assert_at(tab, view)
        assert_shows(tab, large, view, 24)

    tab.drag(middle, middle + np.array([70, -45]))
    check(whole.moved(70, -45))
    tab.marks.press("0")
    tab.settle()
    at = np.array([570.0, 460.0])
    tab.page.mouse.dblclick(*(at + tab.corner()).tolist())
    tab.page.mouse.move(1, 1)
    check(whole.zoomed(at, 2.5))
    tab.marks.press("Home")
    tab.settle()
    tab.marks.press("+")
    check(whole.zoomed(middle, 1.5))
    tab.marks.press("Shift+ArrowRight")
    check(whole.zoomed(middle, 1.5).moved(-60, 0))
    tab.marks.press("-")
    check(whole.zoomed(middle, 1.5).moved(-60, 0).zoomed(middle, 1 / 1.5))


@pytest.mark.slow
def test_two_fingers_zoom_and_move(visitor: Visitor, address: str, large: Known) -> None:
    page = visitor.page(has_touch=True)
    tab = Tab.alone(page, address, run=large.run).settle()
    whole = tab.whole(large)
    middle = np.array([470.0, 400.0])
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *points: Float64Array) -> None:
        touched = [
            {"x": x, "y": y, "id": finger}
            for finger, (x, y) in enumerate(
                (np.array(points).reshape(-1, 2) + tab.corner()).tolist()
            )
        ]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    touch("touchStart", middle - np.array([40, 0]))
    touch("touchStart", middle - np.array([40, 0]), middle + np.array([40, 0]))
    for share in np.linspace(0.1, 1, 10):
        apart, moved = np.array([40 + 60 * share, 0]), share * np.array([30, 20])
        touch("touchMove", middle - apart + moved, middle + apart + moved)
    touch("touchEnd")
    tab.settle()
    view = whole.zoomed(middle, 2.5).moved(30, 20)
    assert_at(tab, view)
    assert_shows(tab, large, view, 24)
    expect(tab.panel).not_to_contain_text("Nearest by embedding")
    assert page.evaluate("visualViewport.scale") == 1, "the page itself has not zoomed"


@pytest.mark.parametrize("inside", PLACES)
@pytest.mark.slow
def test_a_link_shows_a_colleague_the_same(
    inside: bool, visitor: Visitor, address: str, large: Known, source: Source
) -> None:
    page = visitor.page()
    opened = Tab.inside if inside else Tab.alone
    tab = opened(page, address).settle()
    tab.frame.get_by_role("combobox", name="Run", exact=True).select_option(large.run)
    tab.settle()
    row = photo_in(large, 8, 20)
    at = tab.whole(large).on_screen(large.centres[row])
    tab.wheel(at, -500)
    tab.click(at)
    tab.search.fill("time:noon")
    tab.frame.get_by_role("combobox", name=re.compile("^Colour")).select_option("label")
    expect(tab.hits).to_have_text("341 of 1,024")
    page.mouse.move(1, 1)
    tab.settle()
    linked = tab.linked
    assert linked["pin"] == source.photos[row].name
    shown = tab.seen().astype(int)

    colleague = visitor.page(locale="en-US")  # with nothing in common
    colleague.goto(page.url)
    page.reload()
    for again in (colleague, page):
        other = (Tab.found(again) if inside else Tab(again, again.main_frame)).settle()
        assert other.linked == linked
        expect(other.hits).to_have_text("341 of 1,024")
        until(again, partial(looks_as, other, shown))


def looks_as(tab: Tab, shown: NDArray[np.int64]) -> bool:
    return bool(np.abs(tab.seen() - shown).mean() < 0.5)


# ---- 2: the snap


def test_photos_move_smoothly_and_the_one_pointed_at_comes_to_the_front(
    tab: Tab, large: Known
) -> None:
    values = tab.frame.evaluate(
        """async () => {
            const slider = document.querySelector(".snap input");
            const seen = new Set([slider.value]);
            document.querySelector(".snap button").click();
            while (slider.value !== "0") {
                await new Promise(requestAnimationFrame);
                seen.add(slider.value);
            }
            return [...seen].map(Number);
        }"""
    )
    assert len(values) > 2
    assert values == sorted(values, reverse=True)

    tab.settle()
    view = tab.whole(large)

    def top(point: Float64Array, side: float) -> int:
        under = np.flatnonzero((np.abs(large.places - point) < side / 2).all(axis=1))
        return int(under[-1]) if len(under) else -1

    for below, place in enumerate(large.places):
        above = top(place, 0.8)
        way = large.places[above] - place
        corner = place - 0.34 * np.sign(way)
        hidden = (
            above > below
            and top(place, 0.7) == top(place, 1.1) == above
            and (np.abs(way) > 0.15).all()
        )
        if hidden and top(corner, 0.8) == top(corner, 1.1) == below:
            break
    else:
        pytest.fail("no photo that is partly covered")
    middle = view.on_screen(place)[None]
    assert np.abs(sampled(tab.seen(), middle) - large.colours[above]).max() < 14
    tab.point(view.on_screen(corner))
    tab.settle()
    assert np.abs(sampled(tab.seen(), middle) - large.colours[below]).max() < 14


# ---- 3: ask


def test_a_photo_tells_what_is_known_of_it(tab: Tab, large: Known, source: Source) -> None:
    row = photo_in(large, 10, 12)
    photo = source.photos[row]
    tab.point(tab.whole(large).on_screen(large.centres[row]))
    expect(tab.tooltip).to_be_visible()
    lines = [line.inner_text().split("\n") for line in tab.tooltip.locator(".line").all()]
    assert dict(lines) == {
        "label": photo.label,
        "path": photo.name,
        "width": str(SIDE),
        "height": str(SIDE),
        "score": photo.fields[0],
        "time": photo.fields[1],
    }
    expect(tab.tooltip.locator("strong")).to_have_text(photo.name.split("/")[1])
    small = picture(tab.tooltip.locator(".thumbnail").screenshot())
    assert np.abs(small[10:-10, 10:-10] - large.colours[row]).max() < 20


def test_a_click_pins_a_photo_and_shows_its_nearest(tab: Tab, large: Known, source: Source) -> None:
    assert source.vectors is not None
    vectors = source.vectors.astype(float)
    view = tab.whole(large)
    row = photo_in(large, 20, 9)
    before = tab.seen().astype(int)
    tab.click(view.on_screen(large.centres[row]))
    for _ in range(2):  # a photo, and one of its nearest
        expect(tab.panel.locator("h2")).to_have_attribute("title", source.photos[row].name)
        rows = tab.panel.get_by_role("listitem").get_by_role("button")
        expect(rows).to_have_count(12)
        large_picture = tab.panel.locator("img.large")
        expect(large_picture).to_have_js_property("naturalWidth", SIDE)
        seen = picture(large_picture.screenshot())[20:-20, 20:-20]
        assert np.abs(seen.mean(axis=(0, 1)) - large.colours[row]).max() < 8
        assert seen.std(axis=1).mean() > 20, "the stripes of the preview"

        away = np.linalg.norm(vectors - vectors[row], axis=1)
        nearest = np.argsort(away)[1:13]
        assert [it.get_attribute("title") for it in rows.all()] == [
            source.photos[other].name for other in nearest
        ]
        cells = np.linalg.norm(large.centres[nearest] - large.centres[row], axis=1)
        assert rows.locator("small").all_inner_texts() == [
            f"distance {distance:.3f} · {far:.1f} cells away"
            for distance, far in zip(away[nearest], cells, strict=True)
        ]
        last, row = row, int(nearest[4])
        rows.nth(4).click()
    # Lines from the photo pinned first to its nearest would now begin at the other one.
    tab.settle()
    tab.page.mouse.move(1, 1)
    row = int(np.argsort(np.linalg.norm(vectors - vectors[row], axis=1))[0])
    del last
    expect(tab.panel.locator("h2")).to_have_attribute("title", source.photos[row].name)
    assert tab.linked["pin"] == source.photos[row].name
    tab.settle()
    changed = np.abs(tab.seen().astype(int) - before).max(axis=2) > 40
    nearest = np.argsort(np.linalg.norm(vectors - vectors[row], axis=1))[1:13]
    for other in nearest:
        line = np.linspace(large.centres[row], large.centres[other], 60)[6:-6]
        on = [
            changed[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].any()
            for x, y in view.on_screen(line)
        ]
        assert np.mean(on) > 0.9, "a line to each"
    tab.marks.press("Escape")
    expect(tab.panel).to_contain_text("Click a photo on the map")
    until(tab.page, lambda: bool(np.abs(tab.settle().seen().astype(int) - before).mean() < 0.5))


# ---- 4: search and filter


def test_search_dims_what_does_not_match_and_lists_the_rest(
    tab: Tab, large: Known, source: Source
) -> None:
    label, time = column(source, "label"), column(source, "time")
    for query, regex, mask in (
        ("Cat", False, label == "cat"),
        ("label:cat -time:noon", False, (label == "cat") & (time != "noon")),
        (
            r"(ant|hen)/.*[05]\.jpg$",
            True,
            np.isin(label, ["ant", "hen"]) & (np.arange(1024) % 5 == 0),
        ),
    ):
        if regex:
            tab.button("Regular expression").click()
        tab.search.fill(query)
        expect(tab.hits).to_have_text(f"{mask.sum()} of 1,024")
        tab.settle()
        view = tab.whole(large)
        found = sampled(tab.seen(), view.on_screen(large.centres))
        assert np.abs(found[mask] - large.colours[mask]).max() < 14
        paler = np.linalg.norm(WHITE - found, axis=1) / np.linalg.norm(
            WHITE - large.colours, axis=1
        )
        assert paler[~mask].max() < 0.35

    wanted = named(source, mask)
    rows = tab.panel.get_by_role("list", name="Photos that match").get_by_role("button")
    expect(tab.panel.get_by_role("listitem").first).to_have_attribute(
        "aria-setsize", str(len(wanted))
    )
    listed: list[str] = []
    rows.first.hover()
    while listed[-1:] != wanted[-1:]:
        names = [it or "" for it in rows.evaluate_all("all => all.map(it => it.title)")]
        listed += [name for name in names if name not in listed]
        tab.page.mouse.wheel(0, 300)
        tab.frame.evaluate("() => new Promise(requestAnimationFrame)")
    assert listed == wanted, "each of them can be scrolled to"

    tab.button("Regular expression").click()
    tab.search.fill("label:gnu score>940")
    wanted = named(source, (label == "gnu") & (column(source, "score") > 940))
    expect(tab.hits).to_have_text(f"{len(wanted)} of 1,024")
    chosen = tab.panel.locator('.photo-row[aria-pressed="true"]')
    for name in [*wanted, wanted[0]]:
        tab.button("Next match (n)").click()
        expect(chosen).to_have_attribute("title", name)
    tab.button("Previous match (p)").click()
    expect(chosen).to_have_attribute("title", wanted[-1])
    tab.button("Regular expression").click()
    tab.search.fill("(")
    expect(tab.frame.locator(".wrong")).to_contain_text("regular expression")


def test_chips_and_ranges(tab: Tab, large: Known, source: Source) -> None:
    label, time, score = (column(source, name) for name in ("label", "time", "score"))

    def assert_counts(mask: NDArray[np.bool_]) -> None:
        counts = Counter(label[mask].tolist())
        for name in set(label.tolist()):
            chip = labels.get_by_role("button").filter(has_text=name)
            expect(chip.locator("b")).to_have_text(str(counts[name]))

    labels = tab.panel.get_by_role("group", name="label")
    assert_counts(np.ones(1024, bool))
    tab.panel.get_by_role("group", name="time").get_by_role("button").filter(
        has_text="night"
    ).click()
    assert_counts(time == "night")
    tab.panel.get_by_role("spinbutton", name="score, at least").fill("250")
    tab.page.keyboard.press("Enter")
    tab.panel.get_by_role("spinbutton", name="score, at most").fill("750")
    tab.page.keyboard.press("Enter")
    mask = (time == "night") & (score >= 250) & (score <= 750)
    assert_counts(mask)
    for name in ("fox", "dog"):
        labels.get_by_role("button").filter(has_text=name).click()
    assert_counts(mask)
    mask &= np.isin(label, ["fox", "dog"])
    expect(tab.hits).to_have_text(f"{mask.sum()} of 1,024")
    tab.settle()
    found = sampled(tab.seen(), tab.whole(large).on_screen(large.centres))
    assert (np.abs(found - large.colours).max(axis=1) < 14).tolist() == mask.tolist()


def test_colours_by_a_column_and_the_heat_map(
    tab: Tab, large: Known, source: Source, exported: tbgrid.ExportResult
) -> None:
    colour = tab.frame.get_by_role("combobox", name=re.compile("^Colour"))
    colour.select_option("label")
    items = tab.frame.locator(".legend .item")
    expect(items).to_have_count(8)
    told = {
        item.inner_text(): item.locator("i").evaluate("it => getComputedStyle(it).backgroundColor")
        for item in items.all()
    }
    tints = {name: [int(part) for part in re.findall(r"\d+", rgb)] for name, rgb in told.items()}
    assert len(set(map(tuple, tints.values()))) == 8
    tab.settle()
    view, shown = tab.whole(large), tab.seen()
    places = view.on_screen(large.centres)
    assert np.abs(sampled(shown, places) - large.colours).max() < 14, "the photo in the middle"
    borders = sampled(shown, np.ceil(places - np.array([view.scale / 2, 0])), 0)
    wanted = np.array([tints[label] for label in column(source, "label")])
    assert np.abs(borders - wanted).max() < 40

    heat_map = colour.locator("option").filter(has_text="heat map")
    colour.select_option(heat_map.get_attribute("value"))
    bar = tab.frame.locator(".legend .bar")
    scale = picture(bar.screenshot())
    tab.settle()
    view = tab.whole(large)
    harmony = np.fromfile(exported.export / "map" / "harmony.f32", "<f4")
    assert np.ptp(harmony) > 0.5
    line = scale[scale.shape[0] // 2, 4:-4].astype(float)
    share = np.rint(np.clip(harmony, 0, 1) * (len(line) - 1)).astype(int)
    # How far the legend is from its end of those that sit well: as far is a photo from its own.
    cover = 0.72 * ((line - line[-1]) / (line[0] - line[-1])).mean(axis=1)[share, None]
    found = sampled(tab.seen(), view.on_screen(large.centres))
    assert np.abs(found - ((1 - cover) * large.colours + cover * line[0])).max() < 20


# ---- 5: take along


def test_selections_are_drawn_and_taken_along(
    visitor: Visitor, address: str, large: Known, source: Source
) -> None:
    page = visitor.page(permissions=["clipboard-read", "clipboard-write"])
    tab = Tab.inside(page, address, run=large.run).settle()
    # What is drawn over the photos may be of an earlier frame in a screenshot of a busy browser.
    tab.marks.evaluate("canvas => { canvas.style.opacity = 0; }")
    tab.button("Select with a rectangle (r)").click()
    tab.settle()
    view = tab.whole(large)
    x, y = large.centres.T

    def cells(*corners: tuple[float, float]) -> list[Float64Array]:
        return [view.on_screen(np.array(corner)) for corner in corners]

    def framed() -> NDArray[np.bool_]:
        edges = np.ceil(view.on_screen(large.centres) - np.array([view.scale / 2, 0]))
        return np.asarray(np.abs(sampled(tab.seen(), edges, 0) - SELECTED).max(axis=1) < 40)

    clear = ~framed()  # a photo or two are of that colour themselves
    assert np.count_nonzero(~clear) <= 3

    def assert_selected(mask: NDArray[np.bool_]) -> None:
        expect(tab.panel.locator("h3")).to_have_text(f"{mask.sum()} selected")
        page.mouse.move(1, 1)
        tab.settle()
        assert named(source, framed() & clear) == named(source, mask & clear)

    tab.drag(*cells((2.6, 3.6), (9.4, 8.4)))
    mask = (x > 2.6) & (x < 9.4) & (y > 3.6) & (y < 8.4)
    assert_selected(mask)
    page.keyboard.down("Shift")
    tab.drag(*cells((14.4, 12.4), (7.6, 6.6)))
    page.keyboard.up("Shift")
    mask |= (x > 7.6) & (x < 14.4) & (y > 6.6) & (y < 12.4)
    assert_selected(mask)
    page.keyboard.down("Alt")
    tab.drag(*cells((4.6, 4.6), (8.4, 10.4)))
    page.keyboard.up("Alt")
    mask &= ~((x > 4.6) & (x < 8.4) & (y > 4.6) & (y < 10.4))
    assert_selected(mask)
    tab.button("Select with a lasso (l)").click()
    tab.button("Add to the selection (Shift)").click()
    tab.drag(*cells((16.3, 16.3), (29.3, 16.3), (16.3, 29.3), (16.3, 16.3)))
    mask |= (x > 16.3) & (y > 16.3) & (x + y < 45.6)
    assert_selected(mask)

    names = named(source, mask)
    tab.button("Copy paths").click()
    expect(tab.message).to_have_text(f"{len(names)} paths copied")
    assert page.evaluate("navigator.clipboard.readText()") == "".join(f"{n}\n" for n in names)
    rows = np.flatnonzero(mask)
    expected = [
        {
            "label": source.photos[row].label,
            "path": source.photos[row].name,
            "width": str(SIDE),
            "height": str(SIDE),
            "score": source.photos[row].fields[0],
            "time": source.photos[row].fields[1],
        }
        for row in rows
    ]
    for kind in ("TSV", "CSV", "JSON"):
        with page.expect_download() as saved:
            tab.button(kind).click()
        assert saved.value.suggested_filename == f"colours-1024-selection.{kind.lower()}"
        text = Path(saved.value.path()).read_text("utf-8")
        if kind == "JSON":
            found = [{name: str(value) for name, value in it.items()} for it in json.loads(text)]
        else:
            dialect = "excel-tab" if kind == "TSV" else "excel"
            found = list(csv.DictReader(io.StringIO(text), dialect=dialect))
        assert found == expected

    tab.button("Clear").click()
    expect(tab.panel.locator("h3")).to_contain_text("Nothing is selected")
    tab.button("Move (v): drag to pan, scroll to zoom, click to pin").click()
    tab.settle()
    view = tab.whole(large)
    page.keyboard.down("Control")
    tab.click(view.on_screen(large.centres[77]))
    page.keyboard.up("Control")
    assert_selected(np.arange(1024) == 77)


# ---- 6: runs


def test_two_runs_side_by_side(
    tab: Tab, large: Known, exported: tbgrid.ExportResult, part: tbgrid.ExportResult
) -> None:
    choice = tab.frame.get_by_role("combobox", name="Run", exact=True)
    texts = choice.locator("option").all_inner_texts()
    assert f"{LARGE} (1,024)" in texts
    assert "broken (cannot be shown)" in texts
    tab.frame.get_by_role("combobox", name=re.compile("beside")).select_option("colours/part")
    expect(tab.maps).to_have_count(2)
    tab.settle()
    right = Known.of("colours/part", part)
    captions = tab.frame.locator(".pane .caption")
    expect(captions).to_contain_text([LARGE, "colours/part"])

    report = tab.open_panel("Report")
    cards = [dict(result.card.summary_rows()) for result in (exported, part)]
    assert cards[0] != cards[1]
    for name in cards[0]:
        row = report.get_by_role("row").filter(has=tab.frame.get_by_text(name, exact=True))
        expect(row.get_by_role("cell")).to_have_text([card[name] for card in cards])

    view = tab.whole(right, 1)
    # A photo at the left, so that the tooltip is not in the way, and one that the part lacks.
    common, alone = (
        next(row for row in range(1024) if large.centres[row, 0] < 6 and (row % 8 == 0) == there)
        for there in (True, False)
    )
    other = common // 8
    before = tab.seen(1).astype(int)
    tab.point(tab.whole(large).on_screen(large.centres[common]))
    tab.settle()
    shown = tab.seen(1).astype(int)
    ring = (np.abs(shown - before).max(axis=2) > 5) & (np.abs(shown - RING).max(axis=2) < 30)
    assert ring.sum() > 50
    # Its middle, by where it ends: how many of its smoothed pixels count differs from side to side.
    ends = np.argwhere(ring)
    assert (ends.min(axis=0) + ends.max(axis=0))[::-1] / 2 == pytest.approx(
        view.on_screen(right.centres[other]), abs=2
    )
    tab.point(tab.whole(large).on_screen(large.centres[alone]))
    tab.settle()
    assert (np.abs(tab.seen(1) - before).max(axis=2) > 5).sum() == 0, "it is not in the other run"

    # And back: what is pinned in the other run is found in this one.
    tab.click(view.on_screen(right.centres[other]), 1)
    expect(tab.panel.locator("h2")).to_have_text(f"{common:04}.jpg")
    tab.marks.nth(1).press("Escape")
    tab.frame.get_by_role("combobox", name=re.compile("beside")).select_option("")
    expect(tab.maps).to_have_count(1)
    choice.select_option("colours/part")
    tab.settle()
    assert_shows(tab, right, tab.whole(right))


def test_a_broken_run_says_so(tab: Tab, large: Known) -> None:
    tab.frame.get_by_role("combobox", name="Run", exact=True).select_option("broken")
    alert = tab.frame.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text("cells.u32")
    expect(alert).to_contain_text("export again: tbgrid export")
    tab.frame.get_by_role("combobox", name="Run", exact=True).select_option(large.run)
    tab.settle()
    assert_shows(tab, large, tab.whole(large))


@pytest.fixture(scope="module")
def growing(
    preloaded: Preloaded, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A TensorBoard without its data server, under a prefix, over an empty directory."""
    logdir = tmp_path_factory.mktemp("growing")
    log = tmp_path_factory.mktemp("tensorboard") / "log"
    options = ("--path_prefix", "/some/prefix", "--load_fast=false")
    with tensorboard(preloaded, logdir, log, *options, ready="") as address:
        yield address, logdir
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
def test_runs_appear_and_are_replaced_while_the_tab_is_open(
    visitor: Visitor, growing: tuple[str, Path]
) -> None:
    address, logdir = growing
    page = visitor.page()
    tab = Tab.alone(page, address)
    expect(tab.frame.get_by_role("heading")).to_have_text("No tbgrid runs here yet")
    expect(tab.root).to_contain_text("tbgrid export PHOTOS --logdir LOGDIR")
    expect(tab.root).to_contain_text(str(logdir))

    first = exported_as(logdir, photos_of(400), "run")
    look = tab.button("Look for new runs and exports")
    look.click()
    tab.settle()
    tab.message.evaluate("it => { it.hidden = true; }")  # it lies over a photo for five seconds
    assert_shows(tab, first, tab.whole(first))
    made(logdir, 65)
    look.click()
    expect(tab.message).to_have_text("new run 65")
    choice = tab.frame.get_by_role("combobox", name="Run", exact=True)
    expect(choice.locator("option")).to_have_text(["65 (65)", "run (400)"])

    # TensorBoard lists the tab now, and shows it.
    until(page, lambda: plugins(address)["tbgrid"]["enabled"])
    visitor.expected = "404.*font-roboto|status of 404"  # TensorBoard's own, under a prefix
    inner = Tab.inside(visitor.page(), address, run="run").settle()
    assert_shows(inner, first, inner.whole(first))

    # Another export: what is fetched now is of another picture, and none of it is shown.
    second = exported_as(logdir, photos_of(400, seed=5), "run")
    visitor.expected += "|410"
    tab.wheel(tab.whole(first).on_screen(first.centres[30]), -600)
    banner = tab.frame.get_by_role("alert").filter(has_text="This run has been re-exported")
    expect(banner).to_be_visible()
    tab.marks.press("0")
    tab.settle()
    assert_shows(tab, first, tab.whole(first))
    banner.get_by_role("button", name="Show the new export").click()
    expect(banner).to_be_hidden()
    tab.settle()
    tab.message.evaluate("it => { it.hidden = true; }")
    assert_shows(tab, second, tab.whole(second))


# ---- 7: everyone, everywhere


def test_dark_and_light(visitor: Visitor, address: str, large: Known) -> None:
    page = visitor.page(color_scheme="dark")
    tab = Tab.alone(page, address, run=large.run).settle()
    assert tab.seen()[2, 2].max() < 40
    assert_shows(tab, large, tab.whole(large))
    page.emulate_media(color_scheme="light")
    tab.settle()
    assert tuple(tab.seen()[2, 2]) == WHITE


@pytest.mark.slow
def test_tensorboards_own_dark_mode(page: Page, address: str, large: Known) -> None:
    tab = Tab.inside(page, address, run=large.run).settle()
    assert tuple(tab.seen()[2, 2]) == WHITE
    page.get_by_role("button", name=re.compile("light or dark", re.IGNORECASE)).click()
    page.get_by_role("menuitem", name="Dark").click()
    until(page, lambda: tab.seen()[2, 2].max() < 40)
    tab.settle()
    assert_shows(tab, large, tab.whole(large))


def test_a_narrow_window(visitor: Visitor, address: str, large: Known) -> None:
    page = visitor.page(390, 800, has_touch=True)
    tab = Tab.alone(page, address, run=large.run).settle()
    assert_shows(tab, large, tab.whole(large))

    def assert_within() -> None:
        wide = tab.frame.evaluate(
            """() => [document.documentElement,
                ...document.querySelectorAll("button, input, select, .panel, .map")]
                .filter(it => it.checkVisibility()
                    && (it.getBoundingClientRect().right > innerWidth + 1
                        || it.getBoundingClientRect().left < -1))
                .map(it => it.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        assert tab.frame.evaluate("document.documentElement.scrollWidth") <= 390

    assert_within()
    if tab.panel.count() == 0:
        tab.button("Panel").click()
    for name in ("Photos", "Photo", "Selection", "Report"):
        tab.open_panel(f"{name}$")
        tab.settle()
        assert_within()
        assert tab.seen().shape[0] > 150, "the map is not lost"
        for control in tab.panel.locator(":is(button, input):not(.photo-list *)").all():
            control.scroll_into_view_if_needed()
            box = control.bounding_box()
            assert box
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 801
    tab.frame.get_by_role("combobox", name=re.compile("beside")).select_option("colours/part")
    expect(tab.maps).to_have_count(2)
    tab.settle()
    assert_within()
    assert min(tab.seen(number).shape[0] for number in (0, 1)) > 100


def test_the_keyboard_is_enough(tab: Tab, large: Known, source: Source) -> None:
    keys = tab.page.keyboard
    spoken = tab.frame.locator("[aria-live=polite].off-screen")

    def tab_to(selector: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            if tab.frame.locator(f"{selector}:focus").count():
                return
        pytest.fail(f"no way to {selector}")

    tab_to(".search")
    keys.type("label:bee")
    expect(tab.hits).to_have_text("128 of 1,024")
    for _ in range(9):
        keys.press("Backspace")
    expect(tab.hits).to_have_text("")
    tab_to(".marks")
    keys.press("ArrowDown")
    expect(spoken).not_to_be_empty()
    name = (spoken.text_content() or "").split(",")[0]
    row = [photo.name for photo in source.photos].index(name)
    for key, step in (("ArrowRight", (1, 0)), ("ArrowUp", (0, -1)), ("ArrowLeft", (-1, 0))):
        cell = large.centres[row] + step
        row = photo_in(large, int(cell[1]), int(cell[0]))
        photo = source.photos[row]
        keys.press(key)
        expect(spoken).to_have_text(f"{photo.name}, {photo.label}")
    keys.press("Enter")
    expect(tab.panel.locator("h2")).to_have_attribute("title", photo.name)
    keys.press("Escape")
    expect(tab.panel).to_contain_text("Click a photo on the map")
    keys.press("g")
    tab.settle()
    assert tab.linked["snap"] == "0"
    keys.press("/")
    expect(tab.search).to_be_focused()
    tab_to(".marks")
    keys.press("Tab")
    expect(tab.marks).not_to_be_focused()


def test_every_control_has_a_name(tab: Tab, large: Known) -> None:
    tab.click(tab.whole(large).on_screen(large.centres[500]))
    expect(tab.frame.locator(".photo-head")).to_be_visible()  # pinned, once it is no double click
    tab.button("Select with a lasso (l)").click()
    tab.search.fill("cat")
    session = tab.page.context.new_cdp_session(tab.page)
    roles = {
        "button",
        "combobox",
        "link",
        "searchbox",
        "slider",
        "spinbutton",
        "tab",
        "textbox",
        "application",
        "checkbox",
        "tabpanel",
        "image",
        "dialog",
        "list",
    }
    seen: Counter[str] = Counter()
    for panel in ("Photos", "Photo$", "Selection", "Report"):
        tab.open_panel(panel)
        tab.settle()
        for node in session.send("Accessibility.getFullAXTree")["nodes"]:
            role = node.get("role", {}).get("value", "")
            if role in roles and not node["ignored"]:
                seen[role] += 1
                assert node["name"]["value"], node
    assert seen["button"] > 40
    assert {"combobox", "searchbox", "slider", "spinbutton", "tab", "application"} <= set(seen)


def test_without_webgl_there_is_a_plain_picture(page: Page, address: str, large: Known) -> None:
    page.add_init_script(
        """const made = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
            return kind.startsWith("webgl") ? null : made.call(this, kind, ...more);
        };"""
    )
    tab = Tab.alone(page, address, run=large.run).settle()
    note = tab.frame.locator(".note")
    expect(note).to_contain_text("WebGL2")
    note.evaluate("note => { note.style.visibility = 'hidden'; }")  # it lies over some photos
    assert_shows(tab, large, tab.whole(large), 20)
    tab.click(tab.whole(large).on_screen(large.centres[5]))
    expect(tab.panel.locator("h2")).to_have_text("0005.jpg")


@pytest.mark.parametrize("inside", PLACES)
def test_html_is_shown_as_text(inside: bool, page: Page, address: str, three: Known) -> None:
    tab = (Tab.inside if inside else Tab.alone)(page, address, run=ODD).settle()
    file = WHOLE["name"].split("/")[1]
    chosen = tab.frame.get_by_role("combobox", name="Run", exact=True).locator("option:checked")
    expect(chosen).to_have_text(f"{ODD} (3)")
    tab.frame.get_by_role("combobox", name=re.compile("^Colour")).select_option("label")
    expect(tab.frame.locator(".legend")).to_contain_text(WHOLE["label"])
    expect(tab.panel.locator(".chip").filter(has_text=WHOLE["label"])).to_be_visible()
    expect(tab.panel.locator(".photo-list")).to_contain_text(file)
    tab.settle()
    tab.point(tab.whole(three).on_screen(three.centres[0]))
    expect(tab.tooltip).to_contain_text(file)
    expect(tab.tooltip).to_contain_text(WHOLE["value"])
    tab.page.mouse.down()
    tab.page.mouse.up()
    expect(tab.panel.locator("h2")).to_have_text(file)
    expect(tab.panel.locator("dd").nth(0)).to_have_text(WHOLE["label"])
    expect(tab.panel).to_contain_text(WHOLE["column"])
    expect(tab.open_panel("Report")).to_contain_text(WHOLE["title"])
    expect(tab.root.locator("script, svg[onload], img[onerror], style")).to_have_count(0)
    assert tab.frame.evaluate("window.ran") is None


# ---- ten thousand


@pytest.mark.slow
def test_ten_thousand_photos(page: Page, address: str, huge: Known) -> None:
    tab = Tab.inside(page, address, run=huge.run).settle()
    view = tab.whole(huge)
    row = photo_in(huge, 40, 60)
    place = view.on_screen(huge.centres[row])
    place = np.rint(place + tab.corner()) - tab.corner()
    for _ in range(4):
        tab.wheel(place, -250)
    closer = view.zoomed(place, np.exp(1.5))
    assert_at(tab, closer)
    assert_shows(tab, huge, closer)
    tab.click(place)
    expect(tab.panel.locator("h2")).to_have_text(f"photo_{row:06}.jpg")

    tab.search.fill('label="shape 7"')
    expect(tab.hits).to_have_text("250 of 10,000")
    tab.open_panel("Photos")
    tab.panel.locator(".photo-list").evaluate("list => { list.scrollTop = list.scrollHeight; }")
    expect(tab.panel.get_by_role("listitem").last).to_have_attribute("aria-posinset", "250")
    tab.search.fill("")
    tab.marks.press("Escape")
    tab.marks.press("0")
    tab.settle()
    tab.marks.press("l")
    tab.settle()
    view = tab.whole(huge)
    tab.drag(
        *(
            view.on_screen(np.array(at))
            for at in ((10.3, 10.3), (80.3, 10.3), (10.3, 80.3), (10.3, 10.3))
        )
    )
    x, y = huge.centres.T
    mask = (x > 10.3) & (y > 10.3) & (x + y < 90.6)
    expect(tab.panel.locator("h3")).to_have_text(f"{mask.sum():,} selected")
    with page.expect_download() as saved:
        tab.button("JSON").click()
    rows = json.loads(Path(saved.value.path()).read_text("utf-8"))
    assert [int(it["path"][-10:-4]) for it in rows] == np.flatnonzero(mask).tolist()
