"""What docs/architecture.md says is so: its files and functions are there, and the ways through them are straight."""

import ast
import re
from itertools import groupby

import pytest

from tests.paths import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
STEP = re.compile(r"^\| \d+ \| `([\w/]+\.py)` \| `([\w.]+)` \|", re.MULTILINE)
PLACE = re.compile(r"`([\w/]+\.py)`:? `([\w.]+)`")
CHANGES = (
    "Kafka",
    "counter of zones",
    "prompt by box",
    "live page",
    "SAM 3.1",
    "layout of topics",
    "new event",
    "several GPUs",
    "stills",
    "YOLO",
    "ROS bag",
    "style that hides",
    "recording without annotations",
)


def defined(tree, prefix=""):
    """Names of functions, classes and constants, those in classes behind the class's."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from defined(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


def test_every_place_is_there():
    places = {*STEP.findall(PAGE), *PLACE.findall(PAGE)}
    assert len(places) > 50
    for file, group in groupby(sorted(places), key=lambda place: place[0]):
        names = set(defined(ast.parse((ROOT / file).read_text(encoding="utf-8"))))
        assert not {name for _, name in group} - names, file


@pytest.mark.parametrize("way", ["The way of a frame", "The way of a prompt"])
def test_a_way_goes_through_few_rooms_and_no_room_twice(way):
    rooms = [file for file, _ in STEP.findall(SECTIONS[way])]
    assert 10 < len(rooms) < 27
    assert len(rooms) == len(set(rooms))


def test_each_change_has_its_place():
    rows = [row for row in SECTIONS["What a newcomer wants to change"].splitlines() if row.startswith("| ")][1:]
    assert len(rows) == len(CHANGES)
    for change in CHANGES:
        (row,) = (row for row in rows if change in row)
        assert re.search(r"`[\w/]+(\.py|/)`", row), row
