"""MQTT: each frame's tracks, the events of their lives, and whether the stream is alive. See ``docs/mqtt.md``."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import uuid
from collections import deque
from contextlib import suppress

import aiomqtt

from sinks.broker import BrokerAddress, parse_address
from sinks.messages import event_message, frame_message, status_message
from sinks.sink import Sink
from streaming.errors import SinkError
from streaming.redaction import redact
from streaming.types import Result, StreamInfo

logger = logging.getLogger(__name__)

KEEPALIVE = 15  # seconds; a broker that stops answering is noticed within twice that
TIMEOUT = 5.0  # seconds for the broker's answer to one message
FLUSH_SECONDS = 10.0  # how long `finish` tries to deliver what waits
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to connect again
TRACKS_WAITING = 32  # frames of an offline stream on their way to the broker; of a live one only the newest
EVENTS_WAITING = 10_000  # events kept while the broker is away; the oldest go first
PATIENCE = 1.0  # seconds that an offline stream waits for a slow broker before a frame is dropped


class MqttSink(Sink):
    """Publishes one stream under ``<prefix>/<stream>/``: ``tracks`` (QoS 0), ``events`` (QoS 1), ``status`` (retained).

    While the broker is away, `tracks` are dropped and counted, events wait and are delivered in order afterwards. An
    event may be delivered twice, with the same id.

    Attributes:
        dropped_frames: messages on ``tracks`` that were not sent.
        dropped_events: messages on ``events`` that did not fit into the queue.

    Raises:
        SinkError: the broker cannot be reached at the start, or not all events could be delivered by the end.
    """

    def __init__(self, url: str) -> None:
        """Publish to the broker at `url`, see `sinks.broker.parse_address`."""
        self._address: BrokerAddress = parse_address(url)
        super().__init__(str(self._address))
        self.dropped_frames = 0
        self.dropped_events = 0
        self._run = uuid.uuid4().hex
        self._sequence = 0
        self._tracks: asyncio.Queue[bytes] = asyncio.Queue(TRACKS_WAITING)
        self._events: deque[bytes] = deque()
        self._wake = asyncio.Event()  # something to send, or the end
        self._connected = asyncio.Event()
        self._stopping = asyncio.Event()
        self._reason = ""
        self._info: StreamInfo | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, info: StreamInfo) -> None:
        self._info = info
        self._task = asyncio.create_task(self._stay_connected(info), name=f"mqtt {info.stream}")
        connected = asyncio.create_task(self._connected.wait())
        await asyncio.wait((self._task, connected), return_when=asyncio.FIRST_COMPLETED)
        connected.cancel()
        if self._task.done():
            self._task.result()

    async def write(self, result: Result) -> None:
        assert self._info is not None, "start comes first"
        for event in result.events:
            if len(self._events) >= EVENTS_WAITING:
                self._events.popleft()
                self.dropped_events += 1
            self._events.append(event_message(result, event, f"{self._run}-{self._sequence}").json_bytes())
            self._sequence += 1
        self._wake.set()
        if not self._connected.is_set():
            self.dropped_frames += 1
            return
        payload = frame_message(result).json_bytes()
        if self._info.live:
            self._drop_tracks()  # the newest frame wins
        try:
            if self._tracks.full():
                await asyncio.wait_for(self._tracks.put(payload), PATIENCE)
            else:
                self._tracks.put_nowait(payload)
        except TimeoutError:
            self.dropped_frames += 1
        self._wake.set()

    async def finish(self, reason: str | None) -> None:
        task, self._task = self._task, None
        if task is None or task.done():  # never connected
            return
        self._reason = redact(reason) if reason else "end of stream"
        self._stopping.set()
        self._wake.set()
        await asyncio.wait((task,), timeout=FLUSH_SECONDS)
        delivered = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        if self.dropped_frames or self.dropped_events:
            logger.warning(
                "%s: %d frames and %d events were dropped while the broker was away or slow",
                self.name,
                self.dropped_frames,
                self.dropped_events,
            )
        if not delivered:
            raise SinkError(
                f"{self.name}: the broker could not be reached at the end; {len(self._events)} events are not delivered"
            )

    async def _stay_connected(self, info: StreamInfo) -> None:
        """Connect, send, and connect again, until told to stop and everything is sent."""
        status_topic = self._topic(info, "status")
        pause = FIRST_PAUSE
        first = True
        while True:
            try:
                async with self._client(info) as client:
                    online = status_message(info, "online").json_bytes()
                    await client.publish(status_topic, online, qos=1, retain=True)
                    if not first:
                        logger.warning("%s: connected again", self.name)
                    first, pause = False, FIRST_PAUSE
                    self._drop_tracks()  # `write` may have waited for room in the queue, and found it when it was empty
                    self._connected.set()
                    await self._serve(client, info)
                    offline = status_message(info, "offline", self._reason).json_bytes()
                    await client.publish(status_topic, offline, qos=1, retain=True)
                    return
            except aiomqtt.MqttError as error:
                if first:
                    raise SinkError(f"{self.name}: cannot connect to the broker: {redact(str(error))}") from error
                if self._connected.is_set():
                    logger.warning("%s: lost the broker (%s); trying again", self.name, redact(str(error)))
            finally:
                self._connected.clear()
            self._drop_tracks()  # old frames are of no use to anyone later
            # Jitter keeps a hundred streams from knocking on a restarted broker at the same moment.
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)
            if self._stopping.is_set():
                await asyncio.sleep(min(wait, FIRST_PAUSE))
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait)

    def _drop_tracks(self) -> None:
        while not self._tracks.empty():
            self._tracks.get_nowait()
            self.dropped_frames += 1

    def _client(self, info: StreamInfo) -> aiomqtt.Client:
        address = self._address
        will = status_message(info, "offline", "connection lost").json_bytes()
        return aiomqtt.Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=f"maskcast-{uuid.uuid4().hex[:12]}",  # at most 23 characters suit every broker
            will=aiomqtt.Will(self._topic(info, "status"), will, qos=1, retain=True),
            tls_context=ssl.create_default_context() if address.tls else None,
            keepalive=KEEPALIVE,
            timeout=TIMEOUT,
        )

    def _topic(self, info: StreamInfo, leaf: str) -> str:
        return f"{self._address.prefix}/{info.stream}/{leaf}"

    async def _serve(self, client: aiomqtt.Client, info: StreamInfo) -> None:
        """Send until all is sent after the end; raises as soon as the connection is lost."""
        sending = asyncio.create_task(self._send(client, info))
        watching = asyncio.create_task(_until_disconnected(client))
        try:
            done, _ = await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            watching.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)
        for task in done:
            task.result()

    async def _send(self, client: aiomqtt.Client, info: StreamInfo) -> None:
        events, tracks = self._topic(info, "events"), self._topic(info, "tracks")
        while True:
            self._wake.clear()
            if self._events:
                event = self._events[0]
                await client.publish(events, event, qos=1)
                # Gone only once the broker has confirmed it, unless it fell out of the full queue meanwhile.
                if self._events and self._events[0] is event:
                    self._events.popleft()
            elif not self._tracks.empty():
                await client.publish(tracks, self._tracks.get_nowait(), qos=0)
            elif self._stopping.is_set():
                return
            else:
                await self._wake.wait()


async def _until_disconnected(client: aiomqtt.Client) -> None:
    """Raise `MqttError` when the connection is lost; nothing is subscribed to, so nothing else can arrive."""
    async for _ in client.messages:
        pass
