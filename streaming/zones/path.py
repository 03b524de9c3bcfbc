"""The path of an object, without what flickers.

A mask that grows or shrinks for a moment moves an anchor further than the object goes. The path is the running median
of the sightings (Tukey, Exploratory Data Analysis, 1977): what lasts for less than half of its window leaves no trace,
and a steady motion passes unchanged, half a window late.
"""

from __future__ import annotations

from collections import deque

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


class Path:
    """The last sightings of one object; bounded.

    Attributes:
        times: when they were, in seconds of the media clock; in their order.
        sightings: ``(n,)`` float64 each, of one length.
    """

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=MOST_SIGHTINGS)
        self.sightings: deque[Sighting] = deque(maxlen=MOST_SIGHTINGS)

    def add(self, time: float, sighting: Sighting) -> None:
        """It was seen again."""
        self.times.append(time)
        self.sightings.append(sighting)

    @property
    def known(self) -> bool:
        """Whether there are enough sightings for a path to begin."""
        long = self.times[-1] - self.times[0] >= END_SECONDS if self.times else False
        return len(self.times) >= LEAST_SIGHTINGS and (long or len(self.times) == MOST_SIGHTINGS)

    def first(self) -> tuple[float, Sighting]:
        """Where it began: time and sighting."""
        count = sum(time - self.times[0] <= END_SECONDS for time in self.times)
        return self.times[0], self._median(0, count - (count % 2 == 0))[1]

    def last(self) -> tuple[float, Sighting]:
        """Where it ends, if it does."""
        count = sum(self.times[-1] - time <= END_SECONDS for time in self.times)
        return self.times[-1], self._median(len(self.times) - count + (count % 2 == 0), len(self.times))[1]

    def now(self) -> tuple[float, Sighting]:
        """Where it is surely, a moment ago; forgets what is not needed for it any more."""
        oldest = self.times[-1] - WINDOW_SECONDS
        while len(self.times) > LEAST_SIGHTINGS and self.times[1] < oldest:
            self.times.popleft()
            self.sightings.popleft()
        count = max(sum(time >= oldest for time in self.times), LEAST_SIGHTINGS)
        count += count % 2 == 0
        start = max(len(self.times) - count, 0)
        return self._median(start + ((len(self.times) - start) % 2 == 0), len(self.times))

    def _median(self, start: int, stop: int) -> tuple[float, Sighting]:
        middle = (stop - start) // 2
        rows = np.array([self.sightings[index] for index in range(start, stop)])
        rows.sort(axis=0)
        return self.times[start + middle], rows[middle]
