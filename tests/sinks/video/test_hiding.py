"""What is hidden cannot be read back, and nothing else changes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskcast.mask import Mask
from maskcast.picture import Colour, Image, Planes
from maskcast.result import Track, TrackState
from sinks.video.hiding import CELL_STEP, GROUND, MOST_CELLS, hide, margin_pixels
from sinks.video.palette import to_yuv, track_colour
from sinks.video.style import Style, Styles
from tests.sinks_media import ellipse

COLOUR = Colour("bt709")
HIDING: tuple[Style, ...] = ("blur", "pixelate", "fill")


def noise(height: int, width: int, seed: int = 0) -> Planes:
    random = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    return Planes(*(random.integers(16, 236, size, np.uint8) for size in ((height, width), half, half)))


def track(mask: Mask, number: int = 1, prompt: str = "person", state: TrackState = TrackState.CONFIRMED) -> Track:
    return Track(number, prompt, state, 0.9, mask)


def hidden(planes: Planes, *tracks: Track, styles: Styles, lost: tuple[Track, ...] = ()) -> Planes:
    copy = Planes(*(plane.copy() for plane in planes))
    hide(copy, COLOUR, tracks, lost, styles)
    return copy


def blocks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of an even picture as blocks of 2 x 2, whose axes are the second and the fourth."""
    return mask.reshape(mask.shape[0] // 2, 2, mask.shape[1] // 2, 2)


def likeness(one: Image, other: Image) -> float:
    """Correlation, from -1 to 1; 0 where one of them is flat."""
    one, other = one.astype(float).ravel(), other.astype(float).ravel()
    return float(np.corrcoef(one, other)[0, 1]) if one.std() and other.std() else 0.0


def sized(data: Any, least: int = 1) -> tuple[tuple[int, int], Mask]:
    height, width = data.draw(st.integers(least, 70)), data.draw(st.integers(least, 70))
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    y, x = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    crop = np.random.default_rng(data.draw(st.integers(0, 99))).random((h, w)) > 0.4
    return (height, width), Mask.from_array(crop, (height, width), x, y)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_left_does_not_depend_on_the_pixels_but_for_a_few_coarse_means(data: Any) -> None:
    """Wherever a mask is, and whatever its size and the picture's, its pixels are replaced, and so is their chroma."""
    size, mask = sized(data)
    before = noise(*size)
    meant = mask.full()
    coarse = blocks(np.pad(meant, ((0, size[0] % 2), (0, size[1] % 2)))).any(axis=(1, 3))
    for style in HIDING:
        after = hidden(before, track(mask), styles=Styles(style))
        for new, where in zip(after, (meant, coarse, coarse), strict=True):
            if where.any():
                values = np.unique(new[where])
                most = 1 if style == "fill" else MOST_CELLS**2
                assert style == "blur" or len(values) <= most
                assert style != "pixelate" or all(value % CELL_STEP == 0 for value in values)
        margin = margin_pixels(mask)
        near = cv2.dilate(meant.view(np.uint8), np.ones((2 * margin + 7, 2 * margin + 7), np.uint8)) > 0
        assert np.array_equal(after.y[~near], before.y[~near])


@pytest.mark.parametrize("style", HIDING)
def test_detail_leaves_no_trace(style: Style) -> None:
    """Two faces whose means are the same in every cell become the same samples, whatever else differs between them."""
    size = (360, 640)
    mask = ellipse(size, (300, 180), (40, 60))
    one, other = noise(*size, seed=1), noise(*size, seed=2)
    for first, second in zip(one, other, strict=True):
        for planes in (first, second):  # a chequerboard of 90 and 110 has the mean of its inverse
            planes[:] = 100
        checked = np.indices(first.shape).sum(axis=0) % 2 == 0
        first[:], second[:] = np.where(checked, 90, 110), np.where(checked, 110, 90)
    hidden_one, hidden_other = (hidden(planes, track(mask), styles=Styles(style)) for planes in (one, other))
    for first, second, half in zip(hidden_one, hidden_other, (1, 2, 2), strict=True):
        where = mask.full()[::half, ::half]
        assert np.array_equal(first[where], second[where])


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_few_values_are_left_of_a_face(style: Style) -> None:
    """All that is left of a region of a face's size is determined by 16 values a plane, of 4 bits each."""
    size = (720, 1280)
    mask = ellipse(size, (640, 360), (60, 80))
    h, w = mask.crop.shape
    rows = []
    for seed in range(40):
        planes = noise(*size, seed=seed)
        planes.y[:] = cv2.resize(planes.y[:9, :16], size[::-1], interpolation=cv2.INTER_CUBIC)  # something to be seen
        after = hidden(planes, track(mask), styles=Styles(style))
        rows.append(after.y[mask.y : mask.y + h, mask.x : mask.x + w][mask.crop][::7].astype(float))
    spread = np.linalg.svd(np.array(rows), compute_uv=False)
    # 40 pictures span no more than 16 dimensions, but for the rounding of the interpolation.
    assert spread[MOST_CELLS**2] < spread[0] / 200


@pytest.mark.parametrize("style", HIDING)
def test_a_face_is_not_like_itself_any_more(style: Style) -> None:
    size = (480, 640)
    mask = ellipse(size, (300, 200), (50, 70))
    planes = noise(*size)
    inside = mask.full()
    after = hidden(planes, track(mask), styles=Styles(style))
    assert abs(likeness(planes.y[inside], after.y[inside])) < 0.1
    assert abs(likeness(planes.u[inside[::2, ::2]], after.u[inside[::2, ::2]])) < 0.2


def test_the_margin_is_hidden_too() -> None:
    size = (720, 1280)
    mask = ellipse(size, (641, 361), (50, 100))
    grown = np.zeros(size, np.uint8)
    planes = noise(*size)
    changed = hidden(planes, track(mask), styles=Styles("fill")).y == track_colour(1, COLOUR).y
    margin = margin_pixels(mask)
    assert margin == 13
    grown = cv2.dilate(mask.full().view(np.uint8), np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    assert changed[grown > 0].all()


def test_a_style_is_that_of_the_prompt_and_tentative_and_lost_tracks_are_hidden() -> None:
    size = (200, 600)
    masks = [ellipse(size, (60 + 130 * number, 100), (20, 30)) for number in range(4)]
    planes = noise(*size)
    tracks = (
        track(masks[0], 1),
        track(masks[1], 2, "car"),
        track(masks[2], 3, state=TrackState.TENTATIVE),
    )
    lost = (track(masks[3], 4, state=TrackState.LOST),)
    after = hidden(planes, *tracks, styles=Styles("outline", {"person": "blur"}), lost=lost)
    same = [np.array_equal(planes.y[mask.full()], after.y[mask.full()]) for mask in masks]
    assert same == [False, True, False, False]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_only_the_objects_are_shown(data: Any) -> None:
    size, mask = sized(data)
    before = noise(*size)
    after = hidden(before, track(mask), styles=Styles("only"))
    inside, ground = mask.full(), to_yuv(GROUND, COLOUR)
    assert np.array_equal(after.y[inside], before.y[inside])
    assert (after.y[~inside] == ground.y).all()
    whole = blocks(np.pad(inside, ((0, size[0] % 2), (0, size[1] % 2)), mode="edge")).all(axis=(1, 3))
    assert np.array_equal(after.u[whole], before.u[whole])
    assert (after.v[~whole] == ground.v).all()


def test_only_shows_no_lost_and_no_tentative_object_and_nothing_that_is_to_be_blurred() -> None:
    size = (200, 400)
    car, person = ellipse(size, (150, 100), (60, 40)), ellipse(size, (150, 100), (20, 30))
    planes = noise(*size)
    styles = Styles("only", {"person": "blur"})
    after = hidden(planes, track(car, 1, "car"), track(person, 2), styles=styles)
    shown = cv2.dilate(person.full().view(np.uint8), np.ones((11, 11), np.uint8)) == 0
    shown &= car.full()
    assert abs(likeness(planes.y[person.full()], after.y[person.full()])) < 0.2
    assert np.array_equal(planes.y[shown], after.y[shown])
    tentative = track(car, 1, "car", TrackState.TENTATIVE)
    after = hidden(planes, tentative, styles=styles, lost=(track(car, 3, "car", TrackState.LOST),))
    assert np.unique(after.y).size == 1
    assert np.unique(hidden(planes, styles=styles).y).size == 1  # with no object at all


def test_nothing_is_drawn_where_a_mask_is_of_another_size() -> None:
    with pytest.raises(ValueError, match="the mask of track 1 is of"):
        hidden(noise(100, 100), track(ellipse((50, 100), (20, 20), (9, 9))), styles=Styles("blur"))


def test_an_empty_mask_hides_nothing() -> None:
    planes = noise(20, 20)
    mask = Mask.from_array(np.zeros((20, 20), np.bool_), (20, 20))
    for style in HIDING:
        assert np.array_equal(hidden(planes, track(mask), styles=Styles(style)).y, planes.y)
