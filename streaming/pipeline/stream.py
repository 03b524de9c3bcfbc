"""One stream from its source through the model to its sinks.

    reader thread → mailbox → converter thread → model thread (shared by all streams) → stages → one outlet a sink

Offline every step waits for the next; live the newest frame wins and what is dropped is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskcast.errors import MaskcastError, ModelError, SourceError, StageError
from maskcast.frame import Frame
from maskcast.result import Event, EventKind, KnownTracks, Result
from maskcast.stream_info import StreamInfo
from maskcast.threads import in_daemon_thread
from sinks.sink import Sink
from sources.source import Source
from streaming.pipeline.controls import Controls
from streaming.pipeline.conversion import Converter
from streaming.pipeline.fair_queue import Lane
from streaming.pipeline.mailbox import Closed, Mailbox
from streaming.pipeline.model_thread import TrackedFrame
from streaming.pipeline.outlet import Outlet
from streaming.pipeline.stage import LateEvents, Stage, staged
from streaming.pipeline.stopping import first, unless
from streaming.pipeline.worker import Worker

if TYPE_CHECKING:
    from trackers.engine import TrackedStream

# Frames decoded ahead of the model.
READ_AHEAD = 4
# Of a stream's time, at most this goes into track states: those of many tracks of a full-size model are large.
SAVING_SHARE = 0.05
# But that does not make the time between two longer than this many times what was asked for.
LONGEST_SAVING_PAUSE = 10
# A reader that does not answer to `close` in this time is left behind on its daemon thread.
CLOSE_SECONDS = 2.0


@dataclass
class Report:
    """What became of a stream.

    Attributes:
        stream: its id.
        frames: results delivered.
        dropped_before_model: frames of a live stream that the model never saw.
        dropped_by_sinks: results of a live stream that a slow sink never saw.
        tracks: tracks that were confirmed.
        seconds: from the first frame to the end.
        interrupted: whether it was stopped from outside.
        errors: what went wrong, in order; empty after a clean run.
    """

    stream: str
    frames: int = 0
    dropped_before_model: int = 0
    dropped_by_sinks: int = 0
    tracks: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    errors: list[MaskcastError] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Frames that a live stream dropped, before the model or after it."""
        return self.dropped_before_model + self.dropped_by_sinks

    def summary(self) -> str:
        """One line for a person."""
        rate = self.frames / self.seconds if self.seconds else 0.0
        parts = [f"{self.frames} frames", f"{self.tracks} tracks", f"{rate:.1f} frames/s"]
        if self.dropped:
            parts.insert(1, f"{self.dropped} dropped")
        return f"{self.stream}: {', '.join(parts)}{' (interrupted)' if self.interrupted else ''}"


@dataclass(frozen=True)
class TrackStateFile:
    """Where a stream's tracking state is kept, so that the next process goes on with the same ids.

    Attributes:
        file: read at the start if it exists; written whole or not at all.
        seconds: between two writings; up to ten times that where one takes long, see `SAVING_SHARE`.
        resume: whether to go on with what is in the file.
    """

    file: Path
    seconds: float
    resume: bool = True


@dataclass(frozen=True)
class Job:
    """One stream to run.

    Attributes:
        open_source: opens the source; blocking.
        open_sinks: makes the sinks, not yet started, for a stream.
        prompts: what to look for, unless `controls` say otherwise.
        stages: what results pass through before the sinks, in this order.
        max_frames: stop after this many results; None for all.
        progress: called in the event loop at the start and after every turn. The report goes on counting by itself.
        problem: called in the event loop as soon as something goes wrong; it is in the report as well.
        track_state: where to keep the tracking state; None to keep none.
        known: asked for what subscribers know of earlier tracks of the stream, when it begins.
        controls: what to change meanwhile; None for nothing.
        weight: share of the model when there is not enough for all.
        max_rate: most frames a second to track; None for all.
        turn: called in the event loop after every turn at the model, with its times.
    """

    open_source: Callable[[], Source]
    open_sinks: Callable[[StreamInfo], Sequence[Sink]]
    prompts: Sequence[str]
    max_frames: int | None
    progress: Callable[[StreamInfo, Report], None]
    problem: Callable[[MaskcastError], None] = lambda _: None
    track_state: TrackStateFile | None = None
    known: Callable[[], Awaitable[KnownTracks | None]] | None = None
    controls: Controls | None = None
    weight: float = 1.0
    max_rate: float | None = None
    turn: Callable[[TrackedFrame], None] = lambda _: None
    stages: Sequence[Stage] = ()


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
    job.progress(run.info, run.report)
    reading = in_daemon_thread(_reader(source, run), f"read {run.info.stream}")
    reading.add_done_callback(_fetch)
    hurrying = asyncio.ensure_future(run.hurry(stop))
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
            await asyncio.gather(*(outlet.finish(run.reason) for outlet in run.outlets))
            await asyncio.wait([reading, closing], timeout=CLOSE_SECONDS)
        hurrying.cancel()
    run.report.seconds = time.monotonic() - run.started
    run.report.dropped_by_sinks = sum(outlet.dropped for outlet in run.outlets)
    return run.report


