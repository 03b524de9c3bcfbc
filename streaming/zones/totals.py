"""What has been counted at the places of a stream since a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from maskcast.places import Line, Places, Tally, Zone

# Names of prompts that are in force no more and have a total all the same, at each place.
MOST_FORMER_NAMES = 64


class Totals:
    """Numbers by place and by name of a prompt, which begin anew at a `reset`.

    Attributes:
        since: when they began, UTC.
        entered: by zone, then by name: how many came in.
        crossed: by line, then by direction, then by name.
    """

    def __init__(self, places: Places, names: Iterable[str], since: datetime) -> None:
        """Begin at 0.

        Args:
            places: where is counted.
            names: of the prompts in force.
            since: when they begin, UTC.
        """
        self._places, self._names = places, tuple(names)
        self.since = since
        self.entered: dict[str, dict[str, int]]
        self.crossed: dict[str, dict[str, dict[str, int]]]
        self.reset(since)

    def reset(self, since: datetime) -> None:
        """Begin at 0 again."""
        self.since = since
        self.entered = {zone.name: {} for zone in self._places.zones}
        self.crossed = {line.name: {direction: {} for direction in line.directions} for line in self._places.lines}
        self.set_names(self._names)

    def go_on(
        self,
        entered: Mapping[str, Mapping[str, int]],
        crossed: Mapping[str, Mapping[str, Mapping[str, int]]],
        kept: Collection[str],
    ) -> None:
        """Count on from what was counted before, at the places of these names."""
        for zone, counts in self.entered.items():
            if zone in kept:
                counts.update(entered.get(zone, {}))
        for line, directions in self.crossed.items():
            if line in kept:
                for direction, counts in directions.items():
                    counts.update(crossed.get(line, {}).get(direction, {}))
        self.bound()

    def set_names(self, names: Iterable[str]) -> None:
        """Other prompts are in force: each has a total at once, and those of former ones stay, up to a bound."""
        self._names = tuple(names)
        self.bound()

    def bound(self) -> None:
        """Give each expected name a total, and drop those that are too many."""
        for zone in self._places.zones:
            self._bound(self.entered[zone.name], zone)
        for line in self._places.lines:
            for counts in self.crossed[line.name].values():
                self._bound(counts, line)

    def enter(self, zone: Zone, name: str) -> None:
        """Count an object that came into a zone."""
        self._count(self.entered[zone.name], zone, name)

    def cross(self, line: Line, direction: str, name: str) -> None:
        """Count an object that crossed a line."""
        self._count(self.crossed[line.name][direction], line, name)

    def tally(self, inside: Mapping[str, Mapping[str, int]]) -> Tally:
        """The totals as they are, with the tracks that are in each zone."""
        present = {
            zone.name: {**dict.fromkeys(self._expected(zone), 0), **inside.get(zone.name, {})}
            for zone in self._places.zones
        }
        crossed = {
            line: {direction: dict(counts) for direction, counts in directions.items()}
            for line, directions in self.crossed.items()
        }
        entered = {zone: dict(counts) for zone, counts in self.entered.items()}
        return Tally(self.since, present, entered, crossed, self._places)

    def _expected(self, place: Zone | Line) -> tuple[str, ...]:
        return place.prompts or self._names

    def _count(self, counts: dict[str, int], place: Zone | Line, name: str) -> None:
        new = name not in counts
        counts[name] = counts.get(name, 0) + 1
        if new:
            self._bound(counts, place)

    def _bound(self, counts: dict[str, int], place: Zone | Line) -> None:
        expected = self._expected(place)
        for name in expected:
            counts.setdefault(name, 0)
        former = [name for name in counts if name not in expected]
        for name in former[: max(len(former) - MOST_FORMER_NAMES, 0)]:
            del counts[name]
