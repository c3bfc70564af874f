"""The service's page in a real browser: photos are dropped, the mosaic comes."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import CHROMIUM
from tests.support.photos import draw_photos
from tests.support.serve_process import ServerProcess, add_key

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
PATIENCE = 90_000  # ms: TensorFlow is loaded for the first map
# Files of a name and base64 each, as if they were dropped.
DROP = """(target, files) => {
    const transfer = new DataTransfer();
    for (const [name, data] of files) {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        const type = name.endsWith("txt") ? "" : "image/jpeg";
        transfer.items.add(new File([bytes], name, {type}));
    }
    for (const kind of ["dragenter", "dragover", "drop"]) {
        const how = {dataTransfer: transfer, bubbles: true, cancelable: true};
        target.dispatchEvent(new DragEvent(kind, how));
    }
}"""
COUNT = re.compile(r"\d+ photos?")
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@contextlib.contextmanager
def clean_page(browser: Browser, server: ServerProcess, **options: Any) -> Iterator[Page]:
    """A page in a new window, on which nothing may go wrong, and which asks no other server."""
    page = browser.new_page(**options)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server.address, f"blob:{server.address}"))
            else complaints.append(request.url)
        ),
    )
    yield page
    page.close()
    assert not complaints


def drop(page: Page, files: list[tuple[str, bytes]]) -> None:
    given = [[name, base64.b64encode(data).decode()] for name, data in files]
    page.locator("#drop").evaluate(DROP, given)


def test_photos_are_dropped_and_the_mosaic_comes(
    browser: Browser, server: ServerProcess, tmp_path: Path
) -> None:
    with clean_page(browser, server, viewport={"width": 1100, "height": 900}) as page:
        page.goto(server.address)
        expect(page.locator("#count")).to_have_text("0 photos")
        expect(page.locator("#make")).to_be_disabled()
        expect(page.locator("#few")).to_have_text("A map needs at least 3 photos.")
        photos = sorted(draw_photos(tmp_path, each=4).rglob("*.jpg"))
        drop(page, [(path.name, path.read_bytes()) for path in photos] + [("a.txt", b"no picture")])
        expect(page.locator("#count")).to_have_text("12 photos", timeout=PATIENCE)
        expect(page.locator("#model option")).to_have_count(7)
        expect(page.locator("#few")).to_be_hidden()
        page.locator("#perplexity").fill("3")
        page.locator("#model").select_option("pixels")
        page.locator("#make").click()
        first = page.locator("#outputs > li").first
        expect(first.locator("progress")).to_be_visible()
        expect(first.locator(".status")).to_have_text("done", timeout=PATIENCE)
        expect(first.locator(".told")).to_contain_text("12 photos on")
        picture = first.locator("img")
        expect(picture).to_have_attribute("alt", "mosaic of 12 photos, look-alikes side by side")
        picture.evaluate("image => image.decode()")
        assert picture.evaluate("image => image.naturalWidth") >= 3 * 64
        assert picture.evaluate("image => image.width") <= 4 * 160  # no larger than it is sharp

        page.reload()
        expect(page.locator("#outputs img")).to_have_count(1)
        page.locator("#outputs button").click()
        expect(page.locator("#outputs > li")).to_have_count(0)

        # Photos can be chosen too.
        more = sorted(draw_photos(tmp_path / "more", each=1, seed=5).rglob("*.jpg"))
        page.locator("#files").set_input_files(more)
        expect(page.locator("#count")).to_have_text(f"{12 + len(more)} photos", timeout=PATIENCE)
        inputs = server.client.get("/v2/inputs").json()["inputs"]
        assert {one["content_type"] for one in inputs} == {"image/jpeg"}


def test_what_is_not_a_photo_is_listed(browser: Browser, server: ServerProcess) -> None:
    page = browser.new_page()  # on which the browser itself complains of the refusal
    page.goto(server.address)
    expect(page.locator("#count")).to_have_text(COUNT)
    drop(page, [("broken.jpg", b"no picture")])
    expect(page.locator("#refused summary")).to_have_text("1 rejected")
    refused = page.locator("#refused li")
    expect(refused).to_be_visible()
    expect(refused).to_contain_text("broken.jpg is not a supported image")
    expect(page.locator("#count")).to_have_text(COUNT)  # when the upload has ended
    drop(page, [("a.txt", b"no picture")])
    expect(page.locator("#count")).to_contain_text("no photos found")
    expect(page.locator("#refused")).to_be_hidden()
    page.close()


def test_pages_fit_a_phone_and_the_dark_and_the_routes_are_shown(
    browser: Browser, server: ServerProcess
) -> None:
    viewport = {"width": 360, "height": 700}
    with clean_page(
        browser, server, viewport=viewport, color_scheme="dark", has_touch=True
    ) as page:
        for path in ("/", "/docs"):
            page.goto(server.address + path)
            page.wait_for_load_state("networkidle")
            assert page.evaluate(WIDE) == 0
            ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            assert ground == "rgb(24, 25, 28)"
        document = json.loads(server.client.get("/openapi.json").text)
        count = sum(len(methods) for methods in document["paths"].values())
        entries = page.locator("details")
        expect(entries).to_have_count(count)
        route = entries.filter(has_text="POST/v2/inputs")
        route.locator("summary").click()
        expect(route).to_contain_text("multipart/form-data")
        expect(route).to_contain_text('"base64?": "string or null"')


@pytest.mark.slow
def test_a_key_is_asked_for(browser: Browser, strict_server: ServerProcess) -> None:
    server = strict_server
    key = add_key(server.root, server.add_application("page"))
    server.add(3, application="page")
    id = server.ask("page")
    server.ended(id)
    page = browser.new_page()
    page.goto(server.address)
    expect(page.locator("#problem")).to_contain_text("send a key")
    page.locator("#key").fill(key)
    page.locator("#key").press("Enter")
    expect(page.locator("#count")).to_have_text("3 photos")
    expect(page.locator("#outputs img")).to_have_count(1)
    page.close()
    assert server.client.delete(f"/v2/visualizations/{id}").status_code == 204