async def _begin(job: Job, worker: Worker, source: Source) -> _Run:
    """Take a place at the model and open the sinks.

    Raises:
        MaskcastError: it cannot begin; the place is free again.
    """
    prompts = job.controls.prompts if job.controls else tuple(job.prompts)
    lane, pending = await worker.open_stream(
        prompts,
        job.track_state.file if job.track_state and job.track_state.resume else None,
        await job.known() if job.known else None,
        live=source.info.live,
        weight=job.weight,
    )
    try:
        run = _Run(job, worker, source, lane, prompts, pending)
        await asyncio.gather(*(outlet.start() for outlet in run.outlets))
    except Exception:
        with suppress(MaskcastError):
            await worker.close_stream(lane)
        raise
    return run


class _Run:
    """A stream that is being tracked, and what has become of it so far."""

    def __init__(
        self,
        job: Job,
        worker: Worker,
        source: Source,
        lane: Lane[TrackedStream],
        prompts: tuple[str, ...],
        pending: Sequence[Event],
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
        self._prompts = prompts  # those that the model looks for: `controls` may say others by now

    async def offer(self, frame: Frame) -> None:
        """Take a frame from the reader.

        Raises:
            Closed: no more are wanted.
        """
        await self.frames.put(frame)
        self.report.dropped_before_model = self.frames.dropped

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
        if whole:
            await self._save(final=True)

    async def _take_frames(self, stop: asyncio.Event) -> None:
        due_save = await self._save(final=False)  # so that even an early kill leaves something to go on with
        taken = itertools.count(1)
        due = time.monotonic()
        # Without any sink the metrics tell what is seen.
        while not self.outlets or any(outlet.error is None for outlet in self.outlets):
            take = await self._next(stop, due)
            if take is None:
                self.report.interrupted, self.reason = True, "interrupted"
                return
            if self._job.max_rate:
                due = max(due + 1 / self._job.max_rate, time.monotonic())
            turn = await self._worker.step(self._lane, partial(self.converter.begin, take))
            self._job.turn(turn)
            await self._deliver(turn.results)
            if time.monotonic() > due_save:
                due_save = await self._save(final=False)
            self.report.dropped_by_sinks = sum(outlet.dropped for outlet in self.outlets)
            self.report.seconds = time.monotonic() - self.started
            self._job.progress(self.info, self.report)
            if next(taken) == self._job.max_frames:
                return

    async def _next(self, stop: asyncio.Event, due: float) -> Callable[[], Frame] | None:
        """Wait for a frame, not before `due`, following the controls meanwhile; None if `stop` is set first."""
        controls = self._job.controls
        while True:
            if controls:
                await self._follow(controls)
            wait = due - time.monotonic()
            if controls and controls.paused:
                coming: Awaitable[Any] = asyncio.Event().wait()
            elif wait > 0:
                coming = asyncio.sleep(wait)
            else:
                coming = self.frames.ready()  # taken only when nothing can come between any more
            frame = asyncio.ensure_future(coming)
            changed = asyncio.ensure_future(controls.changed.wait()) if controls else None
            done = await first(stop, [frame, changed] if changed else [frame])
            if done is None:
                return None
            if done is not frame or (controls and controls.paused) or wait > 0:
                continue
            await frame
            if self.info.live:
                return self.frames.take
            item = await self.frames.get()
            return lambda: item

    async def _follow(self, controls: Controls) -> None:
        controls.changed.clear()
        if controls.prompts != self._prompts:
            wanted = controls.prompts
            self._late.add(await self._worker.set_prompts(self._lane, wanted))
            self._prompts = wanted

    async def _deliver(self, results: Sequence[Result], *, wait: bool = False) -> None:
        for result in staged(results, self._stages):
            await asyncio.gather(*(outlet.put(result, wait=wait) for outlet in self.outlets))
            self.report.frames += 1
            self.report.tracks += sum(event.kind is EventKind.STARTED for event in result.events)

    async def _save(self, *, final: bool) -> float:
        """Take a track state if one is wanted; when the next one is due, as `time.monotonic`."""
        if self._job.track_state is None:
            return float("inf")
        seconds = self._job.track_state.seconds
        taken = 0.0
        try:
            taken = await self._worker.save_stream(self._lane, self._job.track_state.file, final=final)
        except MaskcastError as error:  # a full disk must not stop the tracking, and is told of once
            if not any(str(error) == str(known) for known in self.report.errors):
                self._record(error)
        return time.monotonic() + max(seconds, min(taken / SAVING_SHARE, LONGEST_SAVING_PAUSE * seconds))

    def _fail(self, error: MaskcastError) -> None:
        self.reason = self.reason or str(error)
        self._record(error)

    def _record(self, error: MaskcastError) -> None:
        self.report.errors.append(error)
        self._job.problem(error)


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
