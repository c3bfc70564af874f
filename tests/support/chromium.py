"""A headless Chromium for tests, and pages in it on which nothing may go wrong."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    sync_playwright,
)

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
    "--disable-gpu-compositing",  # what is drawn in software need not pass a GPU drawn in software
]
PATIENCE = 60_000  # ms for anything to appear: the browser draws in software
# Twelve frames a second instead of sixty: the processor draws each of them.
FEWER_FRAMES = """{
    const ask = requestAnimationFrame.bind(window);
    const cancel = cancelAnimationFrame.bind(window);
    const asked = new Map();
    window.requestAnimationFrame = call => {
        const id = setTimeout(() => {
            asked.set(id, ask(now => { asked.delete(id); call(now); }));
        }, 80);
        return id;
    };
    window.cancelAnimationFrame = id => {
        clearTimeout(id);
        cancel(asked.get(id));
        asked.delete(id);
    };
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, open till the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """Opens pages, on which nothing may go wrong but what is `expected`.

    Pages without options share what the browser has fetched already.
    """

    _shared: ClassVar[WeakKeyDictionary[Browser, BrowserContext]] = WeakKeyDictionary()

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.complaints: list[str] = []
        self.expected = "(?!)"
        self._pages: list[Page] = []

    def page(self, width: int = 1280, height: int = 900, **options: Any) -> Page:
        """A new page of a size in pixels; `options` as of `Browser.new_page`."""
        size: Any = {"width": width, "height": height}
        if options:
            context = self._context(viewport=size, **options)
        elif self.browser in self._shared:
            context = self._shared[self.browser]
        else:
            context = self._shared[self.browser] = self._context()
        opened = context.new_page()
        self._pages.append(opened)
        opened.set_viewport_size(size)
        opened.set_default_timeout(PATIENCE)
        opened.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        opened.on("console", self._hear)
        opened.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        opened.on("response", self._see)
        return opened

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _see(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")

    def _context(self, **options: Any) -> BrowserContext:
        context = self.browser.new_context(**options)
        context.add_init_script(FEWER_FRAMES)
        return context

    def leave(self) -> None:
        """Close all pages. Fails if anything went wrong on one."""
        for page in self._pages:
            if page.context is not self._shared.get(self.browser):
                page.context.close()
                continue
            if page.url.startswith("http"):
                page.evaluate("localStorage.clear(); sessionStorage.clear()")
            page.close()
            page.context.clear_cookies()
        assert [text for text in self.complaints if not re.search(self.expected, text)] == []
