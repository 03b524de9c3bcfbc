"""Make objects unreadable in a picture's own 4:2:0 samples, before anything is drawn on it or encoded.

Blur and pixelation keep the mean of a few large cells of the object's box and nothing else of the picture inside the
mask. Counting what is left is the defence against reading it back: faces and text have been recovered from mosaics and
blurs of small cells (Hill et al. 2016, "On the (In)effectiveness of Mosaicing and Blurring as Tools for Document
Redaction"; McPherson et al. 2016, "Defeating Image Obfuscation with Deep Learning"), a blur being a mosaic that is no
harder to invert than the cells that determine it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from maskcast.mask import Mask
from maskcast.picture import Colour, Image, Planes
from maskcast.result import Track, TrackState
from sinks.video.palette import Yuv, to_yuv, track_colour
from sinks.video.style import Style, Styles

# Along the longer side of an object's box: a person that stands has 4 x 1 or 4 x 2, a face that is an object 4 x 3.
MOST_CELLS = 4
# Of a small object they are larger than that would make them.
SMALLEST_CELL_PIXELS = 8
# Between the values that a cell may have: 16 of each plane. Neutral chroma, 128, is one of them.
CELL_STEP = 16
# By how much a mask is grown: a part of its box's longer side, for hair, bags and what moves; and a part of the
# picture's, because a mask is upsampled from a coarse grid. SAM 3's mask decoder has 288 x 288 points at a resolution
# of 1008 and 96 x 96 at 336: three of those, or one of these.
MARGIN_OF_OBJECT = 1 / 20
MARGIN_OF_PICTURE = 1 / 96
LEAST_MARGIN_PIXELS = 4
# What stands where everything but the objects is hidden.
GROUND = (0.5, 0.5, 0.5)


def hide(planes: Planes, colour: Colour, tracks: Sequence[Track], lost: Sequence[Track], styles: Styles) -> None:
    """Hide what `styles` says in `planes`, which must be writable.

    Objects are hidden whether they are confirmed, tentative or lost. With `only`, what is shown is the masks of
    confirmed tracks of that style, less what other styles hide. Chroma is shared by 2 x 2 pixels: it is hidden where
    any of them is.

    Raises:
        ValueError: a mask is of another size than the picture.
    """
    seen = [*tracks, *lost]
    for track in seen:
        if track.mask.size != planes.y.shape:
            raise ValueError(f"the mask of track {track.id} is of {track.mask.size}, the picture of {planes.y.shape}")
    # Filled ones first, so that nothing of them is in the cells of others.
    for style in ("fill", "pixelate", "blur"):
        for track in seen:
            if styles[track.prompt] == style and track.mask.crop.size:
                _hide_object(planes, _grown(track.mask), style, track_colour(track.id, colour))
    if styles.only:
        shown = [track for track in tracks if track.state is TrackState.CONFIRMED and styles[track.prompt] == "only"]
        _hide_all_but(planes, shown, to_yuv(GROUND, colour))


def margin_pixels(mask: Mask) -> int:
    """By how many pixels `mask` is grown in each direction."""
    object_side, picture_side = int(max(mask.crop.shape)), max(mask.size)
    parts = object_side * MARGIN_OF_OBJECT, picture_side * MARGIN_OF_PICTURE
    return max(LEAST_MARGIN_PIXELS, *map(round, parts))


@dataclass(frozen=True, slots=True)
class _Area:
    """A part of a picture that begins at an even row and column, and where its samples are meant.

    Attributes:
        x, y: of its top left pixel.
        luma: ``(h, w)`` uint8, set where luma is meant.
        chroma: ``(⌈h/2⌉, ⌈w/2⌉)`` uint8, likewise.
    """

    x: int
    y: int
    luma: Image
    chroma: Image

    def of(self, planes: Planes) -> tuple[tuple[Image, Image], ...]:
        """Of each plane the part, a view, and where in it samples are meant."""
        (height, width), (h, w) = self.luma.shape, self.chroma.shape
        x, y = self.x // 2, self.y // 2
        return (
            (planes.y[self.y : self.y + height, self.x : self.x + width], self.luma),
            (planes.u[y : y + h, x : x + w], self.chroma),
            (planes.v[y : y + h, x : x + w], self.chroma),
        )


def _grown(mask: Mask) -> _Area:
    """The mask with its margin, in whole blocks of 2 x 2 pixels."""
    (height, width), (h, w), margin = mask.size, mask.crop.shape, margin_pixels(mask)
    x, y = max(0, mask.x - margin) & ~1, max(0, mask.y - margin) & ~1
    right, bottom = min(width, mask.x + w + margin), min(height, mask.y + h + margin)
    chroma = _square_dilated(_any_of_four(_placed(mask.crop, mask.x - x, mask.y - y, right - x, bottom - y)), margin)
    luma = _resized(chroma, (2 * chroma.shape[1], 2 * chroma.shape[0]), cv2.INTER_NEAREST)
    return _Area(x, y, np.ascontiguousarray(luma[: bottom - y, : right - x]), chroma)


def _placed(crop: np.ndarray, x: int, y: int, width: int, height: int) -> Image:
    """`crop` at (x, y) on an empty canvas, whose size is rounded up to an even one: 255 where it is set."""
    canvas = np.zeros((height + height % 2, width + width % 2), np.uint8)
    h, w = crop.shape
    np.multiply(crop, 255, out=canvas[y : y + h, x : x + w], dtype=np.uint8)
    return canvas


def _any_of_four(canvas: Image) -> Image:
    """At half the size, not 0 where any of 2 x 2 pixels is 255: a quarter of that does not round to 0."""
    return _resized(canvas, (canvas.shape[1] // 2, canvas.shape[0] // 2), cv2.INTER_AREA)


def _square_dilated(chroma: Image, margin: int) -> Image:
    grown = np.empty_like(chroma)
    cv2.dilate(chroma, _square(2 * ((margin + 1) // 2) + 1), grown, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return grown


@lru_cache(maxsize=16)
def _square(side: int) -> Image:
    return np.ones((side, side), np.uint8)


def _resized(image: Image, size: tuple[int, int], interpolation: int) -> Image:
    """`image` at another size, width and height."""
    return cv2.resize(image, size, interpolation=interpolation).astype(np.uint8, copy=False)


def _hide_object(planes: Planes, area: _Area, style: Style, sample: Yuv) -> None:
    for (part, meant), value in zip(area.of(planes), sample, strict=True):
        if style == "fill":
            hidden = np.full_like(meant, value)
        else:
            upsampling = cv2.INTER_LINEAR if style == "blur" else cv2.INTER_NEAREST
            height, width = part.shape
            hidden = _resized(_cells(part, area.luma.shape), (width, height), upsampling)
        cv2.copyTo(hidden, meant, part)


def _cells(part: Image, size: tuple[int, ...]) -> Image:
    """The means of a few cells of `part`, in coarse steps; `size` is the height and width of the object's area."""
    longer = max(size)
    count = max(1, min(MOST_CELLS, longer // SMALLEST_CELL_PIXELS))
    rows, columns = (max(1, round(count * side / longer)) for side in size)
    rows, columns = min(rows, part.shape[0]), min(columns, part.shape[1])
    return _coarse()[_resized(part, (columns, rows), cv2.INTER_AREA)]


@lru_cache(maxsize=1)
def _coarse() -> Image:
    """For each value of a sample the nearest of those that a cell may have."""
    return np.minimum((np.arange(256) + CELL_STEP // 2) // CELL_STEP * CELL_STEP, 255).astype(np.uint8)


def _hide_all_but(planes: Planes, shown: Sequence[Track], ground: Yuv) -> None:
    kept = []
    for track in shown:
        if track.mask.crop.size:
            kept += [(part, part.copy(), meant) for part, meant in _exact(track.mask).of(planes)]
    for plane, value in zip(planes, ground, strict=True):
        plane[:] = value
    for part, copy, meant in kept:
        cv2.copyTo(copy, meant, part)


def _exact(mask: Mask) -> _Area:
    """The mask as it is; of chroma what no pixel outside it has a part in."""
    (h, w), x, y = mask.crop.shape, mask.x & ~1, mask.y & ~1
    right, bottom = mask.x + w, mask.y + h
    inside = _placed(mask.crop, mask.x - x, mask.y - y, right - x, bottom - y)
    outside = 255 - inside
    height, width = mask.size
    # Rows and columns beyond the picture are no pixels.
    outside[height - y :], outside[:, width - x :] = 0, 0
    chroma = (_any_of_four(outside) == 0).view(np.uint8)
    return _Area(x, y, np.ascontiguousarray(inside[: bottom - y, : right - x]), chroma)
