"""What is published of tracks: events of their lives and at places, and that some had to be dropped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from maskcast.result import LIFE_EVENTS, PLACE_EVENTS, Event, EventKind, Result
from sinks.messages.message import (
    BoundingBox,
    EventId,
    FrameIndex,
    Message,
    PlaceName,
    Prompt,
    Score,
    Seconds,
    StreamId,
    Time,
    TrackId,
    now,
    rounded_bbox,
    rounded_score,
    utc_time,
)


class TrackReference(Message):
    """The track that an event is about."""

    id: TrackId
    prompt: Prompt


def _kinds(kinds: Iterable[EventKind]) -> WithJsonSchema:
    return WithJsonSchema({"enum": [kind.value for kind in kinds], "title": "Event", "type": "string"})


class _Event(Message):
    """What the versions share."""

    schema_: Annotated[str, Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: EventId
    event: Annotated[EventKind, Field(description="What happened.")]
    track: Annotated[TrackReference, Field(description="The track that it happened to.")]
    frame: FrameIndex
    pts: Seconds
    time: Annotated[Time, Field(description="Time of the frame that caused the event, UTC.")]
    score: Score
    bbox: Annotated[
        BoundingBox, Field(description="Where the object was last seen: left, top, width, height in pixels.")
    ]


class EventMessage(_Event):
    """A change in the life of a confirmed track: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.event/1"], Field(alias="schema", description="Format and version.")]
    event: Annotated[EventKind, Field(description="What happened."), _kinds(LIFE_EVENTS)]


class PlaceEventMessage(_Event):
    """What a confirmed track did at a zone or a line: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.event/2"], Field(alias="schema", description="Format and version.")]
    event: Annotated[EventKind, Field(description="What happened."), _kinds(PLACE_EVENTS)]
    zone: Annotated[PlaceName | None, Field(description="Which zone was entered, left or dwelled in; else null.")]
    line: Annotated[PlaceName | None, Field(description="Which line was crossed; else null.")]
    direction: Annotated[
        str | None, Field(min_length=1, description="Name of the direction in which the line was crossed; else null.")
    ]
    seconds: Annotated[
        float | None,
        Field(ge=0, description="Seconds in the zone so far, of `dwelled` and `left`; else null."),
    ]


class ShedMessage(Message):
    """Events that did not fit into the full journal and were dropped: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.shed/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: Annotated[EventId, Field(description="The id that the last of the dropped events had.")]
    count: Annotated[
        int,
        Field(ge=1, description="How many events were dropped: this number and those right before it."),
    ]
    time: Annotated[Time, Field(description="When this was found, UTC.")]


def event_message(result: Result, event: Event, event_id: str) -> EventMessage | PlaceEventMessage:
    """The published form of one of the events that `result` carries; `event_id` is ``<32 hex digits>-<number>``."""
    shared: dict[str, Any] = {
        "stream": result.frame.stream,
        "id": event_id,
        "event": event.kind,
        "track": TrackReference(id=event.track_id, prompt=event.prompt),
        "frame": result.frame.index,
        "pts": round(result.frame.pts, 6),
        "time": utc_time(result.frame.captured_at),
        "score": rounded_score(event.score),
        "bbox": rounded_bbox(event.bbox),
    }
    if event.kind in LIFE_EVENTS:
        return EventMessage(schema_="maskcast.event/1", **shared)
    crossed = event.kind is EventKind.CROSSED
    return PlaceEventMessage(
        schema_="maskcast.event/2",
        zone=None if crossed else event.place,
        line=event.place if crossed else None,
        direction=event.direction,
        seconds=None if event.seconds is None else round(max(event.seconds, 0.0), 3),
        **shared,
    )


def shed_message(stream: str, event_id: str, count: int) -> ShedMessage:
    """That `count` events of `stream` up to `event_id` were dropped from the full journal."""
    return ShedMessage(schema_="maskcast.shed/1", stream=stream, id=event_id, count=count, time=now())
