"""Events for a journal, and what is found in it afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from sinks.mqtt.journal import Journal
from tests.sinks_media import frame, grey

PLANES = grey(16, 16)


def result(index: int, *kinds: EventKind, track: int = 1, count: int = 1) -> Result:
    kinds = kinds or (EventKind.STARTED,) * count
    events = tuple(Event(kind, track + index, "person", 0.9, Box(index, 2, 3, 4)) for kind in kinds)
    return Result(frame(index, PLANES), (), events)


async def messages(journal: Journal, stream: str = "door", count: int = 1000) -> list[Any]:
    return [json.loads(entry.payload) for entry in await journal.first(stream, count)]


def frames(found: list[Any]) -> list[int]:
    return [message["frame"] for message in found]


def numbers(found: list[Any]) -> list[int]:
    return [int(message["id"].split("-")[1]) for message in found]


def damaged(folder: Path) -> list[Path]:
    return list(folder.glob("*.damaged"))
