"""One stream of `maskcast run`: what it is made of, and who hears what happens to it."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

from maskcast.errors import MaskcastError, ModelError, TrackStateError, WorkerLeftError
from maskcast.notices import Notice, Notify, PlacesChanged, Problem, SourceStatus
from maskcast.result import KnownTracks
from maskcast.threads import into_loop
from sinks.messages.control import ACTIONS
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.payload import DEFAULT_PAYLOAD_BYTES
from sinks.video.recording import RecordingSink
from sources import open_reconnecting, open_source
from sources.source import Source
from streaming.lost_tracks import LostTracks
from streaming.page.board import ShownStream
from streaming.page.stream_state import StreamState
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.stage import Stage
from streaming.service.counting import Counting
from streaming.service.outputs import StreamOutputs
from streaming.service.presence import Presence
from streaming.service.remote_control import RemoteControl
from streaming.service.resources import Resources
from streaming.service.resumption import Resumption
from streaming.service.stream_metrics import StreamMetrics
from streaming.settings.tables import StreamSettings
from streaming.track_states import track_state_file

logger = logging.getLogger(__name__)


class ServedStream:
    """A stream as it is over all attempts. What happens to it is announced, measured and remembered here.

    Attributes:
        desk: answers requests that are made on the page, between `begin` and `end`.
    """

    def __init__(self, name: str, settings: StreamSettings, resources: Resources, stop: asyncio.Event) -> None:
        """Prepare; nothing is announced before `begin`. `stop` ends an attempt."""
        self.name, self.settings = name, settings
        self._resources, self._stop = resources, stop
        self._controls = Controls(settings.wanted(), settings.places())
        self._live = not settings.ends() or settings.live is True
        mqtt = resources.settings.mqtt
        self._state = StreamState(
            self._controls,
            max_rate=settings.max_rate,
            live=self._live,
            actions=() if resources.settings.http.read_only else ACTIONS,
            recording=self._is_recording,
            worker=partial(resources.tracking.worker_of, name),
        )
        self._shown = ShownStream(
            name, self._state.describe, settings.styles(), int(mqtt.max_payload) if mqtt else DEFAULT_PAYLOAD_BYTES
        )
        self._outputs = StreamOutputs(
            name,
            settings,
            stills=bool(mqtt and mqtt.stills),
            show=partial(resources.board.put, self._shown) if resources.board else None,
            history=resources.history,
        )
        self._presence = Presence(name, resources, self._controls)
        self._metrics = StreamMetrics(name, resources.metrics, self._controls, settings.max_rate)
        self._resumption = Resumption(name, self._track_state())
        self._counting = Counting(
            name,
            self._controls,
            resources.journal,
            self.notify,
            lost_after=resources.settings.model.lost_after,
            reset=settings.reset,
        )

        self._remote = RemoteControl(
            self._controls, self._presence, self._outputs, resources.tracking, self.notify, self._counting
        )
        self.desk: ControlDesk | None = None

    def _track_state(self) -> TrackStateFile | None:
        if not self._resources.tracking.track_states or self.settings.ends():
            return None
        state = self._resources.settings.state
        return TrackStateFile(track_state_file(state.folder / "tracks", self.name), state.save_seconds)

    async def begin(self) -> None:
        """Show the stream to those who measure, and to subscribers."""
        self._metrics.begin()
        if board := self._resources.board:
            board.add(self._shown)
        placeless = await self._counting.begin()
        self.desk = ControlDesk(self.name, self._remote, self.notify)
        await self._presence.start(self._control(), self.notify, live=self._live, tally=self._counting.tally)
        if placeless:
            self._presence.notify(PlacesChanged(None))  # the broker retains totals
        if self._presence.publisher and self.settings.styles().hide:
            # What the broker retains may be from before anything was hidden.
            await self._presence.publisher.publish_still(b"")

    def _control(self) -> ControlDesk | None:
        """What answers the requests of subscribers, if they may make any."""
        allowed = self.settings.control
        if not allowed:
            return None
        return ControlDesk(self.name, self._remote, self.notify, allowed=allowed)

    async def end(self, *, removed: bool, bug: BaseException | None = None) -> None:
        """Say goodbye, and why: the stream is `removed` from the settings, or a `bug` has ended it."""
        if bug:
            self._presence.source = SourceStatus(False, f"failed unexpectedly, see the log: {type(bug).__name__}")
            self._state.notify(self._presence.source)
        self.desk = None
        self._resources.tracking.forget(self.name)
        if self._stop.is_set():
            # Begun anew, it may hide what this picture shows.
            self._shown.clear()
        try:
            await self._presence.leave(removed=removed)
        finally:
            self._metrics.end()
            # One that has come to its end is shown with its last picture; one that begins anew takes its place.
            if removed and (board := self._resources.board):
                board.remove(self._shown)

    def _is_recording(self) -> bool:
        recording = self._outputs.find(RecordingSink)
        return recording is not None and recording.recording

    async def attempt(self) -> MaskcastError | None:
        """Run the pipeline to its end, or until it is time to stop; what ended it, if that was an error."""
        if self.settings.ends():
            self.notify(SourceStatus(online=True))
        error = await self._outcome()
        ended = "stopped" if self._stop.is_set() else "end of stream"
        self.notify(SourceStatus(False, str(error) if error else ended))
        return error

    async def _outcome(self) -> MaskcastError | None:
        over = threading.Event()
        try:
            job = await self._job(over)
            report = await self._resources.tracking.run(self.name, self.settings, job, self._stop)
            # A full disk at the end must not hide why it ended.
            broken = [error for error in report.errors if isinstance(error, ModelError)]
            return (broken or report.errors or [None])[-1]
        except WorkerLeftError as failure:  # told once, of the worker
            return failure
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
        known = await self._resumption.known(self._resources.journal if publisher or self.settings.places() else None)
        return Job(
            open_source=partial(self._open, over, into_loop(self.notify, over)),
            open_sinks=lambda _: self._outputs.make(publisher, self._resources.journal),
            controls=self._controls,
            stages=self._stages(known),
            max_rate=self.settings.max_rate,
            weight=self.settings.weight,
            track_state=self._resumption.track_state,
            known=known,
            notify=self.notify,
        )

    def _stages(self, known: KnownTracks | None) -> list[Stage]:
        stages: list[Stage] = [self._counting.stage()]
        if self.settings.styles().hide:
            stages.append(LostTracks(self._resources.settings.model.lost_after, known))
        return stages

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
                logger.error("%s", error.at(self.name), extra={"stream": self.name, "where": error.where})
        for listener in (self._presence, self._metrics, self._state, self._resumption):
            listener.notify(notice)

    def measure(self) -> tuple[float, float]:
        """Bring the metrics up to date; call every some seconds.

        Returns:
            Frames a second that were wanted of the model since the last call, and that it tracked.
        """
        self._metrics.look(self._presence.publisher, self._resources.journal, self._outputs.find(RecordingSink))
        self._counting.look()
        looking = self._presence.source.online and not self._controls.paused
        if not looking and self._metrics.idle() > self._resources.settings.model.lost_after:
            self._metrics.nothing_visible()
            self._presence.nothing_visible()
        return self._metrics.rates()

    def state(self) -> dict[str, object]:
        """For a person who asks whether all is well."""
        status = self._presence.status
        worker = self._resources.tracking.worker_of(self.name)
        placed = {"worker": worker} if worker else {}
        return {"online": status.online, "reason": status.reason, "paused": status.paused, **placed}
