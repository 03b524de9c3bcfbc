"""`maskcast run`: many streams, one model, one process, for months."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from functools import partial
from pathlib import Path

from maskcast import __version__
from maskcast.errors import MaskcastError, ModelError, UsageError
from sinks.mqtt.journal import Journal
from sinks.mqtt.process_status import ProcessStatus
from streaming.logs import configure_logs
from streaming.pipeline.stopping import unless
from streaming.pipeline.worker import Worker, engine_loader
from streaming.process import hangup_obeyed, return_memory, run_until_stopped
from streaming.service.metrics import Metrics
from streaming.service.removal import Removal
from streaming.service.retained import Retained
from streaming.service.shared import Shared
from streaming.service.supervisor import Supervisor
from streaming.service.watchdog import Heartbeat, Notifier, watch
from streaming.service.web import Health, WebServer
from streaming.settings.tables import Settings, load_settings, restart_needed

logger = logging.getLogger(__name__)

# Failures of the model in a row, over all streams, after which only a new process can help: a broken CUDA context
# stays broken. Whatever started us starts us again.
HOPELESS = 10
MEASURE_SECONDS = 5.0
TRIM_SECONDS = 30.0
# A little more than a publisher takes to deliver what waits. With what follows it is less than systemd grants.
CLOSING_SECONDS = 12.0
# A second of frames that the model could not take is noise; one in ten over `MEASURE_SECONDS` is overload.
OVERLOAD_SHARE = 0.9
# Loading a full-size checkpoint from a slow disk takes minutes, a frame on a CPU nearly one.
LOADING_SECONDS, STALLED_SECONDS = 1800.0, 120.0


class Service:
    """All streams of a settings file."""

    def __init__(self, file: Path, settings: Settings) -> None:
        """Prepare; nothing runs before `run`."""
        self._file, self._settings = file, settings
        self._streams: dict[str, tuple[Supervisor, asyncio.Task[None]]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}  # streams that finish what they have begun, or are removed
        self._recalls: dict[str, asyncio.Event] = {}  # what ends the removal of a stream
        self._removal: Removal | None = None
        self._journal = Journal(settings.state.folder / "journal.sqlite", limit=settings.state.max_events)
        self._metrics = Metrics()
        self._heartbeat = Heartbeat()
        self._notifier = Notifier()
        self._ready = False
        self._overloaded = False
        self._reload = asyncio.Event()
        self._worker: Worker | None = None
        self._given_up: set[str] = set()  # streams whose supervisor has failed for good, which is a bug
        self._process: ProcessStatus | None = None

    def request_reload(self) -> None:
        """Read the settings again soon."""
        self._reload.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, or until every stream has come to an end of its own.

        Raises:
            UsageError: a port that the settings name cannot be used.
            SinkError: another process uses the state folder.
            ModelError: the model cannot be loaded, fails again and again, or its thread has died.
            MaskcastError: a stream was given up that should run.
        """
        settings, model = self._settings, self._settings.model
        web = (
            WebServer(settings.http.listen, self._metrics, self.health, self.readiness, hosts=settings.http.hosts)
            if settings.http.listen
            else None
        )
        if web:
            web.start()
        self._heartbeat.busy("model", LOADING_SECONDS)
        beat = partial(self._heartbeat.beat, "model")
        watching = asyncio.create_task(watch(self._heartbeat, self._notifier, STALLED_SECONDS))
        try:
            await self._journal.open()
            worker = self._worker = Worker(
                engine_loader(
                    model=model.name,
                    device=model.device,
                    tracker=model.tracker,
                    tracker_from=model.tracker_from,
                    hot_start=model.hot_start,
                    lost_after=model.lost_after,
                    beat=beat,
                ),
                max_batch=settings.worker.max_batch,
                batch_wait=settings.worker.batch_wait,
                beat=beat,
            )
            await unless(stop, asyncio.ensure_future(worker.start()))
            if stop.is_set():
                return
            # What is loaded stays. Without it, collections are cheap, and so frequent enough for what comes and goes.
            gc.collect()
            gc.freeze()
            # Transformers has brought a log handler of its own, which knows nothing of credentials.
            configure_logs(settings.log.level, settings.log.format)
            self._metrics.build_info(__version__, model.name)
            mqtt, folder = settings.mqtt, settings.state.folder
            discovery = mqtt.discovery_prefix if mqtt and mqtt.home_assistant else None
            retained = Retained(folder / "retained.json", mqtt.address() if mqtt else None, discovery)
            shared = Shared(settings, worker, self._journal, retained, self._metrics, await worker.has_track_state())
            if mqtt:
                self._process = ProcessStatus(mqtt.address())
                await self._process.start()
            self._removal = Removal(self._process, self._journal, retained, folder / "tracks")
            cleaning = asyncio.create_task(self._clean_up(self._removal, stop))
            try:
                await self._serve(shared, stop)
            finally:
                await self._close_streams()
                if self._process:
                    await self._process.close("stopped")
                cleaning.cancel()
                await retained.close()
                worker.close()
        finally:
            self._notifier.stopping()
            watching.cancel()
            self._notifier.close()
            await self._journal.close()
            if web:
                web.close()

    async def _serve(self, shared: Shared, stop: asyncio.Event) -> None:
        await self._apply(shared, self._settings)
        self._ready = True
        self._notifier.ready()
        logger.info("ready: %d streams", len(self._streams))
        measured = trimmed = time.monotonic()
        stopped = asyncio.ensure_future(stop.wait())
        died = asyncio.ensure_future(shared.worker.thread.died.wait())
        try:
            while not stop.is_set():
                reload = asyncio.ensure_future(self._reload.wait())
                running = [task for _, task in self._streams.values() if not task.done()]
                if not running:
                    break
                await asyncio.wait(
                    [stopped, died, reload, *running], timeout=MEASURE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                reload.cancel()
                if self._reload.is_set():
                    self._reload.clear()
                    await self._read_again(shared)
                if shared.worker.thread.death:
                    raise shared.worker.thread.death
                if shared.worker.thread.failures >= HOPELESS:
                    raise ModelError(f"the model failed {HOPELESS} times in a row; start again")
                if time.monotonic() - measured >= MEASURE_SECONDS:
                    measured = time.monotonic()
                    self._measure()
                if time.monotonic() - trimmed >= TRIM_SECONDS:
                    trimmed = time.monotonic()
                    # Connections that were lost hang in cycles with their decoders' threads.
                    gc.collect()
                    await asyncio.to_thread(return_memory)
        finally:
            stopped.cancel()
            died.cancel()
        if self._given_up:
            raise MaskcastError(f"given up: {', '.join(sorted(self._given_up))}; see the log, and start again")

    async def _clean_up(self, removal: Removal, stop: asyncio.Event) -> None:
        """Remove what streams have left that went while the process was stopped, or that were elsewhere then."""
        streams = self._settings.streams
        for name in removal.left_behind(streams):
            self._remove(name, None)
        await removal.clean_up(streams, stop)

    # Streams come and go.

    async def _apply(self, shared: Shared, settings: Settings) -> None:
        """Bring the running streams in line with the settings; those that are the same are not touched.

        Nothing here waits for a stream that ends: its disk or its broker may hang.
        """
        running = {name: supervisor.settings for name, (supervisor, _) in self._streams.items()}
        gone = [name for name in running if name not in settings.streams]
        for name, known in running.items():
            if known != settings.streams.get(name):
                self._let_go(name, removed=name in gone)
        for name, stream in settings.streams.items():
            if name not in self._streams:
                if recall := self._recalls.pop(name, None):
                    recall.set()
                supervisor = Supervisor(name, stream, shared)
                task = asyncio.create_task(self._supervise(supervisor, self._leaving.get(name)), name=f"stream {name}")
                self._streams[name] = (supervisor, task)
        if self._process:
            await self._process.set_streams(sorted(self._streams))
        for name in gone:
            logger.info("%s: removed", name, extra={"stream": name})

    async def _supervise(self, supervisor: Supervisor, before: asyncio.Task[None] | None) -> None:
        """Run a stream, but not before the one of the same name has ended: they share topics and files."""
        if before:
            await asyncio.wait([before])
        try:
            await supervisor.run()
        except asyncio.CancelledError:
            raise
        except BaseException:  # a bug in one stream must not take the others down
            logger.exception("%s: given up", supervisor.name, extra={"stream": supervisor.name})
            if any(running is supervisor for running, _ in self._streams.values()):
                self._given_up.add(supervisor.name)

    def _let_go(self, name: str, *, removed: bool = False) -> None:
        """Tell a stream to end."""
        supervisor, task = self._streams.pop(name)
        self._given_up.discard(name)
        supervisor.stop(removed=removed)
        self._leave(name, task)
        if removed:
            self._remove(name, task)

    def _remove(self, name: str, ending: asyncio.Task[None] | None) -> None:
        """Remove what a stream has left, once it has ended."""
        removal = self._removal
        if removal is None:
            return
        recall = self._recalls[name] = asyncio.Event()

        async def remove() -> None:
            if ending:
                await asyncio.wait([ending])
            try:
                await removal.run(name, recall)
            except Exception:  # a bug; at the next start it is tried again
                logger.exception("%s: cannot be removed", name, extra={"stream": name})
            if self._recalls.get(name) is recall:
                del self._recalls[name]

        self._leave(name, asyncio.create_task(remove(), name=f"removal of {name}"))

    def _leave(self, name: str, task: asyncio.Task[None]) -> None:
        """Let a stream of that name begin only when `task` is done."""
        self._leaving[name] = task

        def gone(_: asyncio.Task[None]) -> None:
            if self._leaving.get(name) is task:
                del self._leaving[name]

        task.add_done_callback(gone)

    async def _close_streams(self) -> None:
        """End all streams; one whose disk hangs must not keep the others from saying goodbye."""
        for recall in self._recalls.values():
            recall.set()
        for name in list(self._streams):
            self._let_go(name)
        if self._leaving:
            _, late = await asyncio.wait(self._leaving.values(), timeout=CLOSING_SECONDS)
            for task in late:
                logger.error("%s has not ended in %.0f s and is left behind", task.get_name(), CLOSING_SECONDS)

    async def _read_again(self, shared: Shared) -> None:
        self._notifier.reloading()
        try:
            wanted = load_settings(self._file)
        except UsageError as error:
            logger.error("reload refused, everything goes on as before: %s", error)  # noqa: TRY400 - one line says it
        else:
            if fixed := restart_needed(self._settings, wanted):
                logger.warning("reload: a restart is needed for %s", ", ".join(fixed))
            await self._apply(shared, wanted)
            logger.info("reloaded: %d streams", len(self._streams))
        self._notifier.ready()

    # How the process is.

    def _measure(self) -> None:
        self._journal.try_again()
        self._metrics.state_in_memory(self._journal.refusal is not None)
        rates = [supervisor.measure() for supervisor, task in self._streams.values() if not task.done()]
        wanted, got = sum(rate for rate, _ in rates), sum(rate for _, rate in rates)
        overloaded = got < OVERLOAD_SHARE * wanted
        self._metrics.overloaded(overloaded)
        if overloaded != self._overloaded:
            self._overloaded = overloaded
            if overloaded:
                logger.warning(
                    "overloaded: streams offer %.1f frames/s, the model tracks %.1f; all live streams give way evenly",
                    wanted,
                    got,
                )
            else:
                logger.info("no longer overloaded: %.1f frames/s", got)

    def health(self) -> Health:
        """Whether the event loop and the model's thread get on, and nothing is given up that should run."""
        reason = None
        if self._worker and self._worker.thread.death:
            reason = str(self._worker.thread.death)
        elif stalled := self._heartbeat.stalled(STALLED_SECONDS):
            reason = f"no progress: {', '.join(stalled)}"
        elif self._given_up:
            reason = f"given up: {', '.join(sorted(self._given_up))}"
        return Health(reason is None, reason)

    def readiness(self) -> Health:
        """Whether frames can be tracked and published; the state of each stream beside it."""
        streams = {name: supervisor.state() for name, (supervisor, _) in list(self._streams.items())}
        reason = self.health().reason
        if not self._ready:
            reason = reason or "the model is being loaded"
        elif self._process and not self._process.was_connected:
            reason = reason or "the broker has not been reached yet"
        refusal = self._journal.refusal
        state = f"in memory: {refusal}" if refusal else "on disk"
        return Health(reason is None, reason, {"state": state, "streams": streams})


def run_service(file: Path) -> int:
    """Serve a settings file until SIGINT or SIGTERM; SIGHUP reads it again.

    Returns:
        The exit code: 0 after a signal or when all streams have ended.

    Raises:
        MaskcastError: see `Service.run`.
    """
    settings = load_settings(file)
    configure_logs(settings.log.level, settings.log.format)

    async def main(stop: asyncio.Event) -> None:
        service = Service(file, settings)
        with hangup_obeyed(service.request_reload):
            await service.run(stop)

    run_until_stopped(main)
    return 0
