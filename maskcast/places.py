"""Places in the picture where objects are counted: zones that they are in, and lines that they cross.

Points are ``(x, y)`` shares of the frame as displayed: 0 is its left or upper border, 1 its right or lower one. So a
place stays where it is when the resolution changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

# What of a mask decides: the middle of its lower border, which stands on the ground; its centroid; or, for a zone, how
# much of the mask lies in it.
Anchor: TypeAlias = Literal["bottom", "centre", "overlap"]
LineAnchor: TypeAlias = Literal["bottom", "centre"]
Points: TypeAlias = tuple[tuple[float, float], ...]

DEFAULT_DIRECTIONS = ("right", "left")
DEFAULT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Zone:
    """An area of the picture.

    Attributes:
        name: unique among the places of a stream.
        points: corners of a simple polygon, three or more; the last is joined to the first.
        prompts: names of those whose tracks it is for; empty for all.
        anchor: what of a mask decides whether it is inside.
        share: of the mask's pixels, in (0, 1], that must lie inside, where `anchor` is ``overlap``.
        dwell: seconds inside after which a track has dwelled; None for never.
    """

    name: str
    points: Points
    prompts: tuple[str, ...] = ()
    anchor: Anchor = "bottom"
    share: float = DEFAULT_SHARE
    dwell: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line in the picture, which is crossed in one of two directions.

    Attributes:
        name: unique among the places of a stream.
        points: two or more, joined in their order.
        prompts: names of those whose tracks it is for; empty for all.
        anchor: what of a mask crosses.
        directions: names of the crossing to the right and of that to the left, for somebody in the picture who walks
            along the line from its first point to its last: along a line from the upper border to the lower one, right
            is towards the picture's left border.
    """

    name: str
    points: Points
    prompts: tuple[str, ...] = ()
    anchor: LineAnchor = "bottom"
    directions: tuple[str, str] = DEFAULT_DIRECTIONS


@dataclass(frozen=True, slots=True)
class Places:
    """All places of a stream."""

    zones: tuple[Zone, ...] = ()
    lines: tuple[Line, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.zones or self.lines)


NOWHERE = Places()


@dataclass(frozen=True, slots=True)
class Tally:
    """What has been counted at the places of a stream, up to a frame.

    Attributes:
        inside: by zone, then by name of prompt: tracks that are in it; 0 for each prompt that it is for.
        entered: likewise, how many came in since `since`.
        crossed: by line, then by direction, then by name of prompt: how many crossed since `since`.
        since: when the totals began, UTC.
        places: where it was counted.
    """

    since: datetime
    inside: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    entered: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    crossed: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    places: Places = NOWHERE
