"""The published formats, version 1: what MQTT subscribers and readers of JSON Lines get.

The JSON Schemas under ``docs/schema/`` are generated from these classes by ``python -m sinks.schema``. Any change of
the fields asks for a new version, because the schemas admit no other fields.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sinks import rle
from streaming.types import Box, Event, Result, StreamInfo, Track

Score = Annotated[float, Field(ge=0, le=1, description="Confidence of the detection that last supported the track.")]
TrackId = Annotated[int, Field(ge=1, description="Id of the track; never reused within a stream.")]
Prompt = Annotated[str, Field(min_length=1, description="The phrase that the object matches.")]
BoundingBox = Annotated[
    tuple[float, float, float, float],
    Field(description="Left, top, width and height in pixels of the frame, origin at the top left corner."),
]
StreamId = Annotated[str, Field(min_length=1, description="Id of the stream.")]
FrameIndex = Annotated[int, Field(ge=0, description="0-based count of decoded frames; frames left out leave gaps.")]
Seconds = Annotated[float, Field(description="Presentation time in seconds on the clock of the medium.")]
Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        json_schema_extra={"format": "date-time"},
        description="UTC in ISO 8601, to the millisecond.",
    ),
]


class Message(BaseModel):
    """What all published objects share: nothing but the documented fields, and never NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True)

    def json_bytes(self) -> bytes:
        """The message as one line of JSON in UTF-8, without the line end."""
        return self.model_dump_json(by_alias=True).encode()


class Segmentation(Message):
    """A mask in COCO's compressed run-length encoding; ``pycocotools.mask.decode`` reads it as it is."""

    size: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
        Field(description="Height and width of the frame in pixels."),
    ]
    counts: Annotated[str, Field(min_length=1, description="Compressed run lengths, column by column.")]


class TrackMessage(Message):
    """One object in one frame."""

    id: TrackId
    prompt: Prompt
    state: Annotated[
        Literal["tentative", "confirmed"], Field(description="A tentative track may still prove to be a mistake.")
    ]
    score: Score
    bbox: BoundingBox
    area: Annotated[int, Field(ge=0, description="Number of set pixels.")]
    segmentation: Segmentation


class FrameMessage(Message):
    """All objects that are visible in one frame: a line of JSON Lines, a message on ``<prefix>/<stream>/tracks``."""

    schema_: Annotated[Literal["maskcast.frame/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    frame: FrameIndex
    pts: Seconds
    time: Annotated[Time, Field(description="When the frame was decoded (live) or is shown (offline), UTC.")]
    width: Annotated[int, Field(ge=1, description="Width of the frame in pixels.")]
    height: Annotated[int, Field(ge=1, description="Height of the frame in pixels.")]
    tracks: Annotated[list[TrackMessage], Field(description="In order of id; empty when nothing is visible.")]


class TrackReference(Message):
    """The track that an event is about."""

    id: TrackId
    prompt: Prompt


class EventMessage(Message):
    """A change in the life of a confirmed track: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.event/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{32}-\d+$",
            description="Unique per event: run and sequence number. The same id twice is the same event, sent again.",
        ),
    ]
    event: Annotated[Literal["started", "lost", "recovered", "ended"], Field(description="What happened.")]
    track: TrackReference
    frame: FrameIndex
    pts: Seconds
    time: Time
    score: Score
    bbox: Annotated[
        BoundingBox, Field(description="Where the object was last seen: left, top, width, height in pixels.")
    ]


class StatusMessage(Message):
    """Whether a stream is being processed: the retained message on ``<prefix>/<stream>/status``."""

    schema_: Annotated[Literal["maskcast.status/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    status: Annotated[Literal["online", "offline"], Field(description="Whether results are being published.")]
    reason: Annotated[str | None, Field(description="Why the stream is offline; null while online.")]
    time: Annotated[Time, Field(description="When this status began, UTC; in a last will: when the client connected.")]


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _score(score: float) -> float:
    # A score is for people and thresholds: four decimals say enough. NaN has no place in JSON; it means "no idea".
    return round(min(max(score, 0.0), 1.0), 4) if math.isfinite(score) else 0.0


def _bbox(box: Box) -> tuple[float, float, float, float]:
    return (round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1))


def _track(track: Track) -> TrackMessage:
    return TrackMessage(
        id=track.id,
        prompt=track.prompt,
        state="confirmed" if track.state == "confirmed" else "tentative",
        score=_score(track.score),
        bbox=_bbox(track.mask.bbox),
        area=track.mask.area,
        segmentation=Segmentation(size=track.mask.size, counts=rle.encode(track.mask)),
    )


def frame_message(result: Result) -> FrameMessage:
    """The published form of one frame's result."""
    frame = result.frame
    return FrameMessage(
        schema_="maskcast.frame/1",
        stream=frame.stream,
        frame=frame.index,
        pts=round(frame.pts, 6),
        time=_time(frame.captured_at),
        width=frame.picture.width,
        height=frame.picture.height,
        tracks=[_track(track) for track in result.tracks],
    )


def event_message(result: Result, event: Event, event_id: str) -> EventMessage:
    """The published form of one of the events that `result` carries; `event_id` is ``<run>-<sequence>``."""
    return EventMessage(
        schema_="maskcast.event/1",
        stream=result.frame.stream,
        id=event_id,
        event=event.kind.value,
        track=TrackReference(id=event.track_id, prompt=event.prompt),
        frame=result.frame.index,
        pts=round(result.frame.pts, 6),
        time=_time(result.frame.captured_at),
        score=_score(event.score),
        bbox=_bbox(event.bbox),
    )


def status_message(info: StreamInfo, status: Literal["online", "offline"], reason: str | None = None) -> StatusMessage:
    """The status of a stream as of now; `reason` must not hold credentials."""
    return StatusMessage(
        schema_="maskcast.status/1", stream=info.stream, status=status, reason=reason, time=_time(datetime.now(UTC))
    )
