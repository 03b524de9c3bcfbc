"""`maskcast run`: many streams, one model, one process, for months."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from maskcast import __version__
from maskcast.errors import MaskcastError, UsageError
from sinks.filename import file_name
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.journal import Journal
from sinks.mqtt.process_status import ProcessStatus
from streaming.event_loop import hangup_obeyed, run_until_stopped
from streaming.fetched import require_fetched
from streaming.logs import configure_logs
from streaming.page.board import Board
from streaming.page.health import Health
from streaming.page.history import History
from streaming.pipeline.stopping import something_of, unless
from streaming.process import return_memory
from streaming.service.metrics import Metrics
from streaming.service.overload import Overload
from streaming.service.removal import Removal
from streaming.service.resources import Resources
from streaming.service.retained import Retained
from streaming.service.streams import Streams
from streaming.service.tracking import LocalTracking, Tracking
from streaming.service.watchdog import Heartbeat, Notifier, watch
from streaming.settings.tables import Settings, load_settings, restart_needed

if TYPE_CHECKING:
    from streaming.page.server import WebServer

logger = logging.getLogger(__name__)

MEASURE_SECONDS = 5.0
TRIM_SECONDS = 30.0
# A frame of a full-size model takes a CPU nearly one minute.
STALLED_SECONDS = 120.0


class Service:
    """All streams of a settings file."""

    def __init__(self, file: Path, settings: Settings) -> None:
        """Prepare; nothing runs before `run`."""
        self._file, self._settings = file, settings
        self._journal = Journal(settings.state.folder / "journal.sqlite", limit=settings.state.max_events)
        self._metrics = Metrics()
        self._board = Board()
        self._history: History | None = None
        self._heartbeat, self._notifier = Heartbeat(), Notifier()
        self._reload = asyncio.Event()
        self._tracking: Tracking | None = None
        self._process: ProcessStatus | None = None
        self._streams: Streams | None = None  # once the model is loaded
        self._ready = False

    def request_reload(self) -> None:
        """Read the settings again soon."""
        self._reload.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, or until every stream has come to an end of its own.

        Raises:
            UsageError: a port that the settings name cannot be used.
            SinkError: another process uses the state folder.
            ModelError: the model cannot be loaded, fails again and again, or its thread has died.
            MaskcastError: a stream was given up that should run; or all have ended, one of them by this error.
        """
        settings = self._settings
        async with AsyncExitStack() as ending:
            page = self._serve_page(ending)
            ending.push_async_callback(self._journal.close)
            ending.callback(self._notifier.close)
            tracking = self._tracking = self._make_tracking()
            self._metrics.ask_workers(tracking.workers)
            watching = asyncio.create_task(watch(self._heartbeat, self._notifier, STALLED_SECONDS), name="watchdog")
            ending.callback(watching.cancel)
            ending.callback(self._notifier.stopping)
            await self._journal.open()
            ending.push_async_callback(tracking.close)
            await unless(stop, asyncio.create_task(tracking.start(), name="load the model"))
            if stop.is_set():
                return
            # What is loaded stays. Without it, collections are cheap, and so frequent enough for what comes and goes.
            gc.collect()
            gc.freeze()
            # Transformers has brought a log handler of its own, which knows nothing of credentials.
            configure_logs(settings.log.level, settings.log.format)
            self._metrics.build_info(__version__, settings.model.name)
            mqtt, folder = settings.mqtt, settings.state.folder
            discovery = mqtt.discovery_prefix if mqtt and mqtt.home_assistant else None
            retained = Retained(folder / "retained.json", mqtt.address() if mqtt else None, discovery)
            ending.push_async_callback(retained.close)
            resources = Resources(settings, tracking, self._journal, retained, self._metrics, *page)
            if mqtt:
                self._process = ProcessStatus(mqtt.address())
                await self._process.start()
                ending.push_async_callback(self._process.close, "stopped")
            removal = Removal(self._process, self._journal, retained, folder / "tracks")
            streams = self._streams = Streams(resources, removal)
            cleaning = asyncio.create_task(self._clean_up(streams, removal, stop), name="clean up")
            ending.callback(cleaning.cancel)
            ending.push_async_callback(streams.close)
            await self._serve(streams, tracking, stop)

    def _serve_page(self, ending: AsyncExitStack) -> tuple[Board, History] | tuple[None, None]:
        """Serve the page, metrics and health until `ending`; what the streams are to show, where anybody may look."""
        settings = self._settings
        if not settings.http.listen:
            return None, None
        history = self._history = History(settings.state.folder / "history.sqlite", self._board.tell_event)
        ending.push_async_callback(history.close)
        self._obey_styles(settings)
        web = self._web_server(history)
        web.start()
        ending.callback(web.close)
        return (self._board, history) if web.refusal is None else (None, None)

    def _obey_styles(self, settings: Settings) -> None:
        for name, stream in settings.streams.items():
            styles = stream.styles()
            self._board.obey(name, styles)
            if self._history:
                self._history.obey(name, styles)

    def _web_server(self, history: History) -> WebServer:
        """The page, with all that this process serves beside it."""
        from streaming.page.control import Control
        from streaming.page.events import Events
        from streaming.page.live import Live
        from streaming.page.monitoring import Monitoring
        from streaming.page.reading import Reading
        from streaming.page.recording_files import RecordingFiles
        from streaming.page.recordings import Recordings
        from streaming.page.server import WebServer

        http = self._settings.http
        recordings, reading = Recordings(self._recording_folders), Reading()
        parts = [
            Monitoring(self._metrics.registry, self.health, self.readiness),
            Live(self._board),
            Control(self._desk_of, read_only=http.read_only),
            Events(history, recordings, reading),
            RecordingFiles(recordings, reading),
        ]
        return WebServer(http, parts, salt=self._settings.state.folder / "page.salt", service=True)

    def _desk_of(self, stream: str) -> ControlDesk | None:
        supervisor = self._streams.supervisors().get(stream) if self._streams else None
        return supervisor.stream.desk if supervisor else None

    def _recording_folders(self) -> dict[str, Path]:
        """Where each stream is recorded that is now. Called on a thread."""
        streams = self._settings.streams
        if self._streams:
            streams = {name: one.settings for name, one in self._streams.supervisors().items()}
        return {name: one.recording.folder / file_name(name) for name, one in streams.items() if one.recording}

    def _make_tracking(self) -> Tracking:
        if self._settings.cluster is None:
            return LocalTracking(self._settings, self._heartbeat)
        from streaming.cluster.cameras.cluster_tracking import ClusterTracking

        return ClusterTracking(self._settings, self._settings.cluster)

    async def _clean_up(self, streams: Streams, removal: Removal, stop: asyncio.Event) -> None:
        """Remove what streams have left that went while the process was stopped, or that were elsewhere then."""
        for name in removal.left_behind(self._settings.streams):
            streams.remove(name)
        await removal.clean_up(self._settings.streams, stop)

    async def _serve(self, streams: Streams, tracking: Tracking, stop: asyncio.Event) -> None:
        await self._apply(streams, self._settings)
        self._ready = True
        self._notifier.ready()
        logger.info("ready: %d streams", len(streams.supervisors()))
        overload = Overload(self._metrics)
        measured = trimmed = time.monotonic()
        while not stop.is_set() and (unfinished := streams.unfinished()):
            await something_of([stop, self._reload, tracking.over], unfinished, MEASURE_SECONDS)
            if self._reload.is_set():
                self._reload.clear()
                await self._read_again(streams)
            if failure := tracking.failure():
                raise failure
            if time.monotonic() - measured >= MEASURE_SECONDS:
                measured = time.monotonic()
                self._journal.try_again()
                self._metrics.state_in_memory(self._journal.refusal is not None)
                overload.look(*streams.measure())
            if time.monotonic() - trimmed >= TRIM_SECONDS:
                trimmed = time.monotonic()
                # Connections that were lost hang in cycles with their decoders' threads.
                gc.collect()
                await asyncio.to_thread(return_memory)
        if streams.given_up:
            raise MaskcastError(
                f"given up: {', '.join(sorted(streams.given_up))}", advice="see the log, and start again"
            )
        if not stop.is_set() and (failures := streams.failures()):
            raise min(failures, key=lambda failure: failure.exit_code)  # as `check` chooses among its own

    async def _apply(self, streams: Streams, settings: Settings) -> None:
        streams.apply(settings.streams)
        if self._process:
            await self._process.set_streams(sorted(settings.streams))

    async def _read_again(self, streams: Streams) -> None:
        self._notifier.reloading()
        try:
            wanted = load_settings(self._file)
        except UsageError as error:
            logger.error("reload refused, everything goes on as before: %s", error)  # noqa: TRY400 - one line says it
        else:
            if fixed := restart_needed(self._settings, wanted):
                logger.warning("reload: a restart is needed for %s", ", ".join(fixed))
            self._obey_styles(wanted)
            await self._apply(streams, wanted)
            logger.info("reloaded: %d streams", len(wanted.streams))
        self._notifier.ready()

    # How the process is.

    def health(self) -> Health:
        """Whether the event loop and the model's thread get on, and nothing is given up that should run."""
        reason = None
        if self._tracking and (trouble := self._tracking.trouble()):
            reason = trouble
        elif stalled := self._heartbeat.stalled(STALLED_SECONDS):
            reason = f"no progress: {', '.join(stalled)}"
        elif self._streams and self._streams.given_up:
            reason = f"given up: {', '.join(sorted(self._streams.given_up))}"
        return Health(reason is None, reason)

    def readiness(self) -> Health:
        """Whether frames can be tracked and published; the state of each stream beside it."""
        supervisors = self._streams.supervisors() if self._streams else {}
        streams = {name: supervisor.stream.state() for name, supervisor in supervisors.items()}
        reason = self.health().reason
        if not self._ready:
            reason = reason or "the model is being loaded"
        elif self._tracking and (unready := self._tracking.unready()):
            reason = reason or unready
        elif self._process and not self._process.was_connected:
            reason = reason or "the broker has not been reached yet"
        workers = {
            worker.name: {"up": worker.up, "where": worker.where, "streams": len(worker.streams)}
            for worker in (self._tracking.workers() if self._tracking else ())
        }
        refusal = self._journal.refusal
        state = f"in memory: {refusal}" if refusal else "on disk"
        return Health(
            reason is None, reason, {"state": state, **({"workers": workers} if workers else {}), "streams": streams}
        )


def run_service(file: Path) -> int:
    """Serve a settings file until SIGINT or SIGTERM; SIGHUP reads it again.

    Returns:
        The exit code: 0 after a signal or when all streams have come to their end.

    Raises:
        MaskcastError: see `Service.run`.
    """
    settings = load_settings(file)
    if settings.cluster is None:  # else each worker sees to it on its machine
        require_fetched(settings.model.options, f"`maskcast fetch {file}`")
    configure_logs(settings.log.level, settings.log.format)

    async def main(stop: asyncio.Event) -> None:
        service = Service(file, settings)
        with hangup_obeyed(service.request_reload):
            await service.run(stop)

    run_until_stopped(main)
    return 0
