"""`maskcast demo --view` on the wall of a small phone."""

from __future__ import annotations

import re

import pytest

from tests import forked
from tests.browser import tab
from tests.patience import eventually
from tests.streaming.page.drawn import KEEP, TAKE, compare

FRAMES = 5
WITH_OBJECTS = (
    "() => Object.values(window.kept).filter(({ message }) => message.tracks.length).map((one) => one.message.frame)"
)


@pytest.mark.long
def test_the_demo_is_on_the_wall(browser, tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)  # a second browser would open
    log = tmp_path / "log"
    with forked.running("demo", "--view", folder=tmp_path, log=log):
        url = eventually(lambda: re.search(r"live page: (\S+)", log.read_text("utf-8")), 60, "where the page is")[1]
        with tab(browser, url, viewport={"width": 290, "height": 560}, device_scale_factor=2, has_touch=True) as page:
            page.evaluate(KEEP)
            tile = page.locator("a.tile[data-stream=demo]")
            tile.wait_for()
            seen = eventually(lambda: (found := page.evaluate(WITH_OBJECTS))[FRAMES:] and found, 60, "some frames")
            for number in seen:
                compare(page.evaluate(TAKE, number))
            assert page.evaluate("document.documentElement.scrollWidth") <= 290, "nothing stands out"
            for canvas in ("picture", "masks", "overlay"):
                box = tile.locator(f"canvas.{canvas}").bounding_box()
                assert box["width"] > 200
                assert box["x"] >= 0
            page.get_by_role("link", name="Events").click()
            page.locator("li[data-event]").first.wait_for()
