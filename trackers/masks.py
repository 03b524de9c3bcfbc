"""Arithmetic on low-resolution mask logits, and their way to masks at the frame's resolution."""

from __future__ import annotations

from functools import lru_cache

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


@lru_cache(maxsize=32)
def _taps(source: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """For each of `target` samples its two neighbours among `source`, and the second one's bilinear weight.

    Pixel centres lie at half-integers (`align_corners=False`).
    """
    centres = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
    low = np.minimum(centres.astype(np.int64), source - 1)
    return low, np.minimum(low + 1, source - 1), (centres - low).astype(np.float32)


def _window(cells: NDArray[np.int64], source: int, target: int) -> tuple[slice, slice]:
    """The source range that can influence set pixels, one cell wider than the `cells` set, and its target range."""
    start, stop = max(int(cells[0]) - 1, 0), min(int(cells[-1]) + 2, source)
    return slice(start, stop), slice(start * target // source, -(-stop * target // source))


def upscale(logits: NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """Binary mask at the frame's resolution: bilinear interpolation of the logits, then > 0.

    Equals ``F.interpolate(logits, size, mode="bilinear", align_corners=False) > 0`` (the reference's
    post-processing), but touches only the object's box. Written as two gathers an axis and not as two products with
    sparse matrices: BLAS would start threads for it, which costs more than the arithmetic on a busy machine.

    Args:
        logits: ``(h, w)``.
        size: ``(H, W)`` of the frame in pixels.
    """
    set_rows, set_columns = np.flatnonzero(logits.max(axis=1) > 0), np.flatnonzero(logits.max(axis=0) > 0)
    if set_rows.size == 0:
        return Mask(size, 0, 0, np.zeros((0, 0), np.bool_))
    rows, out_rows = _window(set_rows, logits.shape[0], size[0])
    columns, out_columns = _window(set_columns, logits.shape[1], size[1])
    # Along the rows first: gathers of single numbers from the few rows there are, then copies of whole rows. Neighbours
    # outside the block are as little set as those at its border.
    low, high, weight = _taps(logits.shape[1], size[1])
    places = low[out_columns] - columns.start, high[out_columns] - columns.start
    wide = _between(logits[rows, columns], *places, weight[out_columns], axis=1)
    low, high, weight = _taps(logits.shape[0], size[0])
    places = low[out_rows] - rows.start, high[out_rows] - rows.start
    crop = _between(wide, *places, weight[out_rows, None], axis=0)
    return Mask.from_array(crop > 0, size, out_columns.start, out_rows.start)


def _between(
    values: NDArray[np.float32], low: NDArray[np.int64], high: NDArray[np.int64], weight: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Linear interpolation between the entries `low` and `high` of an axis."""
    lower = values.take(low, axis, mode="clip")
    result = values.take(high, axis, mode="clip")
    result -= lower
    result *= weight
    result += lower
    return result
