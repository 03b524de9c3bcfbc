"""Whose turn it is at the model: live streams before those that can wait, and fair shares among equals.

Shares are kept by start-time fair queueing (Goyal et al. 1996) with one frame as the unit of work: each stream has a
virtual time that grows by 1/weight a turn, and the one that is furthest behind comes next. A stream that was idle
begins at the clock of the others, so that it can neither save up turns nor starve anybody. Under overload equal
weights thus mean equal rates, and a stream that wants less than its share leaves the rest to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

S = TypeVar("S")


@dataclass(eq=False)
class Lane(Generic[S]):
    """A stream's place at the model.

    Attributes:
        stream: what the model keeps of it.
        live: whether it goes before streams that can wait.
        weight: its share of the turns when there are not enough for all; positive.
        time: virtual time, in turns of weight 1.
    """

    stream: S
    live: bool
    weight: float
    time: float = 0.0


class Asking(Protocol):
    """A lane's request for a turn."""

    @property
    def lane(self) -> Lane[Any]:
        """Whose it is."""


A = TypeVar("A", bound=Asking)


class Turns:
    """Chooses; remembers the virtual clock of each class."""

    def __init__(self) -> None:
        """Begin at time 0."""
        self._clock = {True: 0.0, False: 0.0}

    def choose(self, asked: Sequence[A], most: int) -> list[A]:
        """Up to `most` of the requests, those whose turn it is; all live or none.

        Args:
            asked: at least one, at most one a lane, in order of arrival.
            most: at least 1.
        """
        live = any(one.lane.live for one in asked)
        for one in asked:
            one.lane.time = max(one.lane.time, self._clock[one.lane.live])
        candidates = [one for one in asked if one.lane.live == live]
        chosen = sorted(candidates, key=lambda one: one.lane.time)[:most]  # stable: first come, first served
        self._clock[live] = chosen[0].lane.time
        for one in chosen:
            one.lane.time += 1 / one.lane.weight
        return chosen
