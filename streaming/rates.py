"""How many frames a second a stream wants of the model, and how many it gets."""

from __future__ import annotations

import time

from maskcast.notices import FramesDropped, Notice, TrackedFrame
from streaming.pipeline.controls import Controls

# A few frames that the model could not take are noise; one in ten between two looks is overload.
OVERLOAD_SHARE = 0.9


class Rates:
    """Counts the frames of one stream."""

    def __init__(self, controls: Controls, max_rate: float | None) -> None:
        """Begin to count.

        Args:
            controls: what is wanted of the stream.
            max_rate: most frames a second that are to be tracked; None for all.
        """
        self._controls, self._max_rate = controls, max_rate
        self._tracked = self._dropped = 0  # frames since `_since`
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has counted since the last look."""
        return time.monotonic() - self._since

    def notify(self, notice: Notice) -> None:
        """Count a frame."""
        match notice:
            case TrackedFrame():
                self._tracked += 1
            case FramesDropped("reader", count):
                self._dropped += count

    def look(self) -> tuple[float, float]:
        """Frames a second that were wanted of the model since the last call, and that it tracked."""
        now = time.monotonic()
        seconds, self._since = max(now - self._since, 1e-3), now
        got = self._tracked / seconds
        offered = got + self._dropped / seconds
        self._tracked = self._dropped = 0
        wanted = got if self._controls.paused else max(got, min(offered, self._max_rate or offered))
        return wanted, got


def is_overloaded(wanted: float, got: float) -> bool:
    """Whether the model tracks clearly fewer frames a second than are wanted of it."""
    return got < OVERLOAD_SHARE * wanted
