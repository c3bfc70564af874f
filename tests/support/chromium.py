"""A headless Chromium for tests, and pages in it on which nothing may go wrong."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_ARGUMENTS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
PATIENCE = 60_000  # ms for anything to appear: the browser draws in software


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, open till the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """Opens pages, on which nothing may go wrong but what is `expected`."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.complaints: list[str] = []
        self.expected = "(?!)"

    def page(self, width: int = 1280, height: int = 900, **options: Any) -> Page:
        """A new page of a size in pixels; `options` as of `Browser.new_page`."""
        size: Any = {"width": width, "height": height}
        opened = self.browser.new_page(viewport=size, **options)
        opened.set_default_timeout(PATIENCE)
        opened.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        opened.on("console", lambda m: m.type == "error" and self.complaints.append(m.text))
        opened.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        opened.on(
            "response",
            lambda it: it.status >= 400 and self.complaints.append(f"{it.status} {it.url}"),
        )
        return opened

    def leave(self) -> None:
        """Close all pages. Fails if anything went wrong on one."""
        for context in self.browser.contexts:
            context.close()
        assert [text for text in self.complaints if not re.search(self.expected, text)] == []
