"""Small connected components of masks: holes to close, sprinkles to remove.

The rules and constants are the reference's `fill_holes_in_mask_scores` (SAM 3's post-processing), which skips them
where an optional kernel is missing. Here they run on any device, in a fixed number of steps: A rounds in which each
pixel takes the largest label around it. A component of at most A pixels is at rest by then and carries one label; of a
larger one, a label either still meets a larger one at its border, or has spread over more than A pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Logits that the reference gives to pixels that change sides.
FILLED_LOGIT, REMOVED_LOGIT = 0.1, -0.1


def small_components(masks: Tensor, limit: Tensor, max_area: int) -> Tensor:
    """Pixels of 8-connected components that are no larger than a limit.

    Args:
        masks: ``(N, h, w)`` bool.
        limit: ``(N,)`` largest area in pixels, at most `max_area`.
        max_area: bound of all limits; sets the number of steps.

    Returns:
        ``(N, h, w)`` bool.
    """
    count, height, width = masks.shape
    # Labels are exact in float32 (below 2**24), the type that pooling supports everywhere; 0 is outside.
    places = torch.arange(1, height * width + 1, device=masks.device, dtype=torch.float32).view(1, 1, height, width)
    inside = masks[:, None].float()
    labels = inside * places
    for _ in range(max_area):
        labels = F.max_pool2d(labels, 3, stride=1, padding=1) * inside
    unrest = (F.max_pool2d(labels, 3, stride=1, padding=1) * inside) != labels

    flat = labels.flatten(1).long()
    area = flat.new_zeros(count, height * width + 1).scatter_add_(1, flat, torch.ones_like(flat))
    moving = flat.new_zeros(count, height * width + 1).scatter_add_(1, flat, unrest.flatten(1).long())
    small = (area <= limit[:, None]) & (moving == 0)
    return small.gather(1, flat).view_as(masks) & masks


def fill_holes(logits: Tensor, max_area: int) -> Tensor:
    """Close small holes, then remove small sprinkles.

    A sprinkle must also be smaller than half of its mask, so that tiny objects survive.

    Args:
        logits: ``(N, h, w)`` mask logits.
        max_area: largest area of a hole or a sprinkle in pixels; 0 changes nothing.

    Returns:
        ``(N, h, w)``.
    """
    if max_area <= 0 or not len(logits):
        return logits
    background = logits <= 0
    limit = torch.full((len(logits),), max_area, device=logits.device)
    logits = torch.where(small_components(background, limit, max_area), FILLED_LOGIT, logits)
    foreground = logits > 0
    limit = foreground.flatten(1).sum(1).div(2, rounding_mode="floor").clamp(max=max_area)
    return torch.where(small_components(foreground, limit, max_area), REMOVED_LOGIT, logits)
