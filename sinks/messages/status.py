"""Whether a stream is processed, and whether the process runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sinks.messages.message import Message, Prompt, StreamId, Time, now

Availability: TypeAlias = Literal["online", "offline"]
# What a last will says.
LAST_WILL_REASON = "connection lost"


class StatusMessage(Message):
    """Whether a stream is being processed: the retained message on ``<prefix>/<stream>/status``."""

    schema_: Annotated[Literal["maskcast.status/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    status: Annotated[Availability, Field(description="Whether results are being published.")]
    reason: Annotated[str | None, Field(description="Why the stream is offline; null while online.")]
    prompts: Annotated[list[Prompt], Field(description="The prompts in force.")]
    paused: Annotated[bool, Field(description="Whether processing is paused on request; the stream then stays online.")]
    time: Annotated[Time, Field(description="When this status began, UTC; in a last will: when the client connected.")]


class ProcessMessage(Message):
    """Whether the process that serves the streams runs: the retained message on ``<prefix>/status``."""

    schema_: Annotated[Literal["maskcast.process/1"], Field(alias="schema", description="Format and version.")]
    status: Annotated[Availability, Field(description="Whether the process runs and is connected.")]
    reason: Annotated[str | None, Field(description="Why the process is offline; null while online.")]
    streams: Annotated[list[StreamId], Field(description="Ids of the streams that it serves.")]
    version: Annotated[str, Field(min_length=1, description="Version of Maskcast.")]
    time: Annotated[Time, Field(description="When this status began, UTC; in a last will: when the client connected.")]


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
        time=now(),
    )


def process_message(status: Availability, reason: str | None, streams: Sequence[str]) -> ProcessMessage:
    """The status of the whole process as of now; `reason` must not hold credentials."""
    return ProcessMessage(
        schema_="maskcast.process/1",
        status=status,
        reason=reason,
        streams=list(streams),
        version=metadata.version("maskcast"),
        time=now(),
    )
