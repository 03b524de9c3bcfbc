"""What a stream has left when it is not in the settings any more: taken back from the broker, deleted from the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from maskcast.errors import UsageError
from maskcast.threads import in_daemon_thread
from sinks.messages.status import StatusMessage
from sinks.mqtt.client import KEEPALIVE_SECONDS, RefusedError
from sinks.mqtt.connection import DisconnectedError
from sinks.mqtt.journal import Journal
from sinks.mqtt.process_status import ProcessStatus
from sources.location import check_stream_id
from streaming.pipeline.stopping import unless
from streaming.service.retained import Retained, RetainedStream
from streaming.track_states import remove_other_track_states, remove_track_state

logger = logging.getLogger(__name__)

# Events that are taken from the journal at a time.
BATCH_EVENTS = 16
# Until then a broker has noticed a dead line (MQTT 5, section 3.1.2.10: after one and a half times the keep alive) and
# published its last will, which would stand there for good.
WILL_SECONDS = 2.0 * KEEPALIVE_SECONDS


class Removal:
    """Removes streams: those that a reload took out, and those that went while the process was stopped.

    Events that wait are delivered first. While the broker is away, all that needs it waits; what has been left stays
    noted on disk, see `Retained`.
    """

    def __init__(self, process: ProcessStatus | None, journal: Journal, retained: Retained, track_states: Path) -> None:
        """Prepare.

        Args:
            process: over whose connection all is taken back; None without a broker.
            journal: where events wait.
            retained: what was left at the broker.
            track_states: folder of the streams' track states.
        """
        self._process, self._journal, self._retained, self._track_states = process, journal, retained, track_states

    def left_behind(self, streams: Collection[str]) -> set[str]:
        """Those that have left something at the broker or in the journal and are not among `streams`."""
        return (self._retained.streams() | self._journal.streams()) - set(streams)

    async def run(self, stream: str, recalled: asyncio.Event) -> None:
        """Remove a stream that has ended.

        Args:
            stream: its id.
            recalled: set when the stream comes back, or the process ends. What is not removed by then stays.
        """
        if not _is_id(stream):  # what a journal names need not be one
            await self._journal.forget(stream)
            return
        await self._on_disk(partial(remove_track_state, self._track_states, stream))
        process = self._process
        if process and not await _when_connected(
            process, recalled, partial(self._take_back, process, stream, recalled)
        ):
            return
        topics = self._retained.topics(stream)
        self._retained.forget(stream)
        await self._journal.forget(stream)
        logger.info("%s: what it had left is removed", stream, extra={"stream": stream})
        if process:
            await unless(recalled, asyncio.sleep(WILL_SECONDS))
            if not recalled.is_set():
                with suppress(DisconnectedError):
                    await process.withdraw(topics)

    async def clean_up(self, streams: Collection[str], stop: asyncio.Event) -> None:
        """Delete the track states of all but these streams, and take back what was left in other places.

        That is what stands under other prefixes of the broker, and where Home Assistant does not listen.
        """
        await self._on_disk(partial(remove_other_track_states, self._track_states, frozenset(streams)))
        process = self._process
        if process is None:
            return
        for one in self._retained.elsewhere():
            if await _when_connected(process, stop, partial(_take_back_elsewhere, process, one)):
                self._retained.forget_one(one)
        for stream in streams:
            topics = self._retained.stale(stream)
            if topics and await _when_connected(process, stop, partial(process.withdraw, topics)):
                self._retained.forget_stale(stream)

    async def _on_disk(self, removing: Callable[[], None]) -> None:
        try:
            await in_daemon_thread(removing, "remove track states")
        except OSError as error:
            logger.warning("%s: what streams that are gone have left cannot be deleted: %s", self._track_states, error)

    async def _take_back(self, process: ProcessStatus, stream: str, recalled: asyncio.Event) -> bool:
        """Deliver what waits, then remove what is retained; whether the broker took that."""
        while entries := await self._journal.first(stream, BATCH_EVENTS):
            for entry in entries:
                with suppress(RefusedError):  # told; it will never be delivered
                    await process.publish_event(stream, entry.payload)
            await self._journal.remove(stream, entries[-1].sequence)
            if recalled.is_set():
                return False
        return await process.withdraw(self._retained.topics(stream))


async def _take_back_elsewhere(process: ProcessStatus, one: RetainedStream) -> bool:
    """Remove what is retained under another prefix, if what stands there is of such a stream.

    Only the file says that the prefix was ever ours.
    """
    topics = one.discovery_topics(())
    status = await process.retained(one.status_topic())
    if status is not None and _is_status(status, one.stream):
        topics = [*one.topics(), one.process_topic()]
    return await process.withdraw(topics)


async def _when_connected(process: ProcessStatus, stop: asyncio.Event, action: Callable[[], Awaitable[bool]]) -> bool:
    """What `action` says, begun again whenever the connection is lost; False if `stop` is set first."""
    while True:
        await unless(stop, process.reached())
        if stop.is_set():
            return False
        with suppress(DisconnectedError):
            return await action()


def _is_status(payload: bytes, stream: str) -> bool:
    try:
        return StatusMessage.model_validate_json(payload).stream == stream
    except ValidationError:
        return False


def _is_id(stream: str) -> bool:
    try:
        check_stream_id(stream)
    except UsageError:
        return False
    return True
