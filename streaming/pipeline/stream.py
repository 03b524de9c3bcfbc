"""One stream from its source through the model to its sinks.

    reader thread → mailbox → converter thread → model thread (shared by all streams) → stages → one outlet a sink

Offline every stage waits for the next; live the newest frame wins and what is dropped is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from maskcast.errors import MaskcastError, ModelError, SourceError, StageError
from maskcast.frame import Frame
from maskcast.notices import FramesDropped, Problem, StreamBegan
from maskcast.result import Event, EventKind, Result
from maskcast.threads import in_daemon_thread
from sources.source import Source
from streaming.pipeline.conversion import Converter
from streaming.pipeline.fair_queue import Lane
from streaming.pipeline.job import Job
from streaming.pipeline.mailbox import Closed, Mailbox
from streaming.pipeline.outlet import Outlet
from streaming.pipeline.report import Report
from streaming.pipeline.saving import Saving
from streaming.pipeline.stage import LateEvents, staged
from streaming.pipeline.stopping import first, unless
from streaming.pipeline.worker import Worker

if TYPE_CHECKING:
    from trackers.engine import TrackedStream

# Frames decoded ahead of the model.
READ_AHEAD = 4
# A reader that does not answer to `close` in this time is left behind on its daemon thread.
CLOSE_SECONDS = 2.0


async def run_stream(job: Job, worker: Worker, stop: asyncio.Event) -> Report:
    """Run a stream to its end, or until `stop` is set; its sinks are always finished.

    Raises:
        MaskcastError: it could not begin. What goes wrong later is in the report, next to what was delivered.
    """
    opening = in_daemon_thread(job.open_source, "open source", unwanted=lambda source: source.close())
    try:
        source = await unless(stop, opening)
    except MaskcastError:
        raise
    except Exception as error:
        raise _source_error("source", error) from error
    if source is None:
        if not opening.cancelled() and opening.exception() is None:  # it was opened in the moment of the stop
            _close(opening.result())
        return Report(stream="", interrupted=True)
    try:
        run = await _begin(job, worker, source)
    except BaseException:
        _close(source)
        raise
    job.notify(StreamBegan(run.info))
    reading = in_daemon_thread(_reader(source, run), f"read {run.info.stream}")
    reading.add_done_callback(_fetch)
    hurrying = asyncio.create_task(run.hurry(stop), name=f"hurry {run.info.stream}")
    left_behind = False
    try:
        await run.track(stop, reading)
    except asyncio.CancelledError:  # the process ends, and does not wait any longer
        left_behind = True
        raise
    finally:
        await run.frames.close(discard=True)
        closing = _close(source)
        run.converter.close()
        if not left_behind:
            await _together(f"finish {run.info.stream}", [outlet.finish(run.reason) for outlet in run.outlets])
            await asyncio.wait([reading, closing], timeout=CLOSE_SECONDS)
        hurrying.cancel()
    run.report.seconds = time.monotonic() - run.started
    run.count_dropped()
    return run.report


async def _begin(job: Job, worker: Worker, source: Source) -> _Run:
    """Take a place at the model and open the sinks.

    Raises:
        MaskcastError: it cannot begin; the place is free again.
    """
    lane, pending = await worker.open_stream(
        job.controls.prompts,
        job.track_state.file if job.track_state and job.track_state.resume else None,
        job.known,
        live=source.info.live,
        weight=job.weight,
    )
    try:
        run = _Run(job, worker, source, lane, pending)
        await _together(f"start {run.info.stream}", [outlet.start() for outlet in run.outlets])
    except Exception:
        with suppress(MaskcastError):
            await worker.close_stream(lane)
        raise
    return run


class _Run:
    """A stream that is being tracked, and what has become of it so far."""

    def __init__(
        self, job: Job, worker: Worker, source: Source, lane: Lane[TrackedStream], pending: Sequence[Event]
    ) -> None:
        self.info = source.info
        self.report = Report(self.info.stream)
        self.frames: Mailbox[Frame] = Mailbox(1 if self.info.live else READ_AHEAD, drop_oldest=self.info.live)
        self.converter = Converter(self.info.stream)
        self.outlets = [Outlet(sink, self.info, self._record) for sink in job.open_sinks(self.info)]
        self.started = time.monotonic()
        self.reason: str | None = None  # why the stream stopped early
        self._job, self._worker, self._lane = job, worker, lane
        self._late = LateEvents(pending)
        self._stages = (self._late, *job.stages)
        self._saving = Saving(job.track_state, worker, lane, self._record) if job.track_state else None

    async def offer(self, frame: Frame) -> None:
        """Take a frame from the reader.

        Raises:
            Closed: no more are wanted.
        """
        await self.frames.put(frame)
        self.count_dropped()

    def count_dropped(self) -> None:
        """Tell how many frames have been dropped, if there are more."""
        report = self.report
        if more := self.frames.dropped - report.dropped_before_model:
            report.dropped_before_model += more
            self._job.notify(FramesDropped("reader", more))
        if more := sum(outlet.dropped for outlet in self.outlets) - report.dropped_by_sinks:
            report.dropped_by_sinks += more
            self._job.notify(FramesDropped("sink", more))

    async def hurry(self, stop: asyncio.Event) -> None:
        """When `stop` is set, wait not much longer for sinks, such as one whose broker is away."""
        await stop.wait()
        for outlet in self.outlets:
            outlet.hurry()

    async def track(self, stop: asyncio.Event, reading: asyncio.Future[None]) -> None:
        """Take frames until the end, a failure, or `stop`; then hand out what the tracker still holds back."""
        whole = sound = True
        try:
            await self._take_frames(stop)
        except Closed:  # the reader is at its end: was it a good one?
            try:
                await reading
            except Exception as error:  # noqa: BLE001 - what a decoder raises ends this stream only
                self._fail(_source_error(self.info.stream, error))
        except MaskcastError as error:
            self._fail(error)
            # A pass that failed may have left the state half advanced: the track state from before is the better one.
            whole = not isinstance(error, ModelError)
            sound = not isinstance(error, StageError)
        try:
            held = await self._worker.close_stream(self._lane)
            if sound:
                await self._deliver(held, wait=True)
        except MaskcastError as error:
            self._fail(error)
        if whole and self._saving:
            await self._saving.save(final=True)

    async def _take_frames(self, stop: asyncio.Event) -> None:
        taken = itertools.count(1)
        due = time.monotonic()
        # Without any sink the metrics tell what is seen.
        while not self.outlets or any(outlet.error is None for outlet in self.outlets):
            if self._saving:
                await self._saving.save_if_due()
            take = await self._next(stop, due)
            if take is None:
                self.report.interrupted, self.reason = True, "interrupted"
                return
            if self._job.max_rate:
                due = max(due + 1 / self._job.max_rate, time.monotonic())
            tracked = await self._worker.step(self._lane, partial(self.converter.begin, take))
            self._job.notify(tracked)
            await self._deliver(tracked.results)
            self.count_dropped()
            if next(taken) == self._job.max_frames:
                return

    async def _next(self, stop: asyncio.Event, due: float) -> Callable[[], Frame] | None:
        """Wait for a frame, not before `due`, following the controls meanwhile; None if `stop` is set first."""
        controls = self._job.controls
        while True:
            await self._follow()
            wait = due - time.monotonic()
            if controls.paused:
                coming: Coroutine[Any, Any, Any] = asyncio.Event().wait()
            elif wait > 0:
                coming = asyncio.sleep(wait)
            else:
                coming = self.frames.ready()  # taken only when nothing can come between any more
            frame = asyncio.create_task(coming, name=f"next frame of {self.info.stream}")
            changed = asyncio.create_task(controls.changed.wait(), name=f"controls of {self.info.stream}")
            done = await first(stop, [frame, changed])
            if done is None:
                return None
            if done is not frame or controls.paused or wait > 0:
                continue
            await frame
            if self.info.live:
                return self.frames.take
            item = await self.frames.get()
            return lambda: item

    async def _follow(self) -> None:
        controls = self._job.controls
        if controls.changed.is_set():
            controls.changed.clear()
            self._late.add(await self._worker.set_prompts(self._lane, controls.prompts))

    async def _deliver(self, results: Sequence[Result], *, wait: bool = False) -> None:
        for result in staged(results, self._stages):
            await _together(self.info.stream, [outlet.put(result, wait=wait) for outlet in self.outlets])
            self.report.frames += 1
            self.report.tracks += sum(event.kind is EventKind.STARTED for event in result.events)

    def _fail(self, error: MaskcastError) -> None:
        self.reason = self.reason or str(error)
        self._record(error)

    def _record(self, error: MaskcastError) -> None:
        self.report.errors.append(error)
        self._job.notify(Problem(error))


async def _together(name: str, calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Await calls at the same time, each on a task called `name`."""
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(call, name=name)


def _reader(source: Source, run: _Run) -> Callable[[], None]:
    """The reader thread's work: iterate the source into the mailbox, then close the mailbox."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            for frame in source:
                asyncio.run_coroutine_threadsafe(run.offer(frame), loop).result()
        except Closed:
            pass  # the consumer has what it wants
        finally:
            asyncio.run_coroutine_threadsafe(run.frames.close(), loop)

    return read


def _close(source: Source) -> asyncio.Future[None]:
    """Close a source off the event loop: a decoder may be at work for long, a connection says goodbye."""
    closing = in_daemon_thread(source.close, "close source")
    closing.add_done_callback(_fetch)
    return closing


def _fetch(future: asyncio.Future[None]) -> None:
    """Ask a future how it ended, or the event loop complains that nobody did."""
    if not future.cancelled():
        future.exception()


def _source_error(name: str, error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    wrapped = SourceError(f"{name}: {type(error).__name__}: {error}".splitlines()[0])
    wrapped.__cause__ = error
    return wrapped
