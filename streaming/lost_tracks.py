"""A stage for styles that hide: what is out of the tracker's sight for a while stays hidden where it was seen last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskcast.mask import Mask
from maskcast.result import Event, EventKind, KnownTracks, Result, Track, TrackState
from trackers.defaults import LOST_AFTER_SECONDS, MAX_TRACKS

# The longest unseen go first: more than these only where tracks come and go in every frame.
MOST_LOST_TRACKS = 4 * MAX_TRACKS


class LostTracks:
    """Fills `Result.lost`; see `streaming.pipeline.stage.Stage`.

    A track is in it from the first frame that does not have it until its `ended` event, and for `lost_after` seconds of
    media time at most: results read from a file have no events, and a tentative track goes without one. A tentative
    track that goes stays as long, because a detector that missed an object in one frame has not shown it to be none.
    """

    def __init__(self, lost_after: float = LOST_AFTER_SECONDS, known: KnownTracks | None = None) -> None:
        """Begin.

        Args:
            lost_after: see `trackers.options.EngineOptions.lost_after`.
            known: what subscribers know of earlier tracks of the stream: until one is seen, its whole box is hidden.
        """
        self._lost_after = lost_after
        self._known = list(known.alive.values()) if known else []
        self._seen: dict[int, tuple[Track, float]] = {}  # by id, the longest unseen first; with the time of the frame

    def apply(self, result: Result) -> Result:
        """See `streaming.pipeline.stage.Stage`."""
        pts, size = result.frame.pts, (result.frame.picture.height, result.frame.picture.width)
        known, self._known = self._known, []
        for event in known:
            if event.kind is not EventKind.ENDED:
                self._seen[event.track_id] = (_boxed(event, size), pts)
        shown = [track for track in result.tracks if track.mask.crop.size]  # an empty mask hides nothing
        for track in shown:
            self._seen.pop(track.id, None)
            self._seen[track.id] = (track, pts)
        ended = {event.track_id for event in result.events if event.kind is EventKind.ENDED}
        present = {track.id for track in shown}
        for track_id, (_, at) in list(self._seen.items()):
            if track_id not in present and (track_id in ended or pts - at > self._lost_after):
                del self._seen[track_id]
        for track_id in [one for one in self._seen if one not in present][:-MOST_LOST_TRACKS]:
            del self._seen[track_id]
        lost = [track for track, _ in self._seen.values() if track.id not in present]
        if not lost:
            return result
        return replace(result, lost=tuple(_lost(track, size) for track in lost))


def _lost(track: Track, size: tuple[int, int]) -> Track:
    return replace(track, state=TrackState.LOST, mask=_scaled(track.mask, size))


def _scaled(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask in a picture of another size, nearest neighbours."""
    if mask.size == size:
        return mask
    rows, columns = ((np.arange(new) * old) // new for new, old in zip(size, mask.size, strict=True))
    return Mask.from_array(mask.full()[rows][:, columns], size)


def _boxed(event: Event, size: tuple[int, int]) -> Track:
    """The track of an event as a mask that fills its box, cut at the picture's borders."""
    height, width = size
    left, top = max(0, int(event.bbox.x)), max(0, int(event.bbox.y))
    right, bottom = int(event.bbox.x + event.bbox.width) + 1, int(event.bbox.y + event.bbox.height) + 1
    filled = np.ones((max(0, min(height, bottom) - top), max(0, min(width, right) - left)), np.bool_)
    mask = Mask.from_array(filled, size, left, top)
    return Track(event.track_id, event.prompt, TrackState.LOST, event.score, mask)
