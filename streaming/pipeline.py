"""One stream from its source through the model to its sinks.

    reader thread → mailbox → model thread (shared by all streams) → one outlet a sink

Offline every stage waits for the next; live the newest frame wins and what is dropped is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from sinks.sink import Sink
from sources.source import Source
from streaming.errors import MaskcastError, SinkError, SourceError
from streaming.mailbox import Closed, Mailbox
from streaming.outlet import Outlet
from streaming.threads import in_daemon_thread
from streaming.types import EventKind, Frame, Result, StreamInfo
from streaming.worker import Worker

T = TypeVar("T")

# Frames decoded ahead of the model.
READ_AHEAD = 4
# A reader that does not answer to `close` in this time is left behind on its daemon thread.
CLOSE_SECONDS = 2.0


@dataclass
class Report:
    """What became of a stream.

    Attributes:
        stream: its id.
        frames: results delivered.
        dropped: frames that a live stream skipped.
        tracks: tracks that were confirmed.
        seconds: from the first frame to the end.
        interrupted: whether it was stopped from outside.
        errors: what went wrong, in order; empty after a clean run.
    """

    stream: str
    frames: int = 0
    dropped: int = 0
    tracks: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    errors: list[MaskcastError] = field(default_factory=list)

    def summary(self) -> str:
        """One line for a person."""
        rate = self.frames / self.seconds if self.seconds else 0.0
        parts = [f"{self.frames} frames", f"{self.tracks} tracks", f"{rate:.1f} frames/s"]
        if self.dropped:
            parts.insert(1, f"{self.dropped} dropped")
        return f"{self.stream}: {', '.join(parts)}{' (interrupted)' if self.interrupted else ''}"


@dataclass(frozen=True)
class Snapshot:
    """Where a stream's tracking state is kept, so that the next process goes on with the same ids.

    Attributes:
        file: read at the start if it exists; written whole or not at all.
        seconds: between two writings: what a killed process loses at most.
    """

    file: Path
    seconds: float


@dataclass(frozen=True)
class Job:
    """One stream to run.

    Attributes:
        open_source: opens the source; blocking.
        open_sinks: makes the sinks, not yet started, for a stream.
        prompts: what to look for.
        max_frames: stop after this many; None for all.
        progress: called in the event loop after every result.
        snapshot: where to keep the tracking state; None to keep none.
    """

    open_source: Callable[[], Source]
    open_sinks: Callable[[StreamInfo], Sequence[Sink]]
    prompts: Sequence[str]
    max_frames: int | None
    progress: Callable[[StreamInfo, Report], None]
    snapshot: Snapshot | None = None


async def run_stream(job: Job, worker: Worker, stop: asyncio.Event) -> Report:
    """Run a stream to its end, or until `stop` is set; its sinks are always finished.

    Raises:
        MaskcastError: it could not begin. What goes wrong later is in the report, next to what was delivered.
    """
    opening = in_daemon_thread(job.open_source, "open source")
    source = await _unless(stop, opening)
    if source is None:
        return Report(stream="", interrupted=True)
    info = source.info
    report = Report(info.stream)
    frames: Mailbox[Frame] = Mailbox(1 if info.live else READ_AHEAD, drop_oldest=info.live)
    try:
        stream, pending = await worker.open_stream(job.prompts, job.snapshot.file if job.snapshot else None)
        outlets = [Outlet(sink, info) for sink in job.open_sinks(info)]
        await asyncio.gather(*(outlet.start() for outlet in outlets))
    except BaseException:
        source.close()
        raise

    async def deliver(results: Sequence[Result]) -> None:
        for result in results:
            if pending:  # of tracks that ended with their prompts, between the last process and this one
                result = replace(result, events=(*pending, *result.events))  # noqa: PLW2901
                pending.clear()
            await asyncio.gather(*(outlet.put(result) for outlet in outlets))
            report.frames += 1
            report.tracks += sum(event.kind is EventKind.STARTED for event in result.events)

    async def save(snapshot: Snapshot) -> None:
        try:
            await worker.save_stream(stream, snapshot.file)
        except SinkError as error:  # a full disk must not stop the tracking, and is told of once
            if not any(str(error) == str(known) for known in report.errors):
                report.errors.append(error)

    reading = in_daemon_thread(_reader(source, frames, job.max_frames), f"read {info.stream}")
    started = saved = time.monotonic()
    reason: str | None = None
    try:
        try:
            while any(outlet.error is None for outlet in outlets):
                frame = await _unless(stop, asyncio.ensure_future(frames.get()))
                if frame is None:
                    report.interrupted, reason = True, "interrupted"
                    break
                await deliver(await worker.step(stream, frame))
                if job.snapshot and time.monotonic() - saved > job.snapshot.seconds:
                    await save(job.snapshot)
                    saved = time.monotonic()
                report.dropped = frames.dropped + sum(outlet.dropped for outlet in outlets)
                report.seconds = time.monotonic() - started
                job.progress(info, report)
        except Closed:  # the reader is at its end: was it a good one?
            try:
                await reading
            except Exception as error:  # noqa: BLE001 - what a decoder raises ends this stream only
                report.errors.append(_source_error(info, error))
                reason = str(report.errors[-1])
        await deliver(await worker.close_stream(stream))
        if job.snapshot:
            await save(job.snapshot)
    except MaskcastError as error:
        report.errors.append(error)
        reason = str(error)
    finally:
        await frames.close(discard=True)
        source.close()
        await asyncio.gather(*(outlet.finish(reason) for outlet in outlets))
        await asyncio.wait([reading], timeout=CLOSE_SECONDS)
        if reading.done() and not reading.cancelled():
            reading.exception()  # fetched, or the event loop complains of it
    report.seconds = time.monotonic() - started
    report.errors += [outlet.error for outlet in outlets if outlet.error is not None]
    return report


def _reader(source: Source, frames: Mailbox[Frame], max_frames: int | None) -> Callable[[], None]:
    """The reader thread's work: iterate the source into the mailbox, then close the mailbox."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            for frame in itertools.islice(source, max_frames):
                asyncio.run_coroutine_threadsafe(frames.put(frame), loop).result()
        except Closed:
            pass  # the consumer has what it wants
        finally:
            asyncio.run_coroutine_threadsafe(frames.close(), loop)

    return read


async def _unless(stop: asyncio.Event, wanted: asyncio.Future[T]) -> T | None:
    """Await `wanted`; None if `stop` is set first."""
    stopped = asyncio.ensure_future(stop.wait())
    both: list[asyncio.Future[Any]] = [wanted, stopped]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            wanted.cancel()
            return None
        return await wanted
    finally:
        stopped.cancel()


def _source_error(info: StreamInfo, error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    wrapped = SourceError(f"{info.stream}: {type(error).__name__}: {error}".splitlines()[0])
    wrapped.__cause__ = error
    return wrapped
