"""The topic ``tracks`` of a stream: the newest frame of a live one, every frame of one that ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from functools import partial

from maskcast.notices import FramePublished, Notify
from maskcast.result import Result
from sinks.messages import topics
from sinks.mqtt.client import RefusedError
from sinks.mqtt.connection import Connection, DisconnectedError
from sinks.mqtt.payload import PayloadBound

logger = logging.getLogger(__name__)


class TracksTopic:
    """Publishes the frames of one stream.

    Of a live stream the newest frame wins, with QoS 0. Of one that ends every frame counts: each is sent with QoS 1,
    again on the next connection if need be.

    Attributes:
        dropped: frames that were not sent: older than the newest, no connection, or refused.
        busy: whether a frame is being encoded or sent.
    """

    def __init__(
        self, connection: Connection, topic: str, stream: str, *, live: bool, max_payload: int, notify: Notify
    ) -> None:
        """Prepare; see `Publisher` for all but the topic.

        Raises:
            UsageError: `max_payload` is too small.
        """
        self.dropped = 0
        self.busy = False
        self._connection, self._topic, self._stream, self._live = connection, topic, stream, live
        self._notify = notify
        self._bound = PayloadBound(max_payload)
        self._frames: deque[tuple[Result, float, int]] = deque()  # the last: on which connection
        self._new, self._delivered = asyncio.Event(), asyncio.Event()
        self._dropped_tracks = 0

    @property
    def waiting(self) -> int:
        """Number of frames that are to be sent; of a source that ends, the one that is being sent too."""
        return len(self._frames)

    async def delivered(self, seconds: float) -> None:
        """Wait until no frame waits, but not for longer than some seconds."""
        self._delivered.clear()
        if self._frames:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._delivered.wait()

    def put(self, result: Result, began: float) -> None:
        """Have a frame sent, in place of those that wait.

        Args:
            result: of the frame.
            began: `time.monotonic` when it was to be written.
        """
        self.give_up()
        if self._live and not self._connection.connected.is_set():
            self.dropped += 1
            return
        self._frames.append((result, began, self._connection.reconnects))
        self._new.set()

    def give_up(self) -> None:
        """Drop what waits."""
        self.dropped += len(self._frames)
        self._frames.clear()

    async def serve(self) -> None:
        """Send until cancelled."""
        while True:
            await self._new.wait()
            self._new.clear()
            while self._frames:
                self.busy = True
                try:
                    await (self._send_newest() if self._live else self._deliver())
                finally:
                    self.busy = False

    async def _send_newest(self) -> None:
        result, began, connection = self._frames.popleft()
        if not self._connection.connected.is_set() or connection != self._connection.reconnects:
            self.dropped += 1  # an old frame is of no use to anyone later
            return
        try:
            await self._send_frame(result, began)
        except (DisconnectedError, RefusedError):
            self.dropped += 1

    async def _deliver(self) -> None:
        """Send a frame until the broker has it, or does not want it."""
        result, began, _ = self._frames[0]
        await self._connection.connected.wait()
        try:
            await self._send_frame(result, began)
        except DisconnectedError:
            return
        except RefusedError:
            self.dropped += 1
        self._frames.popleft()
        self._delivered.set()

    async def _send_frame(self, result: Result, began: float) -> None:
        encode = partial(self._bound.encode, result, self._connection.room(self._topic))
        found = await asyncio.to_thread(encode) if result.tracks else encode()
        if found.dropped_tracks and not self._dropped_tracks:
            logger.warning("%s: the smallest tracks do not fit into a message of %d bytes", self._stream, found.limit)
        self._dropped_tracks = found.dropped_tracks
        delivery = topics.TRACKS.delivery if self._live else topics.EVERY_FRAME
        await self._connection.publish(self._topic, found.payload, delivery)
        self._notify(FramePublished(result.frame, time.monotonic() - began))
