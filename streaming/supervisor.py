"""One stream of `maskcast run` for as long as it is in the settings: whatever fails is begun again."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sinks import STREAM_FIELD, open_sink
from sinks.control import ControlDesk
from sinks.home_assistant import discovery, discovery_topic
from sinks.journal import Journal
from sinks.messages import ControlMessage
from sinks.publisher import Publisher, PublisherSink
from sinks.recording import RecordingSettings, RecordingSink
from sinks.sink import Sink
from sinks.still import StillSink
from sources import open_reconnecting, open_source
from sources.source import Source
from streaming.announced import Announced
from streaming.controls import Controls
from streaming.errors import MaskcastError, ModelError, SinkError, SnapshotError, SourceError, UsageError
from streaming.metrics import Metrics
from streaming.pipeline import Job, Report, Snapshot, run_stream
from streaming.settings import MqttSettings, Settings, StreamSettings
from streaming.stopping import first
from streaming.types import MOST_PROMPTS, Frame, KnownTracks, StreamInfo
from streaming.worker import Turn, Worker

logger = logging.getLogger(__name__)

# Seconds between attempts to begin a stream again after a failure of the model or of a sink; doubles.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


@dataclass
class Shared:
    """What all streams of the process share.

    Attributes:
        settings: of the process.
        worker, journal, announced, metrics: see there.
        snapshots: whether the tracker can save its state.
        in_turn: lets one stream that ends, such as a file, run at a time.
    """

    settings: Settings
    worker: Worker
    journal: Journal
    announced: Announced
    metrics: Metrics
    snapshots: bool
    in_turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))


class Supervisor:
    """Runs one stream."""

    def __init__(self, name: str, settings: StreamSettings, shared: Shared) -> None:
        """Prepare; nothing runs before `run`."""
        self.name, self.settings = name, settings
        self.controls = Controls(settings.prompts)
        self.online = False
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._closing = threading.Event()  # the same for the thread that connects; a new one for each attempt
        self._removed = False
        self._reason: str | None = "starting"
        self._still: StillSink | None = None
        self._recording: RecordingSink | None = None
        self._report = Report(name)
        self._was_online = False
        self._asked_before = (0, 0, time.monotonic())
        self._last_turn = time.monotonic()
        self._highest_id = 0
        self._publisher = self._make_publisher(shared.settings.mqtt) if shared.settings.mqtt else None

    def _make_publisher(self, mqtt: MqttSettings) -> Publisher:
        desk = ControlDesk(self.name, self._obey, lambda: self.controls.prompts, self._answered)
        return Publisher(
            mqtt.address(),
            self.name,
            journal=self._shared.journal,
            prompts=self.settings.prompts,
            live=not self.settings.ends() or self.settings.live is True,
            max_payload=int(mqtt.max_payload),
            control=desk,
            published=self._published,
        )

    def stop(self, *, removed: bool = False) -> None:
        """Let `run` end; `removed` if the stream is not in the settings any more."""
        self._removed = removed
        self._closing.set()
        self._stop.set()

    async def run(self) -> None:
        """Serve the stream until `stop`, or to its end if it has one."""
        self._shared.metrics.stream_up(self.name, False)
        self._shared.metrics.prompts(self.name, self.controls.prompts)
        if self._publisher:
            await self._tell()
            await self._publisher.start(required=False)
            await self._announce()
        left_behind = False
        try:
            await self._serve()
        except asyncio.CancelledError:  # the process ends, and does not wait any longer
            left_behind = True
            raise
        finally:
            if self._publisher and not left_behind:
                await self._leave(self._publisher)
            self._shared.metrics.remove_stream(self.name)

    async def _serve(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            began = time.monotonic()
            if await self._attempt() and self.settings.ends():
                return
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)

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
        self._closing = threading.Event()  # the source that has ended has set its own
        file = self._snapshot_file()
        if self.settings.ends():
            await self._changed(True, None)
        try:
            report = await run_stream(self._job(file), self._shared.worker, self._stop)
            # A full disk at the end must not hide why it ended.
            broken = [error for error in report.errors if isinstance(error, ModelError)]
            error = (broken or report.errors or [None])[-1]
        except MaskcastError as failure:
            error = failure
            self._problem(failure)
            if isinstance(failure, SnapshotError) and file:
                self._set_aside(file)
        except Exception as failure:
            logger.exception("%s: unexpected failure", self.name, extra={"stream": self.name})
            error = MaskcastError(f"{type(failure).__name__}: {failure}".splitlines()[0])
        ended = "stopped" if self._stop.is_set() else "end of stream"
        await self._changed(False, str(error) if error else ended)
        return not isinstance(error, ModelError)

    def _snapshot_file(self) -> Path | None:
        if not self._shared.snapshots or self.settings.ends():
            return None
        return self._shared.settings.state.folder / "snapshots" / f"{self.name}.safetensors"

    def _set_aside(self, file: Path) -> None:
        """A snapshot that cannot be used must not keep the stream from running; one such file is kept to look at."""
        with suppress(OSError):
            file.replace(file.with_name(f"{file.name}.damaged"))

    def _job(self, snapshot: Path | None) -> Job:
        return Job(
            open_source=self._open,
            open_sinks=self._sinks,
            prompts=self.settings.prompts,
            max_frames=None,
            progress=self._progress,
            problem=self._problem,
            snapshot=Snapshot(snapshot, self._shared.settings.state.snapshot_seconds) if snapshot else None,
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
            )
        return open_reconnecting(
            settings.source,
            self._changed_from_thread,
            stream=self.name,
            transport=settings.transport,
            connect=settings.connect_timeout,
            silence=settings.silence_timeout,
            ca_file=settings.ca_file,
            stop=self._closing,
        )

    def _sinks(self, info: StreamInfo) -> Sequence[Sink]:  # noqa: ARG002 - the pipeline asks so
        settings, sinks = self.settings, list[Sink]()
        if self._publisher:
            sinks.append(PublisherSink(self._publisher))
            mqtt = self._shared.settings.mqtt
            self._still = StillSink(self._publisher.publish_image, on_events=bool(mqtt and mqtt.images))
            sinks.append(self._still)
        if recording := settings.recording:
            wanted = RecordingSettings(
                folder=recording.folder,
                when=recording.when,
                before=recording.before,
                after=recording.after,
                segment_seconds=recording.segment_seconds,
                segment_bytes=recording.segment_bytes,
                keep_files=recording.keep_files,
                keep_bytes=recording.keep_bytes,
                min_free_bytes=recording.min_free_bytes,
                codec=recording.codec,
                quality=recording.quality,
            )
            self._recording = RecordingSink(wanted, self.name)
            sinks.append(self._recording)
        sinks += [open_sink(out.replace(STREAM_FIELD, self.name), prompts=settings.prompts) for out in settings.out]
        return sinks

    async def _known(self) -> KnownTracks | None:
        if self._publisher:
            return await self._shared.journal.known_tracks(self.name)
        file = self._snapshot_file()
        if self._highest_id == 0 or (file and file.exists()):
            return None
        return KnownTracks({}, self._highest_id)  # nobody was told of events, but recordings show ids

    # What the pipeline says.

    def _progress(self, info: StreamInfo, report: Report) -> None:  # noqa: ARG002 - the pipeline's interface
        self._report = report

    def _turn(self, turn: Turn) -> None:
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

    def _published(self, frame: Frame, seconds: float) -> None:
        self._shared.metrics.observe("publish", seconds)
        self._shared.metrics.observe("total", time.monotonic() - frame.decoded_at)

    def _answered(self, accepted: bool, count: int) -> None:
        self._shared.metrics.control(self.name, "accepted" if accepted else "rejected", count)

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
        metrics.frames_dropped(self.name, "reader", report.skipped)
        metrics.frames_dropped(self.name, "sink", report.shed)
        if self._publisher:
            journal = self._shared.journal
            metrics.spool(self.name, journal.depth(self.name), journal.shed(self.name))
            metrics.broker(self.name, self._publisher.connected, self._publisher.dropped_frames)
        if self._recording:
            metrics.recording(self.name, self._recording.recording, self._recording.failures)
        tracked, skipped, before = self._asked_before
        now = time.monotonic()
        self._asked_before = (report.frames, report.skipped, now)
        idle = self.controls.paused or not self.online
        if idle and now - self._last_turn > self._shared.settings.model.lost_after:
            self._nothing_visible()
        seconds = max(now - before, 1e-3)
        got = max(report.frames - tracked, 0) / seconds
        offered = got + max(report.skipped - skipped, 0) / seconds
        wanted = got if self.controls.paused else max(got, min(offered, self.settings.max_rate or offered))
        metrics.rate(self.name, wanted, got)
        return wanted, got

    def _nothing_visible(self) -> None:
        """What was seen last is not seen any more, and nothing will say so as long as no frame comes."""
        for prompt in self.controls.prompts:
            self._shared.metrics.tracks(self.name, prompt, 0)
        if self._publisher:
            self._publisher.nothing_visible()

    def state(self) -> dict[str, object]:
        """For a person who asks whether all is well."""
        return {"online": self.online, "reason": self._reason, "paused": self.controls.paused}

    # What subscribers see, and what they ask for.

    def _changed_from_thread(self, online: bool, reason: str | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            asyncio.run_coroutine_threadsafe(self._changed(online, reason), self._loop)

    async def _changed(self, online: bool, reason: str | None) -> None:
        if online and not self.online and self._was_online:
            self._shared.metrics.reconnected(self.name)
        self._was_online = self._was_online or online
        if (online, reason) != (self.online, self._reason):
            say = logger.info if online or self._stop.is_set() else logger.warning
            say("%s: %s", self.name, "online" if online else f"offline: {reason}", extra={"stream": self.name})
        self.online, self._reason = online, reason
        self._shared.metrics.stream_up(self.name, online)
        await self._tell()

    async def _tell(self) -> None:
        if self._publisher:
            await self._publisher.set_status(
                self.online, self._reason, prompts=self.controls.prompts, paused=self.controls.paused
            )

    def _discovery_topic(self) -> str | None:
        """Where the stream is described to Home Assistant, if it is."""
        mqtt = self._shared.settings.mqtt
        if not (mqtt and mqtt.home_assistant):
            return None
        return discovery_topic(mqtt.address().prefix, self.name, mqtt.discovery_prefix)

    async def _announce(self) -> None:
        """Describe the stream to Home Assistant."""
        mqtt, topic = self._shared.settings.mqtt, self._discovery_topic()
        if self._publisher and mqtt and topic:
            prompts = self.controls.prompts
            gone = self._shared.announced.replace(topic, prompts)
            message = json.dumps(discovery(mqtt.address().prefix, self.name, prompts, gone)).encode()
            await self._publisher.publish_raw(topic, message)

    async def _leave(self, publisher: Publisher) -> None:
        """Say goodbye, also to Home Assistant if the stream will not come back."""
        topic = self._discovery_topic() if self._removed else None
        if topic:
            await publisher.publish_raw(topic, b"")
        if await publisher.close(self._reason or "stopped") and topic:
            self._shared.announced.forget(topic)

    async def _obey(self, message: ControlMessage) -> tuple[str, ...]:
        """Do what a control message says.

        Raises:
            MaskcastError: it cannot be done; nothing has changed.
        """
        before = self.controls.prompts
        match message.action:
            case "pause" | "resume":
                self.controls.pause(message.action == "pause")
            case "snapshot":
                if self._still is None or not self.online:
                    raise UsageError(f"no picture: the stream is offline ({self._reason})")
                self._still.ask()
            case "set" | "add" | "remove":
                given = tuple(message.prompts or ())
                wanted = {
                    "set": given,
                    "add": (*before, *given),
                    "remove": tuple(prompt for prompt in before if prompt not in given),
                }[message.action]
                checked = await self._shared.worker.check_prompts(wanted)
                if len(checked) > MOST_PROMPTS:
                    raise UsageError(f"{len(checked)} prompts are too many: a stream looks for {MOST_PROMPTS} at most")
                self.controls.set_prompts(checked)
                self._shared.metrics.prompts(self.name, checked)
                if self._publisher:
                    self._publisher.set_prompts(checked)
                await self._announce()
        await self._tell()
        return self.controls.prompts
