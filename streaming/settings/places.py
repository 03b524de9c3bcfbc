"""Zones and lines as a file says them: tables of a stream, and the same in a file of their own for `--zones`."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, ValidationError, model_validator

from maskcast.errors import SettingsError, UsageError
from maskcast.places import DEFAULT_DIRECTIONS, DEFAULT_SHARE, Anchor, Line, LineAnchor, Places, Zone
from maskcast.printable import check_printable
from maskcast.prompts import MOST_PROMPTS, clean_prompt
from streaming.settings.file import fill_in, read_toml
from streaming.settings.problems import found_problems
from streaming.settings.table import DAY_SECONDS, Table
from streaming.zones.checks import check_places

# Of a stream: each is looked at with every track of every frame, and has entities in Home Assistant.
MOST_ZONES, MOST_LINES = 32, 32
MOST_POINTS = 100
LONGEST_NAME = 64


def _name(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    if value != value.strip():
        raise ValueError("begins or ends with a blank")
    return check_printable(value)


PlaceName: TypeAlias = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_name)]
Share: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Point: TypeAlias = Annotated[tuple[Share, Share], Field(strict=False)]
Points: TypeAlias = Annotated[tuple[Point, ...], Field(strict=False, max_length=MOST_POINTS)]
Names: TypeAlias = Annotated[
    tuple[Annotated[str, Field(max_length=500), AfterValidator(clean_prompt)], ...],
    Field(strict=False, max_length=MOST_PROMPTS),
]
_PROMPTS = "Names of the prompts whose objects it is for; by default all."


class ZoneTable(Table):
    """An area of the picture: who enters, stays and leaves is counted and told."""

    points: Points = Field(
        description="Its corners, three or more, each `[x, y]` in shares of the picture: `[0, 0]` is the upper left "
        "corner, `[1, 1]` the lower right one."
    )
    prompts: Names = Field(default=(), description=_PROMPTS)
    anchor: Anchor = Field(
        default="bottom",
        description="What decides whether an object is inside: the middle of its lower border, its centre, or how much "
        "of it lies inside.",
    )
    share: float = Field(
        default=DEFAULT_SHARE,
        ge=0.01,
        le=1.0,
        description='With `anchor = "overlap"`: share of the object that must lie inside.',
    )
    dwell: float | None = Field(
        default=None,
        ge=0.1,
        le=DAY_SECONDS,
        description="Seconds inside after which an object has dwelled, which is told once a stay.",
    )

    @model_validator(mode="after")
    def _fits(self) -> ZoneTable:
        if "share" in self.model_fields_set and self.anchor != "overlap":
            raise ValueError('share needs anchor = "overlap"')
        return self

    def zone(self, name: str) -> Zone:
        """The zone that it describes."""
        return Zone(name, self.points, self.prompts, self.anchor, self.share, self.dwell)


class LineTable(Table):
    """A line in the picture: who crosses it is counted and told, with the direction."""

    points: Points = Field(description="Two or more, joined in their order, each `[x, y]` in shares of the picture.")
    prompts: Names = Field(default=(), description=_PROMPTS)
    anchor: LineAnchor = Field(
        default="bottom", description="What of an object crosses: the middle of its lower border, or its centre."
    )
    directions: Annotated[tuple[PlaceName, PlaceName], Field(strict=False)] = Field(
        default=DEFAULT_DIRECTIONS,
        description="Names of the crossing to the right and of that to the left, for somebody in the picture who walks "
        "along the line from its first point to its last.",
    )

    def line(self, name: str) -> Line:
        """The line that it describes."""
        return Line(name, self.points, self.prompts, self.anchor, self.directions)


Zones: TypeAlias = Annotated[dict[PlaceName, ZoneTable], Field(max_length=MOST_ZONES)]
Lines: TypeAlias = Annotated[dict[PlaceName, LineTable], Field(max_length=MOST_LINES)]


def places_of(zones: dict[str, ZoneTable], lines: dict[str, LineTable]) -> Places:
    """The places that tables describe."""
    return Places(
        tuple(table.zone(name) for name, table in zones.items()),
        tuple(table.line(name) for name, table in lines.items()),
    )


class PlacesFile(Table):
    """What a file for `--zones` says."""

    zones: Zones = Field(default={}, description="Areas of the picture.")
    lines: Lines = Field(default={}, description="Lines in the picture.")


def load_places(file: Path, prompts: Collection[str]) -> Places:
    """Read the zones and lines of a file.

    Args:
        file: TOML with tables `[zones.NAME]` and `[lines.NAME]`.
        prompts: names of those that there are.

    Raises:
        SettingsError: the first ten problems.
        UsageError: it cannot be read, is too large, or is not TOML.
    """
    document = read_toml(file)
    filled = fill_in(document, os.environ, file.name)
    try:
        found = PlacesFile.model_validate(filled)
        places = places_of(found.zones, found.lines)
        check_places(places, prompts)
    except ValidationError as error:
        raise SettingsError(found_problems(error, PlacesFile, document, file.name)) from None
    except ValueError as error:
        raise UsageError(str(error), where=file.name) from None
    if not places:
        raise UsageError("no zone and no line", where=file.name, advice="add a table such as [zones.gate]")
    return places
