"""One stream of `maskcast run` for as long as it is in the settings: whatever fails is begun again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from functools import partial

from maskcast.backoff import Backoff
from maskcast.errors import MaskcastError, ModelError, TrackStateError
from maskcast.notices import Notice, Notify, Problem, SourceStatus, into_loop
from sinks.mqtt.control import ControlDesk
from sinks.video.recording import RecordingSink
from sources import open_reconnecting, open_source
from sources.source import Source
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.stopping import first
from streaming.pipeline.stream import run_stream
from streaming.service.outputs import StreamOutputs
from streaming.service.presence import Presence
from streaming.service.remote_control import RemoteControl
from streaming.service.resumption import Resumption
from streaming.service.shared import Shared
from streaming.service.stream_metrics import StreamMetrics
from streaming.settings.tables import StreamSettings
from streaming.track_states import track_state_file

logger = logging.getLogger(__name__)

# Seconds between attempts to begin a stream again after a failure of the model or of a sink; doubles.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


def _backoff() -> Backoff:
    return Backoff(FIRST_PAUSE, LONGEST_PAUSE, good=LONGEST_PAUSE, jitter=False)


class Supervisor:
    """Runs one stream, and passes on what happens to those who announce, measure and remember it."""

    def __init__(self, name: str, settings: StreamSettings, shared: Shared) -> None:
        """Prepare; nothing runs before `run`."""
        self.name, self.settings = name, settings
        self._controls = Controls(settings.prompts)
        self._shared = shared
        self._stop, self._removed = asyncio.Event(), False
        mqtt = shared.settings.mqtt
        self._outputs = StreamOutputs(name, settings, stills=bool(mqtt and mqtt.stills))
        self._presence = Presence(name, shared, self._controls)
        self._metrics = StreamMetrics(name, shared.metrics, self._controls, settings.max_rate)
        self._resumption = Resumption(name, self._track_state())

    def _track_state(self) -> TrackStateFile | None:
        if not self._shared.track_states or self.settings.ends():
            return None
        state = self._shared.settings.state
        return TrackStateFile(track_state_file(state.folder / "tracks", self.name), state.save_seconds)

    def stop(self, *, removed: bool = False) -> None:
        """Let `run` end; `removed` if the stream is not in the settings any more."""
        self._removed = removed
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
        self._metrics.begin()
        left_behind = False
        try:
            live = not self.settings.ends() or self.settings.live is True
            await self._presence.start(self._control(), self.notify, live=live)
            await self._serve()
        except asyncio.CancelledError:  # the process ends, and does not wait any longer
            left_behind = True
            raise
        except BaseException as bug:
            self._presence.source = SourceStatus(False, f"failed unexpectedly, see the log: {type(bug).__name__}")
            raise
        finally:
            if not left_behind:
                await self._presence.leave(removed=self._removed)
            self._metrics.end()

    def _control(self) -> ControlDesk | None:
        """What answers the requests of subscribers, if they may make any."""
        allowed = self.settings.control
        if not allowed:
            return None
        remote = RemoteControl(self._controls, self._presence, self._outputs, self._shared.worker, self.notify)
        return ControlDesk(self.name, remote, self.notify, allowed=allowed)

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
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _attempt(self) -> bool:
        """Run the pipeline once; whether that was all that is to be done."""
        if not self.settings.ends():
            return await self._run_once()
        turn = asyncio.create_task(self._shared.in_turn.acquire(), name=f"turn of {self.name}")
        await first(self._stop, [turn])
        if not turn.done():  # given up
            return True
        try:
            return self._stop.is_set() or await self._run_once()
        finally:
            self._shared.in_turn.release()

    async def _run_once(self) -> bool:
        if self.settings.ends():
            self.notify(SourceStatus(online=True))
        error = await self._outcome()
        ended = "stopped" if self._stop.is_set() else "end of stream"
        self.notify(SourceStatus(False, str(error) if error else ended))
        return not isinstance(error, ModelError)

    async def _outcome(self) -> MaskcastError | None:
        """Run the pipeline; what ended it, if that was an error."""
        over = threading.Event()
        try:
            report = await run_stream(await self._job(over), self._shared.worker, self._stop)
            # A full disk at the end must not hide why it ended.
            broken = [error for error in report.errors if isinstance(error, ModelError)]
            return (broken or report.errors or [None])[-1]
        except TrackStateError as failure:
            self.notify(Problem(self._resumption.give_up(failure)))
        except MaskcastError as failure:
            self.notify(Problem(failure))
            return failure
        except Exception as failure:
            logger.exception("%s: unexpected failure", self.name, extra={"stream": self.name})
            return MaskcastError.wrap(failure)
        finally:
            over.set()
        return await self._outcome()

    async def _job(self, over: threading.Event) -> Job:
        publisher = self._presence.publisher
        return Job(
            open_source=partial(self._open, over, into_loop(self.notify, over)),
            open_sinks=lambda _: self._outputs.make(publisher),
            controls=self._controls,
            max_rate=self.settings.max_rate,
            weight=self.settings.weight,
            track_state=self._resumption.track_state,
            known=await self._resumption.known(self._shared.journal if publisher else None),
            notify=self.notify,
        )

    def _open(self, over: threading.Event, notify: Notify) -> Source:
        """Open the source of an attempt, which ends when `over` is set. Called on a thread."""
        source, settings = self.settings.source, self.settings.source_settings()
        if self.settings.ends():
            return open_source(source, settings, stream=self.name)
        return open_reconnecting(source, notify, settings, stream=self.name, stop=over)

    def notify(self, notice: Notice) -> None:
        """Pass on what has happened. Called in the event loop."""
        match notice:
            case SourceStatus(online, reason) if notice != self._presence.source:
                say = logger.info if online or self._stop.is_set() else logger.warning
                say("%s: %s", self.name, "online" if online else f"offline: {reason}", extra={"stream": self.name})
            case Problem(error):
                logger.error("%s: %s", self.name, error, extra={"stream": self.name})
        for listener in (self._presence, self._metrics, self._resumption):
            listener.notify(notice)

    def measure(self) -> tuple[float, float]:
        """Bring the metrics up to date; call every some seconds.

        Returns:
            Frames a second that were wanted of the model since the last call, and that it tracked.
        """
        self._metrics.look(self._presence.publisher, self._shared.journal, self._outputs.find(RecordingSink))
        looking = self._presence.source.online and not self._controls.paused
        if not looking and self._metrics.idle() > self._shared.settings.model.lost_after:
            self._metrics.nothing_visible()
            self._presence.nothing_visible()
        return self._metrics.rates()

    def state(self) -> dict[str, object]:
        """For a person who asks whether all is well."""
        status = self._presence.status
        return {"online": status.online, "reason": status.reason, "paused": status.paused}
