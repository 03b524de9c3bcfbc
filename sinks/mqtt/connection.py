"""One connection to an MQTT broker that is made again whenever it breaks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import aiomqtt

from maskcast.backoff import Backoff
from maskcast.errors import SinkError
from sinks.messages import topics
from sinks.messages.status import ProcessMessage, StatusMessage
from sinks.messages.topics import Delivery
from sinks.mqtt.broker import BrokerAddress, MqttVersion
from sinks.mqtt.client import Client, RefusedError
from sinks.mqtt.connector import Connector, break_off
from sinks.mqtt.incoming import Incoming
from sinks.mqtt.limits import Limits
from sinks.mqtt.own_status import OwnStatus
from sinks.mqtt.sender import Sender

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0  # between attempts to connect again
STEADY_SECONDS = 10.0  # after which a connection counts as made; shorter ones lengthen the pause like failures
MOST_KEPT_TOPICS = 1_000  # retained topics of one connection


class DisconnectedError(Exception):
    """There is no connection, or it was lost before the broker answered."""


class Trial(NamedTuple):
    """What came of connecting once.

    Attributes:
        protocol: the version of MQTT that the broker speaks with us.
        limits: of the broker.
        refused: what it does not take, one phrase each.
    """

    protocol: MqttVersion
    limits: Limits
    refused: list[str]


class Connection:
    """Stays connected to the broker, with what it keeps there: a status, retained messages and subscriptions.

    Attributes:
        status: of whoever is connected.
        connected: set while messages can be sent; the retained ones have been sent by then.
        was_connected: whether it has been set since the start.
        reconnects: how often the connection was made again.
    """

    def __init__(
        self,
        address: BrokerAddress,
        stream: str | None,
        will: Callable[[], StatusMessage | ProcessMessage],
    ) -> None:
        """Prepare; `start` connects.

        Args:
            address: of the broker.
            stream: whose connection it is; None for the process's own.
            will: makes the last will, anew for each connection.
        """
        self._address = address
        kind = topics.STATUS if stream is not None else topics.PROCESS
        status_topic = kind.at(address.prefix, stream or "")
        self.status = OwnStatus(status_topic, will, partial(self.retain, delivery=kind.delivery))
        self._connector = Connector(address, stream, status_topic, kind.delivery, self.status.will)
        self.connected = asyncio.Event()
        self.was_connected = False
        self.reconnects = 0
        self._away_since: float | None = None  # while there is no connection
        self._client: Client | None = None
        self._failure: asyncio.Future[None] | None = None  # of the present connection
        self._sender = Sender(address)
        self._kept: dict[str, tuple[bytes, Delivery]] = {}
        self._fresh: dict[str, None] = {}  # topics in `_kept` to be sent, in this order
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()  # nothing kept waits to be sent
        self._topics: dict[str, Callable[[Incoming], None]] = {}
        self._unread: dict[str, None] = {}  # topics in `_topics` to be subscribed to
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.subscribe(status_topic, self.status.hear)

    async def start(self, *, required: bool) -> None:
        """Begin to connect.

        Args:
            required: wait for the first attempt, and give up if it fails.

        Raises:
            SinkError: the first attempt failed although it was required.
        """
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._away_since = time.monotonic()
        self._task = asyncio.create_task(self._stay_connected(first), name=f"mqtt {self.status.topic}")
        if not required:
            return
        try:
            await asyncio.shield(first)
        except Exception as error:
            await self.abort()
            known = self._connector.explain(error)
            what = f"cannot connect to the broker: {known.what}"
            raise SinkError(what, where=str(self._address), advice=known.advice) from error

    async def trial(self) -> Trial:
        """Connect once as after `start`, subscribe, and disconnect in good order; nothing is published.

        Raises:
            SinkError: that is not possible; without where.
        """
        try:
            async with self._connector.session() as client:
                for topic in self._topics:
                    await self._sender.subscribe(client, topic)
        except Exception as error:
            raise self._connector.explain(error) from error
        return Trial(client.protocol, client.limits, sorted(self._sender.refused))

    def retain(self, topic: str, payload: bytes, delivery: Delivery) -> None:
        """Publish `payload` retained on `topic`, as soon as possible and after each reconnect; the newest wins.

        An empty payload removes what the broker retains.
        """
        if topic not in self._kept and len(self._kept) >= MOST_KEPT_TOPICS:
            logger.error("%s: %s is one topic too many to keep up to date", self._address, topic)
            return
        self._kept[topic] = (payload, delivery)
        self._fresh.pop(topic, None)
        self._fresh[topic] = None
        self._settled.clear()
        self._changed.set()

    async def settled(self) -> None:
        """Wait until all retained messages have been sent, and answered if they are of QoS 1."""
        await self._settled.wait()

    def refuses(self, topic: str) -> bool:
        """Whether the broker does not take what is published on `topic`; each is told of once."""
        return topic in self._sender.refused

    def away(self) -> float:
        """Seconds for which there has been no connection; 0 while there is one."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    def room(self, topic: str) -> int | None:
        """Bytes of payload that a message on `topic` may have; None if any will do.

        Without a connection, those that it might have on the last one.
        """
        return self._sender.room(topic)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        delivery: Delivery,
        *,
        correlation: bytes | None = None,
    ) -> None:
        """Publish once; returns when it is written (QoS 0) or acknowledged (QoS 1).

        Args:
            topic: where to.
            payload: what; an empty one removes what the broker retains, if `delivery` says so.
            delivery: how.
            correlation: MQTT 5 correlation data.

        Raises:
            DisconnectedError: it may not have been delivered.
            RefusedError: the broker does not take it, as far as that is known; see `sinks.mqtt.client`.
        """
        client = self._client
        if client is None:
            raise DisconnectedError
        try:
            await self._sender.send(client, topic, payload, delivery, correlation)
        except aiomqtt.MqttError as error:
            self._lose(client, error)
            raise DisconnectedError from error

    def subscribe(self, topic: str, receive: Callable[[Incoming], None]) -> None:
        """Receive what is published on `topic`, as soon as possible and after each reconnect.

        Where the broker does not allow it, that is told once, and all else goes on.

        Args:
            topic: one topic, without wildcards.
            receive: is given each message; must not block.
        """
        self._topics[topic] = receive
        self._unread[topic] = None
        self._changed.set()

    async def unsubscribe(self, topic: str) -> None:
        """Receive no more of `topic`; a broker that is slow to confirm is not waited for."""
        self._topics.pop(topic, None)
        self._unread.pop(topic, None)
        client = self._client
        if client is not None:
            with suppress(aiomqtt.MqttError):
                await client.unsubscribe(topic)

    def hurry(self) -> None:
        """Try to connect without pauses, because the end is near."""
        self._hurry.set()

    async def close(self) -> None:
        """Disconnect in good order: the broker does not publish the last will."""
        await self._end()

    async def abort(self) -> None:
        """Break the connection off: the broker publishes the last will."""
        if self._client is not None:
            break_off(self._client)
        await self._end()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _stay_connected(self, first: asyncio.Future[None]) -> None:
        # Its jitter keeps a hundred streams from knocking on a restarted broker at the same moment.
        backoff, complained = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, good=STEADY_SECONDS), False
        this = asyncio.current_task()
        assert this is not None
        while not this.cancelling():  # a task group that fails in the moment of its cancellation says nothing of that
            made: float | None = None
            try:
                async with self._connector.session() as client:
                    if self.was_connected:
                        self.reconnects += 1
                        logger.warning("%s: connected again", self._address)
                    made, complained = time.monotonic(), False
                    try:
                        await self._serve(client, first)
                    finally:
                        self._sender.quarantine.ended(by_broker=client.lost)
            except Exception as error:  # noqa: BLE001 - whatever it was, nobody is there to help: try again
                if not first.done():
                    first.set_exception(error)
                    first.exception()  # seen, also if nobody waits
                if not complained:
                    reason = self._connector.explain(error, made=made is not None)
                    logger.warning("%s: no connection (%s); trying again", self._address, reason)
                complained = True
            if made is not None:
                backoff.lasted(time.monotonic() - made)
            wait = backoff.wait()
            if self._hurry.is_set():
                await asyncio.sleep(min(wait, FIRST_PAUSE_SECONDS))
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._hurry.wait()

    async def _serve(self, client: Client, first: asyncio.Future[None]) -> None:
        """Send and receive until the connection is lost."""
        self._fresh, self._unread = dict.fromkeys(self._kept), dict.fromkeys(self._topics)
        await self._catch_up(client)
        failure = self._failure = asyncio.get_running_loop().create_future()
        self._client, self._sender.limits = client, client.limits
        self.connected.set()
        self._away_since = None
        self.was_connected = True
        if not first.done():
            first.set_result(None)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(client), name=f"mqtt listen {self.status.topic}")
                group.create_task(self._keep(client), name=f"mqtt keep {self.status.topic}")
                group.create_task(self.status.correct(), name=f"mqtt correct {self.status.topic}")
                try:
                    await failure
                finally:  # before anything else is waited for
                    self.connected.clear()
                    self._away_since = time.monotonic()
                    self._client = None
        except ExceptionGroup as several:
            error = several.exceptions[0]  # the others are its consequences
            raise error from error.__cause__

    async def _listen(self, client: Client) -> None:
        """Hand on what arrives; raises when the connection is lost."""
        async for message in client.messages:
            receive = self._topics.get(str(message.topic))
            if receive is None:
                continue
            payload = message.payload if isinstance(message.payload, bytes) else b""
            correlation = getattr(message.properties, "CorrelationData", None)
            receive(Incoming(str(message.topic), payload, message.retain, correlation))

    async def _keep(self, client: Client) -> None:
        while True:
            try:
                async with asyncio.timeout(self._sender.quarantine.due()):
                    await self._changed.wait()
            except TimeoutError:  # what was set aside is tried again
                self._fresh |= dict.fromkeys(topic for topic in self._kept if topic in self._sender.refused)
            await self._catch_up(client)

    async def _catch_up(self, client: Client) -> None:
        """Send what is kept and has changed, and subscribe to what is new."""
        self._changed.clear()
        while self._fresh:
            topic = next(iter(self._fresh))
            del self._fresh[topic]
            kept = self._kept[topic]
            payload, delivery = kept
            try:
                await self._sender.send(client, topic, payload, delivery)
            except RefusedError:  # told
                continue
            if payload == b"" and self._kept.get(topic) == kept:
                del self._kept[topic]  # gone at the broker: nothing to keep
        self._settled.set()
        while self._unread:
            topic = next(iter(self._unread))
            del self._unread[topic]
            await self._sender.subscribe(client, topic)

    def _lose(self, client: Client, error: aiomqtt.MqttError) -> None:
        if client is self._client:
            self.connected.clear()  # at once: whoever was told tries again as soon as there is one
            self._client = None
            if self._failure is not None and not self._failure.done():  # the task group has not noticed yet
                self._failure.set_exception(error)
            if not client.lost:
                self._sender.quarantine.ended(by_broker=False)  # it is we who end it
                break_off(client)  # or the farewell would wait for an answer too
