"""Draw tracks on a picture in its own 4:2:0 samples: fill, contour and label, touching nothing but mask and label.

A picture that is decoded, drawn on and encoded again never becomes RGB, and a mask costs what its box costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from maskcast.mask import Mask
from maskcast.picture import Colour, Image, Planes
from maskcast.result import Track, TrackState
from sinks.video.label import label, paste, text_size
from sinks.video.palette import Yuv, track_colour
from sinks.video.style import OUTLINED, Styles

# Light enough that an object keeps its own colour: a red ball under a blue track must not look purple.
FILL_OPACITY = 0.12
# Width of a contour, as a part of the picture's shorter side; never less than what one sample of chroma covers.
CONTOUR_PART = 1 / 240
THINNEST_CONTOUR_PIXELS = 2


def draw(planes: Planes, colour: Colour, tracks: Sequence[Track], styles: Styles = OUTLINED) -> None:
    """Draw `tracks` into `planes`, which must be writable and of the size of the masks.

    A confirmed track gets a contour in its colour inside the border of its mask and a faint fill, a tentative one the
    contour only, and both none where their style is another than `outline`; all get a label above the box. Chroma is
    shared by 2 x 2 pixels: it changes where the top left of them is in the mask.
    """
    height, width = planes.y.shape
    shorter = min(height, width)
    thickness = max(THINNEST_CONTOUR_PIXELS, round(shorter * CONTOUR_PART))
    size = text_size(planes)
    for track in tracks:
        if styles[track.prompt] != "outline":
            continue
        filled = track.state is TrackState.CONFIRMED
        _draw_mask(planes, track.mask, track_colour(track.id, colour), thickness, filled=filled)
    for track in tracks:  # after all masks, so that none covers a label
        ground = track_colour(track.id, colour)
        # Two parts, because the score changes with each frame and the name does not: both come from the cache.
        name = label(f"{track.id} {track.prompt}", size, ground, colour)
        score = label(f"{track.score:.2f}", size, ground, colour)
        label_height, name_width = name.y.shape
        x = max(0, min(track.mask.x, width - name_width - score.y.shape[1])) & ~1
        y = max(0, track.mask.y - label_height) & ~1
        paste(planes, name, x, y)
        paste(planes, score, x + name_width, y)


def _draw_mask(planes: Planes, mask: Mask, colour: Yuv, thickness: int, *, filled: bool) -> None:
    if mask.crop.size == 0:
        return
    inside = np.ascontiguousarray(mask.crop).view(np.uint8)
    core = np.empty_like(inside)
    cv2.erode(inside, _square(2 * thickness + 1), core, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    edge = inside ^ core
    height, width = inside.shape
    area = planes.y[mask.y : mask.y + height, mask.x : mask.x + width]
    _paint(area, core if filled else None, edge, colour.y)
    # The first even column and row of the frame that the crop holds.
    dx, dy = mask.x & 1, mask.y & 1
    edge = np.ascontiguousarray(edge[dy::2, dx::2])
    if edge.size == 0:
        return
    core = np.ascontiguousarray(core[dy::2, dx::2])
    x, y = (mask.x + dx) // 2, (mask.y + dy) // 2
    height, width = edge.shape
    for plane, sample in ((planes.u, colour.u), (planes.v, colour.v)):
        _paint(plane[y : y + height, x : x + width], core if filled else None, edge, sample)


def _paint(area: Image, core: Image | None, edge: Image, sample: int) -> None:
    """Blend `sample` into `area` where `core` is set and put it where `edge` is; all have one size."""
    if core is not None:
        cv2.copyTo(cv2.LUT(area, _blend_table(sample)), core, area)
    cv2.copyTo(np.full_like(edge, sample), edge, area)


@lru_cache(maxsize=256)
def _blend_table(sample: int) -> Image:
    """For each of the 256 values of a sample, what it becomes under the fill."""
    values = np.arange(256)
    return np.rint(values + (sample - values) * FILL_OPACITY).astype(np.uint8)


@lru_cache(maxsize=16)
def _square(side: int) -> Image:
    return np.ones((side, side), np.uint8)
