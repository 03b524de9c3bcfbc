"""The actor that runs streams for the head: one engine on its threads, and an event loop that answers at once.

A plain class, which Ray makes an actor of (``ray.remote(CameraWorker)``): all its methods are coroutines, so Ray runs
them beside each other on one event loop. What they say to whom is written in `streaming.cluster.cameras.messages`.
Whatever takes time is on threads: a poll that is late looks to the head as if the worker were dead.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import pickle
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Literal

from maskcast.errors import MaskcastError, ModelError, SinkError, reason_of
from maskcast.prompts import Prompt
from streaming.cluster.cameras.hosted_stream import HostedStream
from streaming.cluster.cameras.load import LoadCounter
from streaming.cluster.cameras.messages import (
    LEASE_SECONDS,
    POLL_SECONDS,
    Assignment,
    Batch,
    Wish,
    WorkerFacts,
    WorkerLoad,
)
from streaming.cluster.cameras.track_state_parts import TrackStateParts
from streaming.cluster.cameras.uplink import Uplink
from streaming.cluster.node_folder import node_folder
from streaming.cluster.origin import Origin
from streaming.fetched import require_fetched
from streaming.logs import configure_logs
from streaming.pipeline.worker import Worker, engine_loader
from streaming.process import keep_memory, return_memory, wait_politely
from trackers.options import EngineOptions

logger = logging.getLogger(__name__)

# A batch waits so long for what comes right behind its first message. With six cameras of 25 frames a second this
# halves what a result costs both sides, and nobody sees 10 ms.
LINGER_SECONDS = 0.01
# Between two looks at the load. Placement takes a while of them.
LOAD_SECONDS = 2.0
# Between two looks at the lease, and two times of giving memory back; see `streaming.service.service`.
LEASE_LOOK_SECONDS, TRIM_SECONDS = 1.0, 30.0
# Whoever looks at a picture waits for it, and the next one comes soon; a disk that takes longer hangs.
PICTURE_SECONDS, DISK_SECONDS = 2.0, 15.0
# After the end of an attempt its last track state is kept so long, which the head has fetched long before.
KEEP_SECONDS = 120.0
# And after this time all of it is forgotten: its stream is elsewhere, or gone.
FORGET_SECONDS = 3600.0
# That streams get to end at `close`, a little more than `streaming.pipeline.reader` waits for a source.
CLOSE_SECONDS = 5.0


class CameraWorker:
    """One engine and the streams that it was given."""

    def __init__(
        self,
        options: EngineOptions,
        *,
        max_batch: int,
        batch_wait: float,
        log_level: str,
        log_format: Literal["text", "json"],
        lease: float = LEASE_SECONDS,
        origin: Origin | None = None,
    ) -> None:
        """Prepare; the model is loaded by `start`.

        Args:
            options: of the engine.
            max_batch: see `streaming.pipeline.worker.Worker`.
            batch_wait: see there.
            log_level: see `streaming.logs.configure_logs`.
            log_format: see there.
            lease: seconds without a poll after which the streams are ended.
            origin: of the head, whose Maskcast has to be the same; None if that need not be asked.
        """
        self._log: tuple[str, Literal["text", "json"]] = (log_level, log_format)
        self._options, self._lease, self._origin = options, lease, origin
        self._worker = Worker(engine_loader(options), max_batch=max_batch, batch_wait=batch_wait)
        self._load = LoadCounter()
        self._hosted: dict[int, HostedStream] = {}  # until another attempt at the stream begins
        self._running: dict[int, asyncio.Task[None]] = {}
        self._states: dict[int, TrackStateParts] = {}  # given, and not yet taken up
        self._ending = ExitStack()
        self._polled = time.monotonic()

    async def start(self) -> WorkerFacts | MaskcastError:
        """Load the model. Answers when it is there, or why it is not: minutes later, where it is large."""
        configure_logs(*self._log)
        wait_politely()
        keep_memory()
        self._uplink = Uplink()
        try:
            if self._origin:
                await asyncio.to_thread(self._origin.check)
            await asyncio.to_thread(require_fetched, self._options, "`maskcast fetch` on this node")
            await self._worker.start()
            has_track_state = await self._worker.has_track_state()
            self._folder = await asyncio.to_thread(self._ending.enter_context, node_folder())
        except MaskcastError as error:
            here = socket.gethostname()
            return error if error.where == here else error.at(f"node {here}")
        except Exception as error:
            logger.exception("the model cannot be loaded")
            return ModelError.wrap(error, where=f"node {socket.gethostname()}")
        # As in `streaming.service.service`: what is loaded stays, and Transformers has brought a log handler.
        gc.collect()
        gc.freeze()
        configure_logs(*self._log)
        self._polled = time.monotonic()
        self._watching = asyncio.create_task(self._watch(), name="watch the lease")
        return WorkerFacts(socket.gethostname(), os.getpid(), self._worker.thread.engine.description, has_track_state)

    async def check_prompts(self, prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...] | MaskcastError:
        """See `trackers.engine.Engine.check_prompts`."""
        try:
            return await self._worker.check_prompts(prompts)
        except MaskcastError as error:
            return error

    # Streams begin, change and end.

    async def give_state(self, attempt: int, offset: int, data: bytes) -> MaskcastError | None:
        """Take a part of the track state with which an attempt is to go on, before it is assigned."""
        state = self._states.setdefault(attempt, TrackStateParts(self._folder, attempt))
        try:
            async with asyncio.timeout(DISK_SECONDS):
                await state.give(offset, data)
        except OSError as error:  # a time-out is one
            self._states.pop(attempt, state).close()
            return SinkError(f"cannot be written: {_said(error)}", where=f"track state {state.file}")
        return None

    async def assign(self, assignment: Assignment) -> None:
        """Begin a stream, in place of an earlier attempt at it."""
        attempt = assignment.attempt
        for number, other in list(self._hosted.items()):
            if other.assignment.stream == assignment.stream:
                other.stop()
                if number not in self._running:
                    other.close()
                    del self._hosted[number]
        state = self._states.pop(attempt, None) or TrackStateParts(self._folder, attempt)
        hosted = HostedStream(assignment, self._worker, self._uplink.open(attempt), self._load, state)
        self._hosted[attempt] = hosted
        task = self._running[attempt] = asyncio.create_task(hosted.run(), name=f"stream {assignment.stream}")
        task.add_done_callback(lambda _: self._running.pop(attempt))

    async def wish(self, wish: Wish) -> None:
        """Follow what the head wants of a stream now."""
        if hosted := self._hosted.get(wish.attempt):
            hosted.wish(wish)

    async def end(self, attempt: int) -> None:
        """End a stream after the frames that the model has; `Ended` goes up then."""
        if hosted := self._hosted.get(attempt):
            hosted.stop()

    # What comes up.

    async def poll(self, received: int, delivered: Mapping[int, int]) -> bytes:
        """Say what is new; see `streaming.cluster.cameras.messages`.

        Args:
            received: number of the last batch that has come; 0 for none.
            delivered: by attempt, how many messages with results are done with.

        Returns:
            A `Batch`, pickled.
        """
        self._polled = time.monotonic()
        for attempt, count in delivered.items():
            if hosted := self._hosted.get(attempt):
                hosted.delivered(count)
        if not self._load_due:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._uplink.news(received)
                    await asyncio.sleep(LINGER_SECONDS)
        outgoing = self._uplink.batch(received)
        self._polled = time.monotonic()
        load = self._look() if self._load_due else None
        return pickle.dumps(Batch(outgoing.number, time.monotonic(), outgoing.messages, load), pickle.HIGHEST_PROTOCOL)

    @property
    def _load_due(self) -> bool:
        return self._load.seconds >= LOAD_SECONDS

    def _look(self) -> WorkerLoad:
        thread = self._worker.thread
        return self._load.look(thread.failures, thread.death)

    async def picture(self, attempt: int, index: int) -> bytes | None:
        """The picture of a frame that went up lately, as it travels; None if it is gone."""
        if hosted := self._hosted.get(attempt):
            with suppress(TimeoutError):
                async with asyncio.timeout(PICTURE_SECONDS):
                    return await hosted.picture(index)
        return None

    async def read_state(self, attempt: int, number: int, offset: int) -> bytes | MaskcastError | None:
        """A part of a track state that was saved, empty behind its end; None if it is not the newest."""
        hosted = self._hosted.get(attempt)
        if hosted is None:
            return None
        try:
            async with asyncio.timeout(DISK_SECONDS):
                return await hosted.state.read(number, offset)
        except OSError as error:
            return SinkError(f"cannot be read: {_said(error)}", where=f"track state {hosted.state.file}")

    # The end.

    async def _watch(self) -> None:
        """End the streams when nobody asks for them any more."""
        trimmed = time.monotonic()
        while True:
            await asyncio.sleep(LEASE_LOOK_SECONDS)
            now = time.monotonic()
            running = [self._hosted[attempt] for attempt in self._running]
            if now - self._polled > self._lease and any(not hosted.over for hosted in running):
                logger.warning("the head has not asked for %.0f s: %d streams end", self._lease, len(running))
                for hosted in running:
                    hosted.stop()
            for attempt, hosted in list(self._hosted.items()):
                if attempt not in self._running and now - hosted.ended > FORGET_SECONDS:
                    hosted.close()
                    del self._hosted[attempt]
                elif attempt not in self._running and now - hosted.ended > KEEP_SECONDS:
                    hosted.let_go()
            if now - trimmed > TRIM_SECONDS:
                trimmed = now
                gc.collect()
                await asyncio.to_thread(return_memory)

    async def close(self) -> None:
        """End all streams for good, and answer when they have ended, or `CLOSE_SECONDS` later.

        What they said can still be polled, and what they saved be read; then the process is to be ended.
        """
        self._watching.cancel()
        for hosted in self._hosted.values():
            hosted.stop()
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=CLOSE_SECONDS)
        self._worker.close()
        await asyncio.to_thread(self._ending.close)


def _said(error: OSError) -> str:
    """What a disk says."""
    return f"the disk has not answered in {DISK_SECONDS:g} s" if isinstance(error, TimeoutError) else reason_of(error)
