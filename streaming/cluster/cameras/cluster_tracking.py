"""`maskcast run` with `[cluster]`: this process is the head, and workers that Ray runs track for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from maskcast.errors import MaskcastError, unforeseen
from maskcast.prompts import Prompt
from maskcast.threads import in_daemon_thread
from streaming.cluster.cameras.actor import begin_actor, camera_actor
from streaming.cluster.cameras.fleet import Fleet
from streaming.cluster.cameras.remote_attempt import RemoteAttempt
from streaming.cluster.cameras.worker_link import LOADING_SECONDS
from streaming.cluster.connection import Cluster, connected
from streaming.cluster.origin import Origin
from streaming.cluster.resources import divide
from streaming.pipeline.job import Job
from streaming.pipeline.report import Report
from streaming.service.tracking import WorkerView
from streaming.settings.cluster import ClusterSettings
from streaming.settings.tables import Settings, StreamSettings

logger = logging.getLogger(__name__)

# For a worker's answer whether its model can read prompts, which waits for a pass to end.
CHECK_SECONDS = 30.0
# Without any worker for so long the process counts as unhealthy, and at last it gives up, so that whatever started it
# starts it again, and Ray with it: by then each worker has been begun anew many times, or its model should be loaded.
UNHEALTHY_SECONDS, GIVE_UP_SECONDS = 300.0, LOADING_SECONDS
# Without any worker, how often Ray is asked which machines it has, and how often it may not answer.
LOOK_SECONDS, MOST_SILENT_LOOKS = 10.0, 5
# Until Ray has let go; see `streaming.cluster.connection`.
DISCONNECT_SECONDS = 10.0


class ClusterTracking:
    """By workers of Ray; see `streaming.service.tracking.Tracking`."""

    def __init__(self, settings: Settings, cluster: ClusterSettings) -> None:
        """Prepare; nothing of Ray is begun before `start`."""
        self._settings, self._cluster = settings, cluster
        self._leave: Callable[[], None] | None = None  # Ray
        self._fleet: Fleet | None = None
        self._lost: MaskcastError | None = None  # that Ray is
        self._watching: asyncio.Task[None] | None = None
        self.over = asyncio.Event()
        self.track_states = False

    async def start(self) -> None:
        """Connect to Ray, begin the workers, and wait for the first.

        Raises:
            MaskcastError: Ray is not to be had, or no worker can be begun, and why.
        """
        connection = connected(self._cluster.address)

        def leave(_: object = None) -> None:
            connection.__exit__(None, None, None)

        cluster = await in_daemon_thread(connection.__enter__, "connect to Ray", leave)
        self._leave = leave
        settings, origin = self._settings, await asyncio.to_thread(Origin.here)
        nodes = await in_daemon_thread(cluster.nodes, "ask Ray for its nodes")
        workers = divide(nodes, self._cluster.count, device=settings.model.device, local=cluster.local)
        logger.info("Ray at %s: %d workers are begun", cluster.address, workers.count)
        self._fleet = Fleet(lambda: begin_actor(lambda: camera_actor(settings, workers, origin)), workers.count)
        await self._fleet.start()
        self._watching = asyncio.create_task(self._watch(self._fleet, cluster), name="watch Ray")
        self.track_states = any(link.facts.has_track_state for link in self._fleet.links())

    async def _watch(self, fleet: Fleet, cluster: Cluster) -> None:
        """While no worker lives, see whether there is any machine that could have one."""
        silent = 0
        while self._lost is None:
            await asyncio.sleep(LOOK_SECONDS)
            if fleet.without is None:
                silent = 0
                continue
            try:
                lost = not await in_daemon_thread(cluster.nodes, "ask Ray for its nodes")
            except Exception as error:  # noqa: BLE001 - whatever Ray raises, it does not answer
                logger.warning("Ray does not say which machines it has: %s", unforeseen(error))
                silent += 1
                lost = silent >= MOST_SILENT_LOOKS
            if lost:
                self._lost = MaskcastError("Ray is lost: it has no machine any more", advice="start again")
                self.over.set()

    async def run(self, name: str, settings: StreamSettings, job: Job, stop: asyncio.Event) -> Report:
        """See `Tracking`."""
        assert self._fleet
        return await RemoteAttempt(self._fleet, name, settings, job, stop).run()

    def forget(self, name: str) -> None:
        """Give up a stream's place."""
        if self._fleet:
            self._fleet.forget(name)

    async def check_prompts(self, prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...]:
        """See `Tracking`; any worker can say it."""
        links = self._fleet.links() if self._fleet else ()
        if not links:
            raise MaskcastError("no worker is there to read the prompts", advice="ask again later")
        link = min(links, key=lambda one: one.load.busy if one.load else 0.0)
        checked: tuple[Prompt, ...] | MaskcastError = await link.call("check_prompts", prompts, seconds=CHECK_SECONDS)
        if isinstance(checked, MaskcastError):
            raise checked
        return checked

    def workers(self) -> Sequence[WorkerView]:
        """How each worker is. From any thread."""
        return self._fleet.views() if self._fleet else []

    def worker_of(self, name: str) -> str | None:
        """The worker of a stream; None if it has none. From any thread."""
        return self._fleet.worker_of(name) if self._fleet else None

    # How it is.

    def failure(self) -> MaskcastError | None:
        """No worker lives, and none can be begun any more, or has been for `GIVE_UP_SECONDS`; or Ray is lost."""
        if self._lost:
            return self._lost
        seconds = 0.0 if self._fleet and self._fleet.hopeless else GIVE_UP_SECONDS
        reason = self._without(seconds)
        return MaskcastError(reason, advice="start again") if reason else None

    def trouble(self) -> str | None:
        """No worker has lived for `UNHEALTHY_SECONDS`."""
        return self._without(UNHEALTHY_SECONDS)

    def unready(self) -> str | None:
        """No worker lives."""
        return self._without(0.0)

    def _without(self, seconds: float) -> str | None:
        fleet = self._fleet
        if fleet is None or fleet.without is None or (lasted := time.monotonic() - fleet.without) < seconds:
            return None
        return f"no worker for {lasted:.0f} s: {fleet.failure or 'they are being begun'}"

    async def close(self) -> None:
        """End the workers, and let go of Ray."""
        if self._watching:
            self._watching.cancel()
        if self._fleet:
            await self._fleet.close()
        if self._leave:
            leaving = in_daemon_thread(self._leave, "leave Ray")
            await asyncio.wait([leaving], timeout=DISCONNECT_SECONDS)
