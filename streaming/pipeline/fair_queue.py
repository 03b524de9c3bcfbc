"""Whose frame the model takes next: live streams before those that can wait, and fair shares among equals.

Shares are kept by start-time fair queueing (Goyal et al. 1996) with a second of the model as the unit of work: each
stream has a virtual time that grows with what its frames cost, over its weight, and the one that is furthest behind
comes next. A stream that was idle begins at the clock of the others, so that it can neither save up time nor starve
anybody. Under overload equal weights thus mean equal parts of the model's time, whatever a frame of each costs: among
equal streams equal rates, and one with 32 prompts slows down itself. One that wants less than its share leaves the rest
to the others.

Two things keep a costly stream from taking by the length of its passes what it may not take by their number. It shares
one with cheap streams only when it is about as far behind as they are. And before its pass begins, the model waits a
little for a stream that is still further behind and will have its next frame in a moment; that one pays for the wait.

A pass goes through two stages, and the next one is chosen when it has left the first. Until it is known what its frames
cost, they are charged as those before them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

S = TypeVar("S")

# So many frames of the first another stream may be ahead and still share its pass: the costs of equal streams vary.
TOGETHER_FRAMES = 2.0
# Of what a frame costs, so much is worth waiting for a stream that should have come before it.
WAIT_SHARE = 0.1


@dataclass(eq=False)
class Lane(Generic[S]):
    """A stream's place at the model.

    Attributes:
        stream: what the model keeps of it.
        live: whether it goes before streams that can wait.
        weight: its share of the model when there is not enough for all; positive.
        prompts: how many things it looks for, by which the cost of a pass is shared out.
        time: virtual time, in seconds of the model at weight 1.
        cost: seconds that its last frame took; None before the first.
        done: `time.monotonic` when its last frame left the first stage, so that its next one may come.
        failed: whether a pass with a frame of it has failed, after which none of its frames is followed.
    """

    stream: S
    live: bool
    weight: float
    prompts: int = 1
    time: float = 0.0
    cost: float | None = None
    done: float = -math.inf
    failed: bool = False

    @property
    def step(self) -> float:
        """Virtual time that a frame takes."""
        return (self.cost or 0.0) / self.weight


class Request(Protocol):
    """A lane has a frame for the model."""

    @property
    def lane(self) -> Lane[Any]:
        """Whose it is."""


R = TypeVar("R", bound=Request)


class FairQueue:
    """Chooses; remembers the lanes and the virtual clock of each class. For one thread at a time.

    Attributes:
        lanes: of all streams, to be added and removed as they come and go.
    """

    def __init__(self) -> None:
        """Begin at time 0."""
        self.lanes: list[Lane[Any]] = []
        self._clock = {True: 0.0, False: 0.0}
        self._usual = 0.0  # seconds a prompt in the last pass
        self._awaited: list[Lane[Any]] = []

    def choose(self, requests: Sequence[R], most: int, idle: float = 0.0) -> list[R]:
        """Up to `most` of the requests, those that come next; all live or none.

        Args:
            requests: at least one, at most one a lane, in order of arrival.
            most: at least 1.
            idle: seconds for which the model had nothing to do but to wait for those that `patience` spoke of.
        """
        for lane in self._awaited:
            lane.time += idle / len(self._awaited) / lane.weight
        self._awaited = []
        in_order = self._in_order(requests)
        first = in_order[0].lane
        self._clock[first.live] = first.time
        return [one for one in in_order[:most] if one.lane.time <= first.time + TOGETHER_FRAMES * first.step]

    def patience(self, requests: Sequence[R], now: float) -> float:
        """Seconds to wait for streams that should come before those that have a frame; 0 or less for none."""
        first = self._in_order(requests)[0].lane
        here = {id(one.lane) for one in requests}
        due = {
            id(lane): lane.done + WAIT_SHARE * (first.cost or 0.0) - now
            for lane in self.lanes
            if id(lane) not in here and lane.live == first.live and lane.time + lane.step <= first.time
        }
        self._awaited = [lane for lane in self.lanes if lane in self._awaited or due.get(id(lane), 0.0) > 0]
        return max(due.values(), default=0.0)

    def expect(self, lanes: Sequence[Lane[Any]], now: float) -> list[float]:
        """Charge those whose pass has left the first stage what the last frame of each took, for the time being.

        Args:
            lanes: that share the pass.
            now: `time.monotonic`.

        Returns:
            Virtual seconds that each was charged, for `charge`.
        """
        for lane in lanes:
            lane.time += lane.step
            lane.done = now
        return [lane.step for lane in lanes]

    def charge(self, lanes: Sequence[Lane[Any]], seconds: float, expected: Sequence[float]) -> None:
        """Share out what a pass took among those that were in it, by their prompts.

        A lane's first frame also pays for what happens only once, and is charged as the one before it was.

        Args:
            lanes: that shared the pass.
            seconds: that both stages took.
            expected: what `expect` has charged each.
        """
        parts = [max(lane.prompts, 1) for lane in lanes]  # stored results may have found nothing for any prompt
        each = seconds / sum(parts)
        for lane, part, already in zip(lanes, parts, expected, strict=True):
            charged = each if lane.cost is not None else min(each, self._usual)
            lane.time += charged * part / lane.weight - already
            lane.cost = each * part
        self._usual = each

    def _in_order(self, requests: Sequence[R]) -> list[R]:
        """Those whose class comes first, the furthest behind before the others; first come, first served."""
        for one in requests:
            one.lane.time = max(one.lane.time, self._clock[one.lane.live])
        live = any(one.lane.live for one in requests)
        return sorted((one for one in requests if one.lane.live == live), key=lambda one: one.lane.time)
