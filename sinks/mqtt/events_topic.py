"""The topic ``events`` of a stream: from the journal to the broker, in order, at least once."""

from __future__ import annotations

import asyncio
import logging

from maskcast.result import Result
from sinks.messages import topics
from sinks.mqtt.client import RefusedError, TooLargeError
from sinks.mqtt.connection import Connection
from sinks.mqtt.journal import Journal

logger = logging.getLogger(__name__)

REFUSED_SECONDS = 5.0  # until events that the broker refused are offered again
WINDOW_EVENTS = 16  # events on their way to the broker at a time


class EventsTopic:
    """Publishes the events of one stream.

    Attributes:
        refused: whether the broker does not take them; they wait in the journal then.
    """

    def __init__(self, connection: Connection, topic: str, stream: str, journal: Journal) -> None:
        """Prepare to publish what `journal` has of `stream`."""
        self.refused = False
        self._connection, self._topic, self._stream, self._journal = connection, topic, stream, journal
        self._new = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Number of events that the broker would take."""
        return 0 if self.refused else self._journal.depth(self._stream)

    async def put(self, result: Result) -> None:
        """Journal the events of a result; they are sent as soon as there is a connection."""
        if await self._journal.append(self._stream, result):
            self._new.set()

    def look(self) -> None:
        """See whether there is something in the journal."""
        self._new.set()

    async def serve(self) -> None:
        """Send until cancelled."""
        while True:
            await self._connection.connected.wait()
            self._new.clear()
            # One that was refused is offered alone: taken together, the broker may change its mind after the first.
            entries = await self._journal.first(self._stream, 1 if self.refused else WINDOW_EVENTS)
            if not entries:
                await self._new.wait()
                continue
            # Started in order, they are written in order; one that fails takes the connection with it.
            sending = [
                self._connection.publish(self._topic, entry.payload, topics.EVENTS.delivery) for entry in entries
            ]
            outcome = await asyncio.gather(*sending, return_exceptions=True)
            # What is too large for the broker is dropped, which has been told: it will not get smaller.
            failed = next(
                (n for n, error in enumerate(outcome) if error is not None and not isinstance(error, TooLargeError)),
                len(entries),
            )
            if failed:
                await self._journal.remove(self._stream, entries[failed - 1].sequence)
            if failed == len(entries):
                self.refused = False
            elif isinstance(error := outcome[failed], RefusedError):
                if not self.refused:
                    logger.error("%s: the broker refuses events (%s); they wait in the journal", self._stream, error)
                self.refused = True
                await asyncio.sleep(REFUSED_SECONDS)
