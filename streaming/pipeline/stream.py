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
from maskcast.notices import StreamBegan, TrackedFrame
from maskcast.result import Event
from streaming.pipeline.conversion import Converter
from streaming.pipeline.delivery import Delivery
from streaming.pipeline.fair_queue import Lane
from streaming.pipeline.job import Job
from streaming.pipeline.mailbox import Closed
from streaming.pipeline.reader import Reader, open_reader
from streaming.pipeline.report import Report
from streaming.pipeline.saving import Saving, TrackStateFile
from streaming.pipeline.spool import Spooling
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
    hurrying = asyncio.create_task(run.delivery.hurry(stop), name=f"hurry {reader.info.stream}")
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
        if run.spooling:
            run.spooling.close()
        if not left_behind:
            await run.delivery.finish()
            await reader.gone()
        hurrying.cancel()
    return run.final_report()


async def _begin(job: Job, worker: Worker, reader: Reader) -> _Run:
    """Take a place at the model and open the sinks.

    Raises:
        MaskcastError: it cannot begin; the place is free again.
    """
    begun = None
    if job.spool and not reader.info.live:
        begun = await Spooling.begin(job.spool, worker, job.controls.prompts, job.weight)
    spooling, lane, pending = (*begun, []) if begun else (None, *await _opened(job, worker, reader))
    try:
        run = _Run(job, worker, reader, lane, pending, spooling)
        await run.delivery.start()
    except Exception:
        if spooling:
            spooling.close()
        with suppress(MaskcastError):
            await worker.close_stream(lane)
        raise
    return run


async def _opened(job: Job, worker: Worker, reader: Reader) -> tuple[Lane[TrackedStream], list[Event]]:
    return await worker.open_stream(
        job.controls.prompts,
        job.track_state.file if job.track_state and job.track_state.resume else None,
        job.known,
        live=reader.info.live,
        weight=job.weight,
    )


class _Run:
    """A stream that is being tracked, and what has become of it so far."""

    def __init__(
        self,
        job: Job,
        worker: Worker,
        reader: Reader,
        lane: Lane[TrackedStream],
        pending: Sequence[Event],
        spooling: Spooling | None,
    ) -> None:
        self.info = reader.info
        self.converter = Converter(self.info.stream)
        self.delivery = Delivery(self.info, job.open_sinks(self.info), job.stages, job.notify, pending)
        self._job, self._worker, self._reader, self._lane = job, worker, reader, lane
        self._under_way: asyncio.Task[None] | None = None  # ends with the last of the frames that the model has
        self._taken = itertools.count(1)
        self.spooling = spooling
        self._saving: Saving | None = None
        if job.spool and spooling:
            kept = TrackStateFile(job.spool.state, job.spool.seconds)
            self._saving = Saving(kept, spooling, lane, spooling.complain, job.notify)
        elif job.track_state:
            self._saving = Saving(job.track_state, worker, lane, self.delivery.record, job.notify)

    def final_report(self) -> Report:
        """What has become of the stream, now that it is over."""
        report = self.delivery.final_report()
        report.source_seconds = self._reader.seconds
        report.dropped_before_model = self._reader.frames.dropped
        return report

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
                self.delivery.fail(failure)
        except MaskcastError as error:
            self.delivery.fail(error)
            # A pass that failed may have left the state half advanced: the track state from before is the better one.
            whole = not isinstance(error, ModelError | StageError if self.spooling else ModelError)
            sound = not isinstance(error, StageError)
        try:
            held = await self._worker.close_stream(self._lane)
            if sound:
                await self.delivery.deliver(held, wait=True)
        except MaskcastError as error:
            self.delivery.fail(error)
        if whole and self._saving:
            await self._saving.save(final=True)

    async def _give_again(self, spooling: Spooling, stop: asyncio.Event) -> bool:
        """Deliver what an earlier run has found, each with its frame; whether the model is to go on behind it."""
        while self.delivery.wanted and spooling.gives:
            begin = await self._next(stop, due=time.monotonic())
            if begin is None:
                self.delivery.interrupt()
                return False
            frame = await asyncio.wrap_future(begin())
            result, now = await spooling.result_of(frame), time.monotonic()
            self._job.notify(TrackedFrame(frame, [result], now, now, pace=0.0))
            await self.delivery.deliver([result])
            if next(self._taken) == self._job.max_frames:
                return False
        return True

    async def _take_frames(self, stop: asyncio.Event) -> None:
        if self.spooling and not await self._give_again(self.spooling, stop):
            return
        due = time.monotonic()
        earlier: asyncio.Task[None] | None = None
        while self.delivery.wanted:
            if self._saving and self._saving.due:
                await self._settle()
                await self._saving.save(final=False)
            begin = await self._next(stop, due)
            if begin is None:
                self.delivery.interrupt()
                return
            if self._job.max_rate and self.info.live:
                due = max(due + 1 / self._job.max_rate, time.monotonic())
            tracked = await self._worker.take(self._lane, begin)
            if earlier is not None:
                await earlier
            earlier = self._under_way
            self._under_way = asyncio.create_task(self._finish(tracked, earlier), name=f"track {self.info.stream}")
            if next(self._taken) == self._job.max_frames:
                return

    async def _finish(self, coming: Future[TrackedFrame], earlier: asyncio.Task[None] | None) -> None:
        """Wait until a frame is tracked, and deliver what is certain then, unless that failed with an earlier one."""
        if earlier is not None:
            await earlier
        tracked = await asyncio.wrap_future(coming)
        self.delivery.report.model_seconds += tracked.pace
        self._job.notify(tracked)
        if self.spooling:
            await self.spooling.add(tracked.results)
        await self.delivery.deliver(tracked.results)
        self.delivery.count_dropped()

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
            self.delivery.add(await self._worker.set_prompts(self._lane, controls.prompts))
            for act in controls.acts():
                await act()
