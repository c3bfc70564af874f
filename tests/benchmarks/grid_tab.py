"""What the Grid tab costs in a real TensorBoard and Chromium, against TensorBoard's Images tab.

    python -m tests.benchmarks.grid_tab [--runs 5]

Chromium draws in software where there is no graphics processor, so ratios count, not times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from tests.benchmarks.made_run import write_run
from tests.support.chromium import chromium
from tests.support.tensorboard_process import tensorboard

SIZES = (1_000, 10_000, 100_000)
FRAMES = 40
# A map of its own on the page, drawn frame by frame; reading a pixel waits until it is drawn.
FRAME_COST = """async ([run, t, frames]) => {
    const { MapView } = await import(new URL("static/map_view.js", location));
    const { loadRun } = await import(new URL("static/data.js", location));
    const { listRuns } = await import(new URL("static/server.js", location));
    const listed = (await listRuns()).runs.find((one) => one.run === run);
    const nothing = () => false;
    const map = new MapView(await loadRun(listed), {
        onHover: nothing, onPin: nothing, onViewChange: nothing, onSelect: nothing, onKey: nothing,
        onError: nothing,
    });
    map.node.style.cssText = "position:fixed;inset:0;z-index:9";
    document.body.append(map.node);
    map.resize();
    map.snapTo(t);
    while (map.node.getAttribute("aria-busy") === "true") {
        await new Promise((resolve) => setTimeout(resolve, 30));
    }
    const pixel = new Uint8Array(4);
    const gl = map.renderer.gl;
    const cost = { pan: [], zoom: [] };
    const whole = map.view;
    for (const [kind, step] of [
        ["pan", (i) => ({ ...whole, x: whole.x + Math.sin(i / 5) * 3 })],
        ["zoom", (i) => ({ ...whole, scale: whole.scale * 1.08 ** i })],
    ]) {
        for (let i = 0; i < frames; i++) {
            map.setView(step(i));
            const start = performance.now();
            map.draw(start);
            gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
            cost[kind].push(performance.now() - start);
        }
    }
    map.destroy();
    return cost;
}"""


@contextmanager
def server(logdir: Path) -> Iterator[str]:
    """The address of a TensorBoard over `logdir`, with a slash at its end."""
    executable = Path(sys.executable).with_name("tensorboard")
    log = logdir.with_name(f"{logdir.name}.log")
    with tensorboard(executable, logdir, log, ready="tbgrid") as address:
        yield f"{address}/"


# From the next press of the mouse, frame by frame, until a picture is there: in the page, in the
# shadow roots of TensorBoard's elements or in a tab's frame. Milliseconds, and bytes fetched till
# then.
FIRST_PICTURE = """(picture) => {
    const found = (root) => {
        for (const image of root.querySelectorAll(picture)) {
            if (image.complete && image.naturalWidth > 0) return true;
        }
        return [...root.querySelectorAll("*")].some((node) =>
            (node.shadowRoot && found(node.shadowRoot)) ||
            (node.tagName === "IFRAME" && node.contentDocument && found(node.contentDocument)));
    };
    const watched = async () => {
        const start = performance.now();
        while (!found(document)) {
            await new Promise(requestAnimationFrame);
        }
        const time = performance.now() - start;
        let bytes = 0;
        for (const frame of document.querySelectorAll("iframe")) {
            for (const entry of frame.contentWindow.performance.getEntriesByType("resource")) {
                bytes += entry.transferSize;
            }
        }
        return [time, bytes];
    };
    window.firstPicture = new Promise((resolve) => {
        addEventListener("pointerdown", () => resolve(watched()), { capture: true, once: true });
    });
}"""


def first_picture(browser: Browser, base: str, tab: str, picture: str) -> tuple[float, int]:
    """Seconds from the click on a tab to its first picture, and bytes that its frame fetched."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(base + "#text")
    page.get_by_role("tab", name=tab).wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate(FIRST_PICTURE, picture)
    page.get_by_role("tab", name=tab).click()
    milliseconds, fetched = page.evaluate("firstPicture")
    context.close()
    return milliseconds / 1000, fetched


def large(browser: Browser, base: str, count: int) -> dict[str, float]:
    """Seconds of what one does with a large run, and the heap of the page's scripts in MB."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    seconds: dict[str, float] = {}

    def timed(name: str, start: float) -> None:
        page.locator(".map[aria-busy=false]").wait_for(timeout=60_000)
        seconds[name] = time.perf_counter() - start

    start = time.perf_counter()
    page.goto(f"{base}data/plugin/tbgrid/page#p.tbgrid.run={count}")
    timed("open", start)
    start = time.perf_counter()
    page.get_by_role("searchbox", name="Search").fill('label:"shape 7" score>0.5')
    page.locator(".hits", has_text=" of ").wait_for()
    timed("search", start)
    page.get_by_role("searchbox", name="Search").fill("")
    start = time.perf_counter()
    page.keyboard.press("Escape")
    page.locator(".marks").press("l")
    box = page.locator(".marks").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    for x, y in ((500, 220), (520, 500), (230, 480)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=10)
    page.mouse.up()
    page.get_by_role("tab", name="Selection ").wait_for()
    timed("select", start)
    heap = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
    page.close()
    return {**seconds, "heap MB": heap}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.grid_tab", description=__doc__
    )
    parser.add_argument("--runs", type=int, default=5)
    times = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        many, one = Path(scratch, "many"), Path(scratch, "one")
        for count in SIZES:
            write_run(many, count)
        write_run(one, 10_000)
        with chromium() as browser:
            with server(one) as base:
                pictures = {
                    "Grid": "img.overview",
                    "Images": "img",
                }
                found: dict[str, list[tuple[float, int]]] = {name: [] for name in pictures}
                for _ in range(times + 1):  # the first warms the server
                    for name, picture in pictures.items():
                        found[name].append(first_picture(browser, base, name, picture))
                medians = {
                    name: statistics.median(seconds for seconds, _ in runs[1:])
                    for name, runs in found.items()
                }
                print(
                    f"first picture of 10,000 photos: Grid {medians['Grid']:.2f} s, "
                    f"Images {medians['Images']:.2f} s, "
                    f"ratio {medians['Grid'] / medians['Images']:.2f}; "
                    f"{found['Grid'][-1][1] / 1000:.0f} kB before it"
                )
            with server(many) as base:
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(f"{base}data/plugin/tbgrid/page")
                for share, end in ((1, "grid"), (0, "t-SNE")):
                    costs = {
                        count: page.evaluate(FRAME_COST, [str(count), share, FRAMES])
                        for count in SIZES
                    }
                    for kind in ("pan", "zoom"):
                        ms = {n: statistics.median(cost[kind]) for n, cost in costs.items()}
                        print(
                            f"{kind} frame, {end}: "
                            + ", ".join(f"{n:,}: {value:.1f} ms" for n, value in ms.items())
                            + f"; 10,000 / 1,000: {ms[10_000] / ms[1_000]:.2f}"
                        )
                page.close()
                told = large(browser, base, SIZES[-1])
                print("100,000 photos: " + ", ".join(f"{k} {v:.1f}" for k, v in told.items()))


if __name__ == "__main__":
    main()
