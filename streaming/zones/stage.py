"""A stage that says of each track in which zones it is, what it did there, and which lines it crossed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from maskcast.frame import Frame
from maskcast.places import Places, Tally
from maskcast.result import Event, Result, Track, TrackState
from streaming.zones.path import Path
from streaming.zones.rule import Rule, Step
from streaming.zones.shapes import Point
from streaming.zones.sighting import SHARES, Sightings
from streaming.zones.state import ZonesState, definitions, recorded, revived, written
from streaming.zones.subject import Subject
from streaming.zones.succession import ancestors
from streaming.zones.totals import Totals


class ZonesStage:
    """Sees the results of one stream in their order; has neither a clock nor a disk.

    It fills `Track.zones` and `Result.tally`, and adds events behind those of the life cycle. It needs nothing of a
    result but tracks and times, so it works on stored ones as well. What it remembers is bounded by the tracks that
    were seen in the last `lost_after` seconds.
    """

    def __init__(self, places: Places, *, groups: Mapping[str, str | None], lost_after: float, since: datetime) -> None:
        """Begin without tracks, and with totals of 0.

        Args:
            places: checked (see `streaming.zones.checks`).
            groups: the group of each prompt in force by its name; None for none.
            lost_after: seconds for which a track that is not seen is where it was; the tracker's own.
            since: when the totals begin, UTC.
        """
        self._groups, self._lost_after = dict(groups), lost_after
        self._look_at(places, since)
        self._subjects: dict[int, Subject] = {}
        self._heirs: dict[int, int] = {}  # by the id of a track: that of the one which goes on with its path
        self._claimed: set[int] = set()  # tracks with which others may go on once they are believed
        self._pts: float | None = None
        self._captured_at: datetime | None = None
        self._resumed = False
        self._inside: dict[str, dict[str, int]] = {}
        self._tally = self._totals.tally({})

    def _look_at(self, places: Places, since: datetime) -> None:
        self._places, self._definitions = places, definitions(places)
        self._sightings = Sightings(places)
        self._totals = Totals(places, self._groups, since)
        self._rule = Rule(places, self._totals)

    @property
    def tally(self) -> Tally:
        """What has been counted up to the last result."""
        return self._tally

    def set_prompts(self, groups: Mapping[str, str | None]) -> None:
        """Other prompts are in force; as in the constructor."""
        self._groups = dict(groups)
        self._totals.set_names(groups)
        self._retell()

    def set_places(self, places: Places, now: datetime) -> None:
        """Count at other places from the next result on, at `now` (UTC).

        At those that are what they were, all goes on. At others the totals begin at 0, and who is in a zone enters it.
        """
        before, overlaps, known = self._totals, self._overlaps(), self._definitions
        self._look_at(places, now)
        if kept := self._kept(known):
            self._totals.since = before.since
            self._totals.go_on(before.entered, before.crossed, kept)
        self._move(kept, overlaps)

    def reset(self, now: datetime) -> None:
        """Begin the totals at 0 again, at `now` (UTC); who is inside stays there."""
        self._totals.reset(now)
        self._retell()

    def apply(self, result: Result) -> Result:
        """See `streaming.pipeline.stage.Stage`."""
        frame = result.frame
        self._follow_clock(frame)
        seen: list[Subject] = []
        events: list[Event] = []
        aspect, pixel = 1.0, (0.0, 0.0)
        for track in result.tracks:
            if track.mask.crop.size:
                height, width = track.mask.size
                aspect, pixel = width / height, (1 / width, 1 / height)
                subject, told = self._see(track, frame.pts)
                seen.append(subject)
                events += told
        events += self._begin([subject for subject in seen if subject.point is None], frame.pts, aspect, pixel)
        moving = [subject for subject in seen if subject.point is not None and subject.path.known]
        events += self._rule.advance([Step(subject, *subject.path.now()) for subject in moving], pixel)
        events += self._end(frame.pts, pixel)
        if self._count_inside() or events:
            self._retell()
        zones = {subject.id: subject.zones for subject in seen if subject.stays}
        return replace(
            result,
            tracks=tuple(
                replace(track, zones=self._in_order(zones[track.id])) if track.id in zones else track
                for track in result.tracks
            ),
            events=(*result.events, *sorted(events, key=lambda event: event.track_id)),
            tally=self._tally,
        )

    def state(self) -> dict[str, object]:
        """What `restore` takes, as a JSON value: totals, and what is known of living tracks."""
        totals = self._totals
        return {
            "pts": self._pts,
            "captured_at": written(self._captured_at),
            "overlaps": self._overlaps(),
            "places": self._definitions,
            "subjects": [recorded(subject) for subject in self._subjects.values()],
            "since": written(totals.since),
            "entered": {zone: dict(counts) for zone, counts in totals.entered.items()},
            "crossed": {
                line: {direction: dict(counts) for direction, counts in directions.items()}
                for line, directions in totals.crossed.items()
            },
        }

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on where another stage stood, at the places that are what they were; the others are new.

        The first result that follows may have a clock of its own.

        Raises:
            ValueError: it is no such state.
        """
        found = ZonesState.model_validate(dict(state))
        revive = (revived(record, SHARES + len(found.overlaps)) for record in found.subjects)
        self._subjects = {subject.id: subject for subject in revive}
        self._heirs, self._claimed = {}, set()
        self._pts, self._captured_at, self._resumed = found.pts, found.captured_at, True
        kept = set(self._definitions) if found.places is None else self._kept(found.places)
        if kept:
            self._totals.since = found.since.astimezone(UTC)
            self._totals.go_on(found.entered, found.crossed, kept)
        self._move(kept, found.overlaps)

    def _kept(self, known: Mapping[str, str]) -> set[str]:
        """The names of places that are what they were."""
        return {name for name, what in self._definitions.items() if known.get(name) == what}

    def _move(self, kept: Collection[str], overlaps: Sequence[str]) -> None:
        """Let subjects go on that were seen where there were other places, with shares of the zones `overlaps`."""
        former = {zone: column for column, zone in enumerate(overlaps, SHARES) if zone in kept}
        columns = [*range(SHARES), *(former.get(zone) for zone in self._overlaps())]
        earlier = [subject.ancestor for subject in self._subjects.values() if subject.ancestor]
        for subject in (*self._subjects.values(), *earlier):
            subject.move(kept, columns)
            if subject.point is not None:
                self._rule.look(subject, kept)
        self._count_inside()
        self._retell()

    def _overlaps(self) -> list[str]:
        return [zone.name for zone in self._places.zones if zone.anchor == "overlap"]

    def _in_order(self, zones: Iterable[str]) -> tuple[str, ...]:
        found = set(zones)
        return tuple(zone.name for zone in self._places.zones if zone.name in found)

    def _follow_clock(self, frame: Frame) -> None:
        """If the media clock was restarted, let the time that tracks wait go on from where it stood."""
        if self._pts is not None and (self._resumed or frame.pts <= self._pts):
            away = 0.0
            if self._captured_at is not None:
                away = max((frame.captured_at - self._captured_at).total_seconds(), 0.0)
            for subject in self._subjects.values():
                subject.shift(frame.pts - self._pts, away)
        self._resumed, self._pts, self._captured_at = False, frame.pts, frame.captured_at

    def _see(self, track: Track, pts: float) -> tuple[Subject, list[Event]]:
        events: list[Event] = []
        subject = self._subjects.get(track.id) or self._given_back(track.id, events)
        if subject is None:
            subject = Subject(
                track.id, track.prompt, track.score, track.mask.bbox, pts, pts, Path(self._sightings.width)
            )
            self._subjects[track.id] = subject
        subject.see(track.prompt, track.score, track.mask.bbox, pts, self._sightings.of(track.mask))
        subject.confirmed = subject.confirmed or track.state is TrackState.CONFIRMED
        return subject, events

    def _given_back(self, track_id: int, events: list[Event]) -> Subject | None:
        """The subject of a track that was taken for gone, if another goes on with its path: they are two objects."""
        heir = self._subjects.get(self._heirs.pop(track_id, 0))
        if heir is None or heir.ancestor is None or heir.ancestor.id != track_id:
            return None
        subject = self._subjects[track_id] = heir.ancestor
        heir.ancestor = None
        events += self._rule.recount(heir)
        return subject

    def _begin(self, waiting: Sequence[Subject], pts: float, aspect: float, pixel: Point) -> list[Event]:
        """Let paths begin of which enough is known: where another ends whose object it is, or else by themselves."""
        unseen = [other for other in self._subjects.values() if other.last_seen < pts] if waiting else []
        known = ancestors(waiting, unseen, groups=self._groups, lost_after=self._lost_after, aspect=aspect)
        self._claimed = {found.id for found in known.values()}
        events: list[Event] = []
        for subject in waiting:
            if not (subject.confirmed and subject.path.known):
                continue
            time, point = subject.path.first()
            found = known.get(subject.id)
            if found is None:
                self._rule.begin(subject, time, point)
            else:
                subject.inherit(found)
                del self._subjects[found.id]
                self._heirs[found.id] = subject.id
            events += self._rule.advance([Step(subject, max(time, subject.time), point)], pixel)
        return events

    def _end(self, pts: float, pixel: Point) -> list[Event]:
        """End what has not been seen for too long, unless a track that is not believed yet may go on with it."""
        ended = [
            subject
            for subject in self._subjects.values()
            if pts - subject.last_seen > self._lost_after and subject.id not in self._claimed
        ]
        begun = [subject for subject in ended if subject.point is not None and subject.path.times]
        events = self._rule.advance([Step(subject, *subject.path.last()) for subject in begun], pixel)
        for subject in ended:
            events += self._rule.leave(subject)
            del self._subjects[subject.id]
        for old, new in list(self._heirs.items()):
            heir = self._subjects.get(new)
            if heir is None or heir.ancestor is None or pts - heir.ancestor.last_seen > 2 * self._lost_after:
                del self._heirs[old]
                if heir is not None:
                    heir.ancestor = None
        return events

    def _count_inside(self) -> bool:
        """Count who is where; whether that has changed."""
        inside: dict[str, dict[str, int]] = {}
        for subject in self._subjects.values():
            for zone, stay in subject.stays.items():
                if stay.name is not None:
                    counts = inside.setdefault(zone, {})
                    counts[stay.name] = counts.get(stay.name, 0) + 1
        before, self._inside = self._inside, inside
        return inside != before

    def _retell(self) -> None:
        self._tally = self._totals.tally(self._inside)
