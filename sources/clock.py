"""Time stamps that consumers can rely on: from 0, strictly increasing, whatever the medium says."""

from __future__ import annotations

# A step back of more than this is a new beginning (a camera that restarted, a counter that wrapped); less is jitter.
RESTART_SECONDS = 1.0


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

    def stamp(self, raw: float | None) -> float:
        """The presentation time in seconds of the next frame.

        Args:
            raw: the medium's own time in seconds, if it has one.
        """
        if raw is not None and self._offset is None:
            self._offset = (self._last + self._step if self._last is not None else 0.0) - raw
        if self._last is None:
            self._last = max(raw + self._offset, 0.0) if raw is not None and self._offset is not None else 0.0
        elif raw is None or self._offset is None:
            self._last += self._step
        else:
            time = raw + self._offset
            ahead = time - self._last
            if ahead < -RESTART_SECONDS or (self._longest_gap is not None and ahead > self._longest_gap):
                self._offset += self._step - ahead
                time = self._last + self._step
            self._last = max(time, self._last + self._tick)
        return self._last
