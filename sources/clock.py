"""Time stamps that consumers can rely on: from 0, strictly increasing, whatever the medium says."""

from __future__ import annotations

# A step back of more than this is a new beginning (a camera that restarted, a counter that wrapped); less is jitter.
RESTART_SECONDS = 1.0


class MediaClock:
    """Turns raw time stamps into presentation times."""

    def __init__(self, start: float | None, step: float) -> None:
        """Begin.

        Args:
            start: raw time in seconds that becomes 0; None for the first frame's.
            step: seconds between frames, to fill in where stamps are missing, repeat or run backwards.
        """
        self._offset = -start if start is not None else None
        self._step = step
        self._last: float | None = None

    def stamp(self, raw: float | None) -> float:
        """The presentation time in seconds of the next frame.

        Args:
            raw: the medium's own time in seconds, if it has one.
        """
        if self._offset is None and raw is not None:
            self._offset = -raw
        if self._last is None:
            self._last = max(raw + self._offset, 0.0) if raw is not None and self._offset is not None else 0.0
            return self._last
        following = self._last + self._step
        if raw is None or self._offset is None:
            time = following
        else:
            time = raw + self._offset
            if time < self._last - RESTART_SECONDS:
                self._offset += following - time
            if time <= self._last:
                time = following
        self._last = time
        return time
