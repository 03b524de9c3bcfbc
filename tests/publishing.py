"""A stream that is published, and a subscriber that holds each message against its schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from sinks.messages.control import AnyControlMessage
from sinks.mqtt.broker import BrokerAddress, parse_address
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from tests.sinks_media import frame, grey, tracks


class Listening(Protocol):
    """A broker on this machine."""

    port: int


PLANES = grey(180, 320)


def at(broker: Listening, **other: Any) -> BrokerAddress:
    return replace(parse_address(f"mqtt://127.0.0.1:{broker.port}/site"), **other)


def result(index: int, *, event: bool = False, count: int = 3) -> Result:
    events = (Event(EventKind.STARTED, index + 1, "person", 0.9, Box(1, 2, 3, 4)),) if event else ()
    return Result(frame(index, PLANES), tracks((180, 320), index, count), events)


@asynccontextmanager
async def publishing(address: BrokerAddress, journal: Journal | None = None, **other: Any) -> AsyncIterator[Publisher]:
    own = journal or Journal(None)
    one = Publisher(address, "door", journal=own, **other)
    await one.start(required=False)
    try:
        yield one
    finally:
        await one.close("stopped")
        if journal is None:
            await own.close()


async def answered(desk: ControlDesk, payload: bytes) -> bytes | None:
    """The reply to a request that is alone."""
    admitted = desk.admit(payload)
    return await desk.carry_out(admitted) if isinstance(admitted, AnyControlMessage) else admitted
