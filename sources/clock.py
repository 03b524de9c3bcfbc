"""Time stamps that consumers can rely on: from 0, strictly increasing, whatever the medium says."""

from __future__ import annotations

# A step back of more than this is a new beginning (a camera that restarted, a counter that wrapped); less is jitter.
RESTART_SECONDS = 1.0
# A live stream's pictures come as they are made, so a stamp that leaps this much further ahead than time itself went
# is a clock that was set. Pictures that were held up come late, never early.
LEAP_SECONDS = 1.0


class MediaClock:
    """Turns raw time stamps into presentation times."""

    def __init__(self, start: float | None, step: float, tick: float, longest_gap: float | None = None) -> None:
        """Begin.

        Args:
            start: raw time in seconds that becomes 0; None for the first frame's.
            step: seconds between frames, for frames without a stamp.
            tick: the finest step in seconds, for stamps that repeat or run backwards: what comes next is then on time.
            longest_gap: a step forward of more seconds than this is a new beginning; None where any gap is meant.
        """
        self._offset = -start if start is not None else None
        self._step, self._tick = step, tick
        self._longest_gap = longest_gap
        self._last: float | None = None
        self._standing = 0.0  # real seconds for which the medium's time has not gone forward

    def stamp(self, raw: float | None, elapsed: float | None = None) -> float:
        """The presentation time in seconds of the next frame.

        Args:
            raw: the medium's own time in seconds, if it has one.
            elapsed: real seconds since the frame before, which live streams are held against: they stand in for stamps
                that are missing, leap ahead of them, fall back or stand still. None where frames do not come as fast
                as they were made.
        """
        if raw is not None and self._offset is None:
            self._offset = (self._last + self._step if self._last is not None else 0.0) - raw
        if self._last is None:
            self._last = max(raw + self._offset, 0.0) if raw is not None and self._offset is not None else 0.0
        elif raw is None or self._offset is None:
            self._last += self._step if elapsed is None else max(elapsed, self._tick)
        else:
            self._last += self._ahead(raw + self._offset - self._last, elapsed)
        return self._last

    def _ahead(self, ahead: float, elapsed: float | None) -> float:
        """How far to go forward for a frame that claims to be `ahead` seconds after the one before."""
        longest = self._longest_gap
        if elapsed is not None:
            self._standing = self._standing + elapsed if ahead <= 0.0 else 0.0
            longest = max(elapsed, self._step) + max(LEAP_SECONDS, 2 * self._step)
        leaps = longest is not None and ahead > longest
        if not leaps and ahead >= -RESTART_SECONDS and self._standing <= RESTART_SECONDS:
            return max(ahead, self._tick)
        assert self._offset is not None
        going = max(self._step, elapsed or 0.0, self._standing)
        self._offset += going - ahead
        self._standing = 0.0
        return going
