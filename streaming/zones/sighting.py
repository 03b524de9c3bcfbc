"""What a zone or a line needs to know of a mask: a few numbers, as shares of the frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskcast.mask import Mask
from maskcast.places import Places

# Columns of a sighting: anchors, the middle of the box, its size; then a share for each zone that asks for one.
BOTTOM, CENTRE, MIDDLE, SIZE, SHARES = slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8), 8
# So many rows and columns of a mask at most are looked at: centroids are right to 1 % of its size, shares to 3 %.
MOST_SAMPLES = 48
# Cells of a zone's raster along each side of the picture: finer than a line that is drawn with a hand.
CELLS = 512
# Anchors lie inside the picture by as much, so that what ends at its border encloses them.
BORDER = 1e-4


class Sightings:
    """Makes a row of numbers of each mask of a stream.

    Attributes:
        width: how many numbers: eight, and one for each zone with the anchor ``overlap``.
    """

    def __init__(self, places: Places) -> None:
        """Rasterise those zones that ask how much of a mask lies in them; the columns are in their order."""
        rasters = []
        for zone in places.zones:
            if zone.anchor == "overlap":
                raster = np.zeros((CELLS, CELLS), np.uint8)
                corners = np.round(np.array(zone.points) * CELLS - 0.5).astype(np.int32)
                cv2.fillPoly(raster, [corners], 1)
                rasters.append(raster.astype(np.bool_))
        self._rasters: NDArray[np.bool_] = np.array(rasters, np.bool_).reshape(-1, CELLS, CELLS)
        anchors = {zone.anchor for zone in places.zones} | {line.anchor for line in places.lines}
        self._whole = anchors != {"bottom"}
        self.width = SHARES + len(rasters)

    def of(self, mask: Mask) -> NDArray[np.float64]:
        """``(width,)`` float64 of a mask that is not empty: shares of the frame's width and height."""
        frame_height, frame_width = mask.size
        height, width = mask.crop.shape
        share_x, share_y = width / frame_width, height / frame_height
        middle_x, middle_y = mask.x / frame_width + share_x / 2, mask.y / frame_height + share_y / 2
        row = np.zeros(self.width)
        row[:SHARES] = (
            _inside(middle_x), _inside(middle_y + share_y / 2), _inside(middle_x), _inside(middle_y),
            middle_x, middle_y, share_x, share_y,
        )  # fmt: skip
        if self._whole:
            self._look(mask, row)
        return row

    def _look(self, mask: Mask, row: NDArray[np.float64]) -> None:
        """Fill in what the pixels decide; of a mask too thin for the samples nothing does."""
        frame_height, frame_width = mask.size
        height, width = mask.crop.shape
        step_y, step_x = -(-height // MOST_SAMPLES), -(-width // MOST_SAMPLES)
        samples = mask.crop[step_y // 2 :: step_y, step_x // 2 :: step_x]
        rows, columns = samples.sum(axis=1), samples.sum(axis=0)
        count = int(rows.sum())
        if not count:
            return
        xs = (mask.x + step_x // 2 + 0.5 + step_x * np.arange(len(columns))) / frame_width
        ys = (mask.y + step_y // 2 + 0.5 + step_y * np.arange(len(rows))) / frame_height
        row[CENTRE] = _inside(float(columns @ xs) / count), _inside(float(rows @ ys) / count)
        if len(self._rasters):
            cells = self._rasters[:, (ys * CELLS).astype(int)[:, None], (xs * CELLS).astype(int)]
            row[SHARES:] = (cells & samples).sum(axis=(1, 2)) / count


def _inside(share: float) -> float:
    return min(max(share, BORDER), 1 - BORDER)
