"""A stream that is published, and a subscriber that holds each message against its schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

import aiomqtt
import jsonschema

from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from sinks.messages.control import ControlMessage
from sinks.mqtt.broker import BrokerAddress, parse_address
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from tests.paths import ROOT
from tests.patience import eventually_async as until
from tests.sinks_media import frame, grey, tracks


class Listening(Protocol):
    """A broker on this machine."""

    port: int


SCHEMAS = {
    json.loads(file.read_text())["properties"]["schema"]["const"]: jsonschema.Draft202012Validator(
        json.loads(file.read_text())
    )
    for file in (ROOT / "docs" / "schema").glob("*.json")
}
PLANES = grey(180, 320)


def at(broker: Listening, **other: Any) -> BrokerAddress:
    return replace(parse_address(f"mqtt://127.0.0.1:{broker.port}/site"), **other)


def result(index: int, *, event: bool = False, count: int = 3) -> Result:
    events = (Event(EventKind.STARTED, index + 1, "person", 0.9, Box(1, 2, 3, 4)),) if event else ()
    return Result(frame(index, PLANES), tracks((180, 320), index, count), events)


class Subscriber:
    """Collects what is published, each message checked against its schema; connects again when the broker does."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any, aiomqtt.Message]] = []
        self.connected = False

    def of(self, topic: str) -> list[Any]:
        return [body for found, body, _ in self.messages if found == f"site/{topic}"]

    async def listen(self, address: dict[str, Any], topics: str) -> None:
        while True:
            try:
                async with aiomqtt.Client(**address) as client:
                    await client.subscribe(topics, qos=1)
                    self.connected = True
                    async for message in client.messages:
                        self._take(message)
            except aiomqtt.MqttError:
                self.connected = False
                await asyncio.sleep(0.02)

    def _take(self, message: aiomqtt.Message) -> None:
        topic, body = str(message.topic), bytes(message.payload or b"")  # type: ignore[arg-type]
        if topic.endswith(("/image", "/raw", "/control")):
            self.messages.append((topic, body, message))
            return
        found = json.loads(body)
        SCHEMAS[found["schema"]].validate(found)
        self.messages.append((topic, found, message))


@asynccontextmanager
async def subscriber(port: int, topics: str = "site/#") -> AsyncIterator[Subscriber]:
    found = Subscriber()
    address = {"hostname": "127.0.0.1", "port": port, "protocol": aiomqtt.ProtocolVersion.V5}
    listening = asyncio.create_task(found.listen(address, topics))
    await until(lambda: found.connected or listening.done())
    try:
        yield found
    finally:
        if listening.done():
            listening.result()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


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
    return await desk.carry_out(admitted) if isinstance(admitted, ControlMessage) else admitted
