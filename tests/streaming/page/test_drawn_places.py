"""Zones and lines drawn in a browser: the geometry and the TOML are those that Maskcast counts with."""

from __future__ import annotations

import random

import pytest

from maskcast.places import Line, Places, Zone
from sinks.video.places import _middle
from streaming.zones.checks import check_places
from tests.browser import tab
from tests.copied_toml import copied_places
from tests.streaming.page.serving import serving

ODD_NAMES = [
    "a b",
    'q"uote',
    "back\\slash",
    "ü.x",
    "${HOME}",
    "$${x",
    "$$${y}",
    "'",
    "#",
    "[x]",
    "1",
    "-",
    "😀",
    "x" * 64,
]
STAGE = (640, 360)
PREPARE = """async ([width, height, given]) => {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "hand.css" });
  document.head.append(link);
  document.body.replaceChildren();
  await new Promise((loaded) => (link.onload = loaded));
  const [stage, root] = [document.createElement("div"), document.createElement("section")];
  Object.assign(stage.style, { position: "relative", width: `${width}px`, height: `${height}px` });
  document.body.append(stage, root);
  const { places } = await import("./places.js");
  window.part = places(root, { session: { read_only: false }, stream: "door", picture: stage });
  window.told = { prompts: [{ name: "person" }, { name: "cup" }], control: ["places"], zones: {}, lines: {}, ...given };
  window.part.state({ door: window.told });
  root.querySelector("summary").click();
}"""


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


@pytest.fixture
def page(browser, server):
    # A document of the server's own, so that modules are loaded under its content policy. It names no icon, which the
    # browser then looks for in vain.
    size = {"width": 800, "height": 1200}
    with tab(browser, f"{server.url}static/hand.css", expected="404", viewport=size) as one:
        yield one


@pytest.fixture
def drawing(page):
    """What begins to draw on a stage, with the zones and lines that are in force."""

    def begin(**given):
        page.evaluate(PREPARE, [*STAGE, given])
        page.locator(".drawing").wait_for()
        return page

    return begin


def _click(page, *points):
    box = page.locator(".drawing").bounding_box()
    for x, y in points:
        page.mouse.click(box["x"] + x * STAGE[0], box["y"] + y * STAGE[1])


def _toml(page):
    return page.locator("textarea").input_value()


def _named(places):
    """By their names: JavaScript puts those that are numbers first."""
    return {place.name: place for place in (*places.zones, *places.lines)}


def _refused(kind, points):
    place = {"zone": Zone, "line": Line}[kind]("a", tuple(map(tuple, points)))
    try:
        check_places(Places(**{f"{kind}s": (place,)}), None)
    except ValueError:
        return True
    return False


def test_what_cannot_be_counted_is_wrong_before_it_is_sent(page):
    some = random.Random(4)
    cases = []
    for _ in range(600):
        grid = some.choice([4, 8, 1024])  # exact in binary, so that Shapely's arithmetic is exact too
        points = [[some.randint(0, grid) / grid, some.randint(0, grid) / grid] for _ in range(some.randint(1, 7))]
        cases.append([some.choice(["zone", "line"]), points])
    found = page.evaluate(
        "async (cases) => { const { problem } = await import('./geometry.js');"
        " return cases.map(([kind, points]) => problem(kind, points) !== null); }",
        cases,
    )
    assert found == [_refused(*case) for case in cases]
    assert 100 < sum(found) < 500


def test_arrows_point_where_crossings_are_counted(page):
    some = random.Random(5)
    lines = [[[some.random(), some.random()] for _ in range(some.randint(2, 6))] for _ in range(100)]
    found = page.evaluate(
        "async (lines) => { const { middle } = await import('./geometry.js');"
        " return lines.map((line) => middle(line, 1280, 720)); }",
        lines,
    )
    for line, told in zip(lines, found, strict=True):
        middle, right = _middle(tuple(map(tuple, line)), 1280, 720)
        assert told["middle"] == pytest.approx(middle.tolist())
        assert told["right"] == pytest.approx(right.tolist())


def test_toml_of_odd_names_is_read_as_the_same_places(page, tmp_path):
    triangle, line = [[0, 0], [0.5, 0.1234], [1, 1]], [[0, 0.3], [1, 1]]
    zone = {"points": triangle, "prompts": ["person"], "anchor": "overlap", "share": 0.25, "dwell": 0.1}
    given = {
        "zones": dict.fromkeys(ODD_NAMES, zone),
        "lines": {f"line {name}"[:64]: {"points": line, "directions": [name, "back"]} for name in ODD_NAMES},
    }
    wanted = Places(
        tuple(Zone(name, tuple(map(tuple, triangle)), ("person",), "overlap", 0.25, 0.1) for name in given["zones"]),
        tuple(
            Line(name, tuple(map(tuple, line)), (), "bottom", tuple(keys["directions"]))
            for name, keys in given["lines"].items()
        ),
    )
    written = "async ([places, stream]) => (await import('./toml.js')).toml(places, stream)"
    for stream in (None, "door", "a b", 'q"', "ü.x"):
        text = page.evaluate(written, [given, stream])
        assert _named(copied_places(text, tmp_path, stream=stream)) == _named(wanted)


