"""How to get in at a broker: `Connection` does it again and again, and `maskcast check` once, by the same code."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from maskcast.errors import SinkError, reason_of
from sinks.messages.topics import Delivery
from sinks.mqtt.broker import BrokerAddress, MqttVersion
from sinks.mqtt.client import LARGEST_INCOMING_BYTES, Client, ClosedError, NoAnswerError, TimedOutError
from sinks.mqtt.tls import CertificateError, tls_context

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0  # for the broker's answer to one message
ATTEMPTS = 2  # at the same time, to one broker: each that hangs holds a thread of the loop's pool
MOST_INCOMING_MESSAGES = 256  # messages that wait to be looked at; more are dropped
SOCKET_OPTIONS = (
    # Bytes that the system takes in ahead of us: what a flood can leave to work through.
    (socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10),
    # A message's last piece does not wait for the acknowledgement of the one before it (Nagle's algorithm, RFC 896).
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)

# MQTT 5, sections 3.2.2.2 and 3.14.2.1. paho gives the first where the line breaks without a word.
LOST, UNSUPPORTED_VERSION, BAD_CLIENT_ID, BAD_LOGIN, FORBIDDEN = 0x80, 0x84, 0x85, 0x86, 0x87
TAKEN_OVER, NO_RETAIN, NO_QOS = 0x8E, 0x9A, 0x9B

_UNUSABLE = {
    NO_RETAIN: "the broker keeps no retained messages, which status and counts need",
    NO_QOS: "the broker has no QoS 1, which events need to arrive at least once",
}
_LOGIN = "check username and password, and that the broker lets this user publish on {topic} (our last will)"
_CODES = {
    BAD_CLIENT_ID: "the broker does not take the client id {id}: set another client_id",
    BAD_LOGIN: _LOGIN,
    FORBIDDEN: _LOGIN,
    TAKEN_OVER: "another client has the client id {id}: give each process a client_id of its own",
}
_PEM = "PEM files are needed, the key without a pass phrase"
_HOST = "check the host's name and the network"
_CERTIFICATE = "check ca_file, cert_file, and that the broker's certificate names this host"
_NO_ANSWER = "check that this port does not want TLS, and that the broker takes retained wills of QoS 1"
_ADVICE = "check that the broker runs, its host and port, and that this port does not want TLS (mqtts://)"
_ADVICE_TLS = "check host and port, that this port speaks TLS, and whether it wants a certificate of ours (cert_file)"

_PROCESS = uuid.uuid4().hex
_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], asyncio.Semaphore]] = WeakKeyDictionary()


class UnusableError(SinkError):
    """The broker lacks something that cannot be done without."""

    def __init__(self, code: int) -> None:
        """Say what, by MQTT's reason code for it."""
        super().__init__(_UNUSABLE[code], advice="allow it, or use another broker")


def client_id(address: BrokerAddress, stream: str | None) -> str:
    """The client id of a stream, or of the process itself: the same for as long as the process lives.

    So a broker that has not noticed the end of our last connection ends it when we come back, and publishes its last
    will before, not after, what we say then.
    """
    if address.client_id is not None:
        return address.client_id if stream is None else f"{address.client_id}-{stream}"
    # Two outputs of one process may differ in nothing but the prefix. At most 23 characters suit every broker.
    exact = repr((_PROCESS, os.getpid(), address.host, address.port, address.prefix, stream))
    return f"maskcast-{hashlib.sha256(exact.encode()).hexdigest()[:14]}"


