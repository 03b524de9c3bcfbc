"""The thread that owns the model. Streams ask it for turns; it takes the newest frames of those whose turn it is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from streaming.errors import (
    MaskcastError,
    ModelError,
    SinkError,
    SnapshotError,
    SourceError,
    TooLargeError,
    UsageError,
)
from streaming.threads import in_daemon_thread
from streaming.turns import Lane, Turns
from streaming.types import Event, Frame, KnownTracks, Result

if TYPE_CHECKING:  # torch takes seconds to import: only the worker's thread pays for it
    from trackers.engine import Engine, TrackedStream
    from trackers.snapshot import SavedState

T = TypeVar("T")

# More frames at once gain nothing on one GPU: the image encoder fills it with a frame or two.
MAX_BATCH = 4
# Frames of several cameras seldom come at once: a wait of this, in seconds, lets them share a pass.
BATCH_WAIT = 0.005
# Seconds between signs of life of an idle thread.
BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class Turn:
    """A frame that the model has seen.

    Attributes:
        frame: the frame, the newest at the time of the turn.
        results: those that are now certain, see `Engine.step`.
        taken, done: `time.monotonic` when the model took the frame and when it was done with it.
    """

    frame: Frame
    results: list[Result]
    taken: float
    done: float


@dataclass(eq=False)
class _Asked:
    """A stream that has a frame, and where the turn goes."""

    lane: Lane[TrackedStream]
    take: Callable[[], Frame]
    future: Future[Turn]
    since: float = field(default_factory=time.monotonic)


class Worker:
    """Runs an `Engine` on a daemon thread.

    Each stream asks for one turn at a time, so nothing piles up here; see `streaming.turns` for who comes first.

    Attributes:
        failures: how often in a row the model has failed, whatever the number of streams that shared the pass.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        max_batch: int = MAX_BATCH,
        batch_wait: float = BATCH_WAIT,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            load: builds the engine, on the worker's thread, when `start` is awaited.
            max_batch: most frames in one pass.
            batch_wait: seconds that a frame waits for others to share its pass.
            beat: called on the worker's thread whenever it has got on, at least once in `BEAT_SECONDS` while idle.
        """
        self.failures = 0
        self._load, self._beat = load, beat
        self._max_batch, self._batch_wait = max_batch, batch_wait
        self._changed = threading.Condition()
        self._asked: list[_Asked] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._turns = Turns()
        self._lanes = 0
        self._stopping = False
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
        self,
        prompts: Sequence[str],
        snapshot: Path | None = None,
        known: KnownTracks | None = None,
        *,
        live: bool = False,
        weight: float = 1.0,
    ) -> tuple[Lane[TrackedStream], list[Event]]:
        """Begin a stream, or go on with the one in `snapshot` if that file exists.

        Args:
            prompts: what to look for.
            snapshot: file that `save_stream` wrote.
            known: what subscribers know of earlier tracks of the stream, if it had any.
            live: whether it goes before streams that can wait.
            weight: its share of the turns when there are not enough for all.

        Returns:
            The stream's lane, and the events of tracks that end because their prompt or their memory is gone.

        Raises:
            UsageError, SnapshotError, ModelError: see `Engine.open_stream` and `Engine.resume_stream`.
        """

        def open_or_resume() -> tuple[TrackedStream, list[Event]]:
            engine = self._loaded
            if snapshot is not None:
                engine.require_snapshots()
                with suppress(FileNotFoundError):
                    return engine.resume_stream(snapshot, prompts, known)
            return engine.reopen_stream(prompts, known) if known else (engine.open_stream(prompts), [])

        stream, events = await self._call(open_or_resume)
        self._lanes += 1
        return Lane(stream, live, weight), events

    async def check_prompts(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """See `Engine.check_prompts`."""
        return await self._call(lambda: self._loaded.check_prompts(prompts))

    async def has_snapshots(self) -> bool:
        """Whether streams can be saved and resumed."""

        def ask() -> bool:
            try:
                self._loaded.require_snapshots()
            except UsageError:
                return False
            return True

        return await self._call(ask)

    async def set_prompts(self, lane: Lane[TrackedStream], prompts: Sequence[str]) -> list[Event]:
        """Change a stream's prompts between two frames.

        Returns:
            The events of the tracks that end.

        Raises:
            UsageError: see `Engine.set_prompts`; nothing is changed.
        """
        return await self._call(lambda: self._loaded.set_prompts(lane.stream, prompts))

    async def save_stream(self, lane: Lane[TrackedStream], file: Path, *, final: bool) -> float:
        """Write a stream's tracking state between two frames; `final` if none follows.

        Returns:
            Seconds that copying and writing it took, without the wait for the model.

        Raises:
            SinkError: it cannot be written; an older snapshot is unharmed.
        """

        def copy() -> tuple[SavedState, float]:
            began = time.monotonic()
            return self._loaded.save_stream(lane.stream, final=final), time.monotonic() - began

        state, copying = await self._call(copy)
        began = time.monotonic()
        try:  # on another thread: a slow disk keeps only this stream waiting
            await in_daemon_thread(lambda: state.write(file), "write snapshot")
        except OSError as error:
            raise SinkError(f"snapshot {file} cannot be written: {error.strerror or error}") from error
        return copying + time.monotonic() - began

    async def step(self, lane: Lane[TrackedStream], take: Callable[[], Frame]) -> Turn:
        """Track one frame of one stream.

        Args:
            lane: of the stream.
            take: gives the frame when the turn comes; called on the worker's thread, once.

        Raises:
            SourceError: the frame cannot be converted.
            ModelError: the model failed.
        """
        asked = _Asked(lane, take, Future())
        with self._changed:
            self._asked.append(asked)
            self._changed.notify_all()
        return await asyncio.wrap_future(asked.future)

    async def close_stream(self, lane: Lane[TrackedStream]) -> list[Result]:
        """See `Engine.close_stream`."""
        self._lanes -= 1
        return await self._call(lambda: self._loaded.close_stream(lane.stream))

    def close(self) -> None:
        """End the thread after the work that it has begun; does not wait."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

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
                failure = _model_error(error)
                if isinstance(failure, ModelError) and not isinstance(failure, SnapshotError):
                    self.failures += 1
                future.set_exception(failure)

        with self._changed:
            self._calls.append(run)
            self._changed.notify_all()
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        while (work := self._next_work()) is not None:
            work()
            self._beat()

    def _next_work(self) -> Callable[[], None] | None:
        """Wait for something to do; None at the end."""
        with self._changed:
            while True:
                if self._calls:
                    return self._calls.popleft()
                if self._stopping:
                    return None
                wait = self._wait_for_more()
                if wait is None:
                    chosen = self._turns.choose(self._asked, self._max_batch)
                    self._asked = [asked for asked in self._asked if asked not in chosen]
                    return lambda: self._step(chosen)
                if not self._changed.wait(wait):
                    self._beat()

    def _wait_for_more(self) -> float | None:
        """Seconds to wait before a batch begins; None to begin."""
        if not self._asked:
            return BEAT_SECONDS
        if len(self._asked) >= min(self._max_batch, self._lanes):
            return None
        left = self._asked[0].since + self._batch_wait - time.monotonic()
        return left if left > 0 else None

    def _step(self, asked: Sequence[_Asked]) -> None:
        taken = time.monotonic()
        steps = [(one, frame) for one in asked if (frame := _frame(one)) is not None]
        if not steps:
            return
        self._pass(steps, taken)

    def _pass(self, steps: Sequence[tuple[_Asked, Frame]], taken: float) -> None:
        results: list[list[Result]] = []
        try:
            results = self._loaded.step([one.lane.stream for one, _ in steps], [frame for _, frame in steps])
        except Exception as error:  # noqa: BLE001 - whatever the model raises ends its streams, not the process
            if not isinstance(error, TooLargeError) or len(steps) == 1:
                self.failures += 1
                for one, _ in steps:
                    one.future.set_exception(_model_error(error))
                return
        if not results:  # What does not fit together may fit one by one: not before the error has let go of its frames.
            for step in steps:
                self._pass([step], taken)
            return
        self.failures = 0
        done = time.monotonic()
        for (one, frame), result in zip(steps, results, strict=True):
            one.future.set_result(Turn(frame, result, taken, done))


