"""One sink with its own bounded queue and task: a slow or broken sink takes down only itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from maskcast.errors import SinkError
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from maskcast.threads import as_exception
from sinks.sink import Sink
from streaming.pipeline.mailbox import Closed, Mailbox
from streaming.pipeline.stopping import first

logger = logging.getLogger(__name__)

# Results that wait for a slow sink. Each holds a decoded picture (3 MB at 1080p), so few.
CAPACITY_RESULTS = 4
# Seconds after which a call of a sink counts as hanging. A disk that has to spin up or a share that comes back answers
# within half a minute; NFS itself takes a minute for its first time-out (nfs(5), `timeo`).
START_SECONDS, WRITE_SECONDS = 60.0, 120.0
# All sinks wait for this one, and nobody has to reach a disk for it: the journal gives it up earlier.
NOTE_SECONDS = 10.0
# A long video is brought into order at its end, with one more pass over the file.
FINISH_SECONDS = 600.0
# What a sink may take to get ready, all results together, once the stream is to stop.
HURRY_SECONDS = 1.0
# What a sink that hung before may take to close; it goes on by itself if it wakes up later.
HUNG_FINISH_SECONDS = 2.0


class Outlet:
    """Feeds a sink.

    One that hangs is given up, or it would hold its stream. A live stream is not held, since results that nobody takes
    are dropped: there, one that hangs while it is opened or written to is fed again when it answers.
    """

    def __init__(self, sink: Sink, info: StreamInfo, problem: Callable[[SinkError], None]) -> None:
        """Prepare; nothing is opened before `start`. `problem` is called when the sink fails."""
        self._problem = problem
        self.sink = sink
        self.seconds = 0.0  # that the sink has taken to write
        self.frames = 0  # results that it has taken
        self.error: SinkError | None = None
        self._hung = False
        self._impatient = asyncio.Event()
        self._begun = asyncio.Event()  # the start is over, or not waited for
        self._ending = asyncio.Event()  # what hangs is not waited for
        self._open = False
        self._unready = 0  # results that were dropped because the stream had to stop
        self._info = info
        self._mailbox: Mailbox[Result] = Mailbox(CAPACITY_RESULTS, drop_oldest=info.live)
        self._task: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> int:
        """Results that a live stream, or one that was told to stop, did not wait to deliver."""
        return self._mailbox.dropped + self._unready

    def hurry(self) -> None:
        """Wait not much longer for the sink to get ready: the stream is to stop."""
        asyncio.get_running_loop().call_later(HURRY_SECONDS, self._impatient.set)

    async def start(self) -> None:
        """Open the sink and begin to feed it; a failure is kept in `error`."""
        self._task = asyncio.create_task(self._serve(), name=f"feed {self.sink.name}")
        await self._begun.wait()

    async def _serve(self) -> None:
        try:
            self._open = await self._managed(
                self.sink.start(self._info), START_SECONDS, "opening it", patient=self._info.live
            )
            self._begun.set()
            if self._open:
                await self._feed()
        finally:  # where nobody could be told of a failure, too: no one waits for this sink any more
            self._begun.set()
            self._mailbox.close(discard=True)

    async def put(self, result: Result, *, wait: bool = False) -> None:
        """Hand over a result; offline, or with `wait`, this waits for the sink. A broken sink takes and forgets it."""
        if (result.events or result.place_state) and self._open and self.error is None:
            await self._managed(self.sink.note(result), NOTE_SECONDS, "noting events")
        if wait:  # also a live stream does, at its end
            self._ending.set()
        with suppress(Closed):
            await self._mailbox.put(result, wait=wait)

    async def finish(self, reason: str | None) -> None:
        """Deliver what waits, then close the sink properly."""
        self._mailbox.close()
        self._ending.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self._ready()
        seconds = HUNG_FINISH_SECONDS if self._hung else FINISH_SECONDS
        await self._managed(self.sink.finish(str(self.error) if self.error else reason), seconds, "closing it")

    async def _feed(self) -> None:
        with suppress(Closed):
            while self.error is None:
                result = await self._mailbox.get()
                if self._info.live or await self._ready():  # a live sink drops what it cannot take
                    began = time.monotonic()
                    writing = self.sink.write(result)
                    self.frames += await self._managed(writing, WRITE_SECONDS, "writing", patient=self._info.live)
                    self.seconds += time.monotonic() - began
                else:
                    self._unready += 1

    async def _ready(self) -> bool:
        """Wait until the sink is ready, or the stream is to stop; whether it is."""
        if self.error is not None:
            return False
        # Left behind by the stop, as in `_managed`: a sink may not heed that it is cancelled.
        ready = asyncio.create_task(_tamed(self.sink.ready()), name=f"wait for {self.sink.name}")
        try:
            await first(self._impatient, [ready])
        finally:
            ready.add_done_callback(_fetch)
        if (error := _fetch(ready)) is not None:
            self._fail(error)
            self._mailbox.close(discard=True)
        return ready.done() and error is None

    async def _managed(
        self, call: Coroutine[Any, Any, None], seconds: float, doing: str, *, patient: bool = False
    ) -> bool:
        """Await a call of the sink, but not longer than `seconds`; whether it went well. A failure is kept in `error`.

        A call that hangs is left behind, on a task of its own: it may not even heed that it is cancelled. With
        `patient`, that it hangs is told, and it is left behind only when the stream ends.
        """
        task = asyncio.create_task(_tamed(call), name=f"{self.sink.name}: {doing}")
        late: SinkError | None = None
        try:
            await asyncio.wait([task], timeout=seconds)
            if patient and not task.done() and not self._ending.is_set():
                late = self._hanging(doing, seconds, "it is left out until it answers")
                self._problem(late)
                self._begun.set()
                await first(self._ending, [task])
        finally:  # cancelled from outside, too
            hangs = not task.done()
            task.cancel()
            task.add_done_callback(_fetch)
        error: Exception | None = _fetch(task)
        if hangs:
            self._hung = True
            error = late or self._hanging(doing, seconds, "given up")
        elif late:
            logger.warning("%s: answers again", self.sink.name)
        if error is None:
            return True
        self._fail(error, told=error is late)
        self._mailbox.close(discard=True)
        return False

    def _hanging(self, doing: str, seconds: float, then: str) -> SinkError:
        what = f"{doing} has not ended in {seconds:.0f} s: {then}"
        return SinkError(what, where=self.sink.name, advice="look at its disk or its server")

    def _fail(self, error: Exception, *, told: bool = False) -> None:
        if self.error is not None:  # the first failure is the cause, later ones are its consequences
            return
        if isinstance(error, SinkError):
            self.error = error
        else:
            known = SinkError.wrap(error)
            self.error = SinkError(known.what, where=known.where, advice=known.advice).at(self.sink.name)
            self.error.__cause__ = error
        if not told:
            self._problem(self.error)


async def _tamed(call: Coroutine[Any, Any, None]) -> None:
    """Await `call`; nothing that it raises ends more than the task that awaits it."""
    try:
        await call
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        raise as_exception(error) from error


def _fetch(task: asyncio.Future[None]) -> Exception | None:
    """Why a task failed, if it has; asked, or the event loop complains that nobody did."""
    if not task.done():
        return None
    if task.cancelled():
        return RuntimeError("cancelled")
    failure = task.exception()
    return None if failure is None else as_exception(failure)
