"""The second stage of the model: what one pass has seen is followed here while the next one is seen.

Results, failures and what a frame costs are told here, so they come in the order of the passes, as from a model that
does one thing after the other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from maskcast.errors import MaskcastError, ModelError, TooLargeError
from maskcast.frame import Frame
from maskcast.notices import TrackedFrame
from maskcast.result import Result
from streaming.pipeline.fair_queue import FairQueue
from streaming.pipeline.passes import FAILED, Pass, Request

if TYPE_CHECKING:  # torch takes seconds to import: only the model's threads pay for it
    from trackers.engine import Engine

logger = logging.getLogger(__name__)

# Passes whose times say when the one at work will be over.
REMEMBERED_PASSES = 8

Step = tuple[Request, Frame]


class SecondStage:
    """Follows passes on a daemon thread, one after the other; one may wait.

    Attributes:
        alone: held by whoever sees; by this stage where the model is to work at nothing else.
        failures: how often in a row the model has failed, whatever the number of streams that shared the pass.
        ends: `time.monotonic` when the pass at work will be over if it is as short as the shortest of late.
    """

    def __init__(
        self,
        changed: threading.Condition,
        queue: FairQueue,
        *,
        beat: Callable[[], None],
        died: Callable[[BaseException, Pass | None], None],
    ) -> None:
        """Prepare.

        Args:
            changed: guards all that both stages know, the queue included.
            queue: to be charged.
            beat: called after each pass.
            died: called with what has ended the thread, and the pass that it had.
        """
        self.alone = threading.Lock()
        self.failures = 0
        self.ends = 0.0
        self._changed, self._queue, self._beat, self._died = changed, queue, beat, died
        self._waiting: Pass | None = None
        self._at_work: Pass | None = None
        self._over = False
        self._seconds: deque[float] = deque(maxlen=REMEMBERED_PASSES)
        self._engine: Engine

    @property
    def full(self) -> bool:
        """Whether a pass waits. To be asked with `changed` held, as `busy`."""
        return self._waiting is not None

    @property
    def busy(self) -> bool:
        """Whether there is a pass that has not come to its end."""
        return self._waiting is not None or self._at_work is not None

    def start(self, engine: Engine) -> None:
        """Begin, with a model that is loaded."""
        self._engine = engine
        threading.Thread(target=self._run, name="model follows", daemon=True).start()

    def close(self) -> None:
        """End the thread after the passes that it has; does not wait. With `changed` held."""
        self._over = True
        self._changed.notify_all()

    def abandon(self) -> list[Pass]:
        """As `close`, but the pass that waits will not be followed, and is returned. With `changed` held."""
        waiting, self._waiting = self._waiting, None
        self.close()
        return [waiting] if waiting else []

    def hand_over(self, passing: Pass) -> bool:
        """Let a pass follow the others, when there is room. False at the end, when nobody takes it."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or not self.full)
            if self._over:
                return False
            self._waiting = passing
            self._changed.notify_all()
            return True

    # On its thread.

    def _run(self) -> None:
        try:
            while (passing := self._next()) is not None:
                self._follow(passing)
                with self._changed:
                    self._at_work = None
                    self._changed.notify_all()
                self._beat()
        except BaseException as error:
            logger.exception("the model's second thread has ended")
            self._died(error, self._at_work)

    def _next(self) -> Pass | None:
        with self._changed:
            self._changed.wait_for(lambda: self._over or self.full)
            self._at_work, self._waiting = self._waiting, None
            self.ends = time.monotonic() + min(self._seconds, default=0.0)
            self._changed.notify_all()
            return self._at_work

    def _follow(self, passing: Pass) -> None:
        steps = [step for step in passing.steps if self._goes_on(step[0])]
        failure, results, began = None, None, time.monotonic()
        if isinstance(passing.seen, MaskcastError):
            failure = passing.seen
        elif passing.seen is not None and len(steps) == len(passing.steps):
            try:
                results = list(zip(steps, self._engine.follow(passing.seen), strict=True))
            except BaseException as error:  # noqa: BLE001 - it ends the streams that it had, not the process
                if not isinstance(error, TooLargeError):
                    failure = ModelError.wrap(error, doing=FAILED)
        passing.seen = None
        seconds = time.monotonic() - began
        with self._changed:
            self._queue.charge(passing.lanes, passing.seconds + seconds, passing.expected)
        if failure is not None:
            self._fail(steps, failure)
        elif results is not None:
            self._seconds.append(seconds)
            self._answer(results, passing.taken, max(passing.seconds, seconds))
        # What does not fit together, or beside the other stage, may fit alone: not before the error has let go of its
        # frames.
        else:
            for step in steps:
                self._all_of(step, passing.taken)

    def _all_of(self, step: Step, taken: float) -> None:
        """A pass of one frame through both stages, with the model to itself."""
        request, frame = step
        with self.alone:
            began = time.monotonic()
            try:
                (results,) = self._engine.step([request.lane.stream], [frame])
            except BaseException as error:  # noqa: BLE001 - as above
                self._fail([step], ModelError.wrap(error, doing=FAILED))
                return
            finally:
                seconds = time.monotonic() - began
                with self._changed:
                    self._queue.charge([request.lane], seconds, [0.0])
        self._answer([(step, results)], taken, seconds)

    def _answer(self, answers: Sequence[tuple[Step, list[Result]]], taken: float, pace: float) -> None:
        self.failures = 0
        done = time.monotonic()
        for (request, frame), results in answers:
            request.tracked.set_result(TrackedFrame(frame, results, taken, done, pace))

    def _fail(self, steps: Sequence[Step], error: MaskcastError) -> None:
        self.failures += bool(steps)
        for request, _ in steps:
            request.lane.failed = True
            request.fail(error)

    def _goes_on(self, request: Request) -> bool:
        """Whether no pass of its stream has failed: a stream that knew of it would not have handed this one in."""
        if not request.lane.failed:
            return True
        request.fail(ModelError(f"{FAILED} on the frame before it"))
        return False
