"""What a viewer is sent, and when: credit, rate, the newest, and no nonsense."""

from __future__ import annotations

import json

import pytest

from streaming.page.viewer import (
    MOST_EVENTS,
    MOST_STREAMS,
    PICTURES_UNDER_WAY,
    QUIET_SECONDS,
    STATE_SECONDS,
    ProtocolError,
    Viewer,
)

HOSTILE = [
    "",
    "null",
    "[]",
    "1",
    "{}",
    '{"type": "watch"}',
    '{"type": "watch", "streams": []}',
    '{"type": "watch", "streams": {"door": "640"}}',
    '{"type": "watch", "streams": {"door": NaN}}',
    '{"type": "watch", "streams": {"door": Infinity}}',
    '{"type": "watch", "streams": {"door": -1}}',
    '{"type": "watch", "streams": {"door": 0}}',
    '{"type": "watch", "streams": {"door": true}}',
    '{"type": "watch", "streams": {"door": null}}',
    '{"type": "watch", "streams": {"door": 1e999}}',
    '{"type": "watch", "streams": {"door": 1' + "0" * 400 + "}}",
    '{"type": "watch", "streams": {"door": 1' + "0" * 5000 + "}}",
    '{"type": "watch", "streams": {"door": 640}, "rate": 0}',
    '{"type": "watch", "streams": {"door": 640}, "rate": "10"}',
    '{"type": "watch", "streams": {"door": 640}, "rate": NaN}',
    '{"type": "watch", "streams": {"door": 640}, "more": 1}',
    json.dumps({"type": "watch", "streams": {f"stream{n}": 640 for n in range(MOST_STREAMS + 1)}}),
    json.dumps({"type": "watch", "streams": {"n" * 1000: 640}}),
    '{"type": "drawn"}',
    '{"type": "drawn", "stream": 1}',
    '{"type": "drawn", "stream": "door"}',
    '{"type": "drawn", "stream": "door", "more": 1}',
    '{"type": "pause", "stream": "door"}',
    "[" * 4000,
    '{"a":' * 800,
]


def watching(*streams: str, rate: float = 10, width: float = 640) -> Viewer:
    viewer = Viewer()
    assert viewer.take(json.dumps({"type": "watch", "streams": dict.fromkeys(streams, width), "rate": rate}))
    return viewer


def drawn(viewer: Viewer, stream: str = "door") -> None:
    assert not viewer.take(json.dumps({"type": "drawn", "stream": stream}))


@pytest.mark.parametrize("text", HOSTILE)
def test_nonsense_is_refused_and_changes_nothing(text):
    viewer = watching("hall")
    with pytest.raises(ProtocolError) as refusal:
        viewer.take(text)
    assert len(str(refusal.value).encode()) <= 123, "it fits into the frame that closes a WebSocket"
    assert list(viewer.watched) == ["hall"]


@pytest.mark.parametrize(
    ("asked", "width"), [(1, 320), (320, 320), (320.5, 480), (700, 960), (1920, 1920), (99999, 1920)]
)
def test_widths_are_few_so_that_viewers_share_pictures(asked, width):
    assert watching("door", width=asked).ready(lambda _: 1, 0) == [("door", width)]


def test_no_more_than_two_pictures_of_a_stream_are_on_their_way():
    viewer, now = watching("door", "hall", rate=30), 0.0
    for number in range(1, 4):
        now += 1
        for name, _ in viewer.ready(lambda _: number, now):
            viewer.sent(name, number, now)
    assert viewer.ready(lambda _: 9, now + 1) == []
    assert viewer.wait(lambda _: 9, now + 1) is None, "nothing can be sent before it has drawn one"
    drawn(viewer)
    assert [name for name, _ in viewer.ready(lambda _: 9, now + 1)] == ["door"], "each stream has its own"
    viewer.sent("door", 9, now + 1)
    for _ in range(PICTURES_UNDER_WAY):
        drawn(viewer)
    with pytest.raises(ProtocolError, match="not sent"):
        drawn(viewer)


