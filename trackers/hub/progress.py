"""How far a download is, and the lines that tell a log of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

logger = logging.getLogger(__name__)

# Between two lines of a log.
LINE_SECONDS = 60.0
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Progress:
    """How far the download of a model is.

    Attributes:
        model: its repository.
        file: which is in work.
        done: bytes of the model that are on this disk.
        total: bytes of the model.
        hindrance: why nothing comes at the moment; empty if all is well.
    """

    model: str
    file: str
    done: int
    total: int
    hindrance: str = ""


Report: TypeAlias = Callable[[Progress], None]


class ProgressLog:
    """A line a minute in the log, one when it begins, and one for each new hindrance."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds."""
        self._clock = clock
        self._model = self._hindrance = ""
        self._time, self._done = 0.0, 0

    def __call__(self, progress: Progress) -> None:
        """Log it, if it is time to."""
        now = self._clock()
        of = f"{progress.done // MEGABYTE} of {progress.total // MEGABYTE} MB"
        if progress.model != self._model:
            logger.info("fetching %s: %s are here", progress.model, of)
            self._model = progress.model
        elif progress.hindrance and progress.hindrance != self._hindrance:
            logger.warning("fetching %s: %s, %s", progress.model, of, progress.hindrance)
        elif now - self._time >= LINE_SECONDS:
            rate = (progress.done - self._done) / (now - self._time)
            left = f"{(progress.total - progress.done) / rate:.0f} s left" if rate > 0 else "nothing comes"
            logger.info("fetching %s: %s, %.1f MB/s, %s", progress.model, of, rate / MEGABYTE, left)
        else:
            self._hindrance = progress.hindrance
            return
        self._hindrance = progress.hindrance
        self._time, self._done = now, progress.done
