"""Two rules that no published checkpoint needs: they make up for the small training of `nano`.

Each is there only if a checkpoint's config.json names it, see `Rules`. The detector asks for the first, the memory
tracker for the second.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trackers.assignment import match
from trackers.overlap import SUPPRESSED_LOGIT


def within_box(boxes: Tensor, size: tuple[int, int], margin: float) -> Tensor:
    """Which pixels of a mask lie in its box.

    Args:
        boxes: ``(N, 4)`` corners x0, y0, x1, y1 as shares of the picture's sides, as the decoder gives them.
        size: height h and width w of the masks.
        margin: share of the box's own sides that is added on each side, beside one pixel of the mask.

    Returns:
        ``(N, h, w)`` bool: the pixel's centre is in the box.
    """
    height, width = size
    left, top, right, bottom = boxes.float().unbind(-1)
    wide, high = (right - left) * margin + 1 / width, (bottom - top) * margin + 1 / height
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    y = (torch.arange(height, device=boxes.device) + 0.5) / height
    across = (x >= (left - wide)[:, None]) & (x <= (right + wide)[:, None])
    down = (y >= (top - high)[:, None]) & (y <= (bottom + high)[:, None])
    return down[:, :, None] & across[:, None, :]


def trimmed(logits: Tensor, boxes: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Cut masks off outside of their boxes: those of `nano` spill over to objects that look alike.

    Args:
        logits: ``(N, h, w)`` mask logits.
        boxes: of the masks, see `within_box`.
        margin: see `Rules.box_margin`.

    Returns:
        ``(N, h, w)`` logits, and ``(N,)`` bool, of which masks something remains.
    """
    height, width = logits.shape[-2:]
    logits = torch.where(within_box(boxes, (height, width), margin), logits, SUPPRESSED_LOGIT)
    return logits, (logits > 0).flatten(1).any(1)


def reidentified_pairs(
    similarity: NDArray[np.float32], unclaimed: NDArray[np.bool_], least: float
) -> list[tuple[int, int]]:
    """Lost tracks that are seen again: the memory of `nano` misses half of the objects that come back.

    Args:
        similarity: ``(N, M)`` cosine of the appearances of detections and tracks, 0 for pairs that cannot be.
        unclaimed: ``(N,)`` no track claims the detection.
        least: see `Rules.reidentify_appearance`.

    Returns:
        Pairs of a detection and a track, each of them once at most.
    """
    return match(np.where(unclaimed[:, None] & (similarity >= least), similarity, 0))
