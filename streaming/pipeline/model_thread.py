"""The thread that owns the model: one call or one pass after the other, whoever asks.

Streams ask for turns; it takes the newest frames of those whose turn it is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from maskcast.errors import ModelError, TooLargeError, TrackStateError, unforeseen
from maskcast.frame import Frame
from maskcast.notices import TrackedFrame
from maskcast.result import Result
from streaming.pipeline.fair_queue import FairQueue, Lane

if TYPE_CHECKING:  # torch takes seconds to import: only this thread pays for it
    from trackers.engine import Engine, TrackedStream

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Seconds that a pass waits for its frames to be converted, some times what a picture of 4K takes. One that takes longer
# comes into a later pass: its stream is late, and no other.
CONVERSION_WAIT_SECONDS = 0.1
# Pixels above which a frame has a pass of its own, which is charged to its stream alone: to bring twice 4K to the size
# of the model takes a CPU as long as a pass of a small model.
ALONE_PIXELS = 16_000_000
# Seconds between signs of life of an idle thread.
BEAT_SECONDS = 1.0
_FAILED = "the model failed"


@dataclass(eq=False)
class _Asked:
    """A stream that has a frame, and where the turn goes."""

    lane: Lane[TrackedStream]
    begin: Callable[[], Future[Frame]]
    future: Future[TrackedFrame]
    since: float = field(default_factory=time.monotonic)
    frame: Future[Frame] | None = None  # once the first turn has come


@dataclass(frozen=True, eq=False)
class _Call:
    """Something else to do on the thread, and where its result goes."""

    function: Callable[[], Any]
    future: Future[Any]
    vital: bool  # whether a failure says that the model does not work


class ModelThread:
    """Runs an `Engine` on a daemon thread.

    Each stream asks for one turn at a time, so nothing piles up here; see
    `streaming.pipeline.fair_queue` for who comes first.

    Whatever the model raises, a panic of a Rust library among it, is a `ModelError` of those who asked. Should the
    thread itself come to its end, all who wait are told so, and all who ask later.

    Attributes:
        queue: who comes next; belongs to the thread.
        failures: how often in a row the model has failed, whatever the number of streams that shared the pass.
        death: why the thread has come to an end that it should not have come to; None while all is well.
        died: set when that happens.
    """

    def __init__(
        self, load: Callable[[], Engine], *, max_batch: int, batch_wait: float, beat: Callable[[], None]
    ) -> None:
        """Prepare; see `streaming.pipeline.worker.Worker`."""
        self.queue = FairQueue()
        self.failures = 0
        self.death: ModelError | None = None
        self.died = asyncio.Event()
        self._load, self._beat, self._max_batch, self._batch_wait = load, beat, max_batch, batch_wait
        self._changed = threading.Condition()
        self._asked: list[_Asked] = []
        self._calls: deque[_Call] = deque()
        self._idle_since = 0.0
        self._stopping = False
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop

    @property
    def engine(self) -> Engine:
        """The model, after `start`; belongs to the thread."""
        assert self._engine is not None, "the worker was not started"
        return self._engine

    async def start(self) -> None:
        """Load the model.

        Raises:
            MaskcastError: as `Engine` does.
        """
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="model", daemon=True).start()

        def load() -> None:
            self._engine = self._load()

        await self.call(load)

    def close(self) -> None:
        """End the thread after the work that it has begun; does not wait."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    async def call(self, function: Callable[[], T], *, vital: bool = True) -> T:
        """The result of `function`, called on the thread between two passes.

        Args:
            function: what to do.
            vital: whether its failure means that the model does not work.

        Raises:
            MaskcastError: as `function` does; a `ModelError` for whatever else it raises.
        """
        call = _Call(function, Future[T](), vital)
        with self._changed:
            if self.death is not None:
                raise self.death
            self._calls.append(call)
            self._changed.notify_all()
        return await asyncio.wrap_future(call.future)

    async def step(self, lane: Lane[TrackedStream], begin: Callable[[], Future[Frame]]) -> TrackedFrame:
        """Track one frame of one stream.

        Args:
            lane: of the stream.
            begin: begins to take a frame and to convert it when the turn comes; called on the worker's thread, once.
                Must not wait, see `streaming.pipeline.conversion`.

        Raises:
            SourceError: the frame cannot be converted.
            ModelError: the model failed.
        """
        asked = _Asked(lane, begin, Future())
        self._ask(asked)
        return await asyncio.wrap_future(asked.future)

    def _ask(self, asked: _Asked) -> None:
        with self._changed:
            if self.death is None:
                self._asked.append(asked)
                self._changed.notify_all()
                return
        asked.future.set_exception(self.death)

    # On the worker's thread.

    def _run(self) -> None:
        try:
            while (work := self._next_work()) is not None:
                work()
                self._idle_since = time.monotonic()
                self._beat()
        except BaseException as error:
            logger.exception("the model's thread has ended")
            self._die(error)

    def _die(self, error: BaseException) -> None:
        death = ModelError(f"the model's thread has ended ({unforeseen(error)})", advice="start again")
        death.__cause__ = error
        with self._changed:
            self.death = death
            waiting = [*(call.future for call in self._calls), *(asked.future for asked in self._asked)]
            self._calls.clear()
            self._asked.clear()
        for future in waiting:
            _fail(future, death)
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self.died.set)

    def _next_work(self) -> Callable[[], None] | None:
        """Wait for something to do; None at the end."""
        with self._changed:
            while True:
                if self._calls:
                    return partial(self._do, self._calls.popleft())
                if self._stopping:
                    return None
                wait_for = self._wait_for_more()
                if wait_for is None:
                    idle = time.monotonic() - max(self._idle_since, min(asked.since for asked in self._asked))
                    chosen = self.queue.choose(self._asked, self._max_batch, idle)
                    self._asked = [asked for asked in self._asked if asked not in chosen]
                    return partial(self._step, chosen)
                if not self._changed.wait(wait_for):
                    self._beat()

    def _wait_for_more(self) -> float | None:
        """Seconds to wait before a pass begins; None to begin."""
        if not self._asked:
            return BEAT_SECONDS
        now = time.monotonic()
        left = self.queue.patience(self._asked, now)
        if len(self._asked) < min(self._max_batch, len(self.queue.lanes)):
            left = max(left, self._asked[0].since + self._batch_wait - now)
        return left if left > 0 else None

    def _do(self, call: _Call) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            call.future.set_result(call.function())
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits
            failure = ModelError.wrap(error, doing=_FAILED)
            if call.vital and isinstance(failure, ModelError) and not isinstance(failure, TrackStateError):
                self.failures += 1
            call.future.set_exception(failure)

    def _step(self, chosen: Sequence[_Asked]) -> None:
        taken = time.monotonic()
        try:
            steps = self._converted(chosen)
            if together := [step for step in steps if not _is_huge(step[1])]:
                self._pass(together, taken)
            for step in steps:
                if _is_huge(step[1]):
                    self._pass([step], taken)
        except BaseException as error:  # noqa: BLE001 - whatever comes, nobody waits without end
            self.failures += 1
            for asked in chosen:
                _fail(asked.future, ModelError.wrap(error, doing=_FAILED))

    def _converted(self, chosen: Sequence[_Asked]) -> list[tuple[_Asked, Frame]]:
        """The requests whose frame is there in time; the others come back when theirs is."""
        frames: list[tuple[_Asked, Future[Frame]]] = []
        for asked in chosen:
            if asked.frame is None:
                if not asked.future.set_running_or_notify_cancel():
                    continue
                asked.frame = asked.begin()
            frames.append((asked, asked.frame))
        wait([frame for _, frame in frames], timeout=CONVERSION_WAIT_SECONDS)
        steps = []
        for asked, frame in frames:
            if not frame.done():
                frame.add_done_callback(partial(self._come_back, asked))
            elif error := frame.exception():
                _fail(asked.future, error)
            elif not asked.future.done():
                steps.append((asked, frame.result()))
        return steps

    def _come_back(self, asked: _Asked, _: Future[Frame]) -> None:
        self._ask(asked)

    def _pass(self, steps: Sequence[tuple[_Asked, Frame]], taken: float) -> None:
        results: list[list[Result]] = []
        began = time.monotonic()
        try:
            results = self.engine.step([asked.lane.stream for asked, _ in steps], [frame for _, frame in steps])
        except BaseException as error:  # noqa: BLE001 - whatever the model raises ends its streams, not the process
            if not isinstance(error, TooLargeError) or len(steps) == 1:
                self.failures += 1
                for asked, _ in steps:
                    asked.future.set_exception(ModelError.wrap(error, doing=_FAILED))
                return
        finally:
            done = time.monotonic()
            self.queue.charge([asked.lane for asked, _ in steps], done - began, done)
        if not results:  # What does not fit together may fit one by one: not before the error has let go of its frames.
            for step in steps:
                self._pass([step], taken)
            return
        answers = list(zip(steps, results, strict=True))
        self.failures = 0
        for (asked, frame), result in answers:
            asked.future.set_result(TrackedFrame(frame, result, taken, done))


def _is_huge(frame: Frame) -> bool:
    return frame.picture.width * frame.picture.height > ALONE_PIXELS


def _fail(future: Future[Any], error: BaseException) -> None:
    """Settle a future that may be settled, or cancelled, already."""
    if future.running() or (not future.done() and future.set_running_or_notify_cancel()):
        future.set_exception(error)
