"""Of each event a picture of its moment, where there can be one; and no more pictures than anybody looks at."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from maskcast.picture import Image
from maskcast.result import Event, EventKind, Result, Track, TrackState
from sinks.video.style import Styles
from streaming.page import history_sink as module
from streaming.page.history import History
from streaming.page.history_sink import HistorySink
from streaming.page.kept_event import EventFilter
from tests.sinks_media import ellipse, frame, grey, info

SIZE = (720, 1280)


def seen(index: int, *kinds: EventKind, size: tuple[int, int] = SIZE, pts: float | None = None) -> Result:
    """A dark picture with a white object in the middle."""
    mask = ellipse(SIZE, (640, 360), (200, 200))
    planes = grey(*SIZE, level=30)
    planes.y[mask.full()] = 235
    mask = mask if size == SIZE else ellipse(size, (20, 20), (9, 9))
    events = tuple(Event(kind, 1, "person", 0.9, mask.bbox) for kind in kinds)
    return Result(frame(index, planes, pts), (Track(1, "person", TrackState.CONFIRMED, 0.9, mask),), events)


async def pictures(
    sink: HistorySink, history: History, *results: Result, drop: frozenset[int] = frozenset()
) -> list[bytes | None]:
    """Feed a sink as the pipeline does; the pictures of the events, oldest first."""
    await sink.start(info(SIZE[1], SIZE[0], live=True))
    for result in results:
        await sink.note(result)
        if result.frame.index not in drop:
            await sink.write(replace(result))
    await sink.finish(None)
    return [history.picture(event.id) for event in reversed(history.find(EventFilter(limit=200))[0])]


def decoded(jpeg: bytes | None) -> Image:
    assert jpeg is not None
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


async def test_the_events_of_a_frame_share_a_small_picture_of_it() -> None:
    history = History(None)
    sink = HistorySink(history, "door")
    found = await pictures(sink, history, seen(0), seen(1, EventKind.STARTED, EventKind.ENTERED), seen(2))
    assert found[0] is not None
    assert found == [found[0]] * 2
    assert decoded(found[0]).shape == (270, 480, 3)
    assert decoded(found[0])[135, 240].min() > 150


async def test_what_a_style_hides_is_hidden_and_what_cannot_be_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    styles = Styles(prompts={"person": "fill"})
    history = History(None)
    (hidden,) = await pictures(HistorySink(history, "door", styles), history, seen(0, EventKind.STARTED))
    assert decoded(hidden)[135, 240].min() < 150, "the white object is one colour"
    assert np.ptp(decoded(hidden)[110:160, 220:260].reshape(-1, 3), axis=0).max() < 30

    history = History(None)
    wrong = [seen(index, EventKind.STARTED, size=(40, 40), pts=10.0 * index) for index in range(3)]
    assert await pictures(HistorySink(history, "door", styles), history, *wrong) == [None] * 3
    assert caplog.text.count("an event has no picture") == 1


async def test_a_crowd_is_a_few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 1000.0)
    history = History(None)
    sink = HistorySink(history, "door")
    found = await pictures(sink, history, *(seen(index, EventKind.STARTED) for index in range(40)))
    assert [one is not None for one in found] == [True] + [False] * 39
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    await sink.write(seen(40))
    shown = [event.picture for event in history.find(EventFilter(limit=40))[0]]
    assert len(set(shown)) == 3, "one of the first, one of the last second, none of those between"
    assert shown[:24] == [shown[0]] * 24


async def test_a_frame_that_was_dropped_gives_its_event_to_the_next_but_not_to_a_much_later_one() -> None:
    history = History(None)
    sink = HistorySink(history, "door")
    results = [seen(0, EventKind.STARTED), seen(1), seen(2, EventKind.LOST), seen(3, pts=9.0)]
    found = await pictures(sink, history, *results, drop=frozenset({0, 2}))
    assert [one is not None for one in found] == [True, False]


async def test_no_picture_is_older_than_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    history = History(None)
    sink = HistorySink(history, "door")
    first, second = seen(0, EventKind.STARTED), seen(1, EventKind.LOST)
    for result in (first, second):  # a sink that lags behind hears of events before it is given their frames
        await sink.note(result)
    await sink.write(first)
    newest, oldest = history.find(EventFilter())[0]
    assert (newest.picture, oldest.picture) == (None, oldest.id)
    await sink.write(second)
    assert [event.picture for event in history.find(EventFilter())[0]] == [newest.id, oldest.id]
