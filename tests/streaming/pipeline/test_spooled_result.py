import math

import numpy as np
import pytest

from maskcast.mask import Box, Mask
from maskcast.result import Event, EventKind, Result, Track, TrackState
from streaming.pipeline.spooled_result import line_of, read_line
from tests.frames import frame


def result(pts=1 / 3):
    rng = np.random.default_rng(0)
    masks = [
        Mask.from_array(rng.random((20, 30)) < 0.5, (96, 160), 40, 50),
        Mask.from_array(np.ones((96, 160), bool), (96, 160)),
    ]
    tracks = (
        Track(3, "a cat", TrackState.CONFIRMED, float(np.float32(0.7)), masks[0]),
        Track(12, "größe", TrackState.TENTATIVE, 0.1 + 0.2, masks[1]),
    )
    events = (
        Event(EventKind.STARTED, 3, "a cat", float(np.float32(0.7)), Box(1.0, 2.5, 1 / 3, 4.0)),
        Event(EventKind.ENDED, 1, "größe", 0.25, Box(0.0, 0.0, 0.0, 0.0)),
    )
    return Result(frame(7, np.zeros((96, 160, 3), np.uint8), pts), tracks, events, prompts=("a cat", "größe"))


def test_a_result_comes_back_to_the_bit():
    one = result()
    line = line_of(one)
    assert line.count(b"\n") == 1
    back = read_line(line)
    assert back.fits(one.frame)
    again = back.of(one.frame, one.prompts)
    assert again.events == one.events
    assert again.prompts == one.prompts
    assert again.frame is one.frame
    for track, before in zip(again.tracks, one.tracks, strict=True):
        assert (track.id, track.prompt, track.state, track.score) == (
            before.id,
            before.prompt,
            before.state,
            before.score,
        )
        assert (track.mask.size, track.mask.x, track.mask.y) == (before.mask.size, before.mask.x, before.mask.y)
        assert np.array_equal(track.mask.crop, before.mask.crop)
    assert isinstance(again.events[0].bbox, Box)


@pytest.mark.parametrize(
    "other",
    [
        frame(8, np.zeros((96, 160, 3), np.uint8), 1 / 3),
        frame(7, np.zeros((96, 160, 3), np.uint8), math.nextafter(1 / 3, 1)),
        frame(7, np.zeros((90, 160, 3), np.uint8), 1 / 3),
    ],
)
def test_it_is_of_one_frame(other):
    assert not read_line(line_of(result())).fits(other)


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"[1,2,3,4,5]", b"1"])
def test_what_is_no_line(line):
    with pytest.raises((ValueError, TypeError)):
        read_line(line)
