"""One worker as the head knows it: asked for news without a break, and given up for good when it does not answer."""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from collections.abc import Callable
from typing import Any

from maskcast.errors import MaskcastError, WorkerLeftError
from streaming.cluster.cameras.actor import Actor
from streaming.cluster.cameras.messages import POLL_SECONDS, Batch, Message, WorkerFacts, WorkerLoad

logger = logging.getLogger(__name__)

# A worker that is this late with an answer to a poll is given up: its event loop does nothing but answer. With the
# seconds of a poll it is less than half of the lease, by whose end the worker has let go of its cameras.
LATE_SECONDS = 5.0
# What is only noted there.
CALL_SECONDS = 10.0
# Until it is placed and its model is loaded: from a slow disk, on a machine that has to be started first.
LOADING_SECONDS = 1800.0
# Failures of its model in a row after which only another process can help; see `streaming.service.tracking`.
HOPELESS_FAILURES = 10


class Line:
    """What comes of one attempt, in order.

    Attributes:
        delivered: messages with results that the head is done with.
    """

    def __init__(self) -> None:
        """Begin; it is bounded by what a worker lets be on its way."""
        self.delivered = 0
        self._waiting: asyncio.Queue[tuple[Message, float] | MaskcastError] = asyncio.Queue()

    def put(self, message: Message, ahead: float) -> None:
        """A message has come, from a clock that is `ahead` seconds behind ours."""
        self._waiting.put_nowait((message, ahead))

    def close(self, reason: MaskcastError) -> None:
        """Nothing more comes."""
        self._waiting.put_nowait(reason)

    async def next(self) -> tuple[Message, float]:
        """The next message, and what our clock is ahead of its.

        Raises:
            MaskcastError: nothing more comes, and why.
        """
        item = await self._waiting.get()
        if isinstance(item, MaskcastError):
            raise item
        return item


class WorkerLink:
    """The connection to a worker, from its begin to its end.

    Attributes:
        name: of the worker.
        facts: what it is; once it has started.
        load: as it was told last; None before that.
        gone: why it is given up; None while it lives.
    """

    facts: WorkerFacts

    def __init__(self, name: str, actor: Actor, told: Callable[[WorkerLink, WorkerLoad], None]) -> None:
        """Prepare.

        Args:
            name: of the worker.
            actor: itself.
            told: called with each load that it tells.
        """
        self.name = name
        self.load: WorkerLoad | None = None
        self.gone: str | None = None
        self._actor, self._told = actor, told
        self._lines: dict[int, Line] = {}
        self._over = asyncio.Event()

    @property
    def where(self) -> str:
        """Its place, for a person."""
        return f"{self.facts.host} ({self.facts.device}, pid {self.facts.pid})"

    async def start(self) -> None:
        """Wait until it is there and its model is loaded.

        Raises:
            MaskcastError: why it is not.
        """
        try:
            facts = await self._actor.call("start", seconds=LOADING_SECONDS)
        except TimeoutError:
            what = f"it has no place, or its model is not loaded, after {LOADING_SECONDS:.0f} s"
            raise MaskcastError(what, where=self.name) from None
        if isinstance(facts, MaskcastError):
            raise facts
        self.facts = facts

    async def serve(self) -> None:
        """Ask for news until it is gone."""
        polling = asyncio.create_task(self._poll(), name=f"poll {self.name}")
        try:
            await self._over.wait()
        finally:
            polling.cancel()

    async def _poll(self) -> None:
        received = 0
        try:
            while self.gone is None:
                delivered = {attempt: line.delivered for attempt, line in self._lines.items()}
                answer = await self._actor.call("poll", received, delivered, seconds=POLL_SECONDS + LATE_SECONDS)
                batch: Batch = pickle.loads(answer)  # noqa: S301 - of a process that we have begun
                if batch.number > received:
                    received = batch.number
                    self._take(batch)
                if batch.load:
                    self._look(batch.load)
        except TimeoutError:
            self.give_up(f"it has not answered for {POLL_SECONDS + LATE_SECONDS:g} s")
        except WorkerLeftError as error:
            self.give_up(error.what)
        except Exception as error:
            logger.exception("%s: unexpected failure", self.name)
            self.give_up(MaskcastError.wrap(error).what)

    def _take(self, batch: Batch) -> None:
        ahead = batch.ahead(time.monotonic())
        for message in batch.messages:
            if line := self._lines.get(message.attempt):
                line.put(message, ahead)

    def _look(self, load: WorkerLoad) -> None:
        self.load = load
        if load.death:
            self.give_up(load.death.what)
        elif load.failures >= HOPELESS_FAILURES:
            self.give_up(f"its model failed {HOPELESS_FAILURES} times in a row")
        else:
            self._told(self, load)

    def open(self, attempt: int) -> Line:
        """What comes of an attempt that is about to be assigned; `close` ends it."""
        line = self._lines[attempt] = Line()
        if self.gone is not None:
            line.close(WorkerLeftError("its worker is gone"))
        return line

    def close(self, attempt: int) -> None:
        """Listen no more."""
        self._lines.pop(attempt, None)

    async def call(self, method: str, *arguments: object, seconds: float = CALL_SECONDS) -> Any:
        """What a method of the worker answers; see `CameraWorker`.

        Raises:
            WorkerLeftError: the worker is gone, or does not answer; whether it is given up for that, the polls decide.
        """
        if self.gone is None:
            try:
                return await self._actor.call(method, *arguments, seconds=seconds)
            except TimeoutError:
                raise WorkerLeftError(f"its worker has not answered for {seconds:g} s ({method})") from None
            except WorkerLeftError as error:
                self.give_up(error.what)
        raise WorkerLeftError("its worker is gone")

    def give_up(self, reason: str) -> None:
        """Expect nothing more of it. Whoever listens hears of it behind what has come."""
        if self.gone is None:
            self.gone = reason
            self._over.set()
            for line in self._lines.values():
                line.close(WorkerLeftError("its worker is gone"))

    async def kill(self) -> None:
        """End its process for good: what has been given up must not come back."""
        self.give_up("it is ended")
        await self._actor.kill()
