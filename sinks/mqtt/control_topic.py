"""The topic ``control`` of a stream: requests in, replies out, and what to do when there are far too many."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress

from sinks.messages import topics
from sinks.messages.control import PROMPT_ACTIONS, ControlMessage
from sinks.mqtt.client import RefusedError
from sinks.mqtt.connection import Connection, DisconnectedError
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.incoming import Incoming

logger = logging.getLogger(__name__)

FLOOD = 200  # requests within a second that nobody sends on purpose
WAITING = 64  # requests that wait for the one at work
DEAF_SECONDS = 5.0  # without a subscription after a flood


class ControlTopic:
    """Answers the requests on `topics.CONTROL`, on `topics.REPLY`.

    Changes of prompts wait for the model, and are made one after the other; all else is done at once, before them.

    A response topic in a request is ignored on purpose: nothing is published where a message says. Under a flood, what
    waits is rejected with a single reply, and the subscription is given up for some seconds, so that the broker, not
    this process, drops the rest.
    """

    def __init__(self, connection: Connection, prefix: str, stream: str, desk: ControlDesk) -> None:
        """Prepare to bring `desk` the requests that arrive over `connection`."""
        self._connection, self._stream, self._desk = connection, stream, desk
        self._topic, self._reply_topic = topics.CONTROL.at(prefix, stream), topics.REPLY.at(prefix, stream)
        self._waiting: deque[Incoming] = deque()
        self._changes: deque[tuple[ControlMessage, Incoming]] = deque()
        self._request, self._change, self._flooded = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._second, self._within = 0.0, 0  # when the present second began, and the requests since
        self._rejected = 0
        connection.subscribe(self._topic, self._take)

    def _take(self, request: Incoming) -> None:
        """Queue a request, or drop it under a flood. Does not wait."""
        if request.retained:  # a command of long ago, which would be obeyed again at each reconnect
            return
        if self._flooded.is_set():
            self._rejected += 1
            return
        now = time.monotonic()
        if now - self._second > 1:
            self._second, self._within = now, 0
        self._within += 1
        waiting = len(self._waiting) + len(self._changes)
        if self._within > FLOOD or waiting >= WAITING:
            self._rejected = waiting + 1
            self._waiting.clear()
            self._changes.clear()
            self._flooded.set()
        else:
            self._waiting.append(request)
            self._request.set()

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._answer, self._make_changes, self._stem, self._sum_up):
                group.create_task(work())

    async def _answer(self) -> None:
        while True:
            await self._request.wait()
            self._request.clear()
            while self._waiting:
                incoming = self._waiting.popleft()
                admitted = self._desk.admit(incoming.payload)
                if isinstance(admitted, ControlMessage):
                    if admitted.action in PROMPT_ACTIONS:
                        self._changes.append((admitted, incoming))
                        self._change.set()
                        continue
                    admitted = await self._desk.carry_out(admitted)
                if admitted is not None:
                    await self._reply(admitted, incoming.correlation)

    async def _make_changes(self) -> None:
        while True:
            await self._change.wait()
            self._change.clear()
            while self._changes:
                request, incoming = self._changes.popleft()
                await self._reply(await self._desk.carry_out(request), incoming.correlation)

    async def _sum_up(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if (reply := self._desk.refusals()) is not None:
                await self._reply(reply, None)

    async def _stem(self) -> None:
        """Wait for a flood, and let it pass."""
        while True:
            await self._flooded.wait()
            logger.warning("stream %s: too many control requests; none are read for %.0f s", self._stream, DEAF_SECONDS)
            await self._connection.unsubscribe(self._topic)
            reason = f"too many requests: at most {FLOOD} a second; none are read for {DEAF_SECONDS:.0f} s"
            await self._reply(self._desk.reject(reason, self._rejected), None)
            await asyncio.sleep(DEAF_SECONDS)
            self._flooded.clear()
            self._connection.subscribe(self._topic, self._take)

    async def _reply(self, payload: bytes, correlation: bytes | None) -> None:
        with suppress(DisconnectedError, RefusedError):  # whoever asked is gone too or may not know, or asks again
            await self._connection.publish(self._reply_topic, payload, topics.REPLY.delivery, correlation=correlation)
