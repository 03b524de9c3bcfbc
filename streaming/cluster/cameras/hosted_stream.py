"""One attempt at a stream on a worker: its source, its place at the model, and what goes up of it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from maskcast.errors import MaskcastError, SinkError, reason_of, unforeseen
from maskcast.notices import (
    FramesDropped,
    Notice,
    Notify,
    Problem,
    SourceStatus,
    StreamBegan,
    TrackedFrame,
    TrackStateSaved,
)
from maskcast.redaction import hide, passwords_of
from maskcast.result import Result
from maskcast.threads import into_loop
from sources import open_reconnecting, open_source
from sources.source import Source
from streaming.cluster.cameras.load import LoadCounter
from streaming.cluster.cameras.messages import (
    Assignment,
    Ended,
    Held,
    Message,
    Notified,
    PackedFrame,
    PackedResult,
    Saved,
    Tracked,
    Wish,
)
from streaming.cluster.cameras.pictures import Pictures
from streaming.cluster.cameras.track_state_parts import TrackStateParts
from streaming.cluster.cameras.uplink import StreamUplink
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker

logger = logging.getLogger(__name__)


class HostedStream:
    """Runs one attempt. It has no sinks: every result goes up, from the last stage on. For one event loop.

    Attributes:
        assignment: what was asked for.
        state: its track state.
        ended: when it ended, by `time.monotonic`; infinite before that.
    """

    def __init__(
        self, assignment: Assignment, worker: Worker, uplink: StreamUplink, load: LoadCounter, state: TrackStateParts
    ) -> None:
        """Prepare; nothing happens before `run`."""
        self.assignment, self.state = assignment, state
        self._ca_file = state.file.with_suffix(".pem")
        self._worker, self._uplink, self._load = worker, uplink, load
        self._controls = Controls(assignment.prompts)
        self._controls.paused = assignment.paused
        self._wish = Wish(assignment.attempt, 0, assignment.prompts, assignment.paused)
        self.ended = math.inf
        self._stop = asyncio.Event()
        self._pictures = Pictures(assignment.stream)
        self._packing = _Packing(assignment, uplink, self._pictures)
        uplink.when_told(self._told)

    @property
    def over(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    async def run(self) -> None:
        """Run to the end, or until `stop`. The last that goes up says how it was, whatever happens."""
        attempt = self.assignment.attempt
        over = threading.Event()
        self._load.begin(attempt, self._controls, self.assignment.max_rate)
        ended = Ended(attempt, MaskcastError("left behind by its worker", where=self.assignment.stream))
        try:
            report = await run_stream(self._job(over), self._worker, self._stop)
            ended = Ended(attempt, report=report)
        except MaskcastError as error:
            ended = Ended(attempt, error)
        except Exception as error:
            logger.exception("%s: unexpected failure", self.assignment.stream)
            ended = Ended(attempt, MaskcastError.wrap(error))
        finally:
            over.set()
            self._load.end(attempt)
            self.ended = time.monotonic()
            self._uplink.put(ended)

    def _job(self, over: threading.Event) -> Job:
        wanted = self.assignment
        hide(passwords_of(wanted.source))
        return Job(
            open_source=partial(self._open, over, into_loop(self.notify, over)),
            open_sinks=lambda _: [],
            controls=self._controls,
            stages=[self._packing],
            max_rate=wanted.max_rate,
            weight=wanted.weight,
            track_state=self._track_state(),
            known=wanted.known,
            notify=self.notify,
        )

    def _track_state(self) -> TrackStateFile | None:
        seconds = self.assignment.save_seconds
        return None if seconds is None else TrackStateFile(self.state.file, seconds, resume=self.assignment.resume)

    def _open(self, over: threading.Event, notify: Notify) -> Source:
        """Open the source. Called on a thread."""
        wanted = self.assignment
        settings = wanted.settings
        if wanted.ca is not None:
            self._ca_file.write_bytes(wanted.ca)
            settings = replace(settings, ca_file=self._ca_file)
        if wanted.ends:
            return open_source(wanted.source, settings, stream=wanted.stream)
        return open_reconnecting(wanted.source, notify, settings, stream=wanted.stream, stop=over)

    # From the head.

    def wish(self, wish: Wish) -> None:
        """Follow the head, unless it has wished for something else since."""
        if wish.revision <= self._wish.revision:
            return
        before, self._wish = self._wish, wish
        if wish.prompts != before.prompts:
            self._controls.set_prompts(wish.prompts)
        self._regulate()

    def delivered(self, count: int) -> None:
        """The head is done with so many messages with results."""
        self._uplink.delivered(count)
        self._regulate()

    def stop(self) -> None:
        """Let `run` end."""
        self._stop.set()

    async def picture(self, index: int) -> bytes | None:
        """The picture of a frame as it travels; None if it is gone, or cannot be encoded."""
        try:
            return await self._pictures.jpeg(index)
        except Exception as error:  # noqa: BLE001 - whatever an encoder raises, the stream goes on
            logger.warning("%s: frame %d: no picture: %s", self.assignment.stream, index, unforeseen(error))
            return None

    def let_go(self) -> None:
        """Forget what is large of what is kept after its end: all but its last picture."""
        self.state.close()
        with suppress(OSError):
            self._ca_file.unlink()

    def close(self) -> None:
        """Forget all that is kept after its end."""
        self.let_go()
        self._pictures.close()

    # From the stream.

    def notify(self, notice: Notice) -> None:
        """Pass on what has happened. Called in the event loop."""
        self._load.notify(self.assignment.attempt, notice)
        match notice:
            case TrackedFrame():
                self._packing.expect(notice)
                self._regulate()
            case TrackStateSaved(file):
                self._put_state(file)
            case StreamBegan(info):
                self._put(StreamBegan(replace(info, audio=())))
            case SourceStatus() | FramesDropped() | Problem():
                self._put(notice)

    def _put(self, notice: SourceStatus | StreamBegan | FramesDropped | Problem) -> None:
        self._uplink.put(Notified(self.assignment.attempt, notice))

    def _put_state(self, file: Path) -> None:
        try:
            self._uplink.put(Saved(self.assignment.attempt, *self.state.saved()))
        except OSError as error:
            self._put(Problem(SinkError(f"cannot be read: {reason_of(error)}", where=f"track state {file}")))

    def _regulate(self) -> None:
        """Take no frames while the head does not keep up."""
        paused = self._wish.paused or self._uplink.full
        if paused != self._controls.paused:
            self._controls.pause(paused)

    def _told(self, message: Message) -> None:
        if isinstance(message, Tracked | Held):
            for result in message.results:
                self._pictures.told(result.frame.index)
        elif isinstance(message, Ended):
            self._pictures.settle()


class _Packing:
    """The stage behind which results leave the worker; see `streaming.pipeline.stage.Stage`."""

    def __init__(self, assignment: Assignment, uplink: StreamUplink, pictures: Pictures) -> None:
        self._attempt, self._along = assignment.attempt, assignment.pictures
        self._uplink, self._pictures = uplink, pictures
        self._tracked: TrackedFrame | None = None
        self._results: list[Result] = []
        self._failing = False

    def expect(self, tracked: TrackedFrame) -> None:
        """The results of a frame that the model has seen come next."""
        self._tracked, self._results = tracked, []
        if not tracked.results:
            self._send(tracked, [])

    def apply(self, result: Result) -> Result:
        """See `Stage`."""
        if self._tracked is None:
            self._send(None, [result])
            return result
        self._results.append(result)
        if len(self._results) == len(self._tracked.results):
            self._send(self._tracked, self._results)
        return result

    def _send(self, tracked: TrackedFrame | None, results: Sequence[Result]) -> None:
        self._tracked = None
        if not self._along or not results:
            for result in results:
                self._pictures.put(result.frame)
            self._uplink.put(self._packed(tracked, results, {}))
            return
        fill = self._uplink.place(counts=True)
        pictures = {result.frame.index: self._pictures.encode(result.frame.picture) for result in results}
        last = list(pictures.values())[-1]  # they are encoded one after the other

        def encoded(_: asyncio.Future[bytes]) -> None:
            fill(self._packed(tracked, results, {index: self._jpeg(one) for index, one in pictures.items()}))

        last.add_done_callback(encoded)

    def _jpeg(self, encoding: asyncio.Future[bytes]) -> bytes | None:
        with suppress(asyncio.CancelledError):
            if (error := encoding.exception()) is None:
                return encoding.result()
            if not self._failing:
                self._failing = True
                failure = SinkError(f"a picture cannot be sent along: {unforeseen(error)}")
                self._uplink.put(Notified(self._attempt, Problem(failure)))
        return None

    def _packed(
        self, tracked: TrackedFrame | None, results: Sequence[Result], jpegs: dict[int, bytes | None]
    ) -> Tracked | Held:
        frames = {one.frame.index: PackedFrame.of(one.frame, jpegs.get(one.frame.index)) for one in results}
        packed = tuple(PackedResult.of(result, frames[result.frame.index]) for result in results)
        if tracked is None:
            return Held(self._attempt, packed)
        frame = frames.get(tracked.frame.index) or PackedFrame.of(tracked.frame)
        return Tracked(self._attempt, frame, tracked.taken, tracked.done, tracked.pace, packed)
