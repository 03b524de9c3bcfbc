"""One stream of `maskcast run` for as long as it is in the settings: whatever fails is begun again."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from maskcast.backoff import Backoff
from maskcast.errors import MaskcastError, ModelError, SinkError, SourceError, TrackStateError, UsageError
from maskcast.files import set_aside
from maskcast.result import KnownTracks
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from sinks.video.recording import RecordingSink
from sources import open_reconnecting, open_source
from sources.source import Source
from streaming.pipeline.controls import Controls
from streaming.pipeline.model_thread import TrackedFrame
from streaming.pipeline.stopping import first
from streaming.pipeline.stream import Job, Report, TrackStateFile, run_stream
from streaming.service.outputs import StreamOutputs
from streaming.service.presence import Presence
from streaming.service.shared import Shared
from streaming.settings.tables import StreamSettings
from streaming.track_states import track_state_file

logger = logging.getLogger(__name__)

# Seconds between attempts to begin a stream again after a failure of the model or of a sink; doubles.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


def _backoff() -> Backoff:
    return Backoff(FIRST_PAUSE, LONGEST_PAUSE, good=LONGEST_PAUSE, jitter=False)


class Supervisor:
    """Runs one stream."""

    def __init__(self, name: str, settings: StreamSettings, shared: Shared) -> None:
        """Prepare; nothing runs before `run`."""
        self.name, self.settings = name, settings
        self.controls = Controls(settings.prompts)
        self._shared = shared
        self._stop = asyncio.Event()
        self._closing = threading.Event()  # the same for the thread that connects; a new one for each attempt
        self._removed = False
        mqtt = shared.settings.mqtt
        self._outputs = StreamOutputs(name, settings, stills=bool(mqtt and mqtt.stills))
        self._presence = Presence(name, settings, shared, self.controls, self._outputs, self._stop)
        self._report = Report(name)
        self._asked_before = (0, 0, time.monotonic())
        self._last_turn = time.monotonic()
        self._highest_id = 0
        self._resume = True

    def stop(self, *, removed: bool = False) -> None:
        """Let `run` end; `removed` if the stream is not in the settings any more."""
        self._removed = removed
        self._closing.set()
        self._stop.set()

    async def run(self) -> None:
        """Serve the stream until `stop`, or to its end if it has one. A bug in here is not its end."""
        backoff = _backoff()
        while True:
            began = time.monotonic()
            try:
                return await self._run()
            except asyncio.CancelledError:
                raise
            except BaseException:  # a panic of a Rust library, such as pydantic's, too
                backoff.lasted(time.monotonic() - began)
                pause = backoff.wait()
                logger.exception(
                    "%s: failed unexpectedly, begun again in %.0f s", self.name, pause, extra={"stream": self.name}
                )
            await self._pause(pause)
            if self._stop.is_set():
                return None

    async def _run(self) -> None:
        self._shared.metrics.stream_up(self.name, False)
        self._shared.metrics.prompts(self.name, self.controls.prompts)
        left_behind = False
        try:
            await self._presence.start()
            await self._serve()
        except asyncio.CancelledError:  # the process ends, and does not wait any longer
            left_behind = True
            raise
        except BaseException as bug:
            self._presence.reason = f"failed unexpectedly, see the log: {type(bug).__name__}"
            raise
        finally:
            self._presence.online = False
            if not left_behind:
                await self._presence.leave(removed=self._removed)
            self._shared.metrics.remove_stream(self.name)

    async def _serve(self) -> None:
        backoff = _backoff()
        while not self._stop.is_set():
            began = time.monotonic()
            if await self._attempt() and self.settings.ends():
                return
            backoff.lasted(time.monotonic() - began)
            await self._pause(backoff.wait())

    async def _pause(self, seconds: float) -> None:
        """Wait, unless it is time to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _attempt(self) -> bool:
        """Run the pipeline once; whether that was all that is to be done."""
        if not self.settings.ends():
            return await self._run_once()
        turn = asyncio.ensure_future(self._shared.in_turn.acquire())
        await first(self._stop, [turn])
        if not turn.done():  # given up
            return True
        try:
            return self._stop.is_set() or await self._run_once()
        finally:
            self._shared.in_turn.release()

    async def _run_once(self) -> bool:
        self._closing = threading.Event()
        file = self._track_state_file()
        if self.settings.ends():
            await self._presence.change(True, None)
        try:
            report = await run_stream(self._job(file), self._shared.worker, self._stop)
            # A full disk at the end must not hide why it ended.
            broken = [error for error in report.errors if isinstance(error, ModelError)]
            error = (broken or report.errors or [None])[-1]
        except TrackStateError as failure:
            self._closing.set()
            self._give_up(file, failure)
            return await self._run_once()
        except MaskcastError as failure:
            error = failure
            self._problem(failure)
        except Exception as failure:
            logger.exception("%s: unexpected failure", self.name, extra={"stream": self.name})
            error = MaskcastError(f"{type(failure).__name__}: {failure}".splitlines()[0])
        self._closing.set()  # what its source has said by now and nobody has heard yet is of no interest any more
        ended = "stopped" if self._stop.is_set() else "end of stream"
        await self._presence.change(False, str(error) if error else ended)
        return not isinstance(error, ModelError)

    def _track_state_file(self) -> Path | None:
        if not self._shared.track_states or self.settings.ends():
            return None
        return track_state_file(self._shared.settings.state.folder / "tracks", self.name)

    def _give_up(self, file: Path | None, error: TrackStateError) -> None:
        """A track state that cannot be used must not keep the stream from running, on a read-only disk neither."""
        assert file is not None
        try:
            done = f"set aside as {set_aside(file).name}"
        except OSError:
            self._resume, done = False, "passed over"
        self._problem(TrackStateError(f"{error} ({done})"))

    def _job(self, file: Path | None) -> Job:
        seconds = self._shared.settings.state.save_seconds
        return Job(
            open_source=self._open,
            open_sinks=self._make_sinks,
            prompts=self.settings.prompts,
            max_frames=None,
            progress=self._progress,
            problem=self._problem,
            track_state=TrackStateFile(file, seconds, self._resume) if file else None,
            known=self._known,
            controls=self.controls,
            weight=self.settings.weight,
            max_rate=self.settings.max_rate,
            turn=self._turn,
        )

    def _open(self) -> Source:
        settings = self.settings
        if settings.ends():
            return open_source(
                settings.source,
                stream=self.name,
                live=settings.live,
                connect=settings.connect_timeout,
                silence=settings.silence_timeout,
                max_pixels=settings.max_pixels,
                private_redirects=settings.private_redirects,
            )
        ended = self._closing
        return open_reconnecting(
            settings.source,
            lambda online, reason: self._presence.change_from_thread(online, reason, ended),
            stream=self.name,
            transport=settings.transport,
            connect=settings.connect_timeout,
            silence=settings.silence_timeout,
            ca_file=settings.ca_file,
            max_pixels=settings.max_pixels,
            private_redirects=settings.private_redirects,
            stop=ended,
        )

    def _make_sinks(self, info: StreamInfo) -> Sequence[Sink]:  # noqa: ARG002 - the pipeline asks so
        return self._outputs.make(self._presence.publisher)

    async def _known(self) -> KnownTracks | None:
        if self._presence.publisher:
            known = await self._shared.journal.known_tracks(self.name)
            return replace(known, highest=max(known.highest, self._highest_id))  # the journal's disk may hang
        file = self._track_state_file()
        if self._highest_id == 0 or (file and self._resume and await asyncio.to_thread(os.path.exists, file)):
            return None
        return KnownTracks({}, self._highest_id)  # nobody was told of events, but recordings show ids

    # What the pipeline says.

    def _progress(self, info: StreamInfo, report: Report) -> None:  # noqa: ARG002 - the pipeline's interface
        self._report = report

    def _turn(self, turn: TrackedFrame) -> None:
        metrics = self._shared.metrics
        self._last_turn = turn.done
        metrics.frame_tracked(self.name)
        metrics.observe("queue", turn.taken - turn.frame.decoded_at)
        metrics.observe("model", turn.done - turn.taken)
        for result in turn.results:
            self._highest_id = max([self._highest_id, *(track.id for track in result.tracks)])
        if turn.results:
            visible = Counter(track.prompt for track in turn.results[-1].tracks)
            for prompt in self.controls.prompts:
                metrics.tracks(self.name, prompt, visible[prompt])

    def _problem(self, error: MaskcastError) -> None:
        kinds = {SourceError: "source", SinkError: "sink", ModelError: "model", UsageError: "settings"}
        kind = next((word for known, word in kinds.items() if isinstance(error, known)), "other")
        self._shared.metrics.errors(self.name, kind)
        logger.error("%s: %s", self.name, error, extra={"stream": self.name})

    def measure(self) -> tuple[float, float]:
        """Bring the metrics up to date; call every some seconds.

        Returns:
            Frames a second that were wanted of the model since the last call, and that it tracked.
        """
        metrics, report = self._shared.metrics, self._report
        metrics.frames_dropped(self.name, "reader", report.dropped_before_model)
        metrics.frames_dropped(self.name, "sink", report.dropped_by_sinks)
        if publisher := self._presence.publisher:
            journal = self._shared.journal
            metrics.journal(self.name, journal.depth(self.name), journal.dropped(self.name))
            metrics.broker(self.name, publisher.connected, publisher.dropped_frames)
        if recording := self._outputs.find(RecordingSink):
            metrics.recording(self.name, recording.recording, recording.failures)
        tracked, skipped, before = self._asked_before
        now = time.monotonic()
        self._asked_before = (report.frames, report.dropped_before_model, now)
        idle = self.controls.paused or not self._presence.online
        if idle and now - self._last_turn > self._shared.settings.model.lost_after:
            self._nothing_visible()
        seconds = max(now - before, 1e-3)
        got = max(report.frames - tracked, 0) / seconds
        offered = got + max(report.dropped_before_model - skipped, 0) / seconds
        wanted = got if self.controls.paused else max(got, min(offered, self.settings.max_rate or offered))
        metrics.rate(self.name, wanted, got)
        return wanted, got

    def _nothing_visible(self) -> None:
        """What was seen last is not seen any more, and nothing will say so as long as no frame comes."""
        for prompt in self.controls.prompts:
            self._shared.metrics.tracks(self.name, prompt, 0)
        if self._presence.publisher:
            self._presence.publisher.nothing_visible()

    def state(self) -> dict[str, object]:
        """For a person who asks whether all is well."""
        return {"online": self._presence.online, "reason": self._presence.reason, "paused": self.controls.paused}
