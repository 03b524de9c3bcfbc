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
    # Under each column of the crop lies a gap of unset pixels, unless the crop is as high as the frame: then a run
    # may go on into the next column. One unset pixel stands for the gap, whatever its length.
    step = rows if rows == height else rows + 1
    columnwise = np.zeros((columns, step), np.uint8)
    columnwise[:, :rows] = mask.crop.T
    flat = np.zeros(columns * step + 2, np.uint8)
    flat[1:-1] = columnwise.reshape(-1)
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    column, row = np.divmod(turns, step)
    positions = (column + mask.x) * height + row + mask.y
    if positions[-1] < pixels:
        positions = np.append(positions, pixels)
    return np.diff(positions, prepend=0).astype(np.uint32)


def encode(mask: Mask) -> str:
    """The ``counts`` of COCO's compressed RLE: the same text as ``pycocotools.mask.encode`` of the full mask gives."""
    height, width = mask.size
    rle = coco.frPyObjects({"size": [height, width], "counts": run_lengths(mask)}, height, width)
    counts: bytes = rle["counts"]
    return counts.decode("ascii")
