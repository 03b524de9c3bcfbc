"""Events for the page's history."""

from __future__ import annotations

from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from streaming.page.kept_event import KeptEvent, kept
from tests.sinks_media import frame, grey

PLANES = grey(16, 16)


def happened(
    index: int,
    kind: EventKind = EventKind.STARTED,
    *,
    stream: str = "door",
    prompt: str = "person",
    place: str | None = None,
    count: int = 1,
) -> Result:
    events = (Event(kind, index + 1, prompt, 0.9, Box(1, 2, 3, 4), place),) * count
    return Result(frame(index, PLANES, stream=stream), (), events)


def event(number: int) -> KeptEvent:
    """One under this id."""
    result = happened(number)
    return kept(result, result.events[0], number, f"{0:032x}-{number}")
