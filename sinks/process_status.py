"""The status of the whole process on MQTT, with a last will of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from sinks.broker import BrokerAddress
from sinks.connection import Connection, Trial
from sinks.messages import process_message
from sinks.publisher import FLUSH_SECONDS
from streaming.redaction import redact


class ProcessStatus:
    """The status of the whole process, retained on ``<prefix>/status``, with a last will of its own."""

    def __init__(self, address: BrokerAddress) -> None:
        """Prepare; `start` connects."""
        self._streams: tuple[str, ...] = ()
        self._connection = Connection(
            address,
            None,
            status_topic=f"{address.prefix}/status",
            will=lambda: process_message("offline", "connection lost", self._streams),
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

    async def withdraw(self, topics: Collection[str]) -> bool:
        """Remove what the broker retains on these topics, given in full, and wait for the answers; whether it has."""
        for topic in topics:
            self._connection.retain(topic, b"")
        await self._connection.settled()
        return not any(self._connection.refuses(topic) for topic in topics)

    async def close(self, reason: str | None = None) -> None:
        """Say ``offline``, and disconnect: within 10 seconds."""
        why = redact(reason) if reason else "stopped"
        self._connection.status.say(process_message("offline", why, self._streams))
        self._connection.hurry()
        try:
            await asyncio.wait_for(self._connection.settled(), FLUSH_SECONDS)
        except TimeoutError:
            await self._connection.abort()
        else:
            await self._connection.close()
