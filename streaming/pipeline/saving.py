"""When a stream's track state is written, so that the next process goes on with the same ids."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from maskcast.errors import MaskcastError
from maskcast.notices import Notify, TrackStateSaved, ignore
from streaming.pipeline.fair_queue import Lane

if TYPE_CHECKING:
    from trackers.engine import TrackedStream

# Of a stream's time, at most this goes into track states: those of many tracks of a full-size model are large.
SAVING_SHARE = 0.05
# But that does not make the time between two longer than this many times what was asked for.
LONGEST_PAUSE_FACTOR = 10


@dataclass(frozen=True)
class TrackStateFile:
    """Where a stream's track state is kept.

    Attributes:
        file: read at the start if it exists; written whole or not at all.
        seconds: between two writings; up to ten times that where one takes long, see `SAVING_SHARE`.
        resume: whether to go on with what is in the file.
    """

    file: Path
    seconds: float
    resume: bool = True


class Saver(Protocol):
    """Who writes the state of a stream: `Worker`, or a spool with what belongs to it."""

    async def save_stream(self, lane: Lane[TrackedStream], file: Path, *, final: bool) -> float:
        """See `Worker.save_stream`."""


class Saving:
    """Writes the track state of one stream now and then, and at its end."""

    def __init__(
        self,
        wanted: TrackStateFile,
        saver: Saver,
        lane: Lane[TrackedStream],
        problem: Callable[[MaskcastError], None],
        notify: Notify = ignore,
    ) -> None:
        """Prepare; the first is due at once, so that even an early kill leaves something to go on with.

        Args:
            wanted: where to, and how often.
            saver: writes it.
            lane: of the stream.
            problem: is told why one cannot be written, once for each reason: a full disk must not stop the tracking.
            notify: is told of each that was written.
        """
        self._wanted, self._saver, self._lane, self._problem = wanted, saver, lane, problem
        self._due = time.monotonic()
        self._notify = notify
        self._told: set[tuple[str | None, str]] = set()

    @property
    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() >= self._due

    async def save(self, *, final: bool) -> None:
        """Write one, the last if `final`."""
        seconds, taken = self._wanted.seconds, 0.0
        try:
            taken = await self._saver.save_stream(self._lane, self._wanted.file, final=final)
        except MaskcastError as error:
            if (reason := (error.where, error.what)) not in self._told:
                self._told.add(reason)
                self._problem(error)
        else:
            self._notify(TrackStateSaved(self._wanted.file))
        self._due = time.monotonic() + max(seconds, min(taken / SAVING_SHARE, LONGEST_PAUSE_FACTOR * seconds))
