"""A worker: one process of Ray with one model, which tracks the videos that it is handed.

Ray Data calls it on a thread a video; the model and the streams are on the event loop of another thread, so that
videos at the same time share the model's passes.
"""

from __future__ import annotations

import asyncio
import os
import platform
import stat
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from maskcast.errors import MaskcastError, SinkError, SourceError, UsageError, reason_of
from maskcast.lock import open_locked
from maskcast.notices import Notice, StreamBegan, TrackedFrame
from maskcast.threads import in_daemon_thread
from sinks.filename import file_name
from sources import Kind, kind_of
from streaming.cluster.videos.inputs import named_source
from streaming.cluster.videos.ledger import Ledger, Record
from streaming.cluster.videos.plan import Answer, Beat, Doing, Outcome, Phase, Video, VideosPlan
from streaming.cluster.videos.room import Room
from streaming.cluster.videos.staged import Staged
from streaming.cluster.videos.storage import is_remote
from streaming.cluster.videos.transfer import Moved, NotWantedError, fetched
from streaming.commands.counting import stored
from streaming.given_places import zones_stage
from streaming.pipeline.report import Report
from streaming.pipeline.spool import Spool
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker, engine_loader
from streaming.process import keep_memory, wait_politely

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

# Of the rows that come and go.
COLUMN = "video"
BEAT_SECONDS = 1.0
# For an answer of the foreman, which answers at once, on a network that may be busy.
ANSWER_SECONDS = 30.0
# A video of which no frame came for so long is given up: a full-size model on one core takes minutes a frame.
SILENT_SECONDS = 300.0
# That is how long it may then take to end.
LEAVE_SECONDS = 15.0
# How long a video's earlier worker, which Ray has given up, may be at it still, until it notices: see `ANSWER_SECONDS`.
EARLIER_SECONDS = 90.0


