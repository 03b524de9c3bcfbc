"""Events of tracks that are known only by the frames in which they are."""

from __future__ import annotations

from dataclasses import replace

from maskcast.result import TrackState
from streaming.replay.life_events import LifeEvents
from tests.sinks_media import tracks

ONE, TWO, _ = tracks((90, 160), 0)


def told(seen, last_seen, lost_after=1.0, seconds=0.5):
    """What is said of each frame, half a second apart."""
    events = LifeEvents(last_seen, lost_after)
    return [[(e.kind.value, e.track_id) for e in events.at(n, n * seconds, some)] for n, some in enumerate(seen)]


def test_a_track_that_does_not_come_back_ends_after_a_while():
    seen = [(ONE,), (ONE, TWO), (), (TWO,), (), (TWO,)]
    assert told(seen, {1: 1, 2: 5}) == [
        [("started", 1)],
        [("started", 2)],
        [("lost", 1), ("lost", 2)],
        [("recovered", 2)],
        [("ended", 1), ("lost", 2)],
        [("recovered", 2)],
    ]


def test_a_track_that_comes_back_late_is_the_same():
    seen = [(ONE,), (), (), (), (), (), (ONE,)]
    assert told(seen, {1: 6}) == [[("started", 1)], [("lost", 1)], [], [], [], [], [("recovered", 1)]]


def test_a_tentative_track_has_not_started():
    tentative = replace(ONE, state=TrackState.TENTATIVE)
    assert told([(tentative,), (), (tentative,), (ONE,)], {1: 3}) == [[], [], [], [("started", 1)]]


def test_events_say_where_it_was_last():
    events = LifeEvents({1: 0}, 1.0)
    events.at(0, 0.0, (ONE,))
    (lost,) = events.at(1, 0.5, ())
    assert (lost.prompt, lost.score, lost.bbox) == (ONE.prompt, ONE.score, ONE.mask.bbox)
