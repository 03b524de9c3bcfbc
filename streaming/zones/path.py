"""The path of an object, without what flickers.

A mask that grows or shrinks for a moment moves an anchor further than the object goes. The path is the running median
of the sightings (Tukey, Exploratory Data Analysis, 1977): what lasts for less than half of its window leaves no trace,
and a steady motion passes unchanged, half a window late.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Flicker of detectors lasts a few frames. Of a slow camera, the frame before and the one after have to bear a sighting
# out.
WINDOW_SECONDS = 0.5
LEAST_SIGHTINGS = 3
# Where a path begins and where it ends there is half a window.
END_SECONDS = WINDOW_SECONDS / 2
# Beyond 60 frames/s the window is shorter.
MOST_SIGHTINGS = 31

Sighting = NDArray[np.float64]


def in_columns(row: Sighting, columns: Sequence[int | None]) -> Sighting:
    """A sighting with other columns: those of these numbers, and 0 for None."""
    return np.array([0.0 if column is None else row[column] for column in columns])


class Path:
    """The last sightings of one object; bounded.

    Attributes:
        times: when they were, in seconds of the media clock; in their order.
    """

    def __init__(self, width: int) -> None:
        """Begin without sightings, which will be ``(width,)``."""
        self.times: list[float] = []
        self._rows = np.empty((2 * MOST_SIGHTINGS, width))
        self._start = 0  # the row of the first of them

    @property
    def sightings(self) -> NDArray[np.float64]:
        """``(n, width)``, in the order of `times`."""
        return self._rows[self._start : self._start + len(self.times)]

    def add(self, time: float, sighting: Sighting) -> None:
        """It was seen again."""
        if len(self.times) == MOST_SIGHTINGS:
            self._drop(1)
        stop = self._start + len(self.times)
        if stop == len(self._rows):
            self._rows[: len(self.times)] = self.sightings
            self._start, stop = 0, len(self.times)
        self._rows[stop] = sighting
        self.times.append(time)

    def with_columns(self, columns: Sequence[int | None]) -> Path:
        """The same sightings with other columns: those of these numbers, and 0 where nobody has looked."""
        path = Path(len(columns))
        for time, row in zip(self.times, self.sightings, strict=True):
            path.add(time, in_columns(row, columns))
        return path

    @property
    def known(self) -> bool:
        """Whether there are enough sightings for a path to begin."""
        if len(self.times) < LEAST_SIGHTINGS:
            return False
        return self.times[-1] - self.times[0] >= END_SECONDS or len(self.times) == MOST_SIGHTINGS

    def first(self) -> tuple[float, Sighting]:
        """Where it began: time and sighting."""
        return self.times[0], self._median(0, bisect_right(self.times, self.times[0] + END_SECONDS), newest=False)

    def last(self) -> tuple[float, Sighting]:
        """Where it ends, if it does."""
        return self.times[-1], self._median(bisect_left(self.times, self.times[-1] - END_SECONDS), len(self.times))

    def now(self) -> tuple[float, Sighting]:
        """Where it is surely, a moment ago; forgets what is not needed for it any more."""
        start = min(bisect_left(self.times, self.times[-1] - WINDOW_SECONDS), len(self.times) - LEAST_SIGHTINGS)
        if start and (len(self.times) - start) % 2 == 0:
            start -= 1
        self._drop(max(start - 1, 0))
        start = min(start, 1)
        start += (len(self.times) - start) % 2 == 0
        return self.times[(start + len(self.times)) // 2], self._median(start, len(self.times))

    def _drop(self, count: int) -> None:
        del self.times[:count]
        self._start += count

    def _median(self, start: int, stop: int, *, newest: bool = True) -> Sighting:
        """Of an odd number of sightings: of an even one, all but the oldest, or all but the newest."""
        if (stop - start) % 2 == 0:
            start, stop = (start + 1, stop) if newest else (start, stop - 1)
        rows: NDArray[np.float64] = self.sightings[start:stop].copy()
        rows.sort(axis=0)
        median: Sighting = rows[len(rows) // 2]
        return median
