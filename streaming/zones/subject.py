"""What is remembered of a track for the sake of zones and lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import exp

from maskcast.mask import Box
from maskcast.result import Event, EventKind
from streaming.zones.path import Path, Sighting, in_columns
from streaming.zones.sighting import MIDDLE

# Over so many seconds a velocity is averaged: an anchor that flickers by a tenth of an object then says little of it.
VELOCITY_SECONDS = 0.5


@dataclass
class Stay:
    """An object in a zone.

    Attributes:
        entered: pts in seconds at which it came in.
        name: of the prompt under which it is counted; None while the zone is not for its prompt.
        dwelled: whether it has been told that it dwelled.
    """

    entered: float
    name: str | None = None
    dwelled: bool = False


@dataclass
class Subject:
    """A living track.

    Attributes:
        id: of the track.
        name: of its prompt, as last seen.
        score, bbox: as last seen; the box in pixels.
        first_seen, last_seen: pts in seconds.
        path: its last sightings.
        confirmed: whether it ever was; before that it is not counted.
        time, point: where its path has come to; the point is None until it begins.
        velocity: of the middle of its box, in shares of the frame a second.
        turns: by line, where not 0: how often its path has crossed it to the right less how often to the left, since it
            was clear of the line.
        within: names of the zones whose outline goes around its point.
        stays: by zone.
        ancestor: whose path it goes on with, until nobody can say any more that they are two objects.
        away: seconds for which nobody looked since it was last seen, which `last_seen` leaves out.
    """

    id: int
    name: str
    score: float
    bbox: Box
    first_seen: float
    last_seen: float
    path: Path
    confirmed: bool = False
    time: float = 0.0
    point: Sighting | None = None
    velocity: tuple[float, float] = (0.0, 0.0)
    turns: dict[str, int] = field(default_factory=dict)
    within: set[str] = field(default_factory=set)
    stays: dict[str, Stay] = field(default_factory=dict)
    ancestor: Subject | None = None
    away: float = 0.0

    def see(self, name: str, score: float, bbox: Box, pts: float, sighting: Sighting) -> None:
        """It was seen again."""
        x, y = sighting[MIDDLE].tolist()
        if self.path.times and pts > self.path.times[-1]:
            seconds = pts - self.path.times[-1]
            weight = 1 - exp(-seconds / VELOCITY_SECONDS)
            velocity_x, velocity_y = self.velocity
            last_x, last_y = self.path.sightings[-1, MIDDLE].tolist()
            velocity_x += weight * ((x - last_x) / seconds - velocity_x)
            velocity_y += weight * ((y - last_y) / seconds - velocity_y)
            self.velocity = velocity_x, velocity_y
        self.name, self.score, self.bbox, self.last_seen = name, score, bbox, pts
        self.away = 0.0
        self.path.add(pts, sighting)

    def event(
        self, kind: EventKind, place: str, name: str, *, direction: str | None = None, seconds: float | None = None
    ) -> Event:
        """An event at a place, about this track as last seen."""
        seconds = None if seconds is None else round(max(seconds, 0.0), 3)
        return Event(kind, self.id, name, self.score, self.bbox, place, direction, seconds)

    @property
    def zones(self) -> list[str]:
        """Those that it is in and that are for its prompt."""
        return [zone for zone, stay in self.stays.items() if stay.name is not None]

    def inherit(self, other: Subject) -> None:
        """Go on where another track stood, which is the same object."""
        self.time, self.point = other.time, other.point
        self.turns, self.within = dict(other.turns), set(other.within)
        self.stays = {zone: Stay(stay.entered, stay.name, stay.dwelled) for zone, stay in other.stays.items()}
        self.ancestor = other
        # An object that gets one id after another would keep all of them; only the last can be given back.
        other.ancestor = None

    def move(self, kept: Collection[str], columns: Sequence[int | None]) -> None:
        """Other places are looked at.

        Args:
            kept: names of those that are what they were; what it did at others is forgotten.
            columns: of a sighting by their former numbers; None for those that are new.
        """
        self.turns = {line: turns for line, turns in self.turns.items() if line in kept}
        self.within = {zone for zone in self.within if zone in kept}
        self.stays = {zone: stay for zone, stay in self.stays.items() if zone in kept}
        self.path = self.path.with_columns(columns)
        if self.point is not None:
            self.point = in_columns(self.point, columns)

    def shift(self, seconds: float, away: float) -> None:
        """The media clock began anew: what was at a time is at `seconds` later, and `away` seconds have passed."""
        self.first_seen += seconds
        self.last_seen += seconds
        self.time += seconds
        self.away += away
        self.path.times = [time + seconds for time in self.path.times]
        for stay in self.stays.values():
            stay.entered += seconds - away
