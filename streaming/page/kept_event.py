"""An event as the page keeps it, and which of them somebody asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskcast.result import Event, Result
from sinks.messages.event import event_message

LONGEST_MESSAGE_BYTES = 64 << 10  # events have 500; a prompt of 500 characters has up to 12 bytes each in JSON


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """One event.

    Attributes:
        id: goes up by one or more; milliseconds since 1970 of its arrival, so that JavaScript counts it exactly.
        stream: that it happened in.
        time: of its frame, in seconds since 1970.
        kind, prompt: what happened, and to what.
        place: name of the zone or the line; None for the life cycle.
        message: ``maskcast.event/1`` or ``/2`` in UTF-8. Its id is not the broker's: that one is given later.
        picture: id of the picture that shows it; None while there is none.
    """

    id: int
    stream: str
    time: float
    kind: str
    prompt: str
    place: str | None
    message: bytes
    picture: int | None = None

    def item(self, *, picture: bool, recording: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a browser is told, as values of JSON.

        Args:
            picture: whether there is one.
            recording: what contains it; None for nothing.
        """
        return {"id": self.id, "message": json.loads(self.message), "picture": picture, "recording": recording}


def kept(result: Result, event: Event, id_: int, message_id: str) -> KeptEvent:
    """One of the events of `result` under the ids that it is given; for `message_id` see `event_message`."""
    frame = result.frame
    return KeptEvent(
        id_,
        frame.stream,
        frame.captured_at.timestamp(),
        event.kind.value,
        event.prompt,
        event.place,
        event_message(result, event, message_id).json_bytes(),
    )


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for: the newest that match everything that is not None.

    Attributes:
        stream, prompt, kind, place: of the event.
        before: only those with a lower id.
        limit: at most so many.
    """

    stream: str | None = None
    prompt: str | None = None
    kind: str | None = None
    place: str | None = None
    before: int | None = None
    limit: int = 50

    def columns(self) -> dict[str, str]:
        """What must be equal, by the name of the column."""
        named = {"stream": self.stream, "prompt": self.prompt, "kind": self.kind, "place": self.place}
        return {name: value for name, value in named.items() if value is not None}

    def matches(self, event: KeptEvent) -> bool:
        """Whether it is one of those, leaving `limit` aside."""
        older = self.before is None or event.id < self.before
        return older and all(getattr(event, name) == value for name, value in self.columns().items())
