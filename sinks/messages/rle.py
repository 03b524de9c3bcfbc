"""COCO's compressed run-length encoding of a mask, at the price of its box instead of its frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from maskcast.mask import Mask

# Of a run in `counts`: 35 bits, of which the largest picture that is decoded needs 30.
LONGEST_RUN_CHARACTERS = 7


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


def decode(counts: str, size: tuple[int, int]) -> Mask:
    """The mask whose COCO RLE is `counts`, at the price of its columns instead of its frame.

    The format is that of ``rleFrString`` in COCO's ``maskApi.c``: six bits a character, the sixth of which says that
    more follow; signed, and from the fourth run on the difference to the last but one. pycocotools reads it too, but
    where the runs do not fill the frame it gives back memory that nobody has written.

    Args:
        counts: compressed run lengths.
        size: ``(height, width)`` of the mask in pixels.

    Raises:
        ValueError: it is no run-length encoding of a mask of this size.
    """
    lengths = _uncompressed(counts)
    height, width = size
    ends = np.cumsum(lengths)
    if lengths.min() < 0 or ends[-1] != height * width:
        raise ValueError(f"the run lengths are not those of {width} x {height} pixels")
    starts, stops = ends[:-1:2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not starts.size:
        return Mask(size, 0, 0, np.zeros((0, 0), np.bool_))
    left, right = int(starts[0]) // height, (int(stops[-1]) - 1) // height + 1
    turns = np.zeros((right - left) * height + 1, np.int8)
    np.add.at(turns, starts - left * height, 1)
    np.add.at(turns, stops - left * height, -1)
    columns = np.cumsum(turns[:-1], dtype=np.int8).view(np.bool_).reshape(right - left, height)
    return Mask.from_array(columns.T, size, x=left)


def _uncompressed(counts: str) -> NDArray[np.int64]:
    """Lengths of the runs, ``(n,)``."""
    codes = np.frombuffer(counts.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((codes & 0x20) == 0)  # of each run's characters
    if not codes.size or codes.min() < 0 or codes.max() > 0x3F or last.size == 0 or last[-1] != codes.size - 1:
        raise ValueError("the run lengths are cut off, or no run lengths at all")
    first = np.concatenate(([0], last[:-1] + 1))
    characters = last - first + 1
    if characters.max() > LONGEST_RUN_CHARACTERS:
        raise ValueError("a run length is longer than any picture")
    shift = 5 * (np.arange(codes.size) - np.repeat(first, characters))
    lengths = np.add.reduceat((codes & 0x1F) << shift, first)
    lengths -= np.where(codes[last] & 0x10, 1 << 5 * characters, 0)
    # Each is a difference to the last but one, but for the first three, as the third is said as it is.
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    return lengths
