"""What is published of the lives of tracks: events, and that some had to be dropped."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from maskcast.result import LIFE_EVENTS, Event, EventKind, Result
from sinks.messages.message import (
    BoundingBox,
    EventId,
    FrameIndex,
    Message,
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


class EventMessage(Message):
    """A change in the life of a confirmed track: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.event/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: EventId
    event: Annotated[
        EventKind,
        Field(description="What happened."),
        WithJsonSchema({"enum": [kind.value for kind in LIFE_EVENTS], "title": "Event", "type": "string"}),
    ]
    track: Annotated[TrackReference, Field(description="The track that it happened to.")]
    frame: FrameIndex
    pts: Seconds
    time: Annotated[Time, Field(description="Time of the frame that caused the event, UTC.")]
    score: Score
    bbox: Annotated[
        BoundingBox, Field(description="Where the object was last seen: left, top, width, height in pixels.")
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


def event_message(result: Result, event: Event, event_id: str) -> EventMessage:
    """The published form of one of the events that `result` carries; `event_id` is ``<32 hex digits>-<number>``."""
    return EventMessage(
        schema_="maskcast.event/1",
        stream=result.frame.stream,
        id=event_id,
        event=event.kind,
        track=TrackReference(id=event.track_id, prompt=event.prompt),
        frame=result.frame.index,
        pts=round(result.frame.pts, 6),
        time=utc_time(result.frame.captured_at),
        score=rounded_score(event.score),
        bbox=rounded_bbox(event.bbox),
    )


def shed_message(stream: str, event_id: str, count: int) -> ShedMessage:
    """That `count` events of `stream` up to `event_id` were dropped from the full journal."""
    return ShedMessage(schema_="maskcast.shed/1", stream=stream, id=event_id, count=count, time=now())
