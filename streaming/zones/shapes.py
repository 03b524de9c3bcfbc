"""Points, steps and the outlines of places: who is where, and what a step crosses.

Coordinates are shares of the picture. A distance is told in reaches: a reach is a pair ``(along x, along y)``, the
half-axes of an ellipse around an object, on whose border the distance is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import hypot, inf

import numpy as np
from numpy.typing import NDArray

from maskcast.places import Line, Points, Zone

Point = tuple[float, float]

# Corners as near to the border of the picture are meant to lie on it.
SNAP = 0.01
# How far the radius of the largest circle in a zone may be off: it says which zones are narrow.
DEPTH_TOLERANCE = 0.005
KNOWN_POLYGONS = 256
# A point outside every outline, in a direction that no hand draws along.
OUTSIDE = (-3.0, -7.3)


class Shape:
    """The outline of a zone, or a line.

    Attributes:
        edges: each from a point to the next.
        depth: of a zone, the radius of the largest circle in it; infinite for a line.
    """

    def __init__(self, place: Zone | Line) -> None:
        if isinstance(place, Line):
            points = _snapped(place.points)
            self.edges = list(pairwise(points))
            self.depth, self._sides = inf, self.edges
        else:
            points, self.depth = _polygon(place.points)
            self.edges = list(zip(points, (*points[1:], points[0]), strict=True))
            # Behind the border of the picture there is nobody: a zone that ends there has no other side.
            self._sides = [edge for edge in self.edges if not _on_border(edge)]

    def contains(self, point: Point) -> bool:
        """Whether the outline of a zone goes around it."""
        return sum(_crossing(edge, OUTSIDE, point) for edge in self.edges) != 0

    def distance(self, point: Point, reach: Point) -> float:
        """From a point to the nearest edge inside the picture, in reaches."""
        least = inf
        (x, y), (unit_x, unit_y) = point, reach
        for (start_x, start_y), (end_x, end_y) in self._sides:
            from_x, from_y = (start_x - x) / unit_x, (start_y - y) / unit_y
            along_x, along_y = (end_x - start_x) / unit_x, (end_y - start_y) / unit_y
            share = -(from_x * along_x + from_y * along_y) / max(along_x * along_x + along_y * along_y, 1e-30)
            share = min(max(share, 0.0), 1.0)
            least = min(least, hypot(from_x + share * along_x, from_y + share * along_y))
        return least

    def parts(self, before: Point, after: Point) -> list[tuple[float, float, int]]:
        """The parts of a step between edges: shares of it, from and to, and how it crossed the edge before.

        The crossing is 1 to the right, -1 to the left, and 0 for the first part.
        """
        step_x, step_y = after[0] - before[0], after[1] - before[1]
        cuts = []
        for edge in self.edges:
            if turn := _crossing(edge, before, after):
                (x, y), (end_x, end_y) = edge
                along_x, along_y = end_x - x, end_y - y
                across = step_x * along_y - step_y * along_x
                at = ((x - before[0]) * along_y - (y - before[1]) * along_x) / across if across else 0.0
                cuts.append((min(max(at, 0.0), 1.0), turn))
        cuts.sort()
        starts, ends = [(0.0, 0), *cuts], [at for at, _ in cuts] + [1.0]
        return [(start, end, turn) for (start, turn), end in zip(starts, ends, strict=True)]

    def farthest(self, before: Point, after: Point, part: tuple[float, float], reach: Point) -> float:
        """The greatest distance from the edges on a part of a step, in reaches; between edges."""
        start, end = part
        x, y = before
        step_x, step_y = after[0] - x, after[1] - y
        shares = [end] if end == 1 else []
        if hypot(step_x / reach[0], step_y / reach[1]) * (end - start) > 1:  # it may be clear between its ends
            shares += [start + (end - start) * quarter / 4 for quarter in (1, 2, 3)]
        return max((self.distance((x + share * step_x, y + share * step_y), reach) for share in shares), default=0.0)


class Edges:
    """All edges of several shapes, for a quick look at many steps at once."""

    def __init__(self, shapes: Sequence[Shape], anchors: Sequence[int]) -> None:
        """Gather the edges; `anchors` says of each shape which of a step's anchors is for it."""
        self._shapes = [(index, edge) for index, shape in enumerate(shapes) for edge in shape.edges]
        self._anchors = np.array([anchors[index] for index, _ in self._shapes], np.intp)
        corners = np.array([edge for _, edge in self._shapes], np.float64).reshape(-1, 2, 2)
        self._low, self._high = corners.min(axis=1), corners.max(axis=1)

    def crossed(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> set[tuple[int, int]]:
        """Which steps cross which shapes, as pairs of numbers.

        Args:
            before: where steps begin, ``(n, anchors, 2)``.
            after: where they end, likewise; each step is straight.
        """
        low, high = np.minimum(before, after), np.maximum(before, after)
        near = np.argwhere(((low[:, self._anchors] <= self._high) & (high[:, self._anchors] >= self._low)).all(axis=2))
        found = set()
        for step, number in near.tolist():
            index, edge = self._shapes[number]
            anchor = self._anchors[number]
            if _crossing(edge, tuple(before[step, anchor].tolist()), tuple(after[step, anchor].tolist())):
                found.add((step, index))
        return found


def _crossing(edge: tuple[Point, Point], before: Point, after: Point) -> int:
    """Whether a step crosses an edge: 1 to its right, -1 to its left, 0 not at all.

    A point on an edge counts as to its left, so that steps that follow one another cross what their path crosses. Right
    is as `maskcast.places.Line.directions` has it.
    """
    (ax, ay), (bx, by) = edge
    (px, py), (qx, qy) = before, after
    was = (bx - ax) * (py - ay) - (by - ay) * (px - ax) > 0
    now = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax) > 0
    if was == now:
        return 0
    start = (qx - px) * (ay - py) - (qy - py) * (ax - px) > 0
    end = (qx - px) * (by - py) - (qy - py) * (bx - px) > 0
    if start == end:
        return 0
    return 1 if now else -1


def _on_border(edge: tuple[Point, Point]) -> bool:
    (ax, ay), (bx, by) = edge
    return (ax == bx and ax in {0.0, 1.0}) or (ay == by and ay in {0.0, 1.0})


def _snapped(points: Points) -> Points:
    def snap(share: float) -> float:
        return 0.0 if share <= SNAP else 1.0 if share >= 1 - SNAP else share

    return tuple((snap(x), snap(y)) for x, y in points)


# A hundred corners may take a tenth of a second, and each attempt at a stream asks anew.
@lru_cache(maxsize=KNOWN_POLYGONS)
def _polygon(points: Points) -> tuple[Points, float]:
    from shapely import Polygon, maximum_inscribed_circle

    polygon = Polygon(_snapped(points))
    if not polygon.is_valid:  # thinner than what is snapped
        polygon = Polygon(points)
    corners = tuple((x, y) for x, y in polygon.exterior.coords[:-1])
    return corners, float(maximum_inscribed_circle(polygon, tolerance=DEPTH_TOLERANCE).length)
