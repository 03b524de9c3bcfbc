"""What a run has counted at zones and lines, all streams together: a file, no message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from maskcast.places import Tally
from sinks.messages.message import Message, StreamId, Time, now, utc_time
from sinks.messages.totals import Crossed, Entered, Since, crossed, entered


class StreamSummary(BaseModel):
    """What was counted in one stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: StreamId
    lines: Crossed
    zones: Entered
    since: Since


class SummaryMessage(Message):
    """What a run has counted at zones and lines: what ``--summary`` writes."""

    schema_: Annotated[Literal["maskcast.summary/1"], Field(alias="schema", description="Format and version.")]
    streams: Annotated[list[StreamSummary], Field(description="In the order in which they were given.")]
    time: Annotated[Time, Field(description="When the run ended, UTC.")]


def summary_message(tallies: Mapping[str, Tally]) -> SummaryMessage:
    """What was counted, by stream."""
    streams = [
        StreamSummary(stream=stream, lines=crossed(tally), zones=entered(tally), since=utc_time(tally.since))
        for stream, tally in tallies.items()
    ]
    return SummaryMessage(schema_="maskcast.summary/1", streams=streams, time=now())
