"""The status of the whole process on MQTT, with a last will of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from maskcast.redaction import redact
from sinks.messages import topics
from sinks.messages.status import LAST_WILL_REASON, process_message
from sinks.mqtt.broker import BrokerAddress
from sinks.mqtt.client import RefusedError
from sinks.mqtt.connection import Connection, DisconnectedError, Trial
from sinks.mqtt.incoming import Incoming
from sinks.mqtt.publisher import FLUSH_SECONDS

# A broker sends what it retains right after it has confirmed a subscription.
RETAINED_SECONDS = 5.0


class ProcessStatus:
    """The status of the whole process, retained on ``<prefix>/status``, with a last will of its own."""

    def __init__(self, address: BrokerAddress) -> None:
        """Prepare; `start` connects."""
        self._prefix = address.prefix
        self._streams: tuple[str, ...] = ()
        self._connection = Connection(
            address,
            None,
            lambda: process_message("offline", LAST_WILL_REASON, self._streams),
        )

    async def start(self) -> None:
        """Begin to connect, and say ``online``."""
        await self.set_streams(self._streams)
        await self._connection.start(required=False)

    async def trial(self) -> Trial:
        """See `Connection.trial`."""
        return await self._connection.trial()

    @property
    def was_connected(self) -> bool:
        """Whether the broker has been reached since the start."""
        return self._connection.was_connected

    async def set_streams(self, streams: Sequence[str]) -> None:
        """Say which streams the process serves."""
        self._streams = tuple(streams)
        self._connection.status.say(process_message("online", None, self._streams))

    async def reached(self) -> None:
        """Wait for the broker."""
        await self._connection.connected.wait()

    async def publish_event(self, stream: str, payload: bytes) -> None:
        """Publish an event of a stream that is not served.

        Raises:
            DisconnectedError: it may not have been delivered.
            RefusedError: the broker does not take it.
        """
        await self._connection.publish(topics.EVENTS.at(self._prefix, stream), payload, topics.EVENTS.delivery)

    async def withdraw(self, names: Collection[str]) -> bool:
        """Remove what the broker retains on these topics, given in full; whether it has.

        Nothing of it is tried later, when another may have something to say there.

        Raises:
            DisconnectedError: the connection was lost.
        """
        taken = True
        for topic in names:
            try:
                await self._connection.publish(topic, b"", topics.REMOVAL)
            except RefusedError:  # told
                taken = False
        return taken

    async def retained(self, topic: str) -> bytes | None:
        """What the broker retains on a topic; None if that is nothing, or it does not tell in time.

        Raises:
            DisconnectedError: the connection was lost.
        """
        found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def receive(message: Incoming) -> None:
            if message.retained and not found.done():
                found.set_result(message.payload)

        self._connection.subscribe(topic, receive)
        try:
            async with asyncio.timeout(RETAINED_SECONDS):
                return await found
        except TimeoutError:
            if not self._connection.connected.is_set():
                raise DisconnectedError from None
            return None
        finally:
            await self._connection.unsubscribe(topic)

    async def close(self, reason: str | None = None) -> None:
        """Say ``offline``, and disconnect: within 10 seconds."""
        why = redact(reason) if reason else "stopped"
        self._connection.status.leave()
        self._connection.status.say(process_message("offline", why, self._streams))
        self._connection.hurry()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._connection.settled()
        except TimeoutError:
            await self._connection.abort()
        else:
            await self._connection.close()
