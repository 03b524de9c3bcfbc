"""What goes through the model: a stream's request with its frame, and the pass that some of them share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from maskcast.errors import MaskcastError
from maskcast.frame import Frame
from maskcast.notices import TrackedFrame
from streaming.pipeline.fair_queue import Lane

if TYPE_CHECKING:  # torch takes seconds to import: only the model's threads pay for it
    from trackers.engine import Seen, TrackedStream

FAILED = "the model failed"


def _running() -> Future[TrackedFrame]:
    """A future that nobody can cancel: the frame is followed also when nobody waits for it."""
    future: Future[TrackedFrame] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(eq=False)
class Request:
    """A stream has a frame.

    Attributes:
        lane: of the stream.
        begin: begins to take the frame and to convert it.
        taken: settled when its pass begins. Cancelled before, it is not taken.
        tracked: what becomes of it in the pass.
        since: `time.monotonic` of its coming.
        frame: once it was chosen for a pass.
    """

    lane: Lane[TrackedStream]
    begin: Callable[[], Future[Frame]]
    taken: Future[None] = field(default_factory=Future)
    tracked: Future[TrackedFrame] = field(default_factory=_running)
    since: float = field(default_factory=time.monotonic)
    frame: Future[Frame] | None = None

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits for either."""
        settle_with(self.tracked if self.taken.done() else self.taken, error)


@dataclass(eq=False)
class Pass:
    """Frames that share a pass, between its two stages.

    Attributes:
        steps: the requests, and the frame of each.
        taken: `time.monotonic` when the model took them.
        seconds: that the first stage had them.
        expected: what their lanes have been charged so far, see `FairQueue.expect`.
        seen: what it found; why it failed; or None where they do not fit together, or not beside the other stage.
    """

    steps: Sequence[tuple[Request, Frame]]
    taken: float
    seconds: float
    expected: Sequence[float]
    seen: Seen | MaskcastError | None

    @property
    def lanes(self) -> list[Lane[Any]]:
        """Of its frames."""
        return [request.lane for request, _ in self.steps]


def settle_with(future: Future[Any], error: BaseException) -> None:
    """Let a future fail that may be settled, or cancelled, already."""
    if future.running() or (not future.done() and future.set_running_or_notify_cancel()):
        future.set_exception(error)
