"""How many objects are visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from sinks.messages.message import Message, StreamId, Time, now


class CountsMessage(Message):
    """How many objects are visible now: the retained message on ``<prefix>/<stream>/counts``, sent when it changes."""

    schema_: Annotated[Literal["maskcast.counts/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    counts: Annotated[
        dict[str, Annotated[int, Field(ge=0)]],
        Field(description="Number of visible confirmed tracks by prompt; 0 for a prompt in force without any."),
    ]
    time: Annotated[Time, Field(description="When this was counted, UTC.")]


def counts_message(stream: str, counts: Mapping[str, int]) -> CountsMessage:
    """How many objects of each prompt are visible in `stream` now."""
    return CountsMessage(schema_="maskcast.counts/1", stream=stream, counts=dict(counts), time=now())
