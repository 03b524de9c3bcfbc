"""How far a download is, and the lines that tell of it where nobody looks at a terminal."""

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


class ProgressLines:
    """A line a minute, one when it begins, and one for each new hindrance."""

    def __init__(self, say: Callable[[str], None] = logger.info, clock: Callable[[], float] = time.monotonic) -> None:
        """`say` is given the lines; `clock` tells seconds."""
        self._say, self._clock = say, clock
        self._model = self._hindrance = ""
        self._time, self._done = 0.0, 0

    def __call__(self, progress: Progress) -> None:
        """Say it, if it is time to."""
        now, news = self._clock(), progress.hindrance if progress.hindrance != self._hindrance else ""
        self._hindrance = progress.hindrance
        if progress.model != self._model:
            self._model, said = progress.model, "are here"
        elif news:
            said = news
        elif now - self._time >= LINE_SECONDS:
            rate = (progress.done - self._done) / (now - self._time)
            left = f"{(progress.total - progress.done) / rate:.0f} s left" if rate > 0 else "nothing comes"
            said = f"{rate / MEGABYTE:.1f} MB/s, {left}"
        else:
            return
        here = f"{progress.done // MEGABYTE} of {progress.total // MEGABYTE} MB"
        self._say(f"fetching {progress.model}: {here}{' ' if said == 'are here' else ', '}{said}")
        self._time, self._done = now, progress.done
