"""Arithmetic on low-resolution mask logits, and their way to masks at the frame's resolution."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from maskcast.mask import Mask


def mask_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every mask in `a` with every mask in `b`.

    Args:
        a: ``(N, h, w)`` bool.
        b: ``(M, h, w)`` bool.

    Returns:
        ``(N, M)`` float32 in [0, 1]; two empty masks have 0.
    """
    # Counts up to h·w are exact in float32 (below 2**24), so one matrix product replaces an (N, M, h, w) tensor.
    flat_a, flat_b = a.flatten(1).float(), b.flatten(1).float()
    intersection = flat_a @ flat_b.T
    union = flat_a.sum(1)[:, None] + flat_b.sum(1)[None] - intersection
    return intersection / union.clamp(min=1)


def non_maximum_suppression(
    iou: NDArray[np.float32], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Greedy NMS: from the best score down, keep what overlaps nothing kept by more than `threshold`.

    Args:
        iou: ``(N, N)``; zero where two candidates do not compete.
        scores: ``(N,)``.
        threshold: IoU above which the lower score falls.

    Returns:
        ``(N,)`` bool.
    """
    overlaps = iou > threshold
    keep = np.zeros(len(scores), np.bool_)
    for index in np.argsort(-scores, kind="stable").tolist():
        keep[index] = not (overlaps[index] & keep).any()
    return keep


# Samples that are interpolated at once: so few stay in the processor's second-level cache, where several passes over
# them cost less than one through main memory.
BAND_SAMPLES = 1 << 16


class _Taps(NamedTuple):
    """For each sample along an axis its two neighbours in the source, and the second one's bilinear weight.

    Attributes:
        low, high: ``(n,)`` int64.
        weight: ``(n,)`` float32.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    weight: NDArray[np.float32]

    def part(self, samples: slice) -> _Taps:
        """Those of some samples."""
        return _Taps(self.low[samples], self.high[samples], self.weight[samples])


@lru_cache(maxsize=32)
def _taps(source: int, target: int) -> _Taps:
    """Of `target` samples among `source`. Pixel centres lie at half-integers (`align_corners=False`)."""
    centres = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
    low = np.minimum(centres.astype(np.int64), source - 1)
    return _Taps(low, np.minimum(low + 1, source - 1), (centres - low).astype(np.float32))


def _window(cells: NDArray[np.int64], source: int, target: int) -> slice:
    """The target range that the `cells` set can influence, one cell wider than they are."""
    start, stop = max(int(cells[0]) - 1, 0), min(int(cells[-1]) + 2, source)
    return slice(start * target // source, -(-stop * target // source))


def upscale(logits: NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """Binary mask at the frame's resolution: bilinear interpolation of the logits, then > 0.

    Equals ``F.interpolate(logits, size, mode="bilinear", align_corners=False) > 0`` (the reference's
    post-processing), but touches only the object's box. Written as two gathers an axis and not as two products with
    sparse matrices: BLAS would start threads for it, which costs more than the arithmetic on a busy machine.

    Args:
        logits: ``(h, w)``.
        size: ``(H, W)`` of the frame in pixels.
    """
    seen = logits > 0
    set_rows, set_columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if set_rows.size == 0:
        return Mask(size, 0, 0, np.zeros((0, 0), np.bool_))
    rows = _window(set_rows, logits.shape[0], size[0])
    columns = _window(set_columns, logits.shape[1], size[1])
    down, across = _taps(logits.shape[0], size[0]).part(rows), _taps(logits.shape[1], size[1]).part(columns)
    crop = np.empty((len(down.low), len(across.low)), np.bool_)
    step = max(BAND_SAMPLES // max(crop.shape[1], 1), 1)
    for start in range(0, len(crop), step):
        band = slice(start, start + step)
        low, high, weight = down.part(band)
        first = int(low[0])
        # Along the rows first: gathers of single numbers from the few rows there are, then copies of whole rows.
        wide = _between(logits[first : int(high[-1]) + 1], across, axis=1)
        values = _between(wide, _Taps(low - first, high - first, weight[:, None]), axis=0)
        np.greater(values, 0, out=crop[band])
    return Mask.from_array(crop, size, columns.start, rows.start)


def _between(values: NDArray[np.float32], taps: _Taps, axis: int) -> NDArray[np.float32]:
    """Linear interpolation along an axis."""
    lower = values.take(taps.low, axis)
    result = values.take(taps.high, axis)
    result -= lower
    result *= taps.weight
    result += lower
    return result
