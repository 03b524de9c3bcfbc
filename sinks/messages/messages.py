"""The published formats: what MQTT subscribers get and what they may ask for; frames are in `sinks.messages.frame`.

The JSON Schemas under ``docs/schema/`` and the tables of ``docs/mqtt.md`` are generated from these classes by
``python -m sinks.messages.schema``. Any change of the fields asks for a new version, because the schemas admit no other
fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from maskcast.mask import Box
from maskcast.printable import UNPRINTABLE, check_printable
from maskcast.prompts import MOST_PROMPTS, clean_prompts
from maskcast.result import Event, Result

Availability: TypeAlias = Literal["online", "offline"]
Action: TypeAlias = Literal["set", "add", "remove", "pause", "resume", "snapshot"]
ACTIONS: tuple[Action, ...] = get_args(Action)
PROMPT_ACTIONS = ("set", "add", "remove")  # the actions that take prompts

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
EventId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{32}-\d+$",
        description="Unique: an origin and a number that goes up by one a message of the stream, also over restarts. "
        "The same id twice is the same message, sent again; numbers left out were shed.",
    ),
]
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


class TrackReference(Message):
    """The track that an event is about."""

    id: TrackId
    prompt: Prompt


class EventMessage(Message):
    """A change in the life of a confirmed track: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.event/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: EventId
    event: Annotated[Literal["started", "lost", "recovered", "ended"], Field(description="What happened.")]
    track: Annotated[TrackReference, Field(description="The track that it happened to.")]
    frame: FrameIndex
    pts: Seconds
    time: Annotated[Time, Field(description="Time of the frame that caused the event, UTC.")]
    score: Score
    bbox: Annotated[
        BoundingBox, Field(description="Where the object was last seen: left, top, width, height in pixels.")
    ]


