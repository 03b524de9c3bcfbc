"""A source that is opened, read ahead and closed on threads: each may take long, and none holds up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from maskcast.errors import MaskcastError, SourceError, unforeseen
from maskcast.frame import Frame
from maskcast.notices import FramesDropped
from maskcast.threads import in_daemon_thread
from sources.source import Source
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.mailbox import Closed, Mailbox
from streaming.pipeline.thinning import ThinnedSource

# Frames decoded ahead of the model.
READ_AHEAD_FRAMES = 4
# A thread that does not end in this time is left behind.
CLOSE_SECONDS = 2.0


async def open_reader(job: Job, stop: asyncio.Event) -> Reader | None:
    """Open the source of a job, unless `stop` is set before it is open; it is closed then when it comes.

    A camera may be away for days: what is to be done between two of its frames is done meanwhile.

    Raises:
        MaskcastError: it cannot be opened.
    """
    opening = in_daemon_thread(job.open_source, "open source", unwanted=lambda source: source.close())
    try:
        while not stop.is_set() and not opening.done():
            await _something(opening, stop, job.controls)
        source = None if stop.is_set() else opening.result()
    except MaskcastError:
        raise
    except Exception as error:
        raise SourceError(unforeseen(error), where="source") from error
    finally:
        opening.cancel()
    if source is not None:
        return Reader(source, job)
    if not opening.cancelled() and opening.exception() is None:  # it was opened in the moment of the stop
        _close(opening.result())
    return None


async def _something(opening: asyncio.Future[Source], stop: asyncio.Event, controls: Controls) -> None:
    """Wait until a source is open, or it is time to stop, or something was to be done, which it is then."""
    others = [asyncio.create_task(event.wait(), name="while a source is opened") for event in (stop, controls.changed)]
    try:
        either: list[asyncio.Future[Any]] = [opening, *others]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for other in others:
            other.cancel()
    if controls.changed.is_set() and not opening.done():
        controls.changed.clear()
        for act in controls.acts():
            await act()


class Reader:
    """Reads a source into a mailbox: offline a few frames ahead, live the newest one.

    Attributes:
        info: of the source.
        frames: those that wait for the model.
        seconds: that the source has taken so far to give its frames.
    """

    def __init__(self, source: Source, job: Job) -> None:
        """Prepare.

        Args:
            source: of the job, open. If it can wait it is thinned to `Job.max_rate`; of a live one the newest frame is
                taken when the next is due.
            job: whose `notify` is told of the frames that a live stream drops.
        """
        if job.max_rate and not source.info.live:
            source = ThinnedSource(source, job.max_rate)
        self.info = source.info
        self.frames: Mailbox[Frame] = Mailbox(1 if self.info.live else READ_AHEAD_FRAMES, drop_oldest=self.info.live)
        self.seconds = 0.0
        self._source, self._notify = source, job.notify
        self._threads: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Begin to read; at the end of the source the mailbox is closed."""
        loop = asyncio.get_running_loop()
        told = 0  # of the dropped frames

        def arrived() -> None:
            nonlocal told
            self.frames.wake()
            more, told = self.frames.dropped - told, self.frames.dropped
            if more:
                self._notify(FramesDropped("reader", more))

        def hand_over(frame: Frame) -> None:
            if self.info.live:  # waits for nobody: a camera goes on as well
                self.frames.offer(frame)
                loop.call_soon_threadsafe(arrived)
            else:
                asyncio.run_coroutine_threadsafe(self.frames.put(frame), loop).result()

        def read() -> None:
            try:
                for frame in self._timed():
                    hand_over(frame)
            except Closed:
                pass  # the consumer has what it wants
            finally:
                loop.call_soon_threadsafe(self.frames.close)

        self._threads.append(_seen(in_daemon_thread(read, f"read {self.info.stream}")))

    def _timed(self) -> Iterator[Frame]:
        began = time.monotonic()
        for frame in self._source:
            self.seconds += time.monotonic() - began
            yield frame
            began = time.monotonic()

    async def failure(self) -> MaskcastError | None:
        """Why the source came to its end, once it has; None for a good one."""
        try:
            await self._threads[0]
        except Exception as error:  # noqa: BLE001 - what a decoder raises ends this stream only
            return SourceError.wrap(error, where=self.info.stream)
        return None

    def stop(self) -> None:
        """Close the source, which goes on on a thread."""
        self._threads.append(_close(self._source))

    async def gone(self) -> None:
        """Wait until the threads have ended, but not for long."""
        await asyncio.wait(self._threads, timeout=CLOSE_SECONDS)


def _close(source: Source) -> asyncio.Future[None]:
    return _seen(in_daemon_thread(source.close, "close source"))


def _seen(future: asyncio.Future[None]) -> asyncio.Future[None]:
    """The same; the event loop does not complain if nobody asks how it ended."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
