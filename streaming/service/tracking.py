"""Where the streams of `maskcast run` are tracked: by the model of this process, or by that of another one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from maskcast.errors import MaskcastError, ModelError
from maskcast.prompts import Prompt
from streaming.pipeline.job import Job
from streaming.pipeline.report import Report
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker, engine_loader
from streaming.service.watchdog import Heartbeat
from streaming.settings.tables import Settings, StreamSettings

# Failures of the model in a row, over all streams, after which only a new process can help: a broken CUDA context
# stays broken. Whatever started us starts us again.
HOPELESS_FAILURES = 10
# Loading a full-size checkpoint from a slow disk takes minutes.
LOADING_SECONDS = 1800.0


@dataclass(frozen=True)
class WorkerView:
    """How a worker of a cluster is, for those who look.

    Attributes:
        name: which one; whoever takes its place when it dies has the same.
        up: whether it is ready and answers.
        where: its node and device, for a person.
        streams: that it has.
        deaths: how often it has died.
        busy: share of the time in which its model was at work lately, in [0, 1]; None if that is not known.
        gpu_bytes, gpu_total: memory in use on its GPU and all there is; None without one.
        rss_bytes: memory of its process; None if that is not known.
    """

    name: str
    up: bool
    where: str
    streams: tuple[str, ...] = ()
    deaths: int = 0
    busy: float | None = None
    gpu_bytes: int | None = None
    gpu_total: int | None = None
    rss_bytes: int | None = None


class Tracking(Protocol):
    """Runs attempts at streams. For one event loop, but for `trouble`.

    Attributes:
        over: set when `failure` says something that it did not say before.
    """

    over: asyncio.Event

    async def start(self) -> None:
        """Get ready to run attempts.

        Raises:
            MaskcastError: that is not to be had.
        """

    @property
    def track_states(self) -> bool:
        """Whether the tracker can save its state; after `start`."""

    async def run(self, name: str, settings: StreamSettings, job: Job, stop: asyncio.Event) -> Report:
        """Run an attempt at a stream to its end, or until `stop` is set; see `streaming.pipeline.stream.run_stream`.

        Args:
            name: id of the stream.
            settings: of the stream, which say what `job.open_source` opens here.
            job: what is to be done.
            stop: ends it.

        Raises:
            MaskcastError: it could not begin, or whoever ran it is gone (`WorkerLeftError`).
        """

    def forget(self, name: str) -> None:
        """No attempt at the stream follows."""

    async def check_prompts(self, prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...]:
        """See `trackers.engine.Engine.check_prompts`."""

    def failure(self) -> MaskcastError | None:
        """Why the process has to end, if it has to."""

    def trouble(self) -> str | None:
        """Why the process counts as unhealthy, in one line; None if all is well. From any thread."""

    def unready(self) -> str | None:
        """Why no frames can be tracked for now, in one line; None if they can. From any thread."""

    def workers(self) -> Sequence[WorkerView]:
        """The workers of a cluster, those that are being begun too; none if all is tracked here. From any thread."""

    def worker_of(self, name: str) -> str | None:
        """The worker that has a stream; None if it has none, or if all is tracked here. From any thread."""

    async def close(self) -> None:
        """Let go of all, after the streams have ended."""


class LocalTracking:
    """By the model of this process; see `Tracking`."""

    def __init__(self, settings: Settings, heartbeat: Heartbeat) -> None:
        """Prepare; the model is loaded by `start`."""
        beat = partial(heartbeat.beat, "model")
        heartbeat.busy("model", LOADING_SECONDS)
        self._worker = Worker(
            engine_loader(settings.model.options, beat),
            max_batch=settings.worker.max_batch,
            batch_wait=settings.worker.batch_wait,
            beat=beat,
        )
        self.over = self._worker.thread.died
        self.track_states = False

    async def start(self) -> None:
        """Load the model; see `Worker.start`."""
        await self._worker.start()
        self.track_states = await self._worker.has_track_state()

    async def run(self, name: str, settings: StreamSettings, job: Job, stop: asyncio.Event) -> Report:  # noqa: ARG002
        """See `Tracking`."""
        return await run_stream(job, self._worker, stop)

    def forget(self, name: str) -> None:
        """Nothing is kept of a stream."""

    async def check_prompts(self, prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...]:
        """See `Tracking`."""
        return await self._worker.check_prompts(prompts)

    def failure(self) -> MaskcastError | None:
        """The death of the model's thread, or that the model fails again and again."""
        if self._worker.thread.death:
            return self._worker.thread.death
        if self._worker.thread.failures >= HOPELESS_FAILURES:
            return ModelError(f"the model failed {HOPELESS_FAILURES} times in a row", advice="start again")
        return None

    def trouble(self) -> str | None:
        """The death of the model's thread; what does not get on says the heartbeat."""
        death = self._worker.thread.death
        return str(death) if death else None

    def unready(self) -> str | None:
        """Once loaded, the model is there."""
        return None

    def workers(self) -> Sequence[WorkerView]:
        """There are none."""
        return ()

    def worker_of(self, name: str) -> str | None:
        """None has it."""

    async def close(self) -> None:
        """End the model's threads."""
        self._worker.close()
