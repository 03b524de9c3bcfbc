"""An MQTT client that keeps to what the broker takes, and notices what it refuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sinks.mqtt.broker import MqttVersion
from sinks.mqtt.limits import Limits, packet_size

T = TypeVar("T")

# `Connection` says what became of the connection. The library would add an error with a traceback for each answer that
# comes after its time-out, and one for each socket that breaks.
_library_logger = logging.getLogger("aiomqtt")
_library_logger.setLevel(logging.CRITICAL)

logger = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 15  # a broker that stops answering is noticed within twice that
# Bytes that are kept of a packet that the broker sends us. MQTT 5 lets us say so; from older brokers, longer ones are
# read to their end and cut off. It must hold the longest topic, 65,535, and the longest status of ours: 256 ids of
# streams with 128 characters.
LARGEST_INCOMING_BYTES = 160 << 10
READ_BYTES = 64 << 10  # at a time
MOST_TIMEOUTS = 6  # that an answer is waited for while messages arrive


class RefusedError(Exception):
    """The broker does not take a message: the acknowledgement says so, or it is known beforehand."""


class TooLargeError(RefusedError):
    """The message is larger than the broker's limit, and has not been sent."""


class ClosedError(aiomqtt.MqttError):
    """The connection is closed, and nobody will answer."""


class NoAnswerError(ClosedError):
    """The broker has closed the connection without an answer to CONNECT."""


class TimedOutError(aiomqtt.MqttError):
    """The broker has not answered in time."""


class Client(aiomqtt.Client):
    """aiomqtt's client, which sends nothing beyond the broker's limits and collects nothing beyond ours.

    aiomqtt takes every acknowledgement (PUBACK) for a success. MQTT 5, section 3.4.2.1: it refuses the message if its
    reason code is 0x80 or more. A broker of MQTT 3.1.1 has no way to refuse. aiomqtt also waits for its whole time-out
    for answers on a connection that is closed, or for the answer to CONNECT.

    Attributes:
        protocol: which version it speaks.
        limits: of the broker.
        lost: whether the connection has come to its end.
    """

    def __init__(self, *arguments: Any, protocol: MqttVersion, **options: Any) -> None:
        version = aiomqtt.ProtocolVersion.V5 if protocol == "5" else aiomqtt.ProtocolVersion.V311
        super().__init__(*arguments, protocol=version, logger=_library_logger, keepalive=KEEPALIVE_SECONDS, **options)
        self.protocol = protocol
        self.limits = Limits()
        self._window = asyncio.Semaphore(self.limits.unanswered)
        self._arrived = 0  # messages
        self._refused: dict[int, str] = {}  # by message id, until whoever sent it has been told
        self._receive = self._client._sock_recv  # noqa: SLF001
        self._client._sock_recv = self._receive_bounded  # type: ignore[assignment] # noqa: SLF001

    @property
    def lost(self) -> bool:
        return self._disconnected.done()

    async def publish(  # type: ignore[override]
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, properties: Properties | None = None
    ) -> None:
        """Publish; returns when it is written (QoS 0) or acknowledged (QoS 1).

        Raises:
            TooLargeError: it is larger than the broker allows.
            RefusedError: the broker has acknowledged it only to refuse it.
            aiomqtt.MqttError: it may not have been delivered.
        """
        if self.limits.packet is not None:
            written = b"" if self.protocol != "5" else b"\0" if properties is None else properties.pack()  # type: ignore[no-untyped-call]
            size = packet_size(topic, len(payload), qos, written)
            if size > self.limits.packet:
                raise TooLargeError(f"{size} bytes, and the broker takes {self.limits.packet} at most")
        if qos == 0:
            await super().publish(topic, payload, 0, retain, properties)
            return
        async with self._window:
            await super().publish(topic, payload, qos, retain, properties)

    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not reason_code.is_failure and not self._connected.done():
            self.limits = Limits.told(properties)
            self._window = asyncio.Semaphore(self.limits.unanswered)
            # To ping more often than the broker asks for is allowed, and shows sooner whether it is there.
            self._client._keepalive = min(KEEPALIVE_SECONDS, self.limits.keepalive or KEEPALIVE_SECONDS)  # noqa: SLF001
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Write at once what the system takes, as it nearly always does with all.

        aiomqtt would have the loop ask first whether the socket can be written to. That is two of its turns and three
        calls of the system later, and then whoever published is told by an event, on yet another task.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # CONNECT, from a thread that connects
            super()._on_socket_register_write(client, userdata, sock)
            return
        client.loop_write()
        if client.want_write() and sock.fileno() >= 0:  # else the connection broke over it, and is closed
            super()._on_socket_register_write(client, userdata, sock)

    async def _misc_loop(self) -> None:
        while self._client.loop_misc() == MQTT_ERR_SUCCESS:  # noqa: ASYNC110 - paho has no other way
            # aiomqtt's second would be too coarse for a keep alive of one or two.
            await asyncio.sleep(min(1.0, self._client.keepalive / 4))

    def _on_disconnect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self._connected.cancelled():
            return
        if not self._connected.done():
            self._connected.set_exception(NoAnswerError("the broker closed the connection without an answer"))
            self._connected.exception()  # seen, also if nobody waits
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - aiomqtt's own
        answer: asyncio.Future[Any] = asyncio.ensure_future(fut)
        limit = self.timeout if timeout is None else timeout
        either = {answer, self._disconnected}
        try:
            for _ in range(MOST_TIMEOUTS):
                arrived = self._arrived
                done, _ = await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                # Behind a flood of messages an answer comes late; a line on which nothing comes is dead.
                if done or arrived == self._arrived or answer is self._disconnected:
                    break
            if answer in done:
                return cast("T", answer.result())
        finally:
            if answer is not self._disconnected:
                answer.cancel()
        if done:
            raise ClosedError("the connection was lost") from self._disconnected.exception()
        raise TimedOutError("Operation timed out")

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure and mid in self._pending_publishes:
            self._refused[mid] = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    @contextmanager
    def _pending_call(self, mid: int, value: T, pending_dict: dict[int, T]) -> Iterator[None]:
        try:
            with super()._pending_call(mid, value, pending_dict):
                yield
        finally:
            refused = self._refused.pop(mid, None)
        if refused is not None:
            raise RefusedError(refused)

    def _receive_bounded(self, size: int) -> bytes:
        """What paho reads from the socket. It collects a packet whole, whatever its header says that it has."""
        packet = self._client._in_packet  # noqa: SLF001
        del packet["packet"][LARGEST_INCOMING_BYTES:]
        return self._receive(min(size, READ_BYTES))

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        self._arrived += 1
        size = self._client._in_packet["remaining_length"]  # noqa: SLF001
        if size > LARGEST_INCOMING_BYTES:
            logger.warning("a message of %d bytes arrives; it is cut off after %d", size, LARGEST_INCOMING_BYTES)
        super()._on_message(client, userdata, message)
