"""The thread that owns the model: one call or one pass after the other, whoever asks.

Streams say that they have a frame; it takes the newest frames of those that come next, and sees what is in them. They
are followed on a second thread, see `streaming.pipeline.second_stage`, while it sees the next ones.
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
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from maskcast.errors import MaskcastError, ModelError, TooLargeError, TrackStateError, unforeseen
from maskcast.frame import Frame
from maskcast.notices import TrackedFrame
from streaming.pipeline.fair_queue import FairQueue, Lane
from streaming.pipeline.passes import FAILED, Pass, Request, settle_with
from streaming.pipeline.second_stage import REMEMBERED_PASSES, SecondStage

if TYPE_CHECKING:  # torch takes seconds to import: only this thread pays for it
    from trackers.engine import Engine, Seen, TrackedStream

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


@dataclass(frozen=True, eq=False)
class _Call:
    """Something else to do on the thread, and where its result goes."""

    function: Callable[[], Any]
    future: Future[Any]
    vital: bool  # whether a failure says that the model does not work


class ModelThread:
    """Runs an `Engine` on a daemon thread, and the second half of its passes on another.

    Each stream has one request at a time that waits for its pass, so nothing piles up here; who comes first says
    `streaming.pipeline.fair_queue`. While a pass waits for the second stage, none begins. Everything else that is asked
    of the model waits until no pass is under way.

    Whatever the model raises, a panic of a Rust library among it, is a `ModelError` of those whose frames it had.
    Should one of the threads come to its end, all who wait are told so, and all who come later.

    Attributes:
        queue: who comes next. Its lanes are those of a call; all else is done with a lock.
        death: why a thread has come to an end that it should not have come to; None while all is well.
        died: set when that happens.
    """

    def __init__(
        self, load: Callable[[], Engine], *, max_batch: int, batch_wait: float, beat: Callable[[], None]
    ) -> None:
        """Prepare; see `streaming.pipeline.worker.Worker`."""
        self.queue = FairQueue()
        self.death: ModelError | None = None
        self.died = asyncio.Event()
        self._load, self._beat, self._max_batch, self._batch_wait = load, beat, max_batch, batch_wait
        self._changed = threading.Condition()
        self._second = SecondStage(self._changed, self.queue, beat=beat, died=self._die)
        self._seconds: deque[float] = deque(maxlen=REMEMBERED_PASSES)
        self._requests: list[Request] = []
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

    @property
    def failures(self) -> int:
        """How often in a row the model has failed, whatever the number of streams that shared the pass."""
        return self._second.failures

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
            self._second.start(self._engine)
            logger.info("the model is loaded, after %.1f s", time.monotonic() - began)

        await self.call(load)

    def close(self) -> None:
        """End the threads after the work that they have begun; does not wait."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    async def call(self, function: Callable[[], T], *, vital: bool = True) -> T:
        """The result of `function`, called on the thread when no pass is under way.

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

    async def take(self, lane: Lane[TrackedStream], begin: Callable[[], Future[Frame]]) -> Future[TrackedFrame]:
        """Wait until the pass of one frame of one stream begins. The stream may hand in the next one then.

        Args:
            lane: of the stream.
            begin: begins to take a frame and to convert it when its pass comes; called on the worker's thread, once.
                Must not wait, see `streaming.pipeline.conversion`.

        Returns:
            What becomes of it; a `ModelError` if the model failed in either stage.

        Raises:
            SourceError: the frame cannot be converted.
            ModelError: the thread has come to its end.
        """
        request = Request(lane, begin)
        self._enter(request)
        await asyncio.wrap_future(request.taken)
        return request.tracked

    def _enter(self, request: Request) -> None:
        with self._changed:
            if self.death is None:
                self._requests.append(request)
                self._changed.notify_all()
                return
        request.fail(self.death)

    # On the worker's thread.

    def _run(self) -> None:
        try:
            while (work := self._next_work()) is not None:
                work()
                self._idle_since = time.monotonic()
                self._beat()
            with self._changed:
                self._second.close()
        except BaseException as error:
            logger.exception("the model's thread has ended")
            self._die(error)

    def _die(self, error: BaseException, passing: Pass | None = None) -> None:
        """On either thread: it has ended, and had this pass."""
        death = ModelError(f"the model's thread has ended ({unforeseen(error)})", advice="start again")
        death.__cause__ = error
        with self._changed:
            self.death = self.death or death
            calls, requests = [*self._calls], [*self._requests]
            self._calls.clear()
            self._requests.clear()
            passes = [*self._second.abandon(), *([passing] if passing else [])]
        for call in calls:
            settle_with(call.future, death)
        for request in (*requests, *(request for one in passes for request, _ in one.steps)):
            request.fail(death)
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self.died.set)

    def _next_work(self) -> Callable[[], None] | None:
        """Wait for something to do; None at the end."""
        with self._changed:
            while True:
                if self.death is not None:
                    return None
                busy = self._second.busy
                if self._calls and not busy:
                    return partial(self._do, self._calls.popleft())
                if self._stopping and not self._calls:
                    return None
                now = time.monotonic()
                held = self._held(now)
                wait_for = BEAT_SECONDS if self._calls else held or self._wait_for_more(now)
                if wait_for is None:
                    idle = now - max(self._idle_since, min(request.since for request in self._requests))
                    chosen = self.queue.choose(self._requests, self._max_batch, idle)
                    self._requests = [request for request in self._requests if request not in chosen]
                    return partial(self._step, chosen)
                if not self._changed.wait(wait_for) and not busy:
                    self._beat()  # a second stage that is at work has to show it itself
                if held:
                    self._idle_since = time.monotonic()

    def _held(self, now: float) -> float:
        """Seconds in which no pass begins for the sake of the second stage; 0 for none.

        There is one place between the stages. And a live frame that would only wait there is better taken later: it
        will be a newer one.
        """
        if self._second.full:
            return BEAT_SECONDS
        if not self._second.busy or not any(request.lane.live for request in self._requests):
            return 0.0
        return max(self._second.ends - max(self._seconds, default=0.0) - now, 0.0)

    def _wait_for_more(self, now: float) -> float | None:
        """Seconds to wait before a pass begins; None to begin."""
        if not self._requests:
            return BEAT_SECONDS
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
            failure = ModelError.wrap(error, doing=FAILED)
            if call.vital and isinstance(failure, ModelError) and not isinstance(failure, TrackStateError):
                self._second.failures += 1
            call.future.set_exception(failure)

    def _step(self, chosen: Sequence[Request]) -> None:
        taken = time.monotonic()
        try:
            steps = self._converted(chosen)
            for request, _ in steps:
                request.taken.set_result(None)
            if together := [step for step in steps if not _is_huge(step[1])]:
                self._pass(together, taken)
            for step in steps:
                if _is_huge(step[1]):
                    self._pass([step], taken)
        except BaseException as error:  # noqa: BLE001 - whatever comes, nobody waits without end
            self._second.failures += 1
            for request in chosen:
                request.fail(ModelError.wrap(error, doing=FAILED))

    def _converted(self, chosen: Sequence[Request]) -> list[tuple[Request, Frame]]:
        """The requests whose frame is there in time; the others come back when theirs is."""
        frames: list[tuple[Request, Future[Frame]]] = []
        for request in chosen:
            if request.frame is None:
                if not request.taken.set_running_or_notify_cancel():
                    continue
                request.frame = request.begin()
            frames.append((request, request.frame))
        wait([frame for _, frame in frames], timeout=CONVERSION_WAIT_SECONDS)
        steps = []
        for request, frame in frames:
            if not frame.done():
                frame.add_done_callback(partial(self._come_back, request))
            elif error := frame.exception():
                request.fail(error)
            elif not request.taken.done():
                steps.append((request, frame.result()))
        return steps

    def _come_back(self, request: Request, _: Future[Frame]) -> None:
        self._enter(request)

    def _pass(self, steps: Sequence[tuple[Request, Frame]], taken: float) -> None:
        began = time.monotonic()
        with self._second.alone:
            seen = self._see(steps)
        now = time.monotonic()
        self._seconds.append(now - began)
        lanes = [request.lane for request, _ in steps]
        with self._changed:
            expected = self.queue.expect(lanes, now)
        if self._second.hand_over(Pass(steps, taken, now - began, expected, seen)):
            return
        for request, _ in steps:
            request.fail(self.death or ModelError(FAILED))

    def _see(self, steps: Sequence[tuple[Request, Frame]]) -> Seen | MaskcastError | None:
        try:
            return self.engine.see([request.lane.stream for request, _ in steps], [frame for _, frame in steps])
        except BaseException as error:  # noqa: BLE001 - whatever the model raises ends its streams, not the process
            return None if isinstance(error, TooLargeError) else ModelError.wrap(error, doing=FAILED)


def _is_huge(frame: Frame) -> bool:
    return frame.picture.width * frame.picture.height > ALONE_PIXELS
