"""The life of a track: tentative, confirmed, lost, ended; and ids that are never reused.

Counting matched frames before a track is believed is SORT's `min_hits` (Bewley et al. 2016, default 3) and
DeepSORT's `n_init` (Wojke et al. 2017); a lost track waits for `lost_after` seconds of media time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from maskcast.mask import Box
from maskcast.result import Event, EventKind, KnownTracks, TrackState
from trackers.defaults import CONFIRM_AFTER_FRAMES, LOST_AFTER_SECONDS, MAX_TRACKS


@dataclass
class Life:
    """What is remembered of a living track.

    Attributes:
        id: fixed for life.
        prompt: name of the prompt that it matches; within a group it may change, see `trackers.naming`.
        state: tentative, confirmed or lost.
        hits: frames in which it was seen, until it is confirmed.
        last_seen: pts in seconds of the last frame in which it was seen.
        score, bbox: as last seen.
    """

    id: int
    prompt: str
    state: TrackState
    hits: int
    last_seen: float
    score: float
    bbox: Box

    def event(self, kind: EventKind) -> Event:
        """An event about this track as last seen."""
        return Event(kind, self.id, self.prompt, self.score, self.bbox)


@dataclass(frozen=True)
class Sighting:
    """A track seen in the current frame."""

    score: float
    bbox: Box


class Lifecycle:
    """Moves a stream's tracks through their states and reports what changed. Bounded by `max_tracks`."""

    def __init__(
        self,
        *,
        confirm_after: int = CONFIRM_AFTER_FRAMES,
        lost_after: float = LOST_AFTER_SECONDS,
        max_tracks: int = MAX_TRACKS,
    ) -> None:
        """Begin without tracks.

        Args:
            confirm_after: frames in a row in which a new track must be seen to be believed.
            lost_after: seconds of media time after which a track that is not seen ends.
            max_tracks: most living tracks, lost ones included.
        """
        self.confirm_after, self.lost_after, self.max_tracks = confirm_after, lost_after, max_tracks
        self._min_frames: Mapping[str, int] = {}
        self.next_id = 1
        self._lives: dict[int, Life] = {}

    def __len__(self) -> int:
        return len(self._lives)

    def __iter__(self) -> Iterator[Life]:
        return iter(self._lives.values())

    def __getitem__(self, track_id: int) -> Life:
        return self._lives[track_id]

    def __contains__(self, track_id: int) -> bool:
        return track_id in self._lives

    def ask(self, min_frames: Mapping[str, int]) -> None:
        """Say for which prompts, by name, another number of frames than `confirm_after` counts from now on."""
        self._min_frames = min_frames

    def _wanted_hits(self, life: Life) -> int:
        return self._min_frames.get(life.prompt, self.confirm_after)

    def restore(self, lives: Iterable[Life], next_id: int) -> None:
        """Go on where another life cycle stood, without events; `next_id` is the id of the next track."""
        self._lives = {life.id: life for life in lives}
        self.next_id = max(next_id, max(self._lives, default=0) + 1)

    def align(self, known: KnownTracks) -> list[Event]:
        """Agree with what subscribers know after a restart: a state that was saved is older than the last events.

        Returns:
            An `ended` event for each track that they believe alive and that is forgotten here.
        """
        for life in list(self):
            if life.id in known.alive:
                lost = known.alive[life.id].kind is EventKind.LOST
                life.state = TrackState.LOST if lost else TrackState.CONFIRMED
            elif life.id <= known.highest:  # it has ended since, or may have: an older id was not always heard of
                del self._lives[life.id]
            elif life.state is not TrackState.TENTATIVE:  # nobody has heard of it: the next sighting starts it
                life.state, life.hits = TrackState.TENTATIVE, self._wanted_hits(life) - 1
        self.next_id = max(self.next_id, known.highest + 1)
        return [replace(event, kind=EventKind.ENDED) for track_id, event in known.alive.items() if track_id not in self]

    def make_room(self, wanted: int) -> list[Event]:
        """End the longest-lost tracks so that `wanted` new ones fit, as far as lost ones can make room."""
        surplus = len(self._lives) + wanted - self.max_tracks
        if surplus <= 0:
            return []
        lost = sorted((life for life in self if life.state is TrackState.LOST), key=lambda life: life.last_seen)
        return [self._end(life) for life in lost[:surplus]]

    def start(self, prompt: str, sighting: Sighting, pts: float) -> tuple[int, list[Event]] | None:
        """Begin a track; None when `max_tracks` live already."""
        if len(self._lives) >= self.max_tracks:
            return None
        life = Life(self.next_id, prompt, TrackState.TENTATIVE, 0, pts, sighting.score, sighting.bbox)
        self.next_id += 1
        self._lives[life.id] = life
        return life.id, self._see(life, sighting, pts)

    def update(self, sightings: dict[int, Sighting], pts: float, *, looked: bool = True) -> list[Event]:
        """Take the frame's sightings of living tracks; every track not in `sightings` was not seen.

        Args:
            sightings: by track id.
            pts: of the frame, in seconds.
            looked: whether the detector looked at the frame. Where it did not, tentative tracks get no nearer to being
                believed, and are not dropped.

        Returns:
            The events caused, in order of track id.
        """
        events: list[Event] = []
        for life in list(self._lives.values()):
            if life.id in sightings:
                events += self._see(life, sightings[life.id], pts, hit=looked)
            elif looked or life.state is not TrackState.TENTATIVE:
                events += self._miss(life, pts)
        return events

    def keep_prompts(self, prompts: Sequence[str]) -> list[Event]:
        """End the tracks of all prompts but these; tentative ones leave no event."""
        gone = [life.id for life in self if life.prompt not in prompts]
        return [event for track_id in gone for event in self.end(track_id)]

    def end(self, track_id: int) -> list[Event]:
        """End a track now; a tentative one leaves no event."""
        life = self._lives[track_id]
        if life.state is TrackState.TENTATIVE:
            del self._lives[track_id]
            return []
        return [self._end(life)]

    def _see(self, life: Life, sighting: Sighting, pts: float, *, hit: bool = True) -> list[Event]:
        life.hits, life.last_seen = life.hits + hit, pts
        life.score, life.bbox = sighting.score, sighting.bbox
        if life.state is TrackState.LOST:
            life.state = TrackState.CONFIRMED
            return [life.event(EventKind.RECOVERED)]
        if life.state is TrackState.TENTATIVE and life.hits >= self._wanted_hits(life):
            life.state = TrackState.CONFIRMED
            return [life.event(EventKind.STARTED)]
        return []

    def _miss(self, life: Life, pts: float) -> list[Event]:
        if life.state is TrackState.TENTATIVE:
            del self._lives[life.id]
            return []
        events = []
        if life.state is TrackState.CONFIRMED:
            life.state = TrackState.LOST
            events.append(life.event(EventKind.LOST))
        if pts - life.last_seen > self.lost_after:
            events.append(self._end(life))
        return events

    def _end(self, life: Life) -> Event:
        life.state = TrackState.ENDED
        del self._lives[life.id]
        return life.event(EventKind.ENDED)
