"""One stream on MQTT: frames, events, status, counts, stills, and control."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from maskcast.errors import SinkError
from maskcast.notices import Notify, ignore
from maskcast.places import NOWHERE, Tally
from maskcast.printable import printable
from maskcast.redaction import redact
from maskcast.result import Result, TrackState
from maskcast.stream_info import StreamInfo
from maskcast.stream_status import StreamStatus
from sinks.messages import topics
from sinks.messages.counts import counts_message
from sinks.messages.status import LAST_WILL_REASON, status_message
from sinks.messages.topics import Topic
from sinks.messages.totals import totals_message
from sinks.mqtt.broker import BrokerAddress
from sinks.mqtt.connection import Connection, Trial
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.control_topic import ControlTopic
from sinks.mqtt.events_topic import EventsTopic
from sinks.mqtt.journal import Journal
from sinks.mqtt.payload import DEFAULT_PAYLOAD_BYTES
from sinks.mqtt.tracks_topic import TracksTopic
from sinks.sink import Sink

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0  # how long `close` tries to deliver what waits
LOOK_SECONDS = 1.0  # between two looks at how long the broker has been away
PUMP_SECONDS = 1.0  # until what failed unexpectedly begins again


class Publisher:
    """Publishes one stream under ``<prefix>/<stream>/``, over a connection of its own.

    Of a live stream the newest frame wins. Of one that ends every frame counts, and is waited for.

    Attributes:
        status: of the stream, as it was told last.
    """

    def __init__(
        self,
        address: BrokerAddress,
        stream: str,
        *,
        journal: Journal,
        prompts: Sequence[str] = (),
        live: bool = True,
        patience: float | None = None,
        max_payload: int = DEFAULT_PAYLOAD_BYTES,
        tally: Tally | None = None,
        control: ControlDesk | None = None,
        notify: Notify = ignore,
    ) -> None:
        """Prepare; `start` connects.

        Args:
            address: of the broker.
            stream: id of the stream.
            journal: where events wait; not closed here.
            prompts: in force at the start.
            live: the newest frame wins; otherwise every frame counts.
            patience: seconds that a stream which is not live waits for a broker that is away; None without end.
            max_payload: bytes of a message on ``tracks``, see `sinks.mqtt.payload`.
            tally: what has been counted at zones and lines; None where there are none, or nobody knows yet.
            control: answers the requests on ``control``; None to read none.
            notify: is told of each frame that was handed to the network, `FramePublished`.

        Raises:
            UsageError: `max_payload` is too small.
        """
        self.stream = stream
        self.status = StreamStatus(prompts=tuple(prompts))
        self._live, self._patience = live, patience
        self._prefix = address.prefix
        self._counts: dict[str, int] = {}
        self._zones: dict[str, dict[str, int]] | None = _empty(tally.inside) if tally else None
        self._tally = tally  # as it was told last
        self._places = tally.places if tally else None  # None before anybody has said
        self._pumping: asyncio.Task[None] | None = None
        self._broken: Exception | None = None  # why the frames of a file are not sent
        self._connection = Connection(
            address,
            stream,
            lambda: status_message(stream, "offline", LAST_WILL_REASON, prompts=self.status.prompts),
        )
        self._tracks = TracksTopic(
            self._connection, self._at(topics.TRACKS), stream, live=live, max_payload=max_payload, notify=notify
        )
        self._events = EventsTopic(self._connection, self._at(topics.EVENTS), stream, journal)
        self._control: ControlTopic | None = None
        if control is not None:
            self._control = ControlTopic(self._connection, address.prefix, stream, control)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection.connected.is_set()

    @property
    def dropped_frames(self) -> int:
        """Messages on ``tracks`` that were not sent, see `TracksTopic`."""
        return self._tracks.dropped

    @property
    def refused(self) -> list[str]:
        """What the broker does not take: frames, or events, which wait in the journal."""
        known = {"frames": self._connection.refuses(self._at(topics.TRACKS)), "events": self._events.refused}
        return [what for what, refused in known.items() if refused]

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return self._connection.reconnects

    async def start(self, *, required: bool) -> None:
        """Begin to connect and to publish, first of all the status ``online``.

        Raises:
            SinkError: `required`, and the first attempt to connect failed.
        """
        self._tell_status()
        self._counts = dict.fromkeys(self.status.prompts, 0)
        self._send_counts()
        if self._tally:
            self._send_totals(self._tally)
        await self._connection.start(required=required)
        self._pumping = asyncio.create_task(self._pump(), name=f"mqtt publish {self.stream}")

    async def _pump(self) -> None:
        pumps = {"tracks": self._tracks.serve, "events": self._events.serve}
        if self._control is not None:
            pumps["control"] = self._control.serve
        async with asyncio.TaskGroup() as group:
            for name, pump in pumps.items():
                group.create_task(self._keep_up(pump), name=f"mqtt {name} {self.stream}")

    async def _keep_up(self, pump: Callable[[], Awaitable[None]]) -> None:
        """Have `pump` work until it is cancelled; of a live stream, one that fails unexpectedly begins again."""
        this = asyncio.current_task()
        while not (this and this.cancelling()):  # a group that fails in the moment of its cancellation hides that
            try:
                await pump()
            except Exception as error:
                if not self._live:  # a file must not go on without the frame: see `ready`
                    self._broken = error
                    return
                logger.exception("%s: publishing failed unexpectedly", self.stream)
            await asyncio.sleep(PUMP_SECONDS)

    async def trial(self) -> Trial:
        """See `Connection.trial`."""
        return await self._connection.trial()

    async def note(self, result: Result) -> None:
        """Journal the events of a result; they are sent as soon as there is a connection."""
        await self._events.put(result)

    async def ready(self) -> None:
        """Wait until the last frame has been delivered; a live stream does not wait.

        Raises:
            SinkError: the broker has been away for too long.
        """
        told = False
        while self._tracks.waiting and not self._live:
            await self._tracks.delivered(LOOK_SECONDS)
            if self._broken is not None:
                raise self._broken
            away = self._connection.away()
            if self._patience is not None and away > self._patience:
                raise SinkError(f"the broker has been away for {self._patience:.0f} s: given up")
            if away and not told:
                told = True
                limit = "" if self._patience is None else f", for {self._patience:.0f} s at most"
                logger.warning("%s: waiting for the broker%s; no frame is dropped meanwhile", self.stream, limit)

    async def write(self, result: Result) -> None:
        """Publish the tracks of a frame, but not its events.

        Raises:
            SinkError: see `ready`.
        """
        began = time.monotonic()
        visible = Counter(track.prompt for track in result.tracks if track.state is TrackState.CONFIRMED)
        tally = result.tally
        if self._places not in (None, tally.places if tally else NOWHERE):
            self._tell_counts(visible, self._zones)  # it was on its way when the places changed
        elif tally is None:
            self._tell_counts(visible, None)
        else:
            self._tell_counts(visible, tally.inside)
            self.tell_totals(tally)
        await self.ready()
        self._tracks.put(result, began)

    def set_status(self, status: StreamStatus) -> None:
        """Say how the stream is; the newest wins. Credentials and control characters do not leave with its reason."""
        self.status = status
        self._tell_counts(self._visible(), self._zones)
        self._tell_status()

    def still_room(self) -> int | None:
        """Bytes that a still may have so that the broker takes it; None if any will do."""
        return self._connection.room(self._at(topics.IMAGE))

    async def publish_still(self, jpeg: bytes) -> None:
        """Publish a still, retained, on ``image``; empty to remove what the broker retains."""
        self._connection.retain(self._at(topics.IMAGE), jpeg, topics.IMAGE.delivery)

    def publish_raw(self, topic: str, payload: bytes) -> None:
        """Publish `payload`, retained, on the full `topic`, also after each reconnect; the newest wins.

        Args:
            topic: all of it, without the prefix in front.
            payload: the message; empty to remove what the broker retains.
        """
        self._connection.retain(topic, payload, topics.DISCOVERY)

    def tell_totals(self, tally: Tally) -> None:
        """Say what has been counted, if that is news; but not what was counted before totals that were told."""
        told = self._tally
        if told and (tally.since < told.since or _totals(tally) == _totals(told)):
            return
        self._tally = tally
        self._send_totals(tally)

    def tell_places(self, tally: Tally | None) -> None:
        """Say that objects are counted at other zones and lines, and what was; None where there are none any more."""
        self._places, self._tally = tally.places if tally else NOWHERE, tally
        self._tell_counts(self._visible(), tally.inside if tally else None)
        if tally:
            self._send_totals(tally)
        else:
            self._connection.retain(self._at(topics.TOTALS), b"", topics.TOTALS.delivery)

    def nothing_visible(self) -> None:
        """Say that no object is seen: the stream has been offline or paused for so long that all tracks are lost."""
        self._tell_counts(Counter(), None if self._zones is None else _empty(self._zones))

    async def close(self, reason: str | None) -> bool:
        """Deliver what waits, say ``offline``, and disconnect: within 10 seconds.

        Args:
            reason: for the status; None at the end of the stream.

        Returns:
            Whether everything was delivered that the broker takes. What remains of the events stays in the journal.
        """
        if self._pumping is None:
            await self._connection.close()
            return False
        self._connection.hurry()
        delivered = True
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._flush()
                self._connection.status.leave()
                self.set_status(StreamStatus(False, reason or "end of stream", self.status.prompts))
                await self._connection.settled()
        except TimeoutError:
            delivered = False
            self._tracks.give_up()
        self._pumping.cancel()
        await asyncio.wait([self._pumping])
        await (self._connection.close() if delivered else self._connection.abort())
        return delivered

    async def _flush(self) -> None:
        await self._connection.connected.wait()
        while self._events.waiting or self._tracks.waiting or self._tracks.busy:
            self._events.look()
            await asyncio.sleep(0.01)

    def _at(self, topic: Topic) -> str:
        return topic.at(self._prefix, self.stream)

    def _tell_status(self) -> None:
        status = self.status
        self._connection.status.say(
            status_message(
                self.stream,
                "online" if status.online else "offline",
                None if status.reason is None else printable(redact(status.reason)),
                prompts=status.prompts,
                paused=status.paused,
            )
        )

    def _visible(self) -> Counter[str]:
        """What was told last of the objects that are seen."""
        return Counter({prompt: number for prompt, number in self._counts.items() if number})

    def _tell_counts(self, visible: Counter[str], zones: Mapping[str, Mapping[str, int]] | None) -> None:
        """Publish how many objects are seen now, and in which zones, if that is news."""
        counts = {prompt: visible[prompt] for prompt in (*self.status.prompts, *sorted(visible))}
        if (counts, zones) != (self._counts, self._zones):
            self._counts = counts
            self._zones = None if zones is None else {zone: dict(inside) for zone, inside in zones.items()}
            self._send_counts()

    def _send_counts(self) -> None:
        message = counts_message(self.stream, self._counts, self._zones)
        self._connection.retain(self._at(topics.COUNTS), message.json_bytes(), topics.COUNTS.delivery)

    def _send_totals(self, tally: Tally) -> None:
        message = totals_message(self.stream, tally)
        self._connection.retain(self._at(topics.TOTALS), message.json_bytes(), topics.TOTALS.delivery)


def _empty(zones: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {zone: dict.fromkeys(inside, 0) for zone, inside in zones.items()}


def _totals(tally: Tally) -> tuple[object, ...]:
    return tally.since, tally.crossed, tally.entered


class PublisherSink(Sink):
    """Lets the pipeline write to a `Publisher` that outlives it: neither opened nor closed here."""

    def __init__(self, publisher: Publisher) -> None:
        """Write to `publisher`, which has been started."""
        super().__init__(f"mqtt {publisher.stream}")
        self._publisher = publisher

    async def start(self, info: StreamInfo) -> None:
        """Nothing to open."""

    async def note(self, result: Result) -> None:
        await self._publisher.note(result)

    async def ready(self) -> None:
        await self._publisher.ready()

    async def write(self, result: Result) -> None:
        await self._publisher.write(result)

    async def finish(self, reason: str | None) -> None:
        """Nothing to close."""
