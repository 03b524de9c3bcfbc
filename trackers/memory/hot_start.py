"""Hold results back for some frames, so that a track that proves wrong in its first frames was never there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from maskcast.result import Event, Result


class HotStart:
    """Releases a frame's result with the `delay`-th frame, its own counted; 0 and 1 let it pass.

    This is when `Sam3VideoModel.propagate_in_video_iterator` yields it: the last frame in which the rules can still
    remove a track that started in the released frame.
    """

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self._held: deque[Result] = deque()
        self._removed: dict[int, int] = {}  # track id: frames for which results that name it may still be held

    def take_back(self, track_id: int) -> None:
        """Remove a track and its events from everything that is still held, and from the next result."""
        self._removed[track_id] = self.delay + 1

    def push(self, result: Result) -> list[Result]:
        """Hand in a frame's result; get those that are now certain."""
        self._held.append(result)
        released = [self._clean(self._held.popleft())] if len(self._held) >= self.delay else []
        self._removed = {track: frames - 1 for track, frames in self._removed.items() if frames > 0}
        return released

    def follow_up(self, events: Iterable[Event]) -> bool:
        """Let events that come between two frames leave with the newest result that is held; False if none is."""
        if not self._held:
            return False
        self._held[-1] = replace(self._held[-1], events=(*self._held[-1].events, *events))
        return True

    def flush(self) -> list[Result]:
        """Everything that is held; nothing is afterwards."""
        released = [self._clean(result) for result in self._held]
        self._held.clear()
        self._removed.clear()
        return released

    def _clean(self, result: Result) -> Result:
        if not self._removed:
            return result
        return replace(
            result,
            tracks=tuple(track for track in result.tracks if track.id not in self._removed),
            events=tuple(event for event in result.events if event.track_id not in self._removed),
        )
