"""The files that a browser loads: small, whole, and nothing in them that the page must not do."""

import gzip
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from tests.paths import ROOT

STATIC = ROOT / "streaming/page/static"
FILES = sorted(STATIC.iterdir())
SCRIPTS = [file for file in FILES if file.suffix == ".js"]
NAMESPACE = "http://www.w3.org/2000/svg"
# What reads markup or code from text, needs a secure context, or cannot be stopped by closing the page.
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\b"
    r"|\bFunction\(|set(Timeout|Interval)\(\s*[\"'`]|javascript:|crypto\.subtle|serviceWorker|SharedArrayBuffer"
)
FOREIGN = re.compile(r"""(https?:|wss?:|["'(])//[\w.]|@import|data:""")
IMPORT = re.compile(r"""^import (?:[^"';]* from )?["']([^"']+)["']|\bimport\(["']([^"']+)["']\)""", re.MULTILINE)


def imports(file):
    """What a module imports, at its head or later."""
    return {first or later for first, later in IMPORT.findall(text(file))}


def text(file):
    return file.read_text(encoding="utf-8")


class Page(HTMLParser):
    """The tags of index.html, with their attributes."""

    def __init__(self):
        super().__init__()
        self.tags = []
        self.feed(text(STATIC / "index.html"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_all_that_a_browser_loads_is_under_60_kb_as_it_travels():
    assert sum(len(gzip.compress(file.read_bytes())) for file in FILES) < 60_000
    assert {file.suffix for file in FILES} == {".html", ".css", ".js", ".svg"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_names_are_text_and_nothing_comes_from_elsewhere(file):
    content = text(file)
    assert not FORBIDDEN.search(content)
    assert not FOREIGN.search(content.replace(NAMESPACE, ""))
    assert len(content.splitlines()) < 400


def test_the_patterns_find_what_they_are_for():
    assert all(FORBIDDEN.search(bad) for bad in ("a.innerHTML = b", "eval(a)", "new Function(a)", "setTimeout('a')"))
    assert all(FOREIGN.search(bad) for bad in ('fetch("https://a.b")', "url(//a.b)", '"//cdn.a"', "ws://a", "data:a"))


def test_scripts_and_styles_are_files_of_the_page():
    for tag, attributes in Page().tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        for name in ("src", "href"):
            target = attributes.get(name)
            if target and not target.startswith("#"):
                assert (STATIC / target.removeprefix("static/")).is_file(), target
                assert target.startswith("static/"), "relative, so that it works behind any prefix"


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_what_a_module_imports_is_there(file):
    for target in imports(file):
        assert target.startswith("./"), target
        assert (STATIC / target).is_file(), target


def test_every_script_is_loaded_by_another_or_by_the_page():
    used = {target.removeprefix("./") for file in SCRIPTS for target in imports(file)}
    used |= {attributes.get("src", "").removeprefix("static/") for tag, attributes in Page().tags if tag == "script"}
    assert {file.name for file in SCRIPTS} == used


def test_landmarks_and_names_for_a_screen_reader():
    tags = Page().tags
    assert {"header", "nav", "main"} <= {tag for tag, _ in tags}
    assert dict(tags)["html"]["lang"] == "en"
    assert any(attributes.get("aria-live") == "polite" for _, attributes in tags)
    assert any(attributes.get("role") == "alert" for _, attributes in tags)
    # A phone may be zoomed by its owner.
    viewport = next(attributes for tag, attributes in tags if attributes.get("name") == "viewport")
    assert "user-scalable" not in viewport["content"]
    assert "maximum-scale" not in viewport["content"]


def test_the_icon_is_a_picture_without_script():
    tree = ET.parse(STATIC / "icon.svg")
    assert {node.tag for node in tree.iter()} <= {
        f"{{{NAMESPACE}}}{name}" for name in ("svg", "rect", "path", "circle")
    }
