"""Masks of one prompt do not overlap in memory: a mask that others take most of is not remembered.

`Sam3VideoModel._suppress_object_pw_area_shrinkage`, group by group.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# The reference's constants: `_suppress_shrunk_masks`, `_apply_non_overlapping_constraints`.
KEPT_SHARE = 0.3
SUPPRESSED_LOGIT = -10.0


def without_overtaken(logits: Tensor, groups: Iterable[Tensor]) -> Tensor:
    """Suppress masks that keep too little of their area when each pixel goes to the highest logit.

    Args:
        logits: ``(N, h, w)``.
        groups: int64 indices of the masks that compete with each other; a mask is in at most one group.

    Returns:
        ``(N, h, w)``: what is kept is kept whole, the rest is at most `SUPPRESSED_LOGIT`.
    """
    result = logits.clone()
    for members in groups:
        if len(members) < 2:
            continue
        masks = logits[members]
        # argmax, not >= max: of equal logits one wins, as in the reference.
        owner = masks.argmax(dim=0)
        order = torch.arange(len(members), device=masks.device)[:, None, None]
        before = (masks > 0).flatten(1).sum(1)
        after = ((masks > 0) & (owner[None] == order)).flatten(1).sum(1)
        kept = after / before.clamp(min=1.0) >= KEPT_SHARE
        result[members] = torch.where(kept[:, None, None], masks, masks.clamp(max=SUPPRESSED_LOGIT))
    return result
