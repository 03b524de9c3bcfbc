from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from maskcast.mask import Mask
from sinks.messages import rle
from tests.patience import patient
from tests.sinks_media import ellipse


def reference(mask: Mask) -> str:
    return str(coco.encode(np.asfortranarray(mask.full().view(np.uint8)))["counts"].decode())


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    h, w = draw(st.integers(1, height)), draw(st.integers(1, width))
    y, x = draw(st.integers(0, height - h)), draw(st.integers(0, width - w))
    bits = draw(st.lists(st.booleans(), min_size=h * w, max_size=h * w))
    return Mask.from_array(np.array(bits, np.bool_).reshape(h, w), (height, width), x, y)


@settings(max_examples=400, deadline=None)
@given(masks())
def test_equals_pycocotools(mask: Mask) -> None:
    assert rle.encode(mask) == reference(mask)
    assert int(rle.run_lengths(mask).sum()) == mask.size[0] * mask.size[1]


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full(value: bool) -> None:
    mask = Mask.from_array(np.full((7, 5), value, np.bool_), (7, 5))
    assert rle.encode(mask) == reference(mask)
    decoded = coco.decode({"size": [7, 5], "counts": rle.encode(mask)})
    assert np.array_equal(decoded.astype(np.bool_), mask.full())


def test_a_crop_that_is_not_tight() -> None:
    crop = np.zeros((6, 4), np.bool_)
    crop[2, 1] = True
    mask = Mask((6, 9), 3, 0, crop)
    assert rle.encode(mask) == reference(mask)


def test_costs_what_its_box_costs() -> None:
    mask = ellipse((720, 1280), (640, 300), (50, 100), 20)
    assert rle.encode(mask) == reference(mask)
    best = min(_timed(mask) for _ in range(30))
    assert best < patient(1e-3)


def _timed(mask: Mask) -> float:
    start = time.perf_counter()
    rle.encode(mask)
    return time.perf_counter() - start


@settings(max_examples=400, deadline=None)
@given(masks())
def test_reads_what_it_writes(mask: Mask) -> None:
    back = rle.decode(rle.encode(mask), mask.size)
    assert (back.size, back.x, back.y) == (mask.size, mask.x, mask.y)
    assert np.array_equal(back.crop, mask.crop)


@settings(max_examples=400, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=130), max_size=12))
def test_what_is_no_encoding_is_refused(counts: str) -> None:
    """Where pycocotools gives back memory that nobody has written."""
    try:
        mask = rle.decode(counts, (6, 4))
    except ValueError:
        return
    assert mask.size == (6, 4)
    assert np.array_equal(coco.decode({"size": [6, 4], "counts": counts.encode()}).astype(np.bool_), mask.full())


@pytest.mark.parametrize("counts", ["", "04", "zzzzzz", "oooooooo0", "\u00e9", "0O3", "h"])
def test_some_that_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="run length"):
        rle.decode(counts, (10, 10))
