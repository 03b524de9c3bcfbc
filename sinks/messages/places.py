"""Zones and lines as a settings file and a request on `control` write them: tables by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from maskcast.places import DEFAULT_DIRECTIONS, DEFAULT_SHARE, Anchor, Line, LineAnchor, Places, Zone
from maskcast.printable import check_printable
from maskcast.prompts import MOST_PROMPTS, clean_prompt

# Of a stream: each is looked at with every track of every frame, and has entities in Home Assistant.
MOST_ZONES, MOST_LINES = 32, 32
MOST_POINTS = 100
LONGEST_NAME = 64
LONGEST_DWELL_SECONDS = 86_400.0


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


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class ZoneTable(_Table):
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
        le=LONGEST_DWELL_SECONDS,
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


class LineTable(_Table):
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


def places_of(zones: Mapping[str, ZoneTable], lines: Mapping[str, LineTable]) -> Places:
    """The places that tables describe."""
    return Places(
        tuple(table.zone(name) for name, table in zones.items()),
        tuple(table.line(name) for name, table in lines.items()),
    )


def place_tables(places: Places) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tables that describe places, of zones and of lines, as JSON values: without what is so by default."""
    return {zone.name: _table(zone) for zone in places.zones}, {line.name: _table(line) for line in places.lines}


def _table(place: Zone | Line) -> dict[str, Any]:
    said = {field.name: getattr(place, field.name) for field in fields(place) if field.name != "name"}
    defaults = {field.name: field.default for field in fields(place)}
    if isinstance(place, Zone) and place.anchor != "overlap":
        del said["share"]
    return {key: _plain(value) for key, value in said.items() if value != defaults[key]}


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
