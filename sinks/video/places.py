"""Draw zones and lines with what has been counted there, in a picture's own 4:2:0 samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from maskcast.picture import Colour, Planes
from maskcast.places import Line, Places, Points, Tally
from sinks.video.label import label, paste, text_size
from sinks.video.palette import Yuv, to_yuv

# One colour for all places, light between dark borders, so that they are seen on any ground; no track has it, since
# the colours of tracks are less saturated.
PLACE_RGB = (1.0, 0.8, 0.0)
# Width of a border or a line, between one dark pixel to each side, as a part of the picture's shorter side.
WIDTH_PART = 1 / 360
THINNEST_PIXELS = 2
# Of the arrow to either side of a line, in heights of the text.
ARROW_HEIGHTS = 1.5


def draw_outlines(planes: Planes, colour: Colour, places: Places) -> None:
    """Draw the borders of zones, and lines with an arrow to either side, into `planes`, which must be writable."""
    height, width = planes.y.shape
    for zone in places.zones:
        _polyline(planes, colour, _pixels(zone.points, width, height), closed=True)
    for line in places.lines:
        _polyline(planes, colour, _pixels(line.points, width, height), closed=False)
        middle, right = _middle(line.points, width, height)
        for side in (right, -right):
            tip = middle + side * _arrow(planes)
            across = np.array([-side[1], side[0]]) * _arrow(planes) / 4
            back = tip - side * _arrow(planes) / 3
            for start, end in ((middle, tip), (back + across, tip), (back - across, tip)):
                _polyline(planes, colour, np.rint([start, end]).astype(np.int32), closed=False)


def draw_counters(planes: Planes, colour: Colour, tally: Tally) -> None:
    """Write names and counts, of all prompts together.

    A zone has, at its highest corner, how many are in it and how many have entered; a line its name at its first point,
    and in the direction of each arrow how many have crossed that way.
    """
    height, width = planes.y.shape
    for zone in tally.places.zones:
        corner = min(_pixels(zone.points, width, height).tolist(), key=lambda point: (point[1], point[0]))
        inside, entered = _sum(tally.inside.get(zone.name)), _sum(tally.entered.get(zone.name))
        _write(planes, colour, [f"{zone.name} {inside}", f"entered {entered}"], *corner)
    for line in tally.places.lines:
        _write(planes, colour, [line.name], *_pixels(line.points, width, height)[0].tolist())
        _write_directions(planes, colour, line, tally.crossed.get(line.name) or {})


def _write_directions(planes: Planes, colour: Colour, line: Line, crossed: Mapping[str, Mapping[str, int]]) -> None:
    height, width = planes.y.shape
    middle, right = _middle(line.points, width, height)
    for direction, side in zip(line.directions, (right, -right), strict=True):
        part = _label(planes, colour, f"{direction} {_sum(crossed.get(direction))}")
        half = np.array(part.y.shape[::-1]) / 2
        # Its box touches the tip of the arrow with its border.
        centre = middle + side * (_arrow(planes) + 2 + np.abs(side) @ half)
        _paste(planes, [part], *(centre - half).tolist())


def _sum(counts: Mapping[str, int] | None) -> int:
    return sum(counts.values()) if counts else 0


def _pixels(points: Points, width: int, height: int) -> NDArray[np.int32]:
    """Points ``(N, 2)`` as x and y in pixels, inside the picture."""
    return np.minimum(np.rint(np.array(points) * (width, height)), (width - 1, height - 1)).astype(np.int32)


def _middle(points: Points, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle of a line by its length, in pixels, and the unit vector to its right there; see `Line.directions`."""
    corners = np.array(points) * (width, height)
    ways = np.diff(corners, axis=0)
    lengths = np.hypot(*ways.T)
    reached = np.cumsum(lengths)
    piece = min(int(np.searchsorted(reached, reached[-1] / 2)), len(ways) - 1)
    along = ways[piece] / max(lengths[piece], 1e-9)
    middle = corners[piece] + along * (reached[-1] / 2 - reached[piece] + lengths[piece])
    return middle, np.array([-along[1], along[0]])


def _arrow(planes: Planes) -> float:
    """Length of an arrow in pixels."""
    return ARROW_HEIGHTS * text_size(planes)


def _polyline(planes: Planes, colour: Colour, points: NDArray[np.int32], *, closed: bool) -> None:
    light, dark = _samples(colour)
    width = max(THINNEST_PIXELS, round(min(planes.y.shape) * WIDTH_PART))
    cv2.polylines(planes.y, [points], closed, dark.y, width + 2)
    cv2.polylines(planes.y, [points], closed, light.y, width)
    coarse = [points // 2]
    for plane, sample in ((planes.u, light.u), (planes.v, light.v)):
        cv2.polylines(plane, coarse, closed, sample, width // 2 + 1)


@lru_cache(maxsize=16)
def _samples(colour: Colour) -> tuple[Yuv, Yuv]:
    return to_yuv(PLACE_RGB, colour), to_yuv((0, 0, 0), colour)


def _label(planes: Planes, colour: Colour, text: str) -> Planes:
    return label(text, text_size(planes), _samples(colour)[0], colour)


def _write(planes: Planes, colour: Colour, words: Sequence[str], x: float, y: float) -> None:
    parts = [_label(planes, colour, word) for word in words]
    _paste(planes, parts, x, y - parts[0].y.shape[0])


def _paste(planes: Planes, parts: Sequence[Planes], x: float, y: float) -> None:
    """Copy labels beside each other, moved into the picture."""
    height, width = planes.y.shape
    left = max(0, min(round(x), width - sum(part.y.shape[1] for part in parts))) & ~1
    top = max(0, min(round(y), height - parts[0].y.shape[0])) & ~1
    for part in parts:
        paste(planes, part, left, top)
        left += part.y.shape[1]
