from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskcast.mask import Box, Mask
from maskcast.result import Event, EventKind, KnownTracks, Result, Track, TrackState
from streaming.lost_tracks import MOST_LOST_TRACKS, LostTracks
from tests.frames import frame
from tests.sinks_media import ellipse

SIZE = (96, 160)
MASK = ellipse(SIZE, (60, 40), (10, 20))


def track(number: int = 1, state: TrackState = TrackState.CONFIRMED) -> Track:
    return Track(number, "person", state, 0.9, MASK)


def event(kind: EventKind, number: int = 1) -> Event:
    return Event(kind, number, "person", 0.9, MASK.bbox)


def lost(stage: LostTracks, pts: float, *tracks: Track, events: tuple[Event, ...] = ()) -> list[int]:
    result = stage.apply(Result(frame(pts=pts), tracks, events))
    assert all(one.state is TrackState.LOST and one.mask == MASK for one in result.lost)
    return [one.id for one in result.lost]


def test_a_track_is_hidden_from_its_loss_to_its_end() -> None:
    stage = LostTracks(lost_after=3.0)
    assert lost(stage, 0.0, track(1), track(2)) == []
    assert lost(stage, 0.1, track(2), events=(event(EventKind.LOST),)) == [1]
    assert lost(stage, 2.9, track(2)) == [1]
    assert lost(stage, 3.0, track(1), track(2), events=(event(EventKind.RECOVERED),)) == []
    assert lost(stage, 3.1, track(2)) == [1]
    assert lost(stage, 4.0, track(2), events=(event(EventKind.ENDED),)) == []
    assert lost(stage, 4.1) == [2]


def test_without_events_its_time_ends_it_and_a_tentative_one_is_hidden_as_long() -> None:
    stage = LostTracks(lost_after=3.0)
    lost(stage, 10.0, track(1), track(2, TrackState.TENTATIVE))
    assert lost(stage, 13.0) == [1, 2]
    assert lost(stage, 13.1) == []


def test_what_another_process_told_of_is_hidden_until_it_is_seen() -> None:
    known = KnownTracks({1: event(EventKind.LOST), 2: event(EventKind.STARTED, 2)}, 2)
    stage = LostTracks(3.0, known)
    first = stage.apply(Result(frame(pts=5.0), (track(2),)))
    assert [(one.id, one.mask.bbox) for one in first.lost] == [(1, Box(50, 20, 22, 42))]
    assert first.lost[0].mask.crop.all()
    assert [one.id for one in stage.apply(Result(frame(pts=8.0), (track(2),))).lost] == [1]
    assert [one.id for one in stage.apply(Result(frame(pts=8.1), (track(2),))).lost] == []


def test_a_picture_of_another_size_hides_the_same_place() -> None:
    stage = LostTracks()
    stage.apply(Result(frame(), (track(),)))
    result = stage.apply(Result(frame(1, np.zeros((48, 320, 3), np.uint8))))
    (found,) = result.lost
    assert found.mask.size == (48, 320)
    assert found.mask.bbox == Box(100, 10, 42, 21)


def test_it_is_bounded() -> None:
    stage = LostTracks()
    for index in range(20):
        tracks = tuple(track(1000 * index + number) for number in range(64))
        result = stage.apply(Result(frame(index), tracks))
    assert len(result.lost) == MOST_LOST_TRACKS
    assert min(one.id for one in result.lost) == 15000
    assert stage.apply(replace(result, tracks=(), frame=frame(20))).lost[-1].id == 19063


def test_a_mask_that_has_become_empty_leaves_hidden_where_it_was() -> None:
    stage = LostTracks(lost_after=3.0)
    gone = replace(track(), mask=Mask.from_array(np.zeros((1, 1), np.bool_), SIZE))
    assert lost(stage, 0.0, track()) == []
    assert lost(stage, 1.0, gone) == [1]
    assert lost(stage, 3.1, gone) == []
    assert lost(stage, 3.2, track()) == []


def test_a_box_outside_the_picture_is_no_problem() -> None:
    away = Event(EventKind.LOST, 1, "person", 0.9, Box(500, 500, 20, 20))
    stage = LostTracks(3.0, KnownTracks({1: away}, 1))
    assert [one.mask.area for one in stage.apply(Result(frame())).lost] == [0]
