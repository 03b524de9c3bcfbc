"""Zones and lines in pictures: where they are, which way is which, and the numbers beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from maskcast.picture import Colour, Image, Planes
from maskcast.places import Line, Places, Tally, Zone
from maskcast.result import Result
from sinks.video import places as drawing
from sinks.video.label import label
from sinks.video.palette import to_yuv
from sinks.video.places import PLACE_RGB, draw_counters, draw_outlines
from sinks.video.render import render
from tests.sinks_media import frame, grey

COLOUR = Colour("bt709")
PLACE = to_yuv(PLACE_RGB, COLOUR)
GATE = Zone("gate", ((0.25, 0.5), (0.75, 0.5), (0.75, 0.9), (0.25, 0.9)))
# From the upper border to the lower one: right is towards the picture's left border.
STEP = Line("step", ((0.5, 0.1), (0.5, 0.9)), directions=("in", "out"))
TALLY = Tally(
    datetime(2026, 1, 1, tzinfo=UTC),
    inside={"gate": {"person": 2, "dog": 1}},
    entered={"gate": {"person": 40, "dog": 2}},
    crossed={"step": {"in": {"person": 5, "dog": 2}, "out": {"person": 3}}},
)


def drawn(places: Places, size: tuple[int, int] = (360, 640)) -> Planes:
    planes = grey(*size)
    draw_outlines(planes, COLOUR, places)
    draw_counters(planes, COLOUR, replace(TALLY, places=places))
    return planes


def place_of(text: str, picture: Image) -> tuple[int, int] | None:
    """Where the label stands, x and y of its middle."""
    part = label(text, 10, PLACE, COLOUR).y
    windows = np.lib.stride_tricks.sliding_window_view(picture, part.shape)
    found = np.argwhere((windows == part).all(axis=(2, 3)))
    return (int(found[0][1]) + part.shape[1] // 2, int(found[0][0]) + part.shape[0] // 2) if len(found) else None


def test_a_zone_has_its_border_and_counts() -> None:
    planes = drawn(Places((GATE,)))
    for x, y in ((160, 250), (320, 180), (479, 250), (320, 323)):
        assert planes.y[y, x] == PLACE.y
        assert planes.u[y // 2, x // 2] == PLACE.u
    assert planes.y[250, 320] == 90  # nothing within
    gate, entered = place_of("gate 3", planes.y), place_of("entered 42", planes.y)
    assert gate
    assert entered
    assert gate[0] < entered[0]
    assert gate[1] == entered[1] < 180


@pytest.mark.parametrize("backwards", [False, True])
def test_a_line_says_which_way_is_which(backwards: bool) -> None:
    line = STEP if not backwards else Line("step", STEP.points[::-1], directions=("in", "out"))
    planes = drawn(Places(lines=(line,)))
    into, out = place_of("in 7", planes.y), place_of("out 3", planes.y)
    assert into
    assert out
    assert (into[0] < 300 and out[0] > 340) is not backwards
    assert planes.y[100, 320] == PLACE.y
    assert place_of("step", planes.y)


def test_the_arrow_stands_in_the_middle_of_a_bent_line() -> None:
    middle, right = drawing._middle(((0.0, 0.5), (0.1, 0.5), (1.0, 0.5)), 200, 100)
    assert middle.tolist() == [100, 50]
    assert right.tolist() == [0, 1]  # downwards, for who walks to the right


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 31), (33, 16), (361, 203)])
def test_small_and_odd_pictures_and_borders(size: tuple[int, int]) -> None:
    frame = Zone("the whole picture, in a name that is longer", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
    border = Line("border", ((1.0, 0.0), (1.0, 1.0)))
    planes = drawn(Places((frame,), (border, STEP)), size)
    assert planes.y[-1, -1] == PLACE.y


def test_without_places_nothing_is_drawn() -> None:
    for plane, other in zip(drawn(Places()), grey(360, 640), strict=True):
        assert np.array_equal(plane, other)


@pytest.mark.parametrize("size", [(320, 180), (200, 200)])
def test_a_picture_shows_the_places_of_its_own_tally(size: tuple[int, int]) -> None:
    here = replace(TALLY, places=Places((GATE,), (STEP,)))
    results = [Result(frame(0, grey(180, 320)), tally=tally) for tally in (None, replace(TALLY, places=Places()), here)]
    pictures = [render(result, *size).to_ndarray(format="yuv420p") for result in results]
    assert np.array_equal(pictures[0], pictures[1])
    assert (pictures[2] == PLACE.y).sum() > (pictures[0] == PLACE.y).sum() + 100
