"""What has been counted at the places of a stream."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from maskcast.places import Tally
from sinks.messages.counts import Count
from sinks.messages.message import Message, PlaceName, Prompt, StreamId, Time, now, utc_time

Crossed = Annotated[
    dict[PlaceName, dict[str, dict[Prompt, Count]]],
    Field(description="How many crossed each line, by the direction's name and then by prompt."),
]
Entered = Annotated[dict[PlaceName, dict[Prompt, Count]], Field(description="How many entered each zone, by prompt.")]
Since = Annotated[Time, Field(description="From when on this was counted, UTC.")]


class TotalsMessage(Message):
    """What has been counted at lines and zones: the retained message on ``<prefix>/<stream>/totals``."""

    schema_: Annotated[Literal["maskcast.totals/1"], Field(alias="schema", description="Format and version.")]
    stream: StreamId
    lines: Crossed
    zones: Entered
    since: Since
    time: Annotated[Time, Field(description="When this was told, UTC.")]


def totals_message(stream: str, tally: Tally) -> TotalsMessage:
    """What has been counted at the places of `stream`."""
    return TotalsMessage(
        schema_="maskcast.totals/1",
        stream=stream,
        lines=crossed(tally),
        zones=entered(tally),
        since=utc_time(tally.since),
        time=now(),
    )


def crossed(tally: Tally) -> dict[str, dict[str, dict[str, int]]]:
    """As `Crossed` has it."""
    return {line: {way: dict(by) for way, by in ways.items()} for line, ways in tally.crossed.items()}


def entered(tally: Tally) -> dict[str, dict[str, int]]:
    """As `Entered` has it."""
    return {zone: dict(by) for zone, by in tally.entered.items()}
