from typing import get_type_hints

import numpy as np
import pytest

from maskcast import EventKind, Tracker, UsageError
from trackers.options import EngineKeywords, EngineOptions


@pytest.fixture(scope="module")
def tracker():
    return Tracker("red circle", model="nano", device="cpu")


def circle(x, y=90, radius=30):
    picture = np.full((180, 320, 3), 90, np.uint8)
    rows, columns = np.ogrid[:180, :320]
    picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = (220, 40, 40)
    return picture


def test_pictures_of_the_callers_own_are_followed(tracker):
    one = tracker.another("red circle", stream="door")
    results = [result for number in range(6) for result in one.update(circle(100 + 5 * number))]
    assert [result.frame.index for result in results] == list(range(6))
    assert [round(result.frame.pts, 2) for result in results] == [0, 0.04, 0.08, 0.12, 0.16, 0.2]
    assert {result.frame.stream for result in results} == {"door"}
    assert [[track.id for track in result.tracks] for result in results] == [[1]] * 6
    assert [event.kind for result in results for event in result.events] == [EventKind.STARTED]
    assert results[-1].tracks[0].mask.bbox.x == pytest.approx(125 - 30, abs=6)


def test_a_buffer_may_be_used_again_and_pictures_may_be_views(tracker):
    one = tracker.another("red circle")
    buffer = np.ascontiguousarray(circle(100)[..., ::-1])
    (result,) = one.update(buffer[..., ::-1])
    buffer[:] = 0
    assert result.frame.picture.rgb().max() == 220
    assert buffer.flags.writeable


def test_how_long_a_track_is_lost_is_measured_by_the_callers_clock(tracker):
    one = tracker.another("red circle")
    for number in range(4):
        one.update(circle(100), pts=100 + number / 10)
    empty = np.full((180, 320, 3), 90, np.uint8)
    events = [
        event.kind for pts in (100.4, 100.5, 110.0) for result in one.update(empty, pts) for event in result.events
    ]
    assert events == [EventKind.LOST, EventKind.ENDED]


def test_prompts_change_between_two_pictures(tracker):
    one = tracker.another("red circle")
    for _ in range(4):
        one.update(circle(100))
    (event,) = one.set_prompts(["star"])
    assert (event.kind, event.prompt) == (EventKind.ENDED, "red circle")
    (result,) = one.update(circle(100))
    assert "red circle" not in {track.prompt for track in result.tracks}


def test_what_a_hot_start_holds_back_comes_at_the_end():
    one = Tracker(["red circle"], model="nano", device="cpu", hot_start=9)
    results = [result for _ in range(12) for result in one.update(circle(100))]
    assert 0 < len(results) < 12
    assert [result.frame.index for result in (*results, *one.finish())] == list(range(12))


@pytest.mark.parametrize(
    "picture",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), "u1")],
)
def test_other_arrays_are_refused(tracker, picture):
    with pytest.raises(UsageError, match=r"\(H, W, 3\) uint8 RGB, not"):
        tracker.another("star").update(picture)


def test_times_must_increase(tracker):
    one = tracker.another("star")
    one.update(circle(100), pts=-5.0)
    for pts in (-5.0, -6.0, float("nan")):
        with pytest.raises(UsageError, match="pts must increase"):
            one.update(circle(100), pts)


@pytest.mark.parametrize("pts", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_none_does_not_spoil_the_next(tracker, pts):
    one = tracker.another("red circle")
    with pytest.raises(UsageError, match="finite"):
        one.update(circle(100), pts)
    assert one.update(circle(100), 0.0)


def test_every_option_of_the_engine_is_a_keyword():
    options, keywords = get_type_hints(EngineOptions), get_type_hints(EngineKeywords)
    assert {name: kind | None for name, kind in options.items()} == keywords
    with pytest.raises(TypeError, match="modle"):
        Tracker("star", modle="nano")
