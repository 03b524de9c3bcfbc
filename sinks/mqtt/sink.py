"""MQTT as a sink: tracks of each frame, events of their lives, whether the stream is alive. See ``docs/mqtt.md``."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from maskcast.errors import SinkError
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.mqtt.broker import BrokerAddress, parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from sinks.sink import Sink

logger = logging.getLogger(__name__)

MOST_EVENTS = 10_000  # events kept while the broker is away; the oldest go first
PATIENCE_SECONDS = 600.0  # that a file waits for a broker: one that is restarted or moved is back by then


class MqttSink(Sink):
    """Publishes one stream for as long as it lasts; its events wait in memory while the broker is away.

    Raises:
        SinkError: the broker cannot be reached at the start, a file has waited for it for ten minutes, or not all
            events, or frames of a file, could be delivered by the end.
    """

    def __init__(self, target: str | BrokerAddress, prompts: Sequence[str] = ()) -> None:
        """Publish to the broker at `target`, an address or its URL (see `sinks.mqtt.broker.parse_address`)."""
        self._address = parse_address(target) if isinstance(target, str) else target
        super().__init__(str(self._address))
        self._prompts = tuple(prompts)
        self._journal = Journal(None, limit=MOST_EVENTS)
        self._publisher: Publisher | None = None
        self._started = self._live = False
        self._stream = ""

    @property
    def dropped_frames(self) -> int:
        """Messages on ``tracks`` that were not sent."""
        return self._publisher.dropped_frames if self._publisher else 0

    @property
    def dropped_events(self) -> int:
        """Messages on ``events`` that did not fit into the queue."""
        return self._journal.dropped(self._stream)

    async def start(self, info: StreamInfo) -> None:
        self._stream, self._live = info.stream, info.live
        self._publisher = Publisher(
            self._address,
            info.stream,
            journal=self._journal,
            prompts=self._prompts,
            live=info.live,
            patience=PATIENCE_SECONDS,
        )
        await self._publisher.start(required=True)
        self._started = True

    async def note(self, result: Result) -> None:
        await self._require().note(result)

    async def ready(self) -> None:
        try:
            await self._require().ready()
        except SinkError as error:
            raise error.at(self.name) from None

    async def write(self, result: Result) -> None:
        await self._require().write(result)

    async def finish(self, reason: str | None) -> None:
        if not self._started:  # never connected
            await self._journal.close()
            return
        self._started = False
        publisher = self._require()
        delivered = await publisher.close(reason)
        await self._journal.close()
        if self.dropped_events or (self._live and self.dropped_frames):
            logger.warning(
                "%s: %d frames and %d events were dropped while the broker was away or slow",
                self.name,
                self.dropped_frames,
                self.dropped_events,
            )
        frames = 0 if self._live else self.dropped_frames  # of a file, each counts
        events = self._journal.depth(self._stream)
        if frames or events or not delivered:
            refused = " and ".join(publisher.refused)
            why = f"refuses {refused}" if refused else "could not be reached at the end"
            missing = f"{frames} frames and {events} events" if frames else f"{events} events"
            raise SinkError(f"the broker {why}", where=self.name, advice=f"{missing} are not delivered")

    def _require(self) -> Publisher:
        assert self._publisher is not None, "start comes first"
        return self._publisher
