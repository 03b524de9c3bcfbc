"""Losses that the detector and the tracker share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_losses(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice loss of each mask: ``(M, H, W)`` logits and targets in 0 to 1, to two ``(M,)``."""
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).mean(1)
    share, truth = logits.sigmoid().flatten(1), target.flatten(1)
    dice = 1 - (2 * (share * truth).sum(1) + 1) / (share.sum(1) + truth.sum(1) + 1)
    return entropy, dice


def score_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Summed classification loss: cross-entropy where ``target`` is 1, and weighted by 0.75 p² where it is 0."""
    confidence = logits.detach().sigmoid()
    weight = torch.where(target > 0.5, torch.ones_like(confidence), 0.75 * confidence**2)
    return (weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).sum()


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of all pairs: boolean ``(M, H, W)`` and ``(N, H, W)`` to ``(M, N)``."""
    a, b = first.flatten(1).float(), second.flatten(1).float()
    inter = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None] - inter
    return inter / union.clamp(min=1)


def mask_nms(scores: Tensor, masks: Tensor, threshold: float) -> Tensor:
    """Indices that survive greedy mask NMS, best first; ``scores`` ``(M,)``, ``masks`` boolean ``(M, H, W)``."""
    order = scores.argsort(descending=True)
    overlap = mask_iou(masks[order], masks[order])
    kept: list[int] = []
    for index in range(len(order)):
        if not kept or float(overlap[index, kept].max()) <= threshold:
            kept.append(index)
    return order[kept]
