"""One colour a track, the same in every frame and every run."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import NamedTuple

from maskcast.picture import Colour

# Steps of the golden ratio around the colour circle: ids that follow each other get hues far apart, and no hue repeats.
GOLDEN_RATIO = 0.6180339887498949
SATURATION, VALUE = 0.8, 0.95

# Weights of red and blue in luma (ITU-R BT.601, BT.709 and BT.2020).
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


class Yuv(NamedTuple):
    """A colour as 8-bit samples of the picture's own encoding."""

    y: int
    u: int
    v: int


def track_rgb(track_id: int) -> tuple[float, float, float]:
    """Red, green and blue in [0, 1]: the hue is the fraction of ``id`` x golden ratio."""
    return colorsys.hsv_to_rgb(track_id * GOLDEN_RATIO % 1.0, SATURATION, VALUE)


def to_yuv(rgb: tuple[float, float, float], colour: Colour) -> Yuv:
    """`rgb` in [0, 1] as 8-bit samples of a picture encoded as `colour` says."""
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    red, green, blue = rgb
    y = kr * red + (1 - kr - kb) * green + kb * blue
    u, v = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
    if colour.full_range:
        return Yuv(round(255 * y), min(255, round(128 + 255 * u)), min(255, round(128 + 255 * v)))
    return Yuv(round(16 + 219 * y), round(128 + 224 * u), round(128 + 224 * v))


@lru_cache(maxsize=1024)
def track_colour(track_id: int, colour: Colour) -> Yuv:
    """The colour of a track as samples of a picture encoded as `colour` says."""
    return to_yuv(track_rgb(track_id), colour)
