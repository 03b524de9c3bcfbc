"""A broker that keeps to the letter of limits which Mosquitto cannot be told: it says them and ends who breaks them.

It forwards nothing. Section numbers are those of MQTT 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 10, 12, 14


@dataclass
class Published:
    """A message that the broker has taken."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass
class StrictBroker:
    """What it says and holds to, and what it has seen.

    Attributes:
        packet: bytes of the largest packet; told to clients of MQTT 5 only.
        tell: whether it tells its limits.
        receive_maximum, maximum_qos, retain_available, keepalive: as in CONNACK; None for not told.
        delay: seconds until an acknowledgement.
        deadly: who publishes on one of these topics is disconnected; `read TOPIC` for who subscribes.
        unreadable: topics to which a subscription is refused.
        unwilled: topics of last wills with which nobody gets in, as HiveMQ does it.
        clients: the ids of those that connected, in order.
        taken: messages, in order.
        breaches: what clients were disconnected for.
        most: messages of QoS 1 that waited for their acknowledgement at a time.
    """

    packet: int | None = None
    tell: bool = True
    receive_maximum: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    keepalive: int | None = None
    delay: float = 0.0
    deadly: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    unwilled: set[str] = field(default_factory=set)
    clients: list[str] = field(default_factory=list)
    taken: list[Published] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    most: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def of(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.taken if message.topic == topic]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            await _Session(self, reader, writer).run()
        writer.close()


class _Session:
    """One connection."""

    def __init__(self, broker: StrictBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broker, self.reader, self.writer = broker, reader, writer
        self.five = True
        self.waiting: set[int] = set()

    async def run(self) -> None:
        patience = None if self.broker.keepalive is None else 1.5 * self.broker.keepalive
        while True:
            try:
                header = await asyncio.wait_for(self.reader.readexactly(1), patience)
            except TimeoutError:
                self.end(0x8D, "keep alive")
                return
            length, size = await self.length()
            kind = header[0] >> 4
            if kind != CONNECT and self.broker.packet is not None and size + length > self.broker.packet:
                self.end(0x95, f"packet of {size + length}")
                return
            body = await self.reader.readexactly(length)
            if kind == DISCONNECT or not self.handle(kind, header[0], body):
                return

    async def length(self) -> tuple[int, int]:
        """The remaining length, and the bytes of the fixed header."""
        length = shift = 0
        size = 1
        while True:
            byte = (await self.reader.readexactly(1))[0]
            length |= (byte & 127) << shift
            shift, size = shift + 7, size + 1
            if not byte & 128:
                return length, size

    def handle(self, kind: int, first: int, body: bytes) -> bool:
        """Answer; whether the connection goes on."""
        if kind == CONNECT:
            return self.connect(body)
        if kind == PUBLISH:
            return self.publish(first, body)
        if kind == SUBSCRIBE:
            return self.subscribe(body)
        if kind == UNSUBSCRIBE:
            self.send(0xB0, body[:2] + (b"\0\x11" if self.five else b""))
        elif kind == PINGREQ:
            self.send(0xD0, b"")
        return True

    def connect(self, body: bytes) -> bool:
        self.five = body[6] == 5
        place = 10
        if self.five:
            place += 1 + body[10]
        end = place + 2 + int.from_bytes(body[place : place + 2])
        self.broker.clients.append(body[place + 2 : end].decode())
        end += 1 + body[end] if self.five else 0  # the will's properties
        will = body[end + 2 : end + 2 + int.from_bytes(body[end : end + 2])].decode()
        if will in self.broker.unwilled:
            self.send(0x20, b"\0\x87\0" if self.five else b"\0\5")
            return False
        broker, told = self.broker, b""
        if self.five and broker.tell:
            numbers = (
                (0x13, broker.keepalive, 2),
                (0x21, broker.receive_maximum, 2),
                (0x24, broker.maximum_qos, 1),
                (0x25, broker.retain_available, 1),
                (0x27, broker.packet, 4),
            )
            told = b"".join(bytes([name]) + value.to_bytes(size) for name, value, size in numbers if value is not None)
        self.send(0x20, b"\0\0" + (bytes([len(told)]) + told if self.five else b""))
        return True

    def publish(self, first: int, body: bytes) -> bool:
        end = 2 + int.from_bytes(body[:2])
        topic, qos = body[2:end].decode(), first >> 1 & 3
        if topic in self.broker.deadly:
            self.end(0x87, topic)
            return False
        if qos:
            number = int.from_bytes(body[end : end + 2])
            end += 2
            self.waiting.add(number)
            self.broker.most = max(self.broker.most, len(self.waiting))
            if self.broker.receive_maximum is not None and len(self.waiting) > self.broker.receive_maximum:
                self.end(0x93, "receive maximum")
                return False
            asyncio.get_running_loop().call_later(self.broker.delay, self.acknowledge, number)
        if self.five:
            end += 1 + body[end]
        self.broker.taken.append(Published(topic, body[end:], qos, bool(first & 1)))
        return True

    def acknowledge(self, number: int) -> None:
        self.waiting.discard(number)
        self.send(0x40, number.to_bytes(2))

    def subscribe(self, body: bytes) -> bool:
        place = 3 if self.five else 2
        topic = body[place + 2 : place + 2 + int.from_bytes(body[place : place + 2])].decode()
        if f"read {topic}" in self.broker.deadly:
            self.end(0x87, f"read {topic}")
            return False
        answer = 0x80 if topic in self.broker.unreadable else 1
        self.send(0x90, body[:2] + (b"\0" if self.five else b"") + bytes([answer]))
        return True

    def end(self, code: int, why: str) -> None:
        self.broker.breaches.append(why)
        if self.five and self.broker.tell:
            self.send(0xE0, bytes([code, 0]))

    def send(self, first: int, body: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(bytes([first, len(body)]) + body)


@asynccontextmanager
async def strict(**limits: object) -> AsyncIterator[StrictBroker]:
    """A broker that listens."""
    broker = StrictBroker(**limits)  # type: ignore[arg-type]
    async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
        broker.port = server.sockets[0].getsockname()[1]
        try:
            yield broker
        finally:
            for writer in broker.writers:
                writer.close()
