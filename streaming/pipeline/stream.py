"""One stream from its source through the model to its sinks.

    reader thread → mailbox → converter thread → two model threads (shared by all) → stages → one outlet a sink

Offline every step waits for the next; live the newest frame wins and what is dropped is counted. Up to two frames of
a stream are under way, one in each of the model's stages; whatever else is done to the stream waits for them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from maskcast.errors import MaskcastError, ModelError, StageError
from maskcast.frame import Frame
from maskcast.notices import FramesDropped, Problem, StreamBegan, TrackedFrame
from maskcast.result import Event, EventKind, Result
from streaming.pipeline.conversion import Converter
from streaming.pipeline.fair_queue import Lane
from streaming.pipeline.job import Job
from streaming.pipeline.mailbox import Closed
from streaming.pipeline.outlet import Outlet
from streaming.pipeline.reader import Reader, open_reader
from streaming.pipeline.report import Report
from streaming.pipeline.saving import Saving
from streaming.pipeline.stage import LateEvents, staged
from streaming.pipeline.stopping import first
from streaming.pipeline.worker import Worker

if TYPE_CHECKING:
    from trackers.engine import TrackedStream


async def run_stream(job: Job, worker: Worker, stop: asyncio.Event) -> Report:
    """Run a stream to its end, or until `stop` is set; its sinks are always finished.

    Raises:
        MaskcastError: it could not begin. What goes wrong later is in the report, next to what was delivered.
    """
    reader = await open_reader(job, stop)
    if reader is None:
        return Report(stream="", interrupted=True)
    try:
        run = await _begin(job, worker, reader)
    except BaseException:
        reader.stop()
        raise
    job.notify(StreamBegan(reader.info))
    reader.start()
    hurrying = asyncio.create_task(run.hurry(stop), name=f"hurry {reader.info.stream}")
    left_behind = False
    try:
        await run.track(stop)
    except asyncio.CancelledError:  # the process ends, and does not wait any longer
        left_behind = True
        raise
    finally:
        run.abandon()
        reader.frames.close(discard=True)
        reader.stop()
        run.converter.close()
        if not left_behind:
            await _together(f"finish {reader.info.stream}", [outlet.finish(run.reason) for outlet in run.outlets])
            await reader.gone()
        hurrying.cancel()
    return run.final_report()


async def _begin(job: Job, worker: Worker, reader: Reader) -> _Run:
    """Take a place at the model and open the sinks.

    Raises:
        MaskcastError: it cannot begin; the place is free again.
    """
    lane, pending = await worker.open_stream(
        job.controls.prompts,
        job.track_state.file if job.track_state and job.track_state.resume else None,
        job.known,
        live=reader.info.live,
        weight=job.weight,
    )
    try:
        run = _Run(job, worker, reader, lane, pending)
        await _together(f"start {reader.info.stream}", [outlet.start() for outlet in run.outlets])
    except Exception:
        with suppress(MaskcastError):
            await worker.close_stream(lane)
        raise
    return run


class _Run:
    """A stream that is being tracked, and what has become of it so far."""

    def __init__(
        self, job: Job, worker: Worker, reader: Reader, lane: Lane[TrackedStream], pending: Sequence[Event]
    ) -> None:
        self.info = reader.info
        self.report = Report(self.info.stream, self.info.live)
        self.converter = Converter(self.info.stream)
        self.outlets = [Outlet(sink, self.info, self._record) for sink in job.open_sinks(self.info)]
        self.started = time.monotonic()
        self.reason: str | None = None  # why the stream stopped early
        self._job, self._worker, self._reader, self._lane = job, worker, reader, lane
        self._under_way: asyncio.Task[None] | None = None  # ends with the last of the frames that the model has
        self._late = LateEvents(pending)
        self._stages = (self._late, *job.stages)
        self._saving = Saving(job.track_state, worker, lane, self._record, job.notify) if job.track_state else None

    def final_report(self) -> Report:
        """What has become of the stream, now that it is over."""
        self.report.seconds = time.monotonic() - self.started
        self.report.source_seconds = self._reader.seconds
        self.report.sink_seconds = {outlet.sink.name: outlet.seconds for outlet in self.outlets}
        self.report.sink_frames = {outlet.sink.name: outlet.frames for outlet in self.outlets}
        self.report.failed_sinks = frozenset(outlet.sink.name for outlet in self.outlets if outlet.error)
        self.report.dropped_before_model = self._reader.frames.dropped
        self._count_dropped()
        return self.report

    def _count_dropped(self) -> None:
        """Tell how many results slow sinks have cost, if there are more."""
        if more := sum(outlet.dropped for outlet in self.outlets) - self.report.dropped_by_sinks:
            self.report.dropped_by_sinks += more
            self._job.notify(FramesDropped("sink", more))

    async def hurry(self, stop: asyncio.Event) -> None:
        """When `stop` is set, wait not much longer for sinks, such as one whose broker is away."""
        await stop.wait()
        for outlet in self.outlets:
            outlet.hurry()

    async def track(self, stop: asyncio.Event) -> None:
        """Take frames until the end, a failure, or `stop`; then hand out what the tracker still holds back."""
        whole = sound = True
        try:
            try:
                await self._take_frames(stop)
            except (Closed, MaskcastError):
                await self._settle()  # the frame before comes first, and may have failed too
                raise
            await self._settle()
        except Closed:  # the reader is at its end: was it a good one?
            if failure := await self._reader.failure():
                self._fail(failure)
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
        earlier: asyncio.Task[None] | None = None
        needed = [outlet for outlet in self.outlets if not outlet.sink.optional]
        # Without any the metrics tell what is seen.
        while not needed or any(outlet.error is None for outlet in needed):
            if self._saving and self._saving.due:
                await self._settle()
                await self._saving.save(final=False)
            begin = await self._next(stop, due)
            if begin is None:
                self.report.interrupted, self.reason = True, "interrupted"
                return
            if self._job.max_rate and self.info.live:
                due = max(due + 1 / self._job.max_rate, time.monotonic())
            tracked = await self._worker.take(self._lane, begin)
            if earlier is not None:
                await earlier
            earlier = self._under_way
            self._under_way = asyncio.create_task(self._finish(tracked, earlier), name=f"track {self.info.stream}")
            if next(taken) == self._job.max_frames:
                return

    async def _finish(self, coming: Future[TrackedFrame], earlier: asyncio.Task[None] | None) -> None:
        """Wait until a frame is tracked, and deliver what is certain then, unless that failed with an earlier one."""
        if earlier is not None:
            await earlier
        tracked = await asyncio.wrap_future(coming)
        self.report.model_seconds += tracked.pace
        self._job.notify(tracked)
        await self._deliver(tracked.results)
        self._count_dropped()

    async def _settle(self) -> None:
        """Wait until all frames that the model has are tracked and delivered.

        Raises:
            MaskcastError: that failed.
        """
        if self._under_way is not None:
            under_way, self._under_way = self._under_way, None
            await under_way

    def abandon(self) -> None:
        """Wait for nothing more."""
        if self._under_way is not None:
            self._under_way.cancel()

    async def _next(self, stop: asyncio.Event, due: float) -> Callable[[], Future[Frame]] | None:
        """Wait for a frame, not before `due`, following the controls meanwhile; None if `stop` is set first.

        Returns:
            What begins to take and to convert it.
        """
        controls = self._job.controls
        while True:
            await self._follow()
            wait = due - time.monotonic()
            if controls.paused:
                coming: Coroutine[Any, Any, Any] = asyncio.Event().wait()
            elif wait > 0:
                coming = asyncio.sleep(wait)
            else:
                coming = self._reader.frames.ready()  # taken only when nothing can come between
            frame = asyncio.create_task(coming, name=f"next frame of {self.info.stream}")
            changed = asyncio.create_task(controls.changed.wait(), name=f"controls of {self.info.stream}")
            under_way = [asyncio.shield(self._under_way)] if self._under_way else []
            done = await first(stop, [frame, changed, *under_way])
            if done is None:
                return None
            if done in under_way:
                await self._settle()  # it may have failed
            if done is not frame or controls.paused or wait > 0:
                continue
            await frame
            if self.info.live:
                return partial(self.converter.begin, self._reader.frames.take)
            return self._begun(await self._reader.frames.get())

    def _begun(self, frame: Frame) -> Callable[[], Future[Frame]]:
        """One that can wait is converted before its pass: it is the next one, whenever that begins."""
        converted = self.converter.begin(lambda: frame)
        return lambda: converted

    async def _follow(self) -> None:
        controls = self._job.controls
        if controls.changed.is_set():
            controls.changed.clear()
            await self._settle()
            self._late.add(await self._worker.set_prompts(self._lane, controls.prompts))
            for act in controls.acts():
                await act()

    async def _deliver(self, results: Sequence[Result], *, wait: bool = False) -> None:
        for result in staged(results, self._stages):
            for outlet in self.outlets:  # all of them have to take it: in turns is as fast, and cheaper, than together
                await outlet.put(result, wait=wait)
            self.report.frames += 1
            self.report.tracks += sum(event.kind is EventKind.STARTED for event in result.events)

    def _fail(self, error: MaskcastError) -> None:
        self.reason = self.reason or str(error)
        self._record(error)

    def _record(self, error: MaskcastError) -> None:
        self.report.errors.append(error)
        self._job.notify(Problem(error))


async def _together(name: str, calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Await calls at the same time, each on a task called `name`; one that fails does not end the others."""
    failures = await asyncio.gather(*(asyncio.create_task(call, name=name) for call in calls), return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure
