"""What the journal knows of one stream."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field

from maskcast.result import LIFE_EVENTS, Event, EventKind
from sinks.messages.event import shed_message

OPEN_TRACKS = 1_000  # a stream


@dataclass(frozen=True, slots=True)
class Entry:
    """One message for the topic ``events``.

    Attributes:
        sequence: its number in the stream; goes up.
        payload: the message.
    """

    sequence: int
    payload: bytes


@dataclass(slots=True)
class JournalStream:
    """What is known of one stream; the file is brought up to it at each commit.

    Numbers below `next` that are above `sent` and neither stored nor waiting were dropped: no other record is needed to
    announce them.
    """

    id: str
    next: int = 1  # number of the next event
    sent: int = 0  # all events up to this number are done with
    dropped: int = 0  # events, since the journal began
    highest: int = 0  # id of a track
    low: int = 1  # stored events below this number are void
    stored: int = 0  # events in the file, without the void ones
    offered: int = 0  # the highest number that was handed out, as numbers are now
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)  # events not yet in the file; all newer than those
    tracks: dict[int, Event] = field(default_factory=dict)
    changed_tracks: set[int] = field(default_factory=set)  # since the last commit
    rewrite_tracks: bool = False  # too many have changed to remember which
    places: str | None = None  # what counting at places must know, see `Result.place_state`
    changed_places: bool = False  # since the last commit

    @property
    def start(self) -> int:
        """Stored events from this number on count."""
        return max(self.low, self.sent + 1)

    def announcement(self, name: str, first: int, following: int) -> Entry:
        """That the events from `first` to before `following` were dropped, under the number of the last of them."""
        sequence = following - 1
        return Entry(sequence, shed_message(name, f"{self.id}-{sequence}", following - first).json_bytes())

    def follow(self, event: Event) -> None:
        """Keep the table of open tracks."""
        if event.kind not in LIFE_EVENTS:
            return
        number = event.track_id
        self.highest = max(self.highest, number)
        if event.kind is EventKind.ENDED:
            self.tracks.pop(number, None)
        elif event.kind is EventKind.STARTED or number in self.tracks:
            self.tracks[number] = event
            self._forget_oldest_tracks()
        self.changed_tracks.add(number)
        if len(self.changed_tracks) > 2 * OPEN_TRACKS:  # the disk has refused for long
            self.changed_tracks.clear()
            self.rewrite_tracks = True

    def continue_after(self, earlier: JournalStream) -> None:
        """Queue what happened here behind what an earlier run has left, which could not be read until now.

        The numbers go on under a new id, since those of two runs meet. What was handed out and is not yet removed is
        handed out once more, under the same ids.
        """
        moved = earlier.next - 1 - self.sent
        self.id = uuid.uuid4().hex
        self.waiting = deque((number + moved, payload) for number, payload in self.waiting)
        self.next += moved
        self.sent, self.low, self.stored, self.offered = earlier.sent, earlier.low, earlier.stored, 0
        self.dropped += earlier.dropped
        self.highest = max(self.highest, earlier.highest)
        self.tracks = {**earlier.tracks, **self.tracks}
        self.places = earlier.places if self.places is None else self.places
        self._forget_oldest_tracks()
        self.rewrite_tracks = self.changed_places = True

    def keep_places(self, state: str | None) -> None:
        """Keep what counting must know from here on; None for nothing."""
        self.places, self.changed_places = state, True

    def _forget_oldest_tracks(self) -> None:
        while len(self.tracks) > OPEN_TRACKS:
            oldest = min(self.tracks)
            del self.tracks[oldest]
            self.changed_tracks.add(oldest)
