"""What is kept of zones and lines over a restart: a JSON value, and what must be true of it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, StringConstraints

from maskcast.mask import Box
from maskcast.places import Places
from sinks.messages.places import place_tables
from streaming.zones.path import LEAST_SIGHTINGS, Path
from streaming.zones.subject import Stay, Subject
from streaming.zones.totals import MOST_FORMER_NAMES

# Beyond what any stream has, so that a file that somebody else wrote cannot fill the memory.
MOST_SUBJECTS, MOST_PLACES, MOST_COLUMNS = 10_000, 1000, 1000
# Shares of the frame are told to a hundredth of a pixel, as are seconds to a fraction of a frame.
DIGITS = 6

Name = Annotated[str, StringConstraints(max_length=1000)]
Row = Annotated[list[FiniteFloat], Field(max_length=MOST_COLUMNS)]
Counts = Annotated[dict[Name, NonNegativeInt], Field(max_length=MOST_FORMER_NAMES + MOST_PLACES)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StayRecord(_Record):
    """See `Stay`."""

    entered: FiniteFloat
    name: Name | None
    dwelled: bool


class SubjectRecord(_Record):
    """See `Subject`; of its path the last sightings, which are all that count after a pause."""

    id: Annotated[int, Field(gt=0)]
    name: Name
    score: FiniteFloat
    bbox: Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]
    first_seen: FiniteFloat
    last_seen: FiniteFloat
    confirmed: bool
    times: Annotated[list[FiniteFloat], Field(max_length=LEAST_SIGHTINGS)]
    sightings: Annotated[list[Row], Field(max_length=LEAST_SIGHTINGS)]
    time: FiniteFloat
    point: Row | None
    velocity: Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]
    turns: Annotated[dict[Name, int], Field(max_length=MOST_PLACES)]
    within: Annotated[list[Name], Field(max_length=MOST_PLACES)]
    stays: Annotated[dict[Name, StayRecord], Field(max_length=MOST_PLACES)]
    away: Annotated[FiniteFloat, Field(ge=0)]


class ZonesState(_Record):
    """See `ZonesStage`.

    Attributes:
        pts, captured_at: of the last frame; None before the first.
        overlaps: zones whose shares are in the sightings, in the order of their columns.
        places: their `definitions`; None where an earlier version has not noted them.
        since, entered, crossed: see `Totals`.
    """

    pts: FiniteFloat | None
    captured_at: Annotated[AwareDatetime, Field(strict=False)] | None
    overlaps: Annotated[list[Name], Field(max_length=MOST_PLACES)]
    places: Annotated[dict[Name, Name], Field(max_length=MOST_PLACES)] | None = None
    subjects: Annotated[list[SubjectRecord], Field(max_length=MOST_SUBJECTS)]
    since: Annotated[AwareDatetime, Field(strict=False)]
    entered: Annotated[dict[Name, Counts], Field(max_length=MOST_PLACES)]
    crossed: Annotated[dict[Name, dict[Name, Counts]], Field(max_length=MOST_PLACES)]


def recorded(subject: Subject) -> dict[str, object]:
    """A subject as a JSON value."""
    times, rows = subject.path.times[-LEAST_SIGHTINGS:], subject.path.sightings[-LEAST_SIGHTINGS:]
    return {
        "id": subject.id,
        "name": subject.name,
        "score": float(subject.score),
        "bbox": [float(number) for number in subject.bbox],
        "first_seen": subject.first_seen,
        "last_seen": subject.last_seen,
        "confirmed": subject.confirmed,
        "times": times,
        "sightings": rows.round(DIGITS).tolist(),
        "time": subject.time,
        "point": None if subject.point is None else subject.point.round(DIGITS).tolist(),
        "velocity": [round(number, DIGITS) for number in subject.velocity],
        "turns": dict(subject.turns),
        "within": sorted(subject.within),
        "stays": {
            zone: {"entered": stay.entered, "name": stay.name, "dwelled": stay.dwelled}
            for zone, stay in subject.stays.items()
        },
        "away": subject.away,
    }


def definitions(places: Places) -> dict[str, str]:
    """What tells each place, by its name, from another of that name: a digest of its table."""
    return {
        name: hashlib.sha256(json.dumps([kind, table], sort_keys=True).encode()).hexdigest()[:16]
        for kind, tables in zip(("zone", "line"), place_tables(places), strict=True)
        for name, table in tables.items()
    }


def revived(record: SubjectRecord, width: int) -> Subject:
    """The subject of a record, whose sightings have this width.

    Raises:
        ValueError: they have not.
    """
    subject = Subject(
        record.id,
        record.name,
        record.score,
        Box(*record.bbox),
        record.first_seen,
        record.last_seen,
        Path(width),
        record.confirmed,
    )
    rows = [*record.sightings, *([] if record.point is None else [record.point])]
    if len(record.times) != len(record.sightings) or any(len(row) != width for row in rows):
        raise ValueError(f"track {record.id}: sightings of a wrong length")
    for time, row in zip(record.times, record.sightings, strict=True):
        subject.path.add(time, np.array(row))
    subject.time = record.time
    subject.point = None if record.point is None else np.array(record.point)
    x, y = record.velocity
    subject.velocity = x, y
    subject.turns = {line: turns for line, turns in record.turns.items() if turns}
    subject.within = set(record.within)
    subject.stays = {zone: Stay(stay.entered, stay.name, stay.dwelled) for zone, stay in record.stays.items()}
    subject.away = record.away
    return subject


def written(moment: datetime | None) -> str | None:
    """A moment as JSON has it."""
    return None if moment is None else moment.isoformat()
