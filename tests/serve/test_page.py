"""The service's page in a real browser: photos are dropped, the mosaic comes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tbgrid.cli.main import main
from tests.support.chromium import CHROMIUM
from tests.support.photos import draw_photos
from tests.support.serve_process import Served, served

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
WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("page") / "root") as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    """The page, on which nothing may go wrong, and which asks nobody else."""
    opened = browser.new_page(viewport={"width": 1100, "height": 900})
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    opened.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((server.address, f"blob:{server.address}"))
            else complaints.append(asked.url)
        ),
    )
    opened.goto(server.address)
    yield opened
    opened.close()
    assert not complaints


def drop(page: Page, files: list[tuple[str, bytes]]) -> None:
    given = [[name, base64.b64encode(data).decode()] for name, data in files]
    page.locator("#drop").evaluate(DROP, given)


def test_photos_are_dropped_and_the_mosaic_comes(page: Page, tmp_path: Path) -> None:
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


def test_what_is_no_photo_is_told_of(browser: Browser, server: Served) -> None:
    page = browser.new_page()  # on which the browser itself complains of the refusal
    page.goto(server.address)
    drop(page, [("broken.jpg", b"no picture")])
    expect(page.locator("#refused summary")).to_have_text("1 not taken")
    told = page.locator("#refused li")
    expect(told).to_be_visible()
    expect(told).to_contain_text("broken.jpg is not a supported image")
    drop(page, [("a.txt", b"no picture")])
    expect(page.locator("#count")).to_contain_text("there was no photo in that")
    expect(page.locator("#refused")).to_be_hidden()
    page.close()


def test_a_folder_that_is_chosen_is_taken(page: Page, server: Served, tmp_path: Path) -> None:
    photos = sorted(draw_photos(tmp_path, each=1, seed=5).rglob("*.jpg"))
    page.locator("#files").set_input_files(photos)
    expect(page.locator("#count")).to_contain_text("photos", timeout=PATIENCE)
    listed = server.client.get("/v2/inputs").json()["inputs"]
    assert {one["content_type"] for one in listed} == {"image/jpeg"}


def test_it_fits_a_phone_and_the_dark(browser: Browser, server: Served) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 700}, color_scheme="dark", has_touch=True
    )
    page = context.new_page()
    for path in ("/", "/docs"):
        page.goto(server.address + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate(WIDE) == 0
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(24, 25, 28)"
    context.close()


def test_the_routes_are_shown(page: Page, server: Served) -> None:
    page.goto(f"{server.address}/docs")
    document = json.loads(server.client.get("/openapi.json").text)
    count = sum(len(methods) for methods in document["paths"].values())
    entries = page.locator("details")
    expect(entries).to_have_count(count)
    asked = entries.filter(has_text="POST/v2/inputs")
    asked.locator("summary").click()
    expect(asked).to_contain_text("multipart/form-data")
    expect(asked).to_contain_text('"base64?": "string or null"')


def test_a_key_is_asked_for(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    assert main(["serve", "key", "add", "--root", str(root), "--application", "cats"]) == 0
    key = capsys.readouterr().out.strip()
    with served(root, "--require-key", key=key) as server:
        server.client.post("/v2/applications", json={"name": "cats"})
        server.add(3, application="cats")
        server.ended(server.ask("cats"))
        page = browser.new_page()
        page.goto(server.address)
        expect(page.locator("#problem")).to_contain_text("send a key")
        page.locator("#key").fill(key)
        page.locator("#key").press("Enter")
        expect(page.locator("#count")).to_have_text("3 photos")
        expect(page.locator("#outputs img")).to_have_count(1)
        page.close()
