"""The topic ``control`` of a stream: requests in, replies out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeAlias

from sinks.messages import topics
from sinks.messages.control import CHANGES, AnyControlMessage
from sinks.mqtt.client import RefusedError
from sinks.mqtt.connection import Connection, DisconnectedError
from sinks.mqtt.control import MOST_WAITING_REQUESTS, ControlDesk
from sinks.mqtt.incoming import Incoming

# A request to be carried out, or the reply to one that is not, with the correlation data of both.
_Queue: TypeAlias = "asyncio.Queue[tuple[AnyControlMessage | bytes, bytes | None]]"


class ControlTopic:
    """Answers the requests on `topics.CONTROL`, on `topics.REPLY`.

    Changes of prompts and places wait for the model, and are made one after the other; all else is done at once, before
    them. The desk lets few through, see there; of those, what does not fit into the queues is rejected too.

    A response topic in a request is ignored on purpose: nothing is published where a message says.
    """

    def __init__(self, connection: Connection, prefix: str, stream: str, desk: ControlDesk) -> None:
        """Prepare to bring `desk` the requests that arrive over `connection`."""
        self._connection, self._desk = connection, desk
        self._reply_topic = topics.REPLY.at(prefix, stream)
        self._changes: _Queue = asyncio.Queue(MOST_WAITING_REQUESTS)
        self._others: _Queue = asyncio.Queue(MOST_WAITING_REQUESTS)
        connection.subscribe(topics.CONTROL.at(prefix, stream), self._take)

    def _take(self, incoming: Incoming) -> None:
        """Queue a request. Does not wait."""
        if incoming.retained:  # a command of long ago, which would be obeyed again at each reconnect
            return
        if self._others.full():
            self._desk.refuse()
            return
        admitted = self._desk.admit(incoming.payload)
        if admitted is None:
            return
        queue = self._others
        if isinstance(admitted, AnyControlMessage) and admitted.action in CHANGES:
            if self._changes.full():
                admitted = self._desk.reject(f"{MOST_WAITING_REQUESTS} changes wait already", request=admitted)
            else:
                queue = self._changes
        queue.put_nowait((admitted, incoming.correlation))

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._answer(self._changes), name="mqtt control: changes")
            group.create_task(self._answer(self._others), name="mqtt control: others")
            group.create_task(self._sum_up(), name="mqtt control: floods")

    async def _answer(self, queue: _Queue) -> None:
        while True:
            admitted, correlation = await queue.get()
            reply = await self._desk.carry_out(admitted) if isinstance(admitted, AnyControlMessage) else admitted
            await self._reply(reply, correlation)

    async def _sum_up(self) -> None:
        """Reply to the last requests of a flood, which are followed by no other."""
        while True:
            await asyncio.sleep(1.0)
            if (reply := self._desk.refusals()) is not None:
                await self._reply(reply, None)

    async def _reply(self, payload: bytes, correlation: bytes | None) -> None:
        with suppress(DisconnectedError, RefusedError):  # whoever asked is gone too or may not know, or asks again
            await self._connection.publish(self._reply_topic, payload, topics.REPLY.delivery, correlation=correlation)
