"""One connection to an MQTT broker that is made again for ever."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from sinks.broker import BrokerAddress
from sinks.client import Client, RefusedError, make_client, wants_older
from streaming.errors import SinkError
from streaming.redaction import redact

logger = logging.getLogger(__name__)

KEEPALIVE = 15  # seconds; a broker that stops answering is noticed within twice that
TIMEOUT = 5.0  # seconds for the broker's answer to one message
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to connect again
STEADY = 10.0  # seconds after which a connection counts as made; shorter ones lengthen the pause like failures
ATTEMPTS = 2  # at the same time, to one broker: each that hangs holds a thread of the loop's pool
INCOMING = 256  # messages that wait to be looked at; more are dropped
RECEIVE_BUFFER = 64 << 10  # bytes that the system takes in ahead of us: what a flood can leave to work through
LARGEST_INCOMING = 1 << 20  # bytes of a message that the broker may send us (MQTT 5)
KEPT = 1_000  # retained topics of one connection

_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], asyncio.Semaphore]] = WeakKeyDictionary()


class DisconnectedError(Exception):
    """There is no connection, or it was lost before the broker answered."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that was received.

    Attributes:
        topic: where it was published.
        payload: its bytes.
        correlation: MQTT 5 correlation data, to be given back in a reply.
    """

    topic: str
    payload: bytes
    correlation: bytes | None


class Connection:
    """Stays connected to the broker, with what it keeps there: retained messages and subscriptions.

    Attributes:
        connected: set while messages can be sent; the retained ones have been sent by then.
        was_connected: whether it has been set since the start.
        reconnects: how often the connection was made again.
        receive: is given each message on a subscribed topic, except retained ones; must not block.
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        will_topic: str,
        will: Callable[[], bytes],
    ) -> None:
        """Prepare; `start` connects.

        Args:
            address: of the broker.
            will_topic: where the broker publishes, retained, the last will.
            will: makes the last will, anew for each connection.
        """
        self._address = address
        self.receive: Callable[[Incoming], None] | None = None
        self._will_topic, self._will = will_topic, will
        self.connected = asyncio.Event()
        self.was_connected = False
        self.reconnects = 0
        self._protocol = address.protocol  # to try first
        self._spoken = address.protocol  # on the present connection
        self._client: Client | None = None
        self._failure: asyncio.Future[None] | None = None  # of the present connection
        self._kept: dict[str, tuple[bytes, int]] = {}
        self._fresh: dict[str, None] = {}  # topics in `_kept` to be sent, in this order
        self._refused: set[str] = set()  # topics in `_kept` of which the log says that the broker refuses them
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()  # nothing kept waits to be sent
        self._topics: set[str] = set()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, *, required: bool) -> None:
        """Begin to connect.

        Args:
            required: wait for the first attempt, and give up if it fails.

        Raises:
            SinkError: the first attempt failed although it was required.
        """
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._stay_connected(first), name=f"mqtt {self._will_topic}")
        if not required:
            return
        try:
            await asyncio.shield(first)
        except Exception as error:
            await self.abort()
            detail = redact(str(error))
            raise SinkError(f"{self._address}: cannot connect to the broker: {detail}") from error

    def retain(self, topic: str, payload: bytes, *, qos: Literal[0, 1] = 1) -> None:
        """Publish `payload` retained on `topic`, as soon as possible and after each reconnect; the newest wins.

        An empty payload removes what the broker retains.
        """
        if topic not in self._kept and len(self._kept) >= KEPT:
            logger.error("%s: %s is one topic too many to keep up to date", self._address, topic)
            return
        self._kept[topic] = (payload, qos)
        self._fresh.pop(topic, None)
        self._fresh[topic] = None
        self._settled.clear()
        self._changed.set()

    async def settled(self) -> None:
        """Wait until all retained messages have been sent, and answered if they are of QoS 1."""
        await self._settled.wait()

    def refuses(self, topic: str) -> bool:
        """Whether the broker has refused what was last to be retained on `topic`."""
        return topic in self._refused

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Literal[0, 1] = 0,
        expiry: int | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publish once; returns when it is written (QoS 0) or acknowledged (QoS 1).

        Args:
            topic: where to.
            payload: what.
            qos: 0 or 1.
            expiry: seconds after which the broker need not deliver it any more (MQTT 5).
            correlation: MQTT 5 correlation data.

        Raises:
            DisconnectedError: it may not have been delivered.
            RefusedError: the broker does not take it (QoS 1 and MQTT 5 only, otherwise it cannot say so).
        """
        client = self._client
        if client is None:
            raise DisconnectedError
        properties = None
        if self._spoken == "5" and (expiry is not None or correlation is not None):
            properties = _properties(PacketTypes.PUBLISH)
            if expiry is not None:
                properties.MessageExpiryInterval = expiry
            if correlation is not None:
                properties.CorrelationData = correlation
        try:
            await client.publish(topic, payload, qos=qos, properties=properties)
        except aiomqtt.MqttError as error:
            self._lose(client, error)
            raise DisconnectedError from error

    async def subscribe(self, topic: str) -> None:
        """Receive what is published on `topic`, now and after each reconnect."""
        self._topics.add(topic)
        client = self._client
        if client is not None:
            try:
                await self._subscribe(client, topic)
            except aiomqtt.MqttError as error:
                self._lose(client, error)

    async def unsubscribe(self, topic: str) -> None:
        """Receive no more of `topic`; a broker that is slow to confirm is not waited for."""
        self._topics.discard(topic)
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
            _break_off(self._client)
        await self._end()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _stay_connected(self, first: asyncio.Future[None]) -> None:
        pause, complained = FIRST_PAUSE, False
        while True:
            made: float | None = None
            try:
                async with self._open() as client:
                    if self.was_connected:
                        self.reconnects += 1
                        logger.warning("%s: connected again", self._address)
                    made, complained = time.monotonic(), False
                    await self._serve(client, first)
            except Exception as error:  # noqa: BLE001 - whatever it was, nobody is there to help: try again
                if not first.done():
                    first.set_exception(error)
                    first.exception()  # seen, also if nobody waits
                if not complained:
                    logger.warning("%s: no connection (%s); trying again", self._address, redact(str(error)))
                complained = True
            if made is not None and time.monotonic() - made > STEADY:
                pause = FIRST_PAUSE
            # Full jitter keeps a hundred streams from knocking on a restarted broker at the same moment.
            wait = random.uniform(0, pause)  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)
            if self._hurry.is_set():
                await asyncio.sleep(min(wait, FIRST_PAUSE))
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), wait)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Client]:
        """A connected client, broken off if it does not disconnect in good order."""
        gates = _gates.setdefault(asyncio.get_running_loop(), {})
        gate = gates.setdefault((self._address.host, self._address.port), asyncio.Semaphore(ATTEMPTS))
        async with gate:
            client = await self._connect()
        try:
            yield client
        finally:
            with suppress(aiomqtt.MqttError):  # what broke the connection has been told
                await client.__aexit__(None, None, None)
            _discard(client)

    async def _connect(self) -> Client:
        try:
            return await self._connect_as(self._protocol)
        except aiomqtt.MqttCodeError as error:
            if self._protocol != "5" or not wants_older(error):
                raise
            logger.warning("%s does not speak MQTT 5; it is 3.1.1 from now on", self._address)
            self._protocol = "3.1.1"
        except aiomqtt.MqttError as error:
            # Some old brokers read the new version wrongly and wait for the rest; a sick one does not answer either.
            if self._protocol != "5" or str(error) != "Operation timed out":
                raise
        return await self._connect_as("3.1.1")

    async def _connect_as(self, protocol: Literal["5", "3.1.1"]) -> Client:
        properties = None
        if protocol == "5":
            properties = _properties(PacketTypes.CONNECT)
            properties.MaximumPacketSize = LARGEST_INCOMING
        client = await make_client(
            self._address,
            protocol,
            properties=properties,
            will=aiomqtt.Will(self._will_topic, self._will(), qos=1, retain=True),
            keepalive=KEEPALIVE,
            timeout=TIMEOUT,
            queue_type=_Inbox,
            max_queued_incoming_messages=INCOMING,
            socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)],
        )
        client.pending_calls_threshold = 100
        try:
            await client.__aenter__()
        except BaseException:
            _discard(client)
            raise
        # It keeps why the connection ended in a future, and does not always look: asyncio would log that as an error.
        client._disconnected.add_done_callback(lambda future: future.cancelled() or future.exception())  # noqa: SLF001
        self._spoken = protocol
        return client

    async def _serve(self, client: Client, first: asyncio.Future[None]) -> None:
        """Send and receive until the connection is lost."""
        self._fresh = dict.fromkeys(self._kept)
        await self._send_kept(client)
        for topic in list(self._topics):
            await self._subscribe(client, topic)
        failure = self._failure = asyncio.get_running_loop().create_future()
        self._client = client
        self.connected.set()
        self.was_connected = True
        if not first.done():
            first.set_result(None)
        tasks = [asyncio.create_task(self._listen(client)), asyncio.create_task(self._keep(client))]
        try:
            done, _ = await asyncio.wait((*tasks, failure), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.connected.clear()
            self._client = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            failure.cancel()
        for one in done:
            one.result()

    async def _listen(self, client: Client) -> None:
        """Hand on what arrives; raises when the connection is lost."""
        async for message in client.messages:
            # What the broker has kept is a command of long ago, and would be obeyed again at each reconnect.
            if self.receive is None or message.retain:
                continue
            payload = message.payload if isinstance(message.payload, bytes) else b""
            correlation = getattr(message.properties, "CorrelationData", None)
            self.receive(Incoming(str(message.topic), payload, correlation))

    async def _keep(self, client: Client) -> None:
        while True:
            await self._changed.wait()
            await self._send_kept(client)

    async def _send_kept(self, client: Client) -> None:
        self._changed.clear()
        while self._fresh:
            topic = next(iter(self._fresh))
            del self._fresh[topic]
            kept = self._kept[topic]
            try:
                await client.publish(topic, kept[0], qos=kept[1], retain=True)
            except RefusedError as error:
                if topic not in self._refused:
                    logger.error("%s: the broker refuses %s (%s)", self._address, topic, error)  # noqa: TRY400
                self._refused.add(topic)
                continue
            self._refused.discard(topic)
            if kept[0] == b"" and self._kept.get(topic) == kept:
                del self._kept[topic]  # gone at the broker: nothing to keep any more
        self._settled.set()

    async def _subscribe(self, client: Client, topic: str) -> None:
        answers = await client.subscribe(topic, qos=1)
        codes = [answer if isinstance(answer, int) else answer.value for answer in answers]
        if any(code >= 0x80 for code in codes):
            logger.error("%s: the broker refuses to let us read %s", self._address, topic)

    def _lose(self, client: Client, error: aiomqtt.MqttError) -> None:
        failure = self._failure
        if client is self._client and failure is not None and not failure.done():
            failure.set_exception(error)
            _break_off(client)  # or the farewell would wait for an answer too


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """Drops what does not fit, without a line in the log for each."""

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if not self.full():
            super().put_nowait(item)


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _break_off(client: Client) -> None:
    """Cut the line under a client: it notices at once, and so does the broker."""
    sock = client._client.socket()  # noqa: SLF001
    if isinstance(sock, socket.socket):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _discard(client: Client) -> None:
    """Close the socket of a client that is not used any more: after a time-out neither library does."""
    client._client._sock_close()  # noqa: SLF001
