"""What results pass through between the tracker and the sinks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from maskcast.errors import StageError, unforeseen
from maskcast.result import Event, Result


class Stage(Protocol):
    """Changes the results of one stream; new ones for each attempt at it.

    Stages are applied in their order, in the event loop, before any sink sees the result. All streams wait meanwhile,
    so a stage takes far less than a millisecond. On a thread it would hold up the loop as well, because of Python's
    lock; what takes longer belongs into a sink.
    """

    def apply(self, result: Result) -> Result:
        """Give what goes on in place of `result`. Results come one at a time, in the order of their frames.

        Whatever it raises ends the stream, or this attempt at it: what came before is delivered, nothing after it.
        """


class LateEvents:
    """A stage: events that happened between two frames, as when prompts change, travel with the next result."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        """Let `events` travel first."""
        self._waiting = tuple(events)

    def add(self, events: Iterable[Event]) -> None:
        """Let more of them travel, after those that wait already."""
        self._waiting += tuple(events)

    def apply(self, result: Result) -> Result:
        """See `Stage`."""
        if not self._waiting:
            return result
        waiting, self._waiting = self._waiting, ()
        return replace(result, events=(*waiting, *result.events))


def staged(results: Iterable[Result], stages: Sequence[Stage]) -> Iterator[Result]:
    """Each result as it is behind all stages, when it is asked for.

    Raises:
        StageError: a stage failed.
    """
    for result in results:
        changed = result
        for stage in stages:
            try:
                changed = stage.apply(changed)
            except Exception as error:
                what = f"frame {result.frame.index}: {type(stage).__name__} failed: {unforeseen(error)}"
                raise StageError(what, where=result.frame.stream) from error
        yield changed
