"""What is published of the lives of tracks."""

from __future__ import annotations

from typing import Any

import pytest

from maskcast.mask import Box
from maskcast.result import LIFE_EVENTS, PLACE_EVENTS, Event, EventKind, Result
from sinks.messages.event import EventMessage, event_message, shed_message
from tests.schemas import VALIDATORS, validate
from tests.sinks_media import frame, grey

ORIGIN = "0123456789abcdef0123456789abcdef"


def test_an_event_says_what_happened_to_which_track() -> None:
    event = Event(EventKind.LOST, 3, "dog", 0.123456, Box(1.26, 2, 3, 4))
    found = validate("event", event_message(Result(frame(12, grey(8, 8)), (), (event,)), event, f"{ORIGIN}-41"))
    assert (found["event"], found["track"]) == ("lost", {"id": 3, "prompt": "dog"})
    assert (found["bbox"], found["score"]) == ([1.3, 2, 3, 4], 0.1235)


def test_the_kinds_of_events_are_those_of_the_life_cycle() -> None:
    assert EventMessage.model_fields["event"].annotation is EventKind
    assert VALIDATORS["event"].schema["properties"]["event"]["enum"] == list(LIFE_EVENTS)


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        (EventKind.ENTERED, {}, ("gate", None, None, None)),
        (EventKind.DWELLED, {"seconds": 5.00049}, ("gate", None, None, 5.0)),
        (EventKind.LEFT, {"seconds": 7.25}, ("gate", None, None, 7.25)),
        (EventKind.CROSSED, {"direction": "in"}, (None, "gate", "in", None)),
    ],
)
def test_an_event_at_a_place_says_which(kind: EventKind, more: dict[str, Any], said: tuple[object, ...]) -> None:
    event = Event(kind, 3, "dog", 0.5, Box(1, 2, 3, 4), "gate", **more)
    found = validate("event2", event_message(Result(frame(12, grey(8, 8)), (), (event,)), event, f"{ORIGIN}-41"))
    assert (found["schema"], found["event"]) == ("maskcast.event/2", kind.value)
    assert (found["zone"], found["line"], found["direction"], found["seconds"]) == said


def test_the_kinds_of_events_at_places_are_the_others() -> None:
    assert VALIDATORS["event2"].schema["properties"]["event"]["enum"] == list(PLACE_EVENTS)
    assert {*LIFE_EVENTS, *PLACE_EVENTS} == set(EventKind)


def test_dropped_events_are_counted() -> None:
    shed = validate("shed", shed_message("door", f"{ORIGIN}-140", 100))
    assert (shed["schema"], shed["id"], shed["count"]) == ("maskcast.shed/1", f"{ORIGIN}-140", 100)
