"""Where an object is in a frame.

Coordinates are pixels of the frame as displayed (rotation applied): the origin is the top left corner, x goes to the
right, y down. Boxes follow COCO: left, top, width, height.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):
    """COCO box of a frame, in pixels.

    Attributes:
        x, y: its left and its upper border.
        width, height: its extent to the right and down.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mask:
    """A binary mask of a whole frame, stored as the crop outside which it is empty.

    Attributes:
        size: ``(height, width)`` of the frame in pixels.
        x, y: position of the crop's top left pixel in the frame.
        crop: ``(h, w)`` bool; tight: each border row and column holds a set pixel, except for an empty mask,
            whose crop is ``(0, 0)``.
    """

    size: tuple[int, int]
    x: int
    y: int
    crop: NDArray[np.bool_]

    @classmethod
    def from_array(cls, array: NDArray[np.bool_], size: tuple[int, int], x: int = 0, y: int = 0) -> Mask:
        """Build a mask from a part of a frame.

        Args:
            array: ``(h, w)`` bool; what lies outside it is empty.
            size: ``(height, width)`` of the frame in pixels.
            x: column of the frame in which the array's left border lies.
            y: row of the frame in which the array's upper border lies.
        """
        rows = np.flatnonzero(array.any(axis=1))
        if rows.size == 0:
            return cls(size, 0, 0, np.zeros((0, 0), np.bool_))
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(array[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        return cls(size, x + left, y + top, np.ascontiguousarray(array[top:bottom, left:right]))

    @cached_property
    def area(self) -> int:
        """Number of set pixels."""
        return int(np.count_nonzero(self.crop))

    @property
    def bbox(self) -> Box:
        """Tight box around the set pixels; all zero for an empty mask."""
        height, width = self.crop.shape
        return Box(float(self.x), float(self.y), float(width), float(height))

    def full(self) -> NDArray[np.bool_]:
        """The mask as a new ``(H, W)`` bool array of the frame's size."""
        array = np.zeros(self.size, np.bool_)
        height, width = self.crop.shape
        array[self.y : self.y + height, self.x : self.x + width] = self.crop
        return array
