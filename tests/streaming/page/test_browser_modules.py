"""The page's modules in a real browser, against our own code in Python."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from sinks.video.palette import track_rgb
from tests.browser import tab
from tests.streaming.page.serving import serving

# The set pixels of masks `[{size, counts}]` as the page reads them: a byte each, row by row.
PIXELS = """async (masks) => {
  const { spans, contains } = await import("./rle.js");
  return masks.map((mask) => {
    const [height, width] = mask.size;
    const pixels = Array(height * width).fill(0);
    const flat = spans(mask);
    for (let at = 0; at < flat.length; at += 3)
      for (let y = flat[at + 1]; y < flat[at + 2]; y += 1) pixels[y * width + flat[at]] += 1;
    const clicked = pixels.map((_, at) => Number(contains(mask, at % width, Math.floor(at / width))));
    return [pixels, clicked];
  });
}"""
COLOURS = """async (ids) => {
  const { trackRgb } = await import("./palette.js");
  return ids.map(trackRgb);
}"""


@pytest.fixture(scope="module")
def page(browser):
    """A document beside the modules, in which nothing runs."""
    with serving() as server, tab(browser, f"{server.url}static/rle.js", expected="favicon") as one:
        yield one


def masks():
    """Empty, full and random ones of all densities, of one pixel to some thousands, and with long runs."""
    chance = np.random.default_rng(17)
    yield from (np.zeros((3, 5), np.uint8), np.ones((4, 2), np.uint8), np.ones((1, 1), np.uint8))
    for number in range(100):
        height, width = chance.integers(1, 24, 2)
        yield (chance.random((height, width)) < number / 99).astype(np.uint8)
    large = np.zeros((70, 40), np.uint8)
    large[3:66, 5:38] = 1
    large[20:22, 11] = 0
    yield large


def test_masks_are_read_as_pycocotools_reads_them(page):
    wanted = list(masks())
    given = [coco.encode(np.asfortranarray(mask)) for mask in wanted]
    given = [{"size": list(map(int, one["size"])), "counts": one["counts"].decode()} for one in given]
    for mask, both in zip(wanted, page.evaluate(PIXELS, given), strict=True):
        for pixels in both:
            np.testing.assert_array_equal(np.array(pixels, np.uint8).reshape(mask.shape), mask)


def test_tracks_have_the_colours_of_annotated_video(page):
    ids = [*range(1, 1001), 10**6, 2**31]
    np.testing.assert_allclose(page.evaluate(COLOURS, ids), [track_rgb(one) for one in ids], atol=1e-6)


def test_what_is_said_of_a_stream_is_where_it_stands_not_how_fast_it_is(page):
    said = page.evaluate("""async () => {
      const { announcer } = await import("./condition.js");
      const said = [];
      const announce = announcer("door", (text) => said.push(text));
      const online = { online: true, paused: false, overloaded: false, reason: null };
      const offline = { ...online, online: false, reason: "connection refused" };
      for (const state of [
        online, { ...online, overloaded: true }, online, offline, { ...offline, reason: "no answer" },
        { ...online, overloaded: true }, { ...online, paused: true },
      ]) announce(state);
      return said;
    }""")
    assert said == ["door: offline, connection refused", "door: online", "door: paused"]


def test_the_focus_stays_in_a_list_of_prompts_one_of_which_is_removed(page):
    focused = page.evaluate("""async () => {
      const { prompts } = await import("./prompts.js");
      const root = document.createElement("section");
      document.body.append(root);
      const named = (name) => ({ name, text: name });
      prompts(root, () => true).state({ prompts: ["a", "b", "c"].map(named), control: ["set"] }, true);
      const remove = root.querySelector("[aria-label='Remove b']");
      remove.focus();
      remove.click();
      const { ariaLabel } = document.activeElement;
      root.remove();
      return ariaLabel;
    }""")
    assert focused == "Edit a"


def test_the_label_of_a_track_that_is_lifted_out_lies_on_top(page):
    found = page.evaluate("""async () => {
      const { Overlay } = await import("./overlay.js");
      const overlay = new Overlay(document.createElement("canvas"));
      overlay.resize(200, 200);
      const tracks = [1, 2, 3].map((id) => ({ id, prompt: "cup", score: 1, bbox: [20, 100, 60, 150] }));
      return [1, 2, 3].map((highlighted) => {
        overlay.clear();
        overlay.labels({ tracks, width: 200, height: 200 }, { shown: () => true, highlighted, score: false });
        const [x, y] = [21 * overlay.ratio, 98 * overlay.ratio];
        return [...overlay.context.getImageData(x, y, 1, 1).data].slice(0, 3);
      });
    }""")
    np.testing.assert_allclose(np.array(found) / 255, [track_rgb(id_) for id_ in (1, 2, 3)], atol=0.01)


PACES = """async (states) => {
  const { pace } = await import("./condition.js");
  return states.map(pace);
}"""


def test_the_caption_says_which_worker_has_a_stream(page):
    state = {"online": True, "rate": {"wanted": 8.0, "tracked": 7.9}, "latency": 0.12}
    assert page.evaluate(PACES, [state, {**state, "worker": "worker 2"}, {**state, "online": False}]) == [
        "7.9/s · 120 ms", "7.9/s · 120 ms · worker 2", ""
    ]  # fmt: skip