class Connector:
    """Opens connections to one broker, under one client id and with one last will."""

    def __init__(
        self,
        address: BrokerAddress,
        stream: str | None,
        will_topic: str,
        will_delivery: Delivery,
        will: Callable[[], bytes],
    ) -> None:
        """Prepare.

        Args:
            address: of the broker.
            stream: whose connection it is; None for the process's own.
            will_topic: where the broker publishes the last will.
            will_delivery: how.
            will: makes the last will, anew for each connection.
        """
        self.address = address
        self._id = client_id(address, stream)
        self._will_topic, self._will_delivery, self._will = will_topic, will_delivery, will
        self._protocol = address.protocol  # to try first

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Client]:
        """A connected client, broken off at the end if it does not disconnect in good order.

        Raises:
            UnusableError: the broker lacks something that cannot be done without.
            aiomqtt.MqttError: it cannot connect; see `explain`.
        """
        gates = _gates.setdefault(asyncio.get_running_loop(), {})
        gate = gates.setdefault((self.address.host, self.address.port), asyncio.Semaphore(ATTEMPTS))
        async with gate:
            client = await self._connect()
        try:
            _check(client)
            yield client
        finally:
            with suppress(aiomqtt.MqttError):  # what broke the connection has been told
                await client.__aexit__(None, None, None)
            _discard(client)

    async def _connect(self) -> Client:
        try:
            return await self._connect_as(self._protocol)
        except aiomqtt.MqttCodeError as error:
            code = code_of(error)
            if code in _UNUSABLE:
                raise UnusableError(code) from None
            if self._protocol != "5" or code != UNSUPPORTED_VERSION:
                raise
            logger.warning("%s does not speak MQTT 5; it is 3.1.1 from now on", self.address)
            self._protocol = "3.1.1"
        except aiomqtt.MqttError as error:
            # Some old brokers read the new version wrongly and wait for the rest, or close the connection; a sick one
            # does not answer either.
            if self._protocol != "5" or not isinstance(error, ClosedError | TimedOutError):
                raise
        return await self._connect_as("3.1.1")

    async def _connect_as(self, protocol: MqttVersion) -> Client:
        address, properties = self.address, None
        if protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = LARGEST_INCOMING_BYTES
        client = Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=self._id,
            protocol=protocol,
            tls_context=await asyncio.to_thread(tls_context, address) if address.tls else None,
            properties=properties,
            will=aiomqtt.Will(self._will_topic, self._will(), self._will_delivery.qos, self._will_delivery.retain),
            timeout=TIMEOUT_SECONDS,
            queue_type=_Inbox,
            max_queued_incoming_messages=MOST_INCOMING_MESSAGES,
            socket_options=SOCKET_OPTIONS,
        )
        client.pending_calls_threshold = 100
        try:
            await client.__aenter__()
        except BaseException:
            _discard(client)
            raise
        # It keeps why the connection ended in a future, and does not always look: asyncio would log that as an error.
        client._disconnected.add_done_callback(lambda future: future.cancelled() or future.exception())  # noqa: SLF001
        return client

    def explain(self, error: BaseException, *, made: bool = False) -> SinkError:
        """Why there is no connection, and what to do where that is known; without where.

        Args:
            error: that ended it.
            made: whether there was one.
        """
        if isinstance(error, UnusableError):
            return error
        # What the broker said is below what the library makes of it.
        cause = error.__cause__ if isinstance(error.__cause__, aiomqtt.MqttError) else error
        code = code_of(cause)
        if code == LOST or (code is None and isinstance(cause, aiomqtt.MqttCodeError)):
            what = "the connection was lost"  # noticed by the library, which has codes of its own
        elif code is None:
            what = reason_of(cause)
        else:
            what = str(getattr(cause, "rc", ""))
        advice = _CODES.get(code or 0) or (None if made or code is not None else self._advice(cause))
        return SinkError(what, advice=advice and advice.format(id=self._id, topic=self._will_topic))

    def _advice(self, error: BaseException) -> str:
        # The library keeps no more of the system's error than its text, but Python does.
        origin = error.__context__ if type(error) is aiomqtt.MqttError else error
        if isinstance(error, CertificateError):
            return _PEM
        if isinstance(origin, ssl.SSLError) and "CERTIFICATE" in (getattr(origin, "reason", None) or ""):
            return _CERTIFICATE
        if isinstance(origin, socket.gaierror):
            return _HOST
        if isinstance(error, NoAnswerError):
            return _NO_ANSWER
        return _ADVICE_TLS if self.address.tls else _ADVICE


def code_of(error: BaseException) -> int | None:
    """The reason code that the broker gave, or paho in its place; None without one."""
    code = getattr(error, "rc", None)
    return code.value if isinstance(code, ReasonCode) else None


def break_off(client: Client) -> None:
    """Cut the line under a client: it notices at once, and so does the broker."""
    sock = client._client.socket()  # noqa: SLF001
    if isinstance(sock, socket.socket):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """Drops what does not fit, without a line in the log for each."""

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if not self.full():
            super().put_nowait(item)


def _check(client: Client) -> None:
    """Refuse a broker that tells of a limit that we cannot keep to.

    Raises:
        UnusableError: which.
    """
    if not client.limits.retain:
        raise UnusableError(NO_RETAIN)
    if client.limits.qos < 1:
        raise UnusableError(NO_QOS)


def _discard(client: Client) -> None:
    """Close the socket of a client that nobody uses: after a time-out neither library does."""
    client._client._sock_close()  # noqa: SLF001
