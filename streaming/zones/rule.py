"""When an object is in a zone, and when it has crossed a line: the rule of `docs/zones.md`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from maskcast.places import Line, Places, Zone
from maskcast.result import Event, EventKind
from streaming.zones.path import Sighting
from streaming.zones.shapes import Edges, Point, Shape
from streaming.zones.sighting import BOTTOM, CENTRE, SHARES, SIZE
from streaming.zones.subject import Stay, Subject
from streaming.zones.totals import Totals

# So far from a border, in shares of its own width and height, an object is clear of it. Anchors flicker by less.
MARGIN = 0.1
# Masks are no finer than pixels, and borders of small objects flicker by one or two.
LEAST_MARGIN_PIXELS = 3.0
# Of the share at which a mask is in a zone, it has to fall to this to be out.
SHARE_LEFT = 0.8
# More is not asked of a mask that has to lie in a zone wholly: it is sampled, and its borders are no finer than pixels.
MOST_SHARE = 0.97
ANCHORS = {"bottom": BOTTOM, "centre": CENTRE}


@dataclass(frozen=True)
class Step:
    """A piece of a path.

    Attributes:
        subject: whose path it is; it stands at the step's beginning.
        time: pts in seconds at its end.
        point: its end, as in `Sightings.of`.
    """

    subject: Subject
    time: float
    point: Sighting


class Rule:
    """Moves subjects along their paths, and tells what they do at places."""

    def __init__(self, places: Places, totals: Totals) -> None:
        """Count in `totals`."""
        self._totals = totals
        self._zones = [(zone, Shape(zone)) for zone in places.zones if zone.anchor != "overlap"]
        self._lines = [(line, Shape(line)) for line in places.lines]
        self._overlaps = [zone for zone in places.zones if zone.anchor == "overlap"]
        self._by_name = {zone.name: zone for zone in places.zones}
        places_of_shapes: list[Zone | Line] = [zone for zone, _ in self._zones]
        places_of_shapes += [line for line, _ in self._lines]
        self._edges = Edges(
            [shape for _, shape in (*self._zones, *self._lines)],
            [place.anchor == "centre" for place in places_of_shapes],
        )

    def begin(self, subject: Subject, time: float, point: Sighting) -> None:
        """Set a subject to the beginning of its path; what it is in there it enters with the first step."""
        subject.time, subject.point = time, point
        self.look(subject)

    def look(self, subject: Subject, known: Collection[str] = ()) -> None:
        """See in which zones a subject is whose path has begun; of those that are `known` it is remembered."""
        assert subject.point is not None
        for zone, shape in self._zones:
            if zone.name not in known and shape.contains(_anchor_at(zone, subject.point)):
                subject.within.add(zone.name)

    def advance(self, steps: Sequence[Step], pixel: Point) -> list[Event]:
        """Let subjects, each at most once, go a step.

        Args:
            steps: of subjects whose paths have begun.
            pixel: width and height of one, in shares of the frame.

        Returns:
            What they did, in the order of the steps, with the totals counted.
        """
        if not steps:
            return []
        before = np.array([step.subject.point[:4] for step in steps if step.subject.point is not None])
        after = np.array([step.point[:4] for step in steps])
        crossed = self._edges.crossed(before.reshape(-1, 2, 2), after.reshape(-1, 2, 2))
        events: list[Event] = []
        for number, step in enumerate(steps):
            width, height = step.point[SIZE]
            least_x, least_y = LEAST_MARGIN_PIXELS * pixel[0], LEAST_MARGIN_PIXELS * pixel[1]
            reach = max(MARGIN * float(width), least_x), max(MARGIN * float(height), least_y)
            for index, (line, shape) in enumerate(self._lines, len(self._zones)):
                if (number, index) in crossed or line.name in step.subject.turns:
                    events += self._follow_line(line, shape, step, reach)
            for index, (zone, shape) in enumerate(self._zones):
                inside = zone.name in step.subject.within
                if (number, index) in crossed or inside != (zone.name in step.subject.stays):
                    events += self._follow_zone(zone, shape, step, reach)
            for column, zone in enumerate(self._overlaps, SHARES):
                events += self._follow_overlap(zone, step, float(step.point[column]))
            step.subject.time, step.subject.point = step.time, step.point
            events += self._wait(step.subject)
        return events

    def leave(self, subject: Subject) -> list[Event]:
        """End all stays of a track that has ended."""
        return [event for zone in list(subject.stays) for event in self._leave(zone, subject, subject.last_seen)]

    def _follow_line(self, line: Line, shape: Shape, step: Step, reach: Point) -> list[Event]:
        subject = step.subject
        before, after = _anchor(line, subject), _anchor_at(line, step.point)
        turns = subject.turns.pop(line.name, 0)
        events: list[Event] = []
        for start, end, turn in shape.parts(before, after):
            turns += turn
            if not turns or shape.farthest(before, after, (start, end), reach) < 1:
                continue
            direction, turns = line.directions[0 if turns > 0 else 1], 0
            if _is_for(line, subject.name):
                self._totals.cross(line, direction, subject.name)
                events.append(subject.event(EventKind.CROSSED, line.name, subject.name, direction=direction))
        if turns:
            subject.turns[line.name] = turns
        return events

    def _follow_zone(self, zone: Zone, shape: Shape, step: Step, reach: Point) -> list[Event]:
        subject = step.subject
        before, after = _anchor(zone, subject), _anchor_at(zone, step.point)
        # Less is asked in a small zone, in which nobody is deeper.
        shallow = max(1.0, 2 * max(reach) / shape.depth)
        deep = reach[0] / shallow, reach[1] / shallow
        events: list[Event] = []
        inside = zone.name in subject.within
        for start, end, turn in shape.parts(before, after):
            inside = inside != (turn != 0)
            if inside == (zone.name in subject.stays):
                continue
            if shape.farthest(before, after, (start, end), deep if inside else reach) >= 1:
                time = subject.time + start * (step.time - subject.time)
                events += self._enter(zone, subject, time) if inside else self._leave(zone.name, subject, time)
        (subject.within.add if inside else subject.within.discard)(zone.name)
        return events

    def _follow_overlap(self, zone: Zone, step: Step, share: float) -> list[Event]:
        subject, least = step.subject, min(zone.share, MOST_SHARE)
        if zone.name not in subject.stays:
            return self._enter(zone, subject, step.time) if share >= least else []
        return self._leave(zone.name, subject, step.time) if share < SHARE_LEFT * least else []

    def _enter(self, zone: Zone, subject: Subject, time: float) -> list[Event]:
        subject.stays[zone.name] = Stay(time)
        return self._count(zone, subject)

    def _count(self, zone: Zone, subject: Subject) -> list[Event]:
        """Count a stay once, under the first name that the zone is for; later it goes by others of those names."""
        stay, name = subject.stays[zone.name], subject.name
        if not _is_for(zone, name):
            return []
        counted, stay.name = stay.name is not None, name
        if counted:
            return []
        self._totals.enter(zone, name)
        return [subject.event(EventKind.ENTERED, zone.name, name)]

    def recount(self, subject: Subject) -> list[Event]:
        """Count the stays of a track again: those that it inherited were another object's."""
        events: list[Event] = []
        for name, stay in subject.stays.items():
            stay.name = None
            events += self._count(self._by_name[name], subject)
        return events

    def _leave(self, zone: str, subject: Subject, time: float) -> list[Event]:
        stay = subject.stays.pop(zone)
        if stay.name is None:
            return []
        return [subject.event(EventKind.LEFT, zone, stay.name, seconds=time - stay.entered)]

    def _wait(self, subject: Subject) -> list[Event]:
        """Whether its stays are counted under its present name, and how long they have lasted."""
        events: list[Event] = []
        for name, stay in subject.stays.items():
            zone = self._by_name[name]
            if stay.name != subject.name:
                events += self._count(zone, subject)
            seconds = subject.time - stay.entered
            if zone.dwell is not None and not stay.dwelled and stay.name is not None and seconds >= zone.dwell:
                stay.dwelled = True
                events.append(subject.event(EventKind.DWELLED, name, stay.name, seconds=seconds))
        return events


def _anchor(place: Zone | Line, subject: Subject) -> Point:
    assert subject.point is not None
    return _anchor_at(place, subject.point)


def _anchor_at(place: Zone | Line, point: Sighting) -> Point:
    x, y = point[ANCHORS[place.anchor]].tolist()
    return x, y


def _is_for(place: Zone | Line, name: str) -> bool:
    return not place.prompts or name in place.prompts