def test_a_zone_drawn_with_the_mouse_is_that_zone_in_toml(drawing, tmp_path):
    page = drawing()
    page.locator("[data-new=zone]").click()
    _click(page, (0.25, 0.25), (0.75, 0.25), (0.998, 0.997), (0.25, 0.75), (0.25, 0.25))  # the first one closes it
    page.locator("[name=name]").fill('by the "gate"')
    page.locator("[name=prompts][value=cup]").check()
    page.locator("[name=dwell]").fill("2.5")
    [zone] = copied_places(_toml(page), tmp_path, stream="door", prompts=["person", "cup"]).zones
    assert zone == Zone('by the "gate"', ((0.25, 0.25), (0.75, 0.25), (1, 1), (0.25, 0.75)), ("cup",), dwell=2.5)


def test_a_line_drawn_with_the_keyboard(drawing):
    page = drawing()
    page.locator("[data-new=line]").press("Enter")
    for key in ["Space", *["Shift+ArrowRight"] * 2, "ArrowUp", "Space", "Enter"]:
        page.keyboard.press(key)
    assert _toml(page) == '[streams.door.lines."line 1"]\npoints = [[0.5, 0.5], [0.6, 0.495]]\n'


def test_an_outline_that_crosses_itself_is_not_applied(drawing):
    page = drawing(zones={"door": {"points": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.5], [0.1, 0.5]]}})
    _click(page, (0.2, 0.3))
    assert page.locator("[data-place=door]").get_attribute("aria-pressed") == "true"
    corner = page.locator("[data-point='0']")
    box = page.locator(".drawing").bounding_box()
    corner.hover()
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * STAGE[0], box["y"] + 0.3 * STAGE[1])
    page.mouse.up()
    assert "crosses" in page.locator("[role=alert]").text_content()
    assert page.locator("[data-action=places]").is_disabled()
    assert not _toml(page)
    corner.press("Delete")  # what is left is a triangle
    assert page.locator("[data-action=places]").is_enabled()
    assert _toml(page) == "[streams.door.zones.door]\npoints = [[0.4, 0.1], [0.4, 0.5], [0.1, 0.5]]\n"


def test_what_is_drawn_stays_when_others_change_places(drawing):
    page = drawing()
    page.locator("[data-new=zone]").click()
    _click(page, (0.2, 0.2), (0.4, 0.2))
    page.evaluate("part.state({ door: { ...told, zones: { other: { points: [[0, 0], [1, 0], [1, 1]] } } } })")
    _click(page, (0.4, 0.4))
    page.keyboard.press("Enter")
    assert "zone 1" in _toml(page)
    assert "Changed meanwhile" in page.locator("output").text_content()
    page.get_by_role("button", name="Discard").click()
    assert _toml(page) == "[streams.door.zones.other]\npoints = [[0, 0], [1, 0], [1, 1]]\n"


def test_who_chooses_with_the_keyboard_stays_at_what_was_chosen(drawing):
    page = drawing(zones={name: {"points": [[0, 0], [1, 0], [1, 1]]} for name in ("door", "gate")})
    page.locator("[data-place=gate]").press("Enter")
    assert page.evaluate("document.activeElement.dataset.place") == "gate"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.ariaPressed") == "false", "another press lets go of it"


def test_what_to_do_is_said_once(drawing):
    page = drawing()
    page.locator("[data-new=zone]").press("Enter")
    page.evaluate("""() => {
      window.said = 0;
      const spoken = document.querySelectorAll("[role=status], [role=alert]");
      const heard = new MutationObserver((changes) => (window.said += changes.length));
      for (const node of spoken) heard.observe(node, { subtree: true, childList: true, characterData: true });
    }""")
    for key in ["Space", "ArrowRight", "ArrowDown", "Space"]:
        page.keyboard.press(key)
    assert page.evaluate("said") == 0


@pytest.mark.parametrize("width", [280, 360, 800])
def test_the_picture_to_draw_on_is_not_under_the_bar_on_top(drawing, width):
    page = drawing()
    page.set_viewport_size({"width": width, "height": 600})
    page.evaluate("""async () => {
      const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "style.css" });
      document.head.append(style);
      await new Promise((loaded) => (style.onload = loaded));
      const index = new DOMParser().parseFromString(await (await fetch("../")).text(), "text/html");
      const bar = document.body.appendChild(index.querySelector("header"));
      document.body.prepend(bar);
      bar.querySelector("#logout").hidden = false;
      document.querySelector("section").style.marginBottom = "2000px";
      scrollTo(0, 2000);
    }""")
    page.locator("[data-new=zone]").press("Enter")
    bar, layer = (page.locator(one).bounding_box() for one in ("header", ".drawing"))
    assert layer["y"] >= bar["y"] + bar["height"]
