"""Debian's Chromium, driven by Playwright: what a page logs as an error is its test's failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.patience import patient

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
# As root it has no sandbox, and a container's /dev/shm may be too small for it.
OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage"]


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser; skips the test where there is none.

    Playwright's event loop counts as running in this thread until the end, so no asynchronous test can go on meanwhile.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM} on this machine (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, *, expected: str = "$^", **options: Any) -> Iterator[Page]:
    """A page that has been opened, with cookies and storage of its own.

    Whatever it throws or logs as an error, what its CSP refuses, and what it asks of another server fails the test.

    Args:
        browser: what opens it.
        url: of the page.
        expected: pattern of the errors that the test provokes.
        options: of the browser's context, such as `viewport` and `color_scheme`.
    """
    context = browser.new_context(**options)
    context.set_default_timeout(patient(15) * 1000)
    faults: list[str] = []
    strangers: set[str] = set()

    def logged(message: Any) -> None:
        if message.type == "error":
            faults.append(f"{message.text} ({message.location['url']})")

    def asked(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"blob", "data"} and parts.netloc != urlsplit(url).netloc:
            strangers.add(request.url)

    try:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", logged)
        page.on("request", asked)
        page.goto(url)
        yield page
        unexpected = [fault for fault in faults if not re.search(expected, fault)]
        assert not unexpected, f"errors in the browser: {unexpected}"
        assert not strangers, f"asked of others: {strangers}"
    finally:
        context.close()
