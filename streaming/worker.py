"""The thread that owns the model. Streams hand it one frame each; it takes all that are ready as one batch."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from streaming.errors import MaskcastError, ModelError, SinkError, SourceError
from streaming.types import Event, Frame, Result

if TYPE_CHECKING:  # torch takes seconds to import: only the worker's thread pays for it
    from trackers.engine import Engine, TrackedStream

T = TypeVar("T")

# More frames at once gain nothing on one GPU: the image encoder fills it with a frame or two.
MAX_BATCH = 4


@dataclass(frozen=True)
class _Step:
    """One frame to track, and where its result goes."""

    stream: TrackedStream
    frame: Frame
    future: Future[list[Result]]


@dataclass(frozen=True)
class _Call:
    """Any other work on the engine, done between two frames."""

    run: Callable[[], None]


class _Stop:
    """Ends the thread."""


class Worker:
    """Runs an `Engine` on a daemon thread.

    Each stream has at most one frame here at a time, so turns are fair by construction and nothing piles up.
    """

    def __init__(self, load: Callable[[], Engine]) -> None:
        """`load` builds the engine; it runs on the worker's thread when `start` is awaited."""
        self._load = load
        self._inbox: queue.SimpleQueue[_Step | _Call | _Stop] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    async def start(self) -> None:
        """Load the model.

        Raises:
            MaskcastError: as `Engine` does.
        """
        self._thread.start()

        def load() -> None:
            self._engine = self._load()

        await self._call(load)

    async def open_stream(
        self, prompts: Sequence[str], snapshot: Path | None = None
    ) -> tuple[TrackedStream, list[Event]]:
        """Begin a stream, or go on with the one in `snapshot` if that file exists.

        Returns:
            The stream, and the events of tracks that end because their prompt is gone.

        Raises:
            UsageError, ModelError: see `Engine.open_stream` and `Engine.resume_stream`.
        """

        def open_or_resume() -> tuple[TrackedStream, list[Event]]:
            if snapshot is None:
                return self._loaded.open_stream(prompts), []
            self._loaded.require_snapshots()
            if snapshot.exists():
                return self._loaded.resume_stream(snapshot, prompts)
            return self._loaded.open_stream(prompts), []

        return await self._call(open_or_resume)

    async def save_stream(self, stream: TrackedStream, file: Path, *, final: bool) -> None:
        """Write a stream's tracking state between two frames; `final` if none follows.

        Raises:
            SinkError: it cannot be written; an older snapshot is unharmed.
        """

        def save() -> None:
            try:
                self._loaded.save_stream(stream, file, final=final)
            except OSError as error:
                raise SinkError(f"snapshot {file} cannot be written: {error.strerror or error}") from error

        await self._call(save)

    async def step(self, stream: TrackedStream, frame: Frame) -> list[Result]:
        """Track one frame of one stream.

        Raises:
            ModelError: the model failed.
        """
        future: Future[list[Result]] = Future()
        self._inbox.put(_Step(stream, frame, future))
        return await asyncio.wrap_future(future)

    async def close_stream(self, stream: TrackedStream) -> list[Result]:
        """See `Engine.close_stream`."""
        return await self._call(lambda: self._loaded.close_stream(stream))

    def close(self) -> None:
        """End the thread after the work that it has begun; does not wait."""
        self._inbox.put(_Stop())

    @property
    def _loaded(self) -> Engine:
        assert self._engine is not None, "the worker was not started"
        return self._engine

    async def _call(self, function: Callable[[], T]) -> T:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits
                future.set_exception(_model_error(error))

        self._inbox.put(_Call(run))
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        while True:
            item: _Step | _Call | _Stop | None = self._inbox.get()
            batch: list[_Step] = []
            while isinstance(item, _Step):
                batch.append(item)
                item = None if len(batch) == MAX_BATCH or self._inbox.empty() else self._inbox.get()
            if batch:
                self._step(batch)
            if isinstance(item, _Call):
                item.run()
            elif isinstance(item, _Stop):
                return

    def _step(self, steps: Sequence[_Step]) -> None:
        batch = [step for step in steps if step.future.set_running_or_notify_cancel() and _converts(step)]
        if not batch:
            return
        try:
            results = self._loaded.step([step.stream for step in batch], [step.frame for step in batch])
        except Exception as error:  # noqa: BLE001 - whatever the model raises ends its streams, not the process
            for step in batch:
                step.future.set_exception(_model_error(error))
            return
        for step, result in zip(batch, results, strict=True):
            step.future.set_result(result)


def _converts(step: _Step) -> bool:
    """Whether a frame can be turned into what the model reads; one camera's bad picture is no other's."""
    try:
        step.frame.picture.rgb()
    except Exception as error:  # noqa: BLE001 - whatever a decoder's picture raises
        failure = SourceError(
            f"{step.frame.stream}: frame {step.frame.index} cannot be converted: {error}".splitlines()[0]
        )
        failure.__cause__ = error
        step.future.set_exception(failure)
        return False
    return True


def _model_error(error: Exception) -> MaskcastError:
    if isinstance(error, MaskcastError):
        return error
    failure = ModelError(f"the model failed: {type(error).__name__}: {error}".splitlines()[0])
    failure.__cause__ = error
    return failure
