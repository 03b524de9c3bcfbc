"""The thread that owns the model: one call or one pass after the other, whoever asks.

Streams say that they have a frame; it takes the newest frames of those that come next.
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
class _Request:
    """A stream has a frame; `future` is what becomes of it."""

    lane: Lane[TrackedStream]
    begin: Callable[[], Future[Frame]]
    future: Future[TrackedFrame]
    since: float = field(default_factory=time.monotonic)
    frame: Future[Frame] | None = None  # once it was chosen for a pass


@dataclass(frozen=True, eq=False)
class _Call:
    """Something else to do on the thread, and where its result goes."""

    function: Callable[[], Any]
    future: Future[Any]
    vital: bool  # whether a failure says that the model does not work


class ModelThread:
    """Runs an `Engine` on a daemon thread.

    Each stream has one request at a time, so nothing piles up here; see `streaming.pipeline.fair_queue` for who comes
    first.

    Whatever the model raises, a panic of a Rust library among it, is a `ModelError` of those whose frames it had.
    Should the thread itself come to its end, all who wait are told so, and all who come later.

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
        self._requests: list[_Request] = []
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
            began = time.monotonic()
            self._engine = self._load()
            logger.info("the model is loaded, after %.1f s", time.monotonic() - began)

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
            begin: begins to take a frame and to convert it when its pass comes; called on the worker's thread, once.
                Must not wait, see `streaming.pipeline.conversion`.

        Raises:
            SourceError: the frame cannot be converted.
            ModelError: the model failed.
        """
        request = _Request(lane, begin, Future())
        self._enter(request)
        return await asyncio.wrap_future(request.future)

    def _enter(self, request: _Request) -> None:
        with self._changed:
            if self.death is None:
                self._requests.append(request)
                self._changed.notify_all()
                return
        request.future.set_exception(self.death)

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
            waiting = [*(call.future for call in self._calls), *(request.future for request in self._requests)]
            self._calls.clear()
            self._requests.clear()
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
                    idle = time.monotonic() - max(self._idle_since, min(request.since for request in self._requests))
                    chosen = self.queue.choose(self._requests, self._max_batch, idle)
                    self._requests = [request for request in self._requests if request not in chosen]
                    return partial(self._step, chosen)
                if not self._changed.wait(wait_for):
                    self._beat()

    def _wait_for_more(self) -> float | None:
        """Seconds to wait before a pass begins; None to begin."""
        if not self._requests:
            return BEAT_SECONDS
        now = time.monotonic()
        patience = self.queue.patience(self._requests, now)
        if len(self._requests) < min(self._max_batch, len(self.queue.lanes)):
            patience = max(patience, self._requests[0].since + self._batch_wait - now)
        return patience if patience > 0 else None

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

    def _step(self, chosen: Sequence[_Request]) -> None:
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
            for request in chosen:
                _fail(request.future, ModelError.wrap(error, doing=_FAILED))

    def _converted(self, chosen: Sequence[_Request]) -> list[tuple[_Request, Frame]]:
        """The requests whose frame is there in time; the others come back when theirs is."""
        frames: list[tuple[_Request, Future[Frame]]] = []
        for request in chosen:
            if request.frame is None:
                if not request.future.set_running_or_notify_cancel():
                    continue
                request.frame = request.begin()
            frames.append((request, request.frame))
        wait([frame for _, frame in frames], timeout=CONVERSION_WAIT_SECONDS)
        steps = []
        for request, frame in frames:
            if not frame.done():
                frame.add_done_callback(partial(self._come_back, request))
            elif error := frame.exception():
                _fail(request.future, error)
            elif not request.future.done():
                steps.append((request, frame.result()))
        return steps

    def _come_back(self, request: _Request, _: Future[Frame]) -> None:
        self._enter(request)

    def _pass(self, steps: Sequence[tuple[_Request, Frame]], taken: float) -> None:
        results: list[list[Result]] = []
        began = time.monotonic()
        try:
            results = self.engine.step([request.lane.stream for request, _ in steps], [frame for _, frame in steps])
        except BaseException as error:  # noqa: BLE001 - whatever the model raises ends its streams, not the process
            if not isinstance(error, TooLargeError) or len(steps) == 1:
                self.failures += 1
                for request, _ in steps:
                    request.future.set_exception(ModelError.wrap(error, doing=_FAILED))
                return
        finally:
            done = time.monotonic()
            self.queue.charge([request.lane for request, _ in steps], done - began, done)
        if not results:  # What does not fit together may fit one by one: not before the error has let go of its frames.
            for step in steps:
                self._pass([step], taken)
            return
        answers = list(zip(steps, results, strict=True))
        self.failures = 0
        for (request, frame), result in answers:
            request.future.set_result(TrackedFrame(frame, result, taken, done))


def _is_huge(frame: Frame) -> bool:
    return frame.picture.width * frame.picture.height > ALONE_PIXELS


def _fail(future: Future[Any], error: BaseException) -> None:
    """Settle a future that may be settled, or cancelled, already."""
    if future.running() or (not future.done() and future.set_running_or_notify_cancel()):
        future.set_exception(error)