def test_credit_is_not_won_by_watching_anew():
    viewer = watching("door")
    for number in (1, 2):
        viewer.sent("door", number, number)
    viewer.take('{"type": "watch", "streams": {}}')
    viewer.take('{"type": "watch", "streams": {"door": 320}}')
    assert viewer.ready(lambda _: 3, 10) == []
    drawn(viewer)
    assert viewer.ready(lambda _: 3, 10) == [("door", 320)]


def test_who_watches_anew_is_sent_the_newest_again():
    viewer = watching("door")
    viewer.sent("door", 7, 0)
    assert viewer.ready(lambda _: 7, 10) == []
    viewer.take('{"type": "watch", "streams": {"door": 640}}')
    assert viewer.ready(lambda _: 7, 10) == [("door", 640)]


@pytest.mark.parametrize(("asked", "rate"), [(5, 5), (30, 30), (1000, 30), (0.001, 0.1)])
def test_the_rate_is_kept_on_average_and_at_most_thirty(asked, rate):
    viewer, sent = watching("door", rate=asked), 0
    seconds = 100
    for tick in range(seconds * 60):
        now = tick / 60
        if viewer.ready(lambda _: tick + 1, now):
            viewer.sent("door", tick + 1, now)
            drawn(viewer)
            sent += 1
    assert sent == pytest.approx(rate * seconds, rel=0.02, abs=2)


def test_a_picture_that_cannot_be_made_is_passed_over():
    viewer = watching("door")
    for number in range(1, 9):
        assert viewer.ready(lambda _: number, number)
        viewer.sent("door", number, number, picture=False)
        assert not viewer.ready(lambda _: number, number + 0.5), "not tried again and again"


def test_streams_take_turns():
    viewer = watching("a", "b", "c")
    viewer.sent("a", 1, 2.0)
    viewer.sent("b", 1, 1.0)
    assert [name for name, _ in viewer.ready(lambda _: 2, 9)] == ["c", "b", "a"]


def test_states_are_merged_and_told_at_most_twice_a_second():
    viewer = Viewer()
    assert viewer.wait(lambda _: 0, 0) is None
    viewer.tell_states({})
    assert [json.loads(text) for text in viewer.texts("T", 0)] == [{"type": "state", "time": "T", "streams": {}}]
    viewer.tell_states({})
    assert viewer.texts("T", STATE_SECONDS) == [], "that nothing changed is no news"
    for number in range(50):
        viewer.tell_states({"door": {"n": number}, "hall": {"n": 0}})
    viewer.tell_states({"hall": None})
    assert viewer.texts("T", STATE_SECONDS / 2) == []
    assert viewer.wait(lambda _: 0, STATE_SECONDS / 2) == pytest.approx(STATE_SECONDS / 2)
    (text,) = viewer.texts("T", STATE_SECONDS)
    assert json.loads(text)["streams"] == {"door": {"n": 49}, "hall": None}


def test_a_page_without_news_hears_that_the_line_lives():
    viewer = Viewer()
    viewer.tell_states({"door": {}})
    assert len(viewer.texts("T", 0)) == 1
    seconds = viewer.wait(lambda _: 0, 0)
    assert QUIET_SECONDS <= seconds <= QUIET_SECONDS + STATE_SECONDS
    assert viewer.texts("T", seconds - 0.01) == []
    assert json.loads(viewer.texts("T2", seconds)[0]) == {"type": "state", "time": "T2", "streams": {}}
    assert viewer.wait(lambda _: 0, seconds) == pytest.approx(seconds)


def test_events_that_nobody_takes_are_bounded():
    viewer = Viewer()
    for number in range(10 * MOST_EVENTS):
        viewer.tell_event({"id": number})
    assert viewer.wait(lambda _: 0, 0) == 0
    events = [json.loads(text) for text in viewer.texts("T", 0)]
    assert [event["id"] for event in events] == list(range(9 * MOST_EVENTS, 10 * MOST_EVENTS))
    assert events[0] == {"type": "event", "id": 9 * MOST_EVENTS}
