"""A subscriber that knows nothing of Maskcast but the schemas, and holds each message against its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.patience import patient
from tests.schemas import SCHEMAS

KEPT_SECONDS = 3600
# Levels of topics on which nothing but messages that follow a schema may travel.
OURS = ("/tracks", "/events", "/status", "/counts", "/totals", "/control/reply")


class Subscriber:
    """Collects everything under a prefix, or some of it, on a thread; connects again when the broker does.

    Attributes:
        messages: topic, content (bytes where it says of no schema that it follows it) and all the rest of each message.
        connected: whether it is subscribed now.
    """

    def __init__(
        self, port: int, prefix: str = "site", session: str | None = "listener", topics: Sequence[str] = ("#",)
    ) -> None:
        """Connect. The broker keeps for a `session` what comes while it is away."""
        self.messages: list[tuple[str, Any, paho.MQTTMessage]] = []
        self._prefix = prefix
        self._wrong: Exception | None = None
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=session or "", protocol=paho.MQTTv5)
        self._client.on_message = lambda _client, _data, message: self._take(message)
        self._client.on_connect = lambda client, *_: client.subscribe([(f"{prefix}/{topic}", 1) for topic in topics])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.reconnect_delay_set(0.02, 0.1)
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = KEPT_SECONDS if session else 0
        self._client.connect_async("127.0.0.1", port, clean_start=session is None, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(patient(10))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._complain()

    @property
    def connected(self) -> bool:
        return self._subscribed.is_set()

    def _take(self, message: paho.MQTTMessage) -> None:
        body: Any = message.payload
        with suppress(ValueError, TypeError, KeyError, RecursionError):  # a picture, or a stranger's
            found = json.loads(body)
            schema, body = SCHEMAS[found["schema"]], found
            self._wrong = self._wrong or next(schema.iter_errors(found), None)
        # What was kept there before may be a stranger's, which a test has put there.
        if body is message.payload and body and not message.retain and message.topic.endswith(OURS):
            self._wrong = self._wrong or ValueError(f"{message.topic}: {body[:200]!r}")
        self.messages.append((message.topic, body, message))

    def _complain(self) -> None:
        if self._wrong is not None:
            raise self._wrong

    def publish(self, topic: str, payload: Any) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(topic, data, 1)

    def of(self, *levels: str) -> list[Any]:
        """What came on a topic below the prefix, but for what took it back."""
        self._complain()
        topic = "/".join(level for level in (self._prefix, *levels) if level)
        return [body for got, body, _ in list(self.messages) if got == topic and body]

    def last(self, *levels: str) -> dict[str, Any]:
        found = self.of(*levels)
        return found[-1] if found else {}

    def retained(self) -> set[str]:
        """Topics of what the broker had kept, and has not taken back since."""
        newest = {topic: body for topic, body, _ in list(self.messages)}
        kept = {topic for topic, _, message in list(self.messages) if message.retain}
        return {topic for topic in kept if newest[topic]}

    def ids(self, stream: str) -> set[int]:
        """The confirmed tracks of the newest frame."""
        tracks = self.last(stream, "tracks").get("tracks", [])
        return {track["id"] for track in tracks if track["state"] == "confirmed"}


@asynccontextmanager
async def subscriber(port: int, *topics: str, prefix: str = "site") -> AsyncIterator[Subscriber]:
    """The same beside an event loop, in which the broker may run."""
    found = await asyncio.to_thread(Subscriber, port, prefix, None, topics or ("#",))
    try:
        yield found
    finally:
        await asyncio.to_thread(found.close)