def engine_loader(model: str | None, device: str, tracker: str | None, **options: Any) -> Callable[[], Engine]:
    """What loads `Engine(model, device, tracker, **options)`, the default model for None; only then comes torch."""

    def load() -> Engine:
        from trackers.checkpoint import DEFAULT_MODEL
        from trackers.engine import Engine

        return Engine(model or DEFAULT_MODEL, device, tracker, **options)

    return load


def _frame(asked: _Asked) -> Frame | None:
    """The frame to track, if it can be turned into what the model reads; one camera's bad picture is no other's."""
    if not asked.future.set_running_or_notify_cancel():
        return None
    try:
        frame = asked.take()
    except Exception as error:  # noqa: BLE001 - the stream has ended meanwhile
        asked.future.set_exception(error)
        return None
    try:
        frame.picture.rgb()
    except Exception as error:  # noqa: BLE001 - whatever a decoder's picture raises
        failure = SourceError(f"{frame.stream}: frame {frame.index} cannot be converted: {error}".splitlines()[0])
        failure.__cause__ = error
        asked.future.set_exception(failure)
        return None
    return frame


def _model_error(error: Exception) -> MaskcastError:
    if isinstance(error, MaskcastError):
        return error
    failure = ModelError(f"the model failed: {type(error).__name__}: {error}".splitlines()[0])
    failure.__cause__ = error
    return failure