class ShedMessage(Message):
    """Events that did not fit into the full spool and are lost: a message on ``<prefix>/<stream>/events``."""

    schema_: Annotated[Literal["maskcast.shed/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: Annotated[EventId, Field(description="The id that the last of the dropped events had.")]
    count: Annotated[
        int,
        Field(ge=1, description="How many events were dropped: this number and those right before it."),
    ]
    time: Annotated[Time, Field(description="When this was found, UTC.")]


class StatusMessage(Message):
    """Whether a stream is being processed: the retained message on ``<prefix>/<stream>/status``."""

    schema_: Annotated[Literal["maskcast.status/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    status: Annotated[Availability, Field(description="Whether results are being published.")]
    reason: Annotated[str | None, Field(description="Why the stream is offline; null while online.")]
    prompts: Annotated[list[Prompt], Field(description="The prompts in force.")]
    paused: Annotated[bool, Field(description="Whether processing is paused on request; the stream then stays online.")]
    time: Annotated[Time, Field(description="When this status began, UTC; in a last will: when the client connected.")]


class CountsMessage(Message):
    """How many objects are visible now: the retained message on ``<prefix>/<stream>/counts``, sent when it changes."""

    schema_: Annotated[Literal["maskcast.counts/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    counts: Annotated[
        dict[str, Annotated[int, Field(ge=0)]],
        Field(description="Number of visible confirmed tracks by prompt; 0 for a prompt in force without any."),
    ]
    time: Annotated[Time, Field(description="When this was counted, UTC.")]


class ProcessMessage(Message):
    """Whether the process that serves the streams runs: the retained message on ``<prefix>/status``."""

    schema_: Annotated[Literal["maskcast.process/1"], Field(alias="schema", description="Format and version.")]
    status: Annotated[Availability, Field(description="Whether the process runs and is connected.")]
    reason: Annotated[str | None, Field(description="Why the process is offline; null while online.")]
    streams: Annotated[list[StreamId], Field(description="Ids of the streams that it serves.")]
    version: Annotated[str, Field(min_length=1, description="Version of Maskcast.")]
    time: Annotated[Time, Field(description="When this status began, UTC; in a last will: when the client connected.")]


# These texts end up in logs and on screens. As a `not`, because `$` also matches before a final line end in some
# languages.
_PLAIN = {"not": {"pattern": UNPRINTABLE}}
ControlPrompt = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"\S", json_schema_extra=_PLAIN),
    AfterValidator(check_printable),
]
RequestId = Annotated[
    str, Field(min_length=1, max_length=64, json_schema_extra=_PLAIN), AfterValidator(check_printable)
]


def _different(prompts: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(prompts)) < len(prompts):
        raise ValueError("a prompt is given twice")
    return clean_prompts(prompts)  # what differs in blanks alone is one prompt


class ControlMessage(Message):
    """A request to a running stream, published by anyone whom the broker lets: on ``<prefix>/<stream>/control``."""

    model_config = ConfigDict(
        validate_by_name=False,  # a request says `schema`, or nothing
        validate_by_alias=True,
        json_schema_extra={
            "if": {"properties": {"action": {"enum": list(PROMPT_ACTIONS)}}},
            "then": {"required": ["prompts"]},
            "else": {"not": {"required": ["prompts"]}},
        },
    )

    schema_: Annotated[
        Literal["maskcast.control/1"], Field(alias="schema", description="Format and version; may be left out.")
    ] = "maskcast.control/1"
    action: Annotated[
        Action,
        Field(
            description="`set`, `add` or `remove` prompts; `pause`, `resume` processing; `snapshot`: publish an image."
        ),
    ]
    prompts: Annotated[
        tuple[ControlPrompt, ...],
        Field(
            default_factory=tuple,
            min_length=1,
            max_length=MOST_PROMPTS,
            json_schema_extra={"uniqueItems": True},
            description=f"The phrases, 1 to {MOST_PROMPTS} different ones of 1 to 200 characters without control or "
            "bidirectional ones; with `set`, `add` and `remove` only.",
        ),
        AfterValidator(_different),
    ]
    id: Annotated[RequestId | None, Field(description="Up to 64 characters of your choice, repeated in the reply.")] = (
        None
    )

    @model_validator(mode="after")
    def _prompts_where_they_belong(self) -> Self:
        if self.action in PROMPT_ACTIONS and not self.prompts:
            raise ValueError(f"{self.action} needs prompts")
        if self.action not in PROMPT_ACTIONS and "prompts" in self.model_fields_set:
            raise ValueError(f"{self.action} takes no prompts")
        return self


class ReplyMessage(Message):
    """The answer to requests: a message on ``<prefix>/<stream>/control/reply``."""

    schema_: Annotated[Literal["maskcast.reply/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    id: Annotated[str | None, Field(description="The request's `id`; null if it had none or could not be read.")]
    action: Annotated[Action | None, Field(description="The request's `action`; null if it could not be read.")]
    status: Annotated[Literal["accepted", "rejected"], Field(description="Whether the request was carried out.")]
    reason: Annotated[str | None, Field(description="Why it was rejected; null if accepted.")]
    prompts: Annotated[list[Prompt], Field(description="The prompts now in force.")]
    count: Annotated[
        int, Field(ge=1, description="How many requests this answers: 1, or more rejected ones under a flood.")
    ]
    time: Annotated[Time, Field(description="When the request was answered, UTC.")]


def utc_time(moment: datetime) -> str:
    """As `Time` has it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rounded_score(score: float) -> float:
    """As `Score` has it."""
    # A score is for people and thresholds: four decimals say enough. NaN has no place in JSON; it means "no idea".
    return round(min(max(score, 0.0), 1.0), 4) if math.isfinite(score) else 0.0


def rounded_bbox(box: Box) -> tuple[float, float, float, float]:
    """As `BoundingBox` has it."""
    return (round(box.x, 1), round(box.y, 1), round(box.width, 1), round(box.height, 1))


def _now() -> str:
    return utc_time(datetime.now(UTC))


def event_message(result: Result, event: Event, event_id: str) -> EventMessage:
    """The published form of one of the events that `result` carries; `event_id` is ``<32 hex digits>-<number>``."""
    return EventMessage(
        schema_="maskcast.event/1",
        stream=result.frame.stream,
        id=event_id,
        event=event.kind.value,
        track=TrackReference(id=event.track_id, prompt=event.prompt),
        frame=result.frame.index,
        pts=round(result.frame.pts, 6),
        time=utc_time(result.frame.captured_at),
        score=rounded_score(event.score),
        bbox=rounded_bbox(event.bbox),
    )


def shed_message(stream: str, event_id: str, count: int) -> ShedMessage:
    """That `count` events of `stream` up to `event_id` were dropped from the full spool."""
    return ShedMessage(schema_="maskcast.shed/1", stream=stream, id=event_id, count=count, time=_now())


def status_message(
    stream: str,
    status: Availability,
    reason: str | None = None,
    *,
    prompts: Sequence[str] = (),
    paused: bool = False,
) -> StatusMessage:
    """The status of a stream as of now; `reason` must not hold credentials."""
    return StatusMessage(
        schema_="maskcast.status/1",
        stream=stream,
        status=status,
        reason=reason,
        prompts=list(prompts),
        paused=paused,
        time=_now(),
    )


def counts_message(stream: str, counts: Mapping[str, int]) -> CountsMessage:
    """How many objects of each prompt are visible in `stream` now."""
    return CountsMessage(schema_="maskcast.counts/1", stream=stream, counts=dict(counts), time=_now())


def process_message(status: Availability, reason: str | None, streams: Sequence[str]) -> ProcessMessage:
    """The status of the whole process as of now; `reason` must not hold credentials."""
    return ProcessMessage(
        schema_="maskcast.process/1",
        status=status,
        reason=reason,
        streams=list(streams),
        version=metadata.version("maskcast"),
        time=_now(),
    )


def reply_message(
    stream: str,
    request: ControlMessage | None,
    reason: str | None,
    prompts: Sequence[str],
    count: int = 1,
) -> ReplyMessage:
    """The answer to `request` (None if it could not be read): accepted without a `reason`, rejected with one."""
    return ReplyMessage(
        schema_="maskcast.reply/1",
        stream=stream,
        id=request.id if request else None,
        action=request.action if request else None,
        status="accepted" if reason is None else "rejected",
        reason=reason,
        prompts=list(prompts),
        count=count,
        time=_now(),
    )
