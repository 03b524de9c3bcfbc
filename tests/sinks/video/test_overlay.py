from __future__ import annotations

import colorsys
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.mask import Mask
from maskcast.picture import Colour, Planes
from maskcast.result import Track, TrackState
from sinks.video.label import label
from sinks.video.overlay import FILL_OPACITY, _draw_mask, draw
from sinks.video.palette import Yuv, to_yuv, track_colour, track_rgb
from tests.sinks_media import ellipse, grey

COLOUR = Colour("bt709")


def drawn(planes: Planes, *tracks: Track) -> Planes:
    copy = Planes(*(plane.copy() for plane in planes))
    draw(copy, COLOUR, tracks)
    return copy


def unlabelled(mask: Mask, state: TrackState = TrackState.CONFIRMED) -> tuple[Planes, Planes]:
    """A picture before and after a mask is drawn on it, without label."""
    before = grey(*mask.size)
    after = Planes(*(plane.copy() for plane in before))
    colour = track_colour(1, COLOUR)
    _draw_mask(after, mask, colour, 1, filled=state is TrackState.CONFIRMED)
    return before, after


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_nothing_changes_outside_the_mask(data: Any) -> None:
    height, width = data.draw(st.integers(1, 33)), data.draw(st.integers(1, 33))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    y, x = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    seed = data.draw(st.integers(0, 2**32 - 1))
    mask = Mask.from_array(np.random.default_rng(seed).random((h, w)) > 0.4, (height, width), x, y)
    before, after = unlabelled(mask)
    full = mask.full()
    assert np.array_equal(after.y[~full], before.y[~full])
    coarse = full[::2, ::2]
    assert np.array_equal(after.u[~coarse], before.u[~coarse])
    assert np.array_equal(after.v[~coarse], before.v[~coarse])
    assert (after.u[coarse] != before.u[coarse]).all()


def test_fill_contour_and_tentative() -> None:
    mask = ellipse((120, 160), (80, 60), (30, 40))
    colour = track_colour(1, COLOUR)
    before, after = unlabelled(mask)
    assert after.y[60, 80] == round(90 + (colour.y - 90) * FILL_OPACITY)
    assert after.u[30, 40] == round(110 + (colour.u - 110) * FILL_OPACITY)
    assert after.y[60, mask.x] == colour.y
    _, outline = unlabelled(mask, TrackState.TENTATIVE)
    assert outline.y[60, 80] == before.y[60, 80]
    assert outline.y[60, mask.x] == colour.y


@pytest.mark.parametrize("rgb", list(itertools.product((40, 214), repeat=3))[1:-1])
def test_an_object_keeps_its_own_colour_under_every_track(rgb: tuple[int, int, int]) -> None:
    """The hue under the fill stays within a twelfth of the circle: red stays nearer to red than to purple or yellow."""
    size = (64, 64)
    own = to_yuv((rgb[0] / 255, rgb[1] / 255, rgb[2] / 255), COLOUR)
    mask = Mask.from_array(np.ones(size, np.bool_), size)
    for number in range(1, 100):
        luma = np.full(size, own.y, np.uint8)
        planes = Planes(luma, *(np.full((32, 32), value, np.uint8) for value in own[1:]))
        _draw_mask(planes, mask, track_colour(number, COLOUR), 2, filled=True)
        y, u, v = (float(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in planes)
        luma, red, blue = (y - 16) / 219, (v - 128) / 224 * 1.5748, (u - 128) / 224 * 1.8556
        seen = (luma + red, luma - (0.2126 * red + 0.0722 * blue) / 0.7152, luma + blue)
        hue = colorsys.rgb_to_hsv(*(min(1.0, max(0.0, part)) for part in seen))[0]
        before = colorsys.rgb_to_hsv(*(part / 255 for part in rgb))[0]
        away = abs(hue - before) % 1.0
        assert min(away, 1 - away) < 1 / 12, (number, seen)


def test_a_contour_is_wide_enough_for_its_colour_to_show() -> None:
    mask = ellipse((120, 160), (80, 60), (30, 40))
    planes = drawn(grey(120, 160), Track(1, "x", TrackState.CONFIRMED, 1.0, mask))
    ring = planes.u[30, mask.x // 2 : mask.x // 2 + 2]
    assert track_colour(1, COLOUR).u in ring.tolist()


def test_label_stands_above_the_box_and_inside_the_picture() -> None:
    size = (360, 640)
    before = grey(*size)
    for centre in ((320, 200), (635, 5), (3, 357)):
        mask = ellipse(size, centre, (20, 30))
        after = drawn(before, Track(3, "person", TrackState.CONFIRMED, 0.93, mask))
        changed = after.y != before.y
        changed &= ~mask.full()
        assert changed.sum() > 300, centre
        rows = np.flatnonzero(changed.any(axis=1))
        assert rows[-1] - rows[0] < 20


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 31), (33, 16)])
def test_small_and_odd_pictures(size: tuple[int, int]) -> None:
    mask = Mask.from_array(np.ones(size, np.bool_), size)
    drawn(grey(*size), Track(1, "a phrase that is longer than the picture is wide", TrackState.CONFIRMED, 1.0, mask))


def test_empty_mask_is_no_problem() -> None:
    mask = Mask.from_array(np.zeros((8, 8), np.bool_), (8, 8))
    drawn(grey(8, 8), Track(1, "nothing", TrackState.CONFIRMED, 0.0, mask))


def test_text_is_rendered_whatever_the_script() -> None:
    ground = Yuv(100, 128, 128)
    for text in ("person", "Fußgänger", "行人", "a\tb"):
        planes = label(text, 18, ground, COLOUR)
        assert (planes.y != ground.y).any()
        assert planes.y.shape[0] % 2 == 0
        assert planes.y.shape[1] % 2 == 0
        assert planes.u.shape == (planes.y.shape[0] // 2, planes.y.shape[1] // 2)
    assert label("person", 18, ground, COLOUR) is label("person", 18, ground, COLOUR)


def test_colours_are_stable_and_far_apart() -> None:
    assert track_colour(7, COLOUR) == track_colour(7, COLOUR)
    colours = [np.array(track_rgb(number)) for number in range(1, 6)]
    for index, one in enumerate(colours):
        for other in colours[index + 1 :]:
            assert np.abs(one - other).max() > 0.25


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_black_white_and_range(matrix: Any) -> None:
    assert to_yuv((0, 0, 0), Colour(matrix)) == (16, 128, 128)
    assert to_yuv((1, 1, 1), Colour(matrix)) == (235, 128, 128)
    assert to_yuv((1, 1, 1), Colour(matrix, full_range=True)) == (255, 128, 128)
    assert to_yuv((0, 0, 1), Colour(matrix)).u == 240
    assert to_yuv((1, 0, 0), Colour(matrix)).v == 240