class VideoTracker:
    """See above; made and called by Ray Data."""

    def __init__(self, plan: VideosPlan, foreman: Any) -> None:
        """Load the model.

        Args:
            plan: what is done with each video.
            foreman: handle of the actor `Foreman`.

        Raises:
            MaskcastError: it cannot be loaded here, which the foreman was told.
        """
        wait_politely()
        keep_memory()
        self.name = f"{platform.node()}/{os.getpid()}"
        self._plan, self._foreman = plan, foreman
        self._ledger = Ledger(plan.state)
        self._phase: Phase = "loading"
        self._frames, self._transferred, self._description = 0, 0, ""
        self._doing: dict[str, Doing] = {}
        self._stops: dict[str, asyncio.Event] = {}
        self._stopped = False
        self._room = Room()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="videos", daemon=True).start()
        self._beating = asyncio.run_coroutine_threadsafe(self._beat(), self._loop)
        self._worker = Worker(engine_loader(plan.tracking.options))
        try:
            plan.origin.check()
            if not (plan.state / plan.token).exists():
                what = "is not the folder that the command sees: all nodes must share it"
                raise UsageError(what, where=f"{plan.state} on {platform.node()}")
            self._run(self._worker.start())
        except MaskcastError as error:
            import ray

            ray.get(foreman.failed.remote(error.at(platform.node())), timeout=ANSWER_SECONDS)
            raise
        self._description = self._worker.thread.engine.description
        self._phase = "ready"

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Track one video: a row comes, and a row goes."""
        (video,) = batch[COLUMN]
        outcomes = np.empty(1, dtype=object)
        try:
            outcomes[0] = self._run(self._track(video))
        except Exception as error:  # noqa: BLE001 - an error of one video is its row, never the end of the rest
            outcomes[0] = Outcome(video.stream, error=str(MaskcastError.wrap(error)), worker=self.name)
        return {COLUMN: outcomes}

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _beat(self) -> None:
        """Say every second how far all is, and obey; without an answer for long nobody wants the results any more."""
        heard = time.monotonic()
        while True:
            doing = tuple(self._doing.values())
            beat = Beat(self.name, self._phase, self._frames, doing, self._description, self._transferred)
            try:
                answer = await self._asked(self._foreman.beat.remote(beat))
            except Exception:  # noqa: BLE001 - of Ray's many errors each means that there is no foreman now
                answer = "stop" if time.monotonic() - heard > ANSWER_SECONDS else "go on"
            else:
                heard = time.monotonic()
            self._stopped = answer == "stop"
            for stop in self._stops.values() if self._stopped else ():
                stop.set()
            await asyncio.sleep(BEAT_SECONDS)

    async def _asked(self, answer: Any) -> Answer:
        async with asyncio.timeout(ANSWER_SECONDS):
            said: Answer = await answer
            return said

    async def _track(self, video: Video) -> Outcome:
        try:
            answer = await self._asked(self._foreman.begin.remote(video.stream))
        except Exception:  # noqa: BLE001 - there is no foreman now: the next one has it tracked
            answer = "stop"
        if answer == "stop" or self._stopped:
            return Outcome(video.stream, interrupted=True, worker=self.name)
        if answer == "too often":
            what = "the worker that tracked it died each time"
            raise SourceError(what, where=named_source(video.source), advice="it may need more memory than there is")
        lock = await self._lock(video)
        try:
            record = self._ledger.read(video.stream)
            if record and record.fits(video.identity, self._plan.asked):  # by a worker that died before it could say so
                await self._forget(video)
                return Outcome.of(video.stream, record, self.name)
            async with self._room.taken(alone=answer == "alone"):
                return await self._track_whole(video)
        finally:
            os.close(lock)

    async def _lock(self, video: Video) -> int:
        """See that no other worker is at this video: one that Ray has given up may live on for a while.

        Raises:
            SourceError: one is.
        """
        folder = self._plan.state / "tracks"
        folder.mkdir(exist_ok=True)
        until = time.monotonic() + EARLIER_SECONDS
        while (lock := open_locked(folder / f"{file_name(video.stream)}.lock", os.O_RDWR | os.O_CREAT)) is None:
            if time.monotonic() > until:
                raise SourceError("another worker is still at it", where=named_source(video.source))
            await asyncio.sleep(0.5)
        return lock

    async def _track_whole(self, video: Video) -> Outcome:
        if not is_remote(video.source):
            _refuse_endless(video.source)
        tracking, stream = self._plan.tracking, video.stream
        zones = [zones_stage(tracking.places, tracking.prompts, tracking.options.lost_after)] if tracking.places else []
        staged = Staged(tracking.outputs, stream, tracking.published, self._plan.remote)
        fetching = ExitStack()
        local = Path(video.source)
        try:
            fetch = fetched(video.source, self._moving(stops=True))
            local = await self._in_thread(lambda: fetching.enter_context(fetch))
            report = await self._report(video, str(local), staged, zones)
            if report.errors:
                return self._failed(video, local, report)
            if report.interrupted:
                return Outcome(stream, interrupted=True, frames=report.frames, worker=self.name)
            # If this worker dies from here on, what has its name already is ours to replace.
            await self._note(stream, Record(video.identity, self._plan.asked, "replaced"))
            outputs = await self._in_thread(lambda: staged.publish(self._moving(stops=False)))
            record = Record(
                video.identity,
                self._plan.asked,
                frames=report.frames,
                tracks=report.tracks,
                seconds=round(report.seconds, 3),
                outputs=tuple(outputs),
                counted=stored(zones[0].tally) if zones else None,
            )
            await self._note(stream, record)
            await self._forget(video)
            return Outcome.of(video.stream, record, self.name)
        except NotWantedError:
            return Outcome(stream, interrupted=True, worker=self.name)
        except MaskcastError as error:
            if not is_remote(video.source):
                raise
            return Outcome(stream, error=self._said(error, video, local), worker=self.name)
        finally:
            await self._in_thread(fetching.close)
            await self._in_thread(staged.discard)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await in_daemon_thread(work, "transfer")

    def _moving(self, *, stops: bool) -> Moved:
        """What counts the bytes of a transfer, which may end it when all is to end."""
        before = 0

        def moved(transferred: int) -> bool:
            nonlocal before
            self._transferred += max(transferred - before, 0)
            before = transferred
            return not (stops and self._stopped)

        return moved

    async def _report(self, video: Video, local: str, staged: Staged, zones: list[Any]) -> Report:
        """Track it; given up when no frame comes for long."""
        stream, began = video.stream, time.monotonic()
        stop = self._stops[stream] = asyncio.Event()
        if self._stopped:
            stop.set()
        self._doing[stream] = Doing(stream, 0, None)
        frames, total, last = 0, None, began

        def notify(notice: Notice) -> None:
            nonlocal frames, total, last
            match notice:
                case StreamBegan(info):
                    known = [number for number in (info.frame_count, self._plan.tracking.max_frames) if number]
                    total, last = min(known, default=None), time.monotonic()
                    if info.live:
                        stop.set()
                case TrackedFrame():
                    frames, last = frames + 1, time.monotonic()
                    self._frames += 1
            self._doing[stream] = Doing(stream, frames, total)

        job = replace(self._plan.tracking, outputs=staged.outputs).job(local, stream, zones, None, notify)
        job = replace(job, spool=self._spool(video))
        running = asyncio.create_task(run_stream(job, self._worker, stop), name=f"track {stream}")
        try:
            while not running.done() and time.monotonic() - last < SILENT_SECONDS:
                await asyncio.wait([running], timeout=BEAT_SECONDS)
            if not running.done():
                stop.set()
                await asyncio.wait([running], timeout=LEAVE_SECONDS)
                running.cancel()
                raise SourceError(f"no frame came of it for {SILENT_SECONDS:.0f} s", where=named_source(video.source))
            return running.result()
        finally:
            del self._doing[stream], self._stops[stream]

    def _failed(self, video: Video, local: Path, report: Report) -> Outcome:
        return Outcome(
            video.stream,
            report.frames,
            report.tracks,
            round(report.seconds, 3),
            error=self._said(report.errors[0], video, local),
            worker=self.name,
        )

    def _said(self, error: MaskcastError, video: Video, local: Path) -> str:
        """An error of a video, which has another name here."""
        return str(error).replace(str(local), named_source(video.source))

    def _spool(self, video: Video) -> Spool:
        plan = self._plan
        asked = f"{plan.asked} of {plan.origin.digest}"  # a spool outlives no update
        return self._ledger.spool(video.stream, video.identity, asked, plan.tracking.save_seconds)

    async def _note(self, stream: str, record: Record) -> None:
        """Write into the ledger.

        Raises:
            SinkError: it cannot be written.
        """
        try:
            await in_daemon_thread(lambda: self._ledger.write(stream, record), f"note {stream}")
        except OSError as error:
            raise SinkError(f"cannot be written: {reason_of(error)}", where=self._ledger.file(stream)) from error

    async def _forget(self, video: Video) -> None:
        """What was kept to go on with is of no use any more."""

        def remove() -> None:
            self._spool(video).remove()
            (self._plan.state / "tracks" / f"{file_name(video.stream)}.lock").unlink(missing_ok=True)

        with suppress(OSError):  # the video is done all the same
            await in_daemon_thread(remove, f"forget {video.stream}")


def _refuse_endless(source: str) -> None:
    """Refuse what is no regular file: it may never end, and nobody could take it up again.

    Raises:
        SourceError: it is none.
    """
    if kind_of(source) is not Kind.FILE:
        return
    try:
        if not stat.S_ISREG(Path(source).stat().st_mode):
            raise SourceError("is no regular file", where=source)
    except OSError as error:
        raise SourceError(reason_of(error), where=source) from error
