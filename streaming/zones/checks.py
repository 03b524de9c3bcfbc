"""What cannot be a zone or a line, in one line that names its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from math import isfinite

from maskcast.places import Line, Places, Points, Zone

# Far below what can be drawn with a hand: a square of 1/1000 of the picture's width and height.
LEAST_AREA = 1e-6


def check_places(places: Places, names: Collection[str] | None) -> None:
    """Refuse places that cannot be meant.

    Args:
        places: of one stream.
        names: of its prompts; None where nobody knows them yet.

    Raises:
        ValueError: the first problem, such as ``zones.door.points: has 2 points: a zone needs 3 or more``.
    """
    for problem in _problems(places, names):
        raise ValueError(problem)


def _problems(places: Places, names: Collection[str] | None) -> Iterator[str]:
    keys = [(f"zones.{zone.name}", zone) for zone in places.zones] + [
        (f"lines.{line.name}", line) for line in places.lines
    ]
    for name, times in Counter(place.name for _, place in keys).items():
        if times > 1:
            key = next(key for key, place in reversed(keys) if place.name == name)
            yield f"{key}: there is another zone or line of this name"
    for key, place in keys:
        problem = _zone_problem(place) if isinstance(place, Zone) else _line_problem(place)
        if problem:
            yield f"{key}.{problem}"
        for prompt in place.prompts:
            if names is not None and prompt not in names:
                yield f"{key}.prompts: no prompt is named {prompt!r}; there are {', '.join(map(repr, names)) or 'none'}"


def _point_problem(points: Points) -> str | None:
    for x, y in points:
        if not (isfinite(x) and isfinite(y) and 0 <= x <= 1 and 0 <= y <= 1):
            return f"points: [{x:g}, {y:g}] is outside the picture: points are shares of it, from 0 to 1"
    return None


def _zone_problem(zone: Zone) -> str | None:
    from shapely import Polygon
    from shapely.validation import explain_validity

    if len(zone.points) < 3:
        return f"points: has {len(zone.points)} points: a zone needs 3 or more"
    if problem := _point_problem(zone.points):
        return problem
    polygon = Polygon(zone.points)
    if polygon.convex_hull.area < LEAST_AREA:
        return "points: enclose no area"
    if not polygon.is_valid:
        return f"points: the outline crosses or touches itself ({explain_validity(polygon).lower()})"
    if polygon.area < LEAST_AREA:
        return "points: enclose no area"
    if not 0 < zone.share <= 1:
        return f"share: {zone.share:g} is not above 0 and at most 1"
    if zone.dwell is not None and not (isfinite(zone.dwell) and zone.dwell > 0):
        return f"dwell: {zone.dwell:g} is no number of seconds above 0"
    return None


def _line_problem(line: Line) -> str | None:
    if len(line.points) < 2:
        return f"points: has {len(line.points)} point{'s' * (len(line.points) != 1)}: a line needs 2 or more"
    if problem := _point_problem(line.points):
        return problem
    if any(start == end for start, end in zip(line.points, line.points[1:], strict=False)):
        return "points: the same point twice in a row"
    if line.directions[0] == line.directions[1]:
        return f"directions: both are {line.directions[0]!r}"
    return None
