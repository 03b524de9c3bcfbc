"""Pairs predicted boxes with true ones."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def to_corners(boxes: Tensor) -> Tensor:
    """Centre x, centre y, width, height to x1 y1 x2 y2, over the last axis."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def to_centres(boxes: Tensor) -> Tensor:
    """x1 y1 x2 y2 to centre x, centre y, width, height, over the last axis."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], -1)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """GIoU of broadcastable boxes given by corners."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    union = (first[..., 2:] - first[..., :2]).prod(-1) + (second[..., 2:] - second[..., :2]).prod(-1) - inter
    low, high = torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:])
    hull = (high - low).clamp(min=0).prod(-1)
    return inter / (union + 1e-6) - (hull - union) / (hull + 1e-6)


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, truth: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hungarian matching of ``R`` rows at once.

    Args:
        logits: Scores ``(R, Q)``.
        boxes: Predictions ``(R, Q, 4)``, centre form.
        truth: True boxes ``(R, N, 4)``, corners.
        wanted: bool ``(R, N)``, which of them the row's prompt asks for.

    Returns:
        Row, query and object of every pair, three int64 vectors of equal length.
    """
    distance = (boxes[:, :, None] - to_centres(truth)[:, None]).abs().sum(-1)
    overlap = generalised_iou(to_corners(boxes)[:, :, None], truth[:, None])
    cost = (5 * distance - 2 * overlap - 2 * logits.sigmoid()[..., None]).float().cpu().numpy()
    rows: list[int] = []
    queries: list[int] = []
    objects: list[int] = []
    for row, mask in enumerate(wanted.cpu().numpy()):
        columns = mask.nonzero()[0]
        if columns.size:
            chosen, order = linear_sum_assignment(cost[row][:, columns])
            rows += [row] * len(chosen)
            queries += chosen.tolist()
            objects += columns[order].tolist()
    return (
        torch.tensor(rows, dtype=torch.long, device=boxes.device),
        torch.tensor(queries, dtype=torch.long, device=boxes.device),
        torch.tensor(objects, dtype=torch.long, device=boxes.device),
    )
