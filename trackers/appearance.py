"""The appearance of an object as one vector: image features pooled under its mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Weight of the past in a running appearance: DeepSORT's successors use 0.9 (StrongSORT, Du et al. 2023).
_MOMENTUM = 0.9


def appearance(features: Tensor, masks: Tensor) -> Tensor:
    """Pool image features under each mask.

    The frame's mean feature is subtracted first: feature vectors of one picture share a large common part, which
    would make every pair of objects look alike under the cosine.

    Args:
        features: ``(C, h, w)`` of one frame, at the encoder's own stride.
        masks: ``(N, H, W)`` bool, any resolution.

    Returns:
        ``(N, C)`` float32 of unit length.
    """
    weights = F.adaptive_avg_pool2d(masks.float()[:, None], (features.shape[-2], features.shape[-1])).flatten(1)
    pixels = features.float().flatten(1)
    centred = pixels - pixels.mean(dim=1, keepdim=True)
    pooled = weights @ centred.T / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return F.normalize(pooled, dim=1)


def running(past: Tensor, now: Tensor) -> Tensor:
    """Running mean of appearances, ``(..., C)`` of unit length each, as is the result."""
    return F.normalize(_MOMENTUM * past + (1 - _MOMENTUM) * now, dim=-1)
