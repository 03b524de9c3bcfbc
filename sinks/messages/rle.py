"""COCO's compressed run-length encoding of a mask, at the price of its box instead of its frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from maskcast.mask import Mask


def run_lengths(mask: Mask) -> NDArray[np.uint32]:
    """Lengths of the alternating runs of 0 and 1, the first of 0, in the frame read column by column.

    Returns:
        ``(n,)`` uint32 whose sum is the number of pixels of the frame; what pycocotools finds in the full mask.
    """
    height, width = mask.size
    rows, columns = mask.crop.shape
    pixels = height * width
    if rows == 0 or columns == 0:
        return np.array([pixels], np.uint32)
    # Where a column turns from 0 to 1 or back, above each row of the crop and below the last. Found row by row, as the
    # crop lies in memory, and put in order afterwards: there are few.
    turns = np.empty((rows + 1, columns), np.bool_)
    turns[0], turns[-1] = mask.crop[0], mask.crop[-1]
    np.not_equal(mask.crop[1:], mask.crop[:-1], out=turns[1:-1])
    row, column = np.divmod(np.flatnonzero(turns), columns)
    positions = (column + mask.x) * height + (row + mask.y)
    positions.sort()
    if rows == height:  # a run may go on into the next column: it ends and begins at the same place
        positions, times = np.unique(positions, return_counts=True)
        positions = positions[times == 1]
    lengths = np.empty(len(positions) + 1, np.uint32)
    lengths[0], lengths[-1] = positions[0], pixels - positions[-1]
    lengths[1:-1] = positions[1:] - positions[:-1]
    return lengths if lengths[-1] else lengths[:-1]


def encode(mask: Mask) -> str:
    """The ``counts`` of COCO's compressed RLE: the same text as ``pycocotools.mask.encode`` of the full mask gives."""
    height, width = mask.size
    rle = coco.frPyObjects({"size": [height, width], "counts": run_lengths(mask)}, height, width)
    counts: bytes = rle["counts"]
    return counts.decode("ascii")
