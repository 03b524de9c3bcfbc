"""Messages for which a broker breaks the connection: found out, and set aside, so that all else flows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiomqtt

from sinks.mqtt.client import Client, ClosedError, RefusedError, TooLargeError

# In a row, until a topic is set aside: fewer happen when a network fails at the wrong moment.
BREAKS = 3
RECENT_SECONDS = 5.0  # for which a broken connection may be the answer to a message
# Until a topic that was set aside is tried again; doubles.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 600.0, 86_400.0


class SetAsideError(RefusedError):
    """The broker has broken the connection again and again over messages such as this; it has not been sent."""


@dataclass(slots=True)
class _Sent:
    number: int
    at: float


@dataclass(slots=True)
class _Aside:
    size: int  # bytes of the smallest payload over which the connection broke
    until: float
    pause: float
    passed: int = -1  # bytes of the largest one that went through since


class Quarantine:
    """Watches what is sent to a broker, on one connection after the other.

    MQTT 3.1.1 has no way to refuse a message, and not every broker of MQTT 5 uses the one that there is: what is too
    large, or forbidden, breaks the connection; and since retained messages are sent again, on each connection.

    When the broker closes the connection, all topics whose last message it has not shown to have survived are under
    suspicion. On the next connection each is sent alone: what comes next waits for the proof that the broker still
    answers. So a line that breaks is never held against a topic for long, and a topic over which it breaks `BREAKS`
    times in a row is the cause. Messages of that size and more are set aside then, for ten minutes at first; smaller
    ones are tried.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is under suspicion; `clock` says seconds that never go back."""
        self._clock = clock
        self._count = 0
        self._sent: dict[str, _Sent] = {}  # the last messages that the broker has not shown to have survived
        self._suspects: dict[str, int] = {}  # how often in a row the connection broke over them
        self._aside: dict[str, _Aside] = {}
        self._alone = asyncio.Lock()

    def room(self, topic: str) -> int | None:
        """Bytes of payload with which a message on `topic` has a chance; None if nothing speaks against any size."""
        aside = self._aside.get(topic)
        if aside is None or self._clock() >= aside.until:
            return None
        return max(aside.passed, aside.size // 2)

    def due(self) -> float | None:
        """Seconds until the next topic that was set aside is to be tried again; None if there is none."""
        now = self._clock()
        return min((aside.until - now for aside in self._aside.values() if aside.until > now), default=None)

    @asynccontextmanager
    async def passage(
        self, client: Client, topic: str, size: int, prove: Callable[[], Awaitable[object]] | None = None
    ) -> AsyncIterator[None]:
        """The context in which one message is sent.

        Args:
            client: what it is sent with.
            topic: where to.
            size: bytes of its payload.
            prove: waits for any answer of the broker; None if the sending itself waits for one.

        Raises:
            SetAsideError: it must not be sent.
            ClosedError: it cannot be sent, because the connection is closed.
        """
        await self._alone.acquire()
        alone = True
        try:
            aside = self._aside.get(topic)
            if aside is not None and size >= aside.size and self._clock() < aside.until:
                raise SetAsideError(f"the connection breaks over {aside.size} bytes and more; tried again later")
            if client.lost:  # and not because of this message
                raise ClosedError("the connection was lost")
            if topic not in self._suspects and (aside is None or size <= aside.passed):
                alone = False
                self._alone.release()
            number = self._note(topic)
            try:
                yield
                if alone and prove is not None:
                    await prove()
            except aiomqtt.MqttError:
                if alone and client.lost and topic in self._sent:
                    self._convict(topic, size)
                raise
            except TooLargeError:  # not sent
                raise
            except RefusedError:  # an answer too
                self._survived(topic, size, number)
                raise
            if alone or prove is None:
                self._survived(topic, size, number)
        finally:
            if alone:
                self._alone.release()

    def ended(self, *, by_broker: bool) -> None:
        """The connection has come to its end."""
        if by_broker:
            now = self._clock()
            recent = (topic for topic, sent in self._sent.items() if now - sent.at < RECENT_SECONDS)
            self._suspects |= dict.fromkeys(recent, 1) | self._suspects
        self._sent.clear()

    def _note(self, topic: str) -> int:
        self._count += 1
        self._sent[topic] = _Sent(self._count, self._clock())
        return self._count

    def _survived(self, topic: str, size: int, number: int) -> None:
        """The broker has answered to the message `number`, so it has taken those before."""
        self._sent = {other: sent for other, sent in self._sent.items() if sent.number > number}
        self._suspects.pop(topic, None)
        aside = self._aside.get(topic)
        if aside is not None and size >= aside.size:
            del self._aside[topic]
        elif aside is not None:
            aside.passed = max(aside.passed, size)

    def _convict(self, topic: str, size: int) -> None:
        """The connection broke over this message and no other."""
        self._sent.clear()
        breaks = self._suspects.pop(topic, 0) + 1
        before = self._aside.get(topic)
        if before is None and breaks < BREAKS:
            self._suspects[topic] = breaks
            return
        pause = PAUSE_SECONDS
        if before is not None:
            pause = min(2 * before.pause, LONGEST_PAUSE_SECONDS) if size >= before.size else before.pause
            size = min(size, before.size)
        self._aside[topic] = _Aside(size, self._clock() + pause, pause)
