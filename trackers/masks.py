"""Arithmetic on low-resolution mask logits, and their way to masks at the frame's resolution."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streaming.types import Mask


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


def non_maximum_suppression(iou: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy NMS: from the best score down, keep what overlaps nothing kept by more than `threshold`.

    Args:
        iou: ``(N, N)``; zero where two candidates do not compete.
        scores: ``(N,)``.
        threshold: IoU above which the lower score falls.

    Returns:
        ``(N,)`` bool on the device of `scores`.
    """
    overlaps = (iou > threshold).cpu().numpy()
    keep = np.zeros(len(scores), np.bool_)
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        keep[index] = not (overlaps[index] & keep).any()
    return torch.from_numpy(keep).to(scores.device)


@lru_cache(maxsize=32)
def _interpolation(source: int, target: int) -> NDArray[np.float32]:
    """``(target, source)`` matrix of bilinear weights with half-pixel centres (`align_corners=False`)."""
    centres = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
    low = np.minimum(np.floor(centres).astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    fraction = (centres - low).astype(np.float32)
    matrix = np.zeros((target, source), np.float32)
    rows = np.arange(target)
    matrix[rows, low] += 1 - fraction
    matrix[rows, high] += fraction
    return matrix


def _window(cells: NDArray[np.int64], source: int, target: int) -> tuple[slice, slice]:
    """The source range that can influence set pixels, one cell wider than the `cells` set, and its target range."""
    start, stop = max(int(cells[0]) - 1, 0), min(int(cells[-1]) + 2, source)
    return slice(start, stop), slice(start * target // source, -(-stop * target // source))


def upscale(logits: NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """Binary mask at the frame's resolution: bilinear interpolation of the logits, then > 0.

    Equals ``F.interpolate(logits, size, mode="bilinear", align_corners=False) > 0`` (the reference's
    post-processing), but touches only the object's box: two small matrix products.

    Args:
        logits: ``(h, w)``.
        size: ``(H, W)`` of the frame in pixels.
    """
    set_rows, set_columns = np.flatnonzero(logits.max(axis=1) > 0), np.flatnonzero(logits.max(axis=0) > 0)
    if set_rows.size == 0:
        return Mask(size, 0, 0, np.zeros((0, 0), np.bool_))
    rows, out_rows = _window(set_rows, logits.shape[0], size[0])
    columns, out_columns = _window(set_columns, logits.shape[1], size[1])
    vertical = _interpolation(logits.shape[0], size[0])[out_rows, rows]
    horizontal = _interpolation(logits.shape[1], size[1])[out_columns, columns]
    crop = vertical @ logits[rows, columns] @ horizontal.T
    return Mask.from_array(crop > 0, size, out_columns.start, out_rows.start)
