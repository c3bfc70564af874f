"""The Grid tab in a real browser, and runs for it whose every pixel is known."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Frame, Locator, Page, expect

import tbgrid
from tbgrid.photos import Photo, Source
from tbgrid.types import Float64Array, UInt8Array
from tests.support.screenshots import picture
from tests.support.values import present

LABELS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
SIDE = 256  # px of a photo, and of its preview: four times its side in the mosaic
# All that is told of a photo is known beforehand: no columns of clusters and copies.
OPTIONS = tbgrid.ExportOptions(
    tile=SIDE // 4,
    preview=SIDE,
    use_cache=False,
    refine=None,
    groups=tbgrid.GroupOptions("off", 0),
)
ONE_MAP = replace(OPTIONS, tsne=tbgrid.TsneOptions(30))  # whatever the default is
MARGIN = 0.96  # of the map that a grid takes which is seen whole
# Two frames, so that what was asked for has begun.
expect.set_options(timeout=60_000)  # the browser draws in software
BEGUN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def colours_of(count: int, seed: int = 0) -> NDArray[np.int64]:
    """A colour for each photo, which has nothing to do with its place."""
    return np.random.default_rng(seed).integers(60, 196, (count, 3))


def striped(colour: Sequence[int]) -> UInt8Array:
    """A photo of one colour from afar, and of stripes 2 px wide from close by."""
    stripes = np.where(np.arange(SIDE) // 2 % 2, 40, -40)[None, :, None]
    return np.broadcast_to(np.asarray(stripes + colour, np.uint8), (SIDE, SIDE, 3))


def photos_of(count: int, seed: int = 0) -> Source:
    """`count` photos of eight labels, with vectors in eight clusters, in the colours of a seed."""
    rng = np.random.default_rng(1)
    kinds = np.arange(count) * len(LABELS) // count
    centres = 3 * rng.standard_normal((len(LABELS), 6))
    vectors = centres[kinds] + rng.standard_normal((count, 6))
    scores = rng.integers(0, 1000, count)
    photos = [
        Photo(
            path=None,
            name=f"{LABELS[kind]}/{row:04}.jpg",
            label=LABELS[kind],
            pixels=striped(colour),
            fields=(str(scores[row]), ("dawn", "noon", "night")[row % 3]),
            row=row,
        )
        for row, (kind, colour) in enumerate(zip(kinds, colours_of(count, seed), strict=True))
    ]
    return Source(
        name=f"{count} photos",
        photos=tuple(photos),
        listed=count,
        columns=("score", "time"),
        vectors=vectors.astype(np.float32),
    )


def part_of(source: Source, count: int) -> Source:
    """The photos of every so many rows."""
    photos = source.photos[:: len(source.photos) // count]
    return Source(
        name="a part",
        photos=photos,
        listed=source.listed,
        columns=source.columns,
        vectors=source.vectors,
    )


@dataclass(frozen=True)
class Known:
    """What a run must show: `cells` and `places` (x, y, in cells) and `colours` of its photos."""

    run: str
    rows: int
    columns: int
    cells: NDArray[np.int64]
    places: Float64Array
    colours: NDArray[np.int64]

    @classmethod
    def of(cls, run: str, result: tbgrid.ExportResult) -> Known:
        grid = result.grid
        colours = [present(photo.pixels).mean(axis=(0, 1)) for photo in result.images.photos]
        return cls(
            run,
            grid.rows,
            grid.columns,
            grid.cells,
            grid.places[:, ::-1],
            np.rint(colours).astype(int),
        )

    @property
    def centres(self) -> Float64Array:
        """(x, y) of each photo's cell."""
        return np.column_stack([self.cells % self.columns, self.cells // self.columns]).astype(
            float
        )

    def around(self, row: int) -> NDArray[np.int64]:
        """int64[m, 3]: the colours of a photo and of those beside it."""
        apart = np.abs(self.centres - self.centres[row]).max(axis=1)
        return np.asarray(self.colours[apart <= 1])


@dataclass(frozen=True)
class View:
    """What a map shows: the point in its middle, pixels a cell, its size in pixels."""

    x: float
    y: float
    scale: float
    width: float
    height: float

    def on_screen(self, points: Float64Array) -> Float64Array:
        """(x, y) in pixels of the map of (x, y) in cells."""
        middle = np.array([self.width, self.height]) / 2
        return np.asarray((points - (self.x, self.y)) * self.scale + middle)

    def moved(self, x: float, y: float) -> View:
        """The view after its picture has moved by pixels."""
        return replace(self, x=self.x - x / self.scale, y=self.y - y / self.scale)

    def zoomed(self, at: Float64Array, factor: float) -> View:
        """The view after a zoom that leaves what is at a place of the map where it is."""
        x, y = (at - np.array([self.width, self.height]) / 2) / self.scale * (1 - 1 / factor)
        return replace(self, x=self.x + x, y=self.y + y, scale=self.scale * factor)


class Tab:
    """The Grid tab: on a page of its own, or in TensorBoard."""

    def __init__(self, page: Page, frame: Frame) -> None:
        self.page, self.frame = page, frame
        self.root = frame.locator(".tbgrid")
        self.maps = frame.locator(".map")
        self.marks = frame.locator(".map .marks")
        self.hits = frame.locator("output.hits")
        self.message = frame.locator(".message")
        self.tooltip = frame.get_by_role("tooltip")
        self.panel = frame.get_by_role("tabpanel")  # the one that is shown
        self.search = frame.get_by_role("searchbox", name="Search names and columns")

    @classmethod
    def alone(cls, page: Page, address: str, **values: str) -> Tab:
        """The tab on a page of its own."""
        page.goto(f"{address}/data/plugin/tbgrid/page#{'&'.join(fragment(values))}")
        return cls(page, page.main_frame)

    @classmethod
    def inside(cls, page: Page, address: str, **values: str) -> Tab:
        """The tab among TensorBoard's."""
        page.goto("&".join([f"{address}/#tbgrid", *fragment(values)]))
        return cls.found(page)

    @classmethod
    def found(cls, page: Page) -> Tab:
        """The tab in TensorBoard's page, once it is there."""
        frames: list[Frame] = []

        def there() -> bool:
            frames[:] = [frame for frame in page.frames if frame.locator(".tbgrid").count()]
            return bool(frames)

        until(page, there)
        return cls(page, frames[0])

    def settle(self) -> Tab:
        """Wait until all pictures are there and nothing moves."""
        self.frame.evaluate(BEGUN)
        expect(self.root).to_have_attribute("aria-busy", "false")
        expect(self.maps).not_to_have_count(0)
        expect(self.frame.locator('.map[aria-busy="true"]')).to_have_count(0)
        expect(self.frame.locator(".overview")).to_have_count(0)
        return self

    def button(self, name: str) -> Locator:
        return self.frame.get_by_role("button", name=name, exact=True)

    def open_panel(self, name: str) -> Locator:
        """The panel of a name, shown."""
        self.frame.get_by_role("tab", name=re.compile(f"^{name}")).click()
        return self.panel

    def seen(self, number: int = 0) -> UInt8Array:
        """The pixels of a map."""
        return picture(self.maps.nth(number).screenshot())

    def corner(self, number: int = 0) -> Float64Array:
        """Where a map begins on the page."""
        box = self.maps.nth(number).bounding_box()
        assert box
        return np.array([box["x"], box["y"]])

    def whole(self, known: Known, number: int = 0) -> View:
        """The view in which a grid is seen whole."""
        box = self.marks.nth(number).bounding_box()
        assert box
        scale = MARGIN * min(box["width"] / known.columns, box["height"] / known.rows)
        return View(
            (known.columns - 1) / 2, (known.rows - 1) / 2, scale, box["width"], box["height"]
        )

    @property
    def linked(self) -> dict[str, str]:
        """What the address bar says of the tab, when it has come to rest."""
        self.page.wait_for_timeout(400)
        hash_ = self.page.evaluate("location.hash")
        pairs = [part.partition("=") for part in hash_.lstrip("#").split("&")]
        return {
            name.removeprefix("p.tbgrid."): unquote(value)
            for name, _, value in pairs
            if name.startswith("p.tbgrid.")
        }

    def linked_view(self) -> View:
        """The view that the address bar tells of."""
        box = self.marks.first.bounding_box()
        assert box
        x, y, across = map(float, self.linked["view"].split(","))
        scale = min(box["width"], box["height"]) / across
        return View(x, y, scale, box["width"], box["height"])

    def point(self, place: Float64Array, number: int = 0) -> None:
        """Move the pointer to a place of a map, in pixels of it."""
        x, y = (place + self.corner(number)).tolist()
        self.page.mouse.move(x, y)

    def wheel(self, place: Float64Array, turn: float) -> None:
        """Turn the wheel over a place of the map, and move the pointer off the map again."""
        self.point(place)
        self.page.mouse.wheel(0, turn)
        self.settle()
        self.page.mouse.move(1, 1)
        self.settle()

    def click(self, place: Float64Array, number: int = 0) -> None:
        self.point(place, number)
        self.page.mouse.down()
        self.page.mouse.up()

    def drag(self, *places: Sequence[float] | Float64Array) -> None:
        """Draw from place to place with the mouse."""
        self.point(np.array(places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            x, y = (np.array(place) + self.corner()).tolist()
            self.page.mouse.move(x, y, steps=4)
        self.page.mouse.up()


def fragment(values: dict[str, str]) -> list[str]:
    """Values of the tab as the address bar holds them."""
    return [f"p.tbgrid.{name}={quote(value)}" for name, value in values.items()]


def until(page: Page, test: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def sampled(shown: UInt8Array, places: Float64Array, reach: int = 1) -> Float64Array:
    """The mean colours around places (x, y) of a screenshot."""
    around = [
        shown[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].mean(
            axis=(0, 1)
        )
        for x, y in np.floor(places).astype(int)
    ]
    return np.array(around)


def extent(shown: UInt8Array, place: Float64Array, colour: NDArray[np.int64]) -> tuple[int, int]:
    """Width and height of what has this colour around a place of a screenshot."""
    x, y = np.floor(place).astype(int)
    near = np.asarray((np.abs(shown.astype(int) - colour) < 30).all(axis=2))

    def length(line: NDArray[np.bool_], at: int) -> int:
        ends = np.flatnonzero(~line)
        return int(min(ends[ends > at], default=len(line)) - max(ends[ends < at], default=-1) - 1)

    return length(near[y], x), length(near[:, x], y)
