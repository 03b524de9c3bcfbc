"""One attempt at a stream whose model is on a worker: what `streaming.pipeline.stream.run_stream` is for one in here.

    assignment and wishes ► worker: source → model ► results without pixels ► stages → one outlet a sink

All that the head knows better stays here: settings, what has been counted, sinks, and what is told of the stream.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from maskcast.errors import (
    MaskcastError,
    SinkError,
    SourceError,
    StageError,
    TrackStateError,
    WorkerLeftError,
    reason_of,
)
from maskcast.frame import Frame
from maskcast.notices import FramesDropped, Problem, SourceStatus, StreamBegan, TrackedFrame
from maskcast.result import Result
from maskcast.threads import in_daemon_thread
from sources.location import Kind, kind_of
from streaming.cluster.cameras.fleet import Fleet
from streaming.cluster.cameras.messages import (
    Assignment,
    Ended,
    Held,
    Notified,
    PackedFrame,
    Saved,
    Tracked,
    Wish,
)
from streaming.cluster.cameras.remote_picture import RemotePicture
from streaming.cluster.cameras.track_state_copy import TrackStateCopy
from streaming.cluster.cameras.worker_link import WorkerLink
from streaming.pipeline.delivery import Delivery
from streaming.pipeline.job import Job
from streaming.pipeline.report import Report
from streaming.pipeline.stopping import something_of
from streaming.settings.tables import StreamSettings

# Until a worker that was told to end an attempt has done so: the frames that its model has, and a track state to write.
# With what follows it is less than `streaming.service.streams` waits for a stream.
END_SECONDS = 8.0
# Until a track state that was saved last is here.
FETCH_SECONDS = 10.0
# For a picture: somebody looks, or a sink waits.
PICTURE_SECONDS = 5.0
CA_SECONDS = 10.0


class RemoteAttempt:
    """Runs one attempt; for one event loop."""

    def __init__(self, fleet: Fleet, name: str, settings: StreamSettings, job: Job, stop: asyncio.Event) -> None:
        """Prepare; see `streaming.service.tracking.Tracking.run`."""
        self._name, self._settings, self._job, self._stop = name, settings, job, stop
        self._number, self._seat = fleet.next_attempt(), fleet.seat(name)
        self._network = kind_of(settings.source) is Kind.NETWORK
        self._delivery: Delivery | None = None
        self._copy: TrackStateCopy | None = None
        self._turn = asyncio.Lock()  # what is done between two frames is done between two messages
        self._hurry = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._hurrying: asyncio.Task[None] | None = None
        self._online = self._over = self._moving = False
        self._broken = False  # a stage has failed: nothing more is delivered

    async def run(self) -> Report:
        """Run it to its end.

        Raises:
            WorkerLeftError: its worker is gone, or it has another one now; the next attempt goes on there.
            MaskcastError: it could not begin.
        """
        link = await self._placed()
        if link is None:
            return Report(stream="", interrupted=True)
        self._link, self._line = link, link.open(self._number)
        tasks: list[asyncio.Task[None]] = []
        left_behind = False
        try:
            await link.call("assign", await self._assignment())
            followers = {
                "controls": self._follow_controls(),
                "stop": self._follow_stop(),
                "place": self._follow_seat(),
            }
            tasks += [asyncio.create_task(one, name=f"{what} of {self._name}") for what, one in followers.items()]
            ended = await self._receive()
            self._conclude(ended)
        except asyncio.CancelledError:  # the process ends, and does not wait any longer
            left_behind = True
            raise
        except MaskcastError as error:
            if self._delivery:
                self._delivery.reason = str(error)
            raise
        finally:
            if not left_behind:
                await self._finish()
            for task in (*tasks, self._ending, self._hurrying):
                if task:
                    task.cancel()
            link.close(self._number)
        if self._moving and not self._stop.is_set():
            raise WorkerLeftError(f"moves to {self._seat.link.name if self._seat.link else 'another worker'}")
        return self._report(ended)

    async def _finish(self) -> None:
        """Leave nothing behind: not on the worker, not in the sinks, and no track state that could be had."""
        self._seat.running = None
        if not self._over and self._link.gone is None:
            with suppress(WorkerLeftError):
                await self._link.call("end", self._number)
        if not self._settings.ends():  # a camera is not to wait for a sink before it is looked at again
            self._hurry.set()
        if self._delivery:
            await self._delivery.finish()
        if self._copy:
            await self._copy.settle(FETCH_SECONDS)

    # Before it begins.

    async def _placed(self) -> WorkerLink | None:
        """Wait for a worker, doing meanwhile what is to be done between two frames; None if it is time to stop."""
        seat, told = self._seat, ""
        while not self._stop.is_set():
            seat.changed.clear()
            if seat.link and seat.link.gone is None:
                return seat.link
            if told != seat.waits:
                told = seat.waits
                self._job.notify(SourceStatus(False, told))
            await something_of([seat.changed, self._stop, self._job.controls.changed])
            await self._act()
        return None

    async def _act(self) -> None:
        """Do what is to be done between two frames."""
        controls = self._job.controls
        controls.changed.clear()
        for act in controls.acts():
            await act()

    async def _assignment(self) -> Assignment:
        job, settings, keeping = self._job, self._settings, self._job.track_state
        resume = False
        if keeping:
            self._copy = TrackStateCopy(self._link.call, self._number, keeping.file, self._problem)
            try:
                resume = keeping.resume and await self._copy.give()
            except WorkerLeftError:
                raise
            except MaskcastError as error:  # tracks end, but the camera is looked at
                self._problem(error)
        self._wished = (job.controls.prompts, job.controls.paused)
        return Assignment(
            self._number,
            self._name,
            settings.source,
            settings.source_settings(),
            settings.ends(),
            *self._wished,
            known=job.known,
            max_rate=job.max_rate,
            weight=job.weight,
            save_seconds=keeping.seconds if keeping else None,
            resume=resume,
            pictures=bool(settings.recording or settings.out),
            ca=await _content(settings.ca_file) if settings.ca_file else None,
        )

    # What it follows.

    async def _follow_controls(self) -> None:
        """Let the worker follow what is wanted, and do between two messages what is to be done between two frames."""
        controls, revisions = self._job.controls, itertools.count(1)
        while self._link.gone is None:
            wanted = (controls.prompts, controls.paused)
            if wanted != self._wished:
                self._show_running()
                try:
                    await self._link.call("wish", Wish(self._number, next(revisions), *wanted))
                except WorkerLeftError:
                    continue
                self._wished = wanted
            await controls.changed.wait()
            async with self._turn:
                await self._act()

    async def _follow_stop(self) -> None:
        await self._stop.wait()
        self._hurry.set()
        self._end()

    async def _follow_seat(self) -> None:
        """End here when it is to go on elsewhere. What has an end stays, as it would begin anew there."""
        while True:
            if self._seat.link not in {self._link, None} and not self._settings.ends():
                self._moving = True
                self._end()
            await self._seat.changed.wait()
            self._seat.changed.clear()

    def _end(self) -> None:
        """Let the worker end it; what it has by then is still delivered."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._wait_for_end(), name=f"end of {self._name}")

    async def _wait_for_end(self) -> None:
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._link.call("end", self._number)
                await asyncio.Event().wait()
        except (TimeoutError, WorkerLeftError):
            self._line.close(WorkerLeftError(f"its worker has not ended it within {END_SECONDS:g} s"))

    def _show_running(self) -> None:
        """Say whether what it wants of the model can be measured now."""
        running = self._online and not self._job.controls.paused and self._seat.link is self._link
        self._seat.running = self._number if running else None

    # What comes.

    async def _receive(self) -> Ended:
        while True:
            message, ahead = await self._line.next()
            async with self._turn:
                match message:
                    case Notified(_, StreamBegan() as notice):
                        await self._begin(notice)
                    case Notified(_, SourceStatus() | FramesDropped() | Problem() as notice):
                        self._hear(notice)
                    case Tracked():
                        await self._take(message, ahead)
                    case Held(_, results):
                        await self._deliver([one.result(self._frame(one.frame, ahead)) for one in results], wait=True)
                    case Saved() if self._copy and not self._broken:
                        self._copy.saved(message)
                    case Ended():
                        self._over = True
                        return message

    async def _begin(self, notice: StreamBegan) -> None:
        job = self._job
        delivery = Delivery(notice.info, job.open_sinks(notice.info), job.stages, job.notify)
        self._hurrying = asyncio.create_task(delivery.hurry(self._hurry), name=f"hurry {self._name}")
        await delivery.start()
        self._delivery = delivery
        job.notify(notice)

    def _hear(self, notice: SourceStatus | FramesDropped | Problem) -> None:
        if isinstance(notice, SourceStatus):
            self._online = notice.online
            self._show_running()
            if notice.reason and not self._network:
                notice = replace(notice, reason=f"{notice.reason} (on {self._link.facts.host})")
        elif isinstance(notice, Problem):
            notice = Problem(self._here(notice.error))
        self._job.notify(notice)

    async def _take(self, message: Tracked, ahead: float) -> None:
        frames = {id(packed): self._frame(packed, ahead) for packed in (message.frame, *_frames(message))}
        results = [one.result(frames[id(one.frame)]) for one in message.results]
        frame = frames[id(message.frame)]
        self._job.notify(TrackedFrame(frame, results, message.taken + ahead, message.done + ahead, message.pace))
        if self._delivery:
            self._delivery.report.model_seconds += message.pace
        await self._deliver(results)

    def _frame(self, packed: PackedFrame, ahead: float) -> Frame:
        loop, link, number = asyncio.get_running_loop(), self._link, self._number

        def fetch() -> bytes | None:
            """On a thread."""
            asking = link.call("picture", number, packed.index, seconds=PICTURE_SECONDS)
            try:
                jpeg: bytes | None = asyncio.run_coroutine_threadsafe(asking, loop).result(2 * PICTURE_SECONDS)
            except (WorkerLeftError, TimeoutError):
                return None
            return jpeg

        return packed.frame(RemotePicture(packed, fetch), ahead)

    async def _deliver(self, results: Sequence[Result], *, wait: bool = False) -> None:
        if self._delivery and not self._broken:
            try:
                await self._delivery.deliver(results, wait=wait)
                self._delivery.count_dropped()
            except StageError as error:
                self._broken = True
                self._delivery.fail(error)
            if self._broken or not self._delivery.wanted:
                self._end()
        self._line.delivered += 1

    # The end.

    def _conclude(self, ended: Ended) -> None:
        """Why it has ended.

        Raises:
            MaskcastError: it could not begin.
        """
        delivery, error = self._delivery, ended.error and self._here(ended.error)
        if error and delivery is None:
            raise error
        if delivery is None:
            return
        if error:
            delivery.fail(error)
        elif self._stop.is_set():
            delivery.interrupt()
        elif ended.report and ended.report.errors:
            delivery.reason = delivery.reason or str(self._here(ended.report.errors[-1]))

    def _report(self, ended: Ended) -> Report:
        """What has become of it at both ends."""
        there = ended.report or Report(stream="", interrupted=True)
        if self._delivery is None:
            return there
        report = self._delivery.final_report()
        report.source_seconds = there.source_seconds
        report.dropped_before_model = there.dropped_before_model
        report.errors += map(self._here, there.errors)  # told when they came
        return report

    def _here(self, error: MaskcastError) -> MaskcastError:
        """An error of the worker as a person at the head has to read it."""
        keeping = self._job.track_state
        if isinstance(error, TrackStateError) and keeping:
            return TrackStateError(error.what, where=f"track state {keeping.file}", advice=error.advice)
        if isinstance(error, SinkError):  # sinks are here: it is about the disk there
            return error.at(f"node {self._link.facts.host}")
        if isinstance(error, SourceError) and not self._network:
            return error.advising(f"its worker is on {self._link.facts.host}, where it has to be")
        return error

    def _problem(self, error: MaskcastError) -> None:
        self._job.notify(Problem(error))


def _frames(message: Tracked) -> list[PackedFrame]:
    return [one.frame for one in message.results]


async def _content(file: Path) -> bytes:
    """What a file of certificates holds.

    Raises:
        SourceError: it cannot be read.
    """
    reading = in_daemon_thread(file.read_bytes, "read certificates")
    await asyncio.wait([reading], timeout=CA_SECONDS)
    try:
        return reading.result()
    except (OSError, asyncio.InvalidStateError) as error:
        raise SourceError(f"cannot be read: {reason_of(error)}", where=f"ca_file {file}") from error
