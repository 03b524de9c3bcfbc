"""Events of tracks that are known only by the frames in which they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskcast.result import Event, EventKind, Track, TrackState


@dataclass(slots=True)
class _Life:
    """A track that has started and not ended: as it was last seen, when, and whether it is lost."""

    track: Track
    pts: float
    lost: bool = False


class LifeEvents:
    """Says what a tracker would have said: started, lost, recovered, and ended where it does not come back."""

    def __init__(self, last_seen: Mapping[int, int], lost_after: float) -> None:
        """Begin without tracks.

        Args:
            last_seen: by id of a track, index of the last frame that it is in.
            lost_after: seconds after which a track that is not seen, and will not be seen again, ends.
        """
        self._last_seen, self._lost_after = last_seen, lost_after
        self._lives: dict[int, _Life] = {}

    def at(self, index: int, pts: float, tracks: Sequence[Track]) -> tuple[Event, ...]:
        """What happened at a frame, whose `tracks` these are. Frames come in their order."""
        visible = {track.id for track in tracks}
        events = []
        for life in list(self._lives.values()):
            track = life.track
            if track.id in visible:
                continue
            if not life.lost:
                life.lost = True
                events.append(_event(EventKind.LOST, track))
            gone = self._last_seen[track.id] < index
            if gone and pts - life.pts > self._lost_after:
                del self._lives[track.id]
                events.append(_event(EventKind.ENDED, track))
        for track in tracks:
            known = self._lives.get(track.id)
            if known is None and track.state is not TrackState.CONFIRMED:
                continue
            if known is None:
                events.append(_event(EventKind.STARTED, track))
            elif known.lost:
                events.append(_event(EventKind.RECOVERED, track))
            self._lives[track.id] = _Life(track, pts)
        return tuple(events)


def _event(kind: EventKind, track: Track) -> Event:
    return Event(kind, track.id, track.prompt, track.score, track.mask.bbox)
