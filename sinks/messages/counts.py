"""How many objects are visible, and how many of them are in each zone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sinks.messages.message import Message, PlaceName, Prompt, StreamId, Time, now

Count: TypeAlias = Annotated[int, Field(ge=0)]


class _Counts(Message):
    """What the versions share."""

    schema_: Annotated[str, Field(alias="schema", description="Format and version.")]
    stream: StreamId
    counts: Annotated[
        dict[str, Count],
        Field(description="Number of visible confirmed tracks by prompt; 0 for a prompt in force without any."),
    ]


class CountsMessage(_Counts):
    """How many objects are visible now: the retained message on ``<prefix>/<stream>/counts``, sent when it changes."""

    schema_: Annotated[Literal["maskcast.counts/1"], Field(alias="schema", description="Format and version.")]
    time: Annotated[Time, Field(description="When this was counted, UTC.")]


class PlaceCountsMessage(_Counts):
    """`maskcast.counts/1` with those in each zone: of a stream that has zones or lines."""

    schema_: Annotated[Literal["maskcast.counts/2"], Field(alias="schema", description="Format and version.")]
    zones: Annotated[
        dict[PlaceName, dict[Prompt, Count]],
        Field(
            description="Number of tracks in each zone by prompt, those included that were lost in it a moment ago; 0 "
            "for a prompt in force, which the zone is for, without any."
        ),
    ]
    time: Annotated[Time, Field(description="When this was counted, UTC.")]


def counts_message(
    stream: str, counts: Mapping[str, int], zones: Mapping[str, Mapping[str, int]] | None = None
) -> CountsMessage | PlaceCountsMessage:
    """How many objects of each prompt are visible in `stream` now, and in each of its `zones`, if it has places."""
    if zones is None:
        return CountsMessage(schema_="maskcast.counts/1", stream=stream, counts=dict(counts), time=now())
    return PlaceCountsMessage(
        schema_="maskcast.counts/2",
        stream=stream,
        counts=dict(counts),
        zones={zone: dict(inside) for zone, inside in zones.items()},
        time=now(),
    )
