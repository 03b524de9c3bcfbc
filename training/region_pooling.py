"""Region pooling of the box encoder, for an environment without torchvision.

`Sam3LiteTextGeometryEncoder` calls ``torchvision.ops.roi_align``, and nothing else here needs that package. The samples
of a region lie on a grid and bilinear weights are products, so that a region is two small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor
from transformers.models.sam3_lite_text import modeling_sam3_lite_text


def _weights(low: Tensor, high: Tensor, bins: int, length: int) -> Tensor:
    """Weight of each of ``length`` cells in each bin of each region, ``(K, bins, length)``, along one axis."""
    size = (high - low).clamp(min=1.0)
    samples = torch.ceil(size / bins)
    number = torch.arange(int(samples.max()), device=low.device)
    offset = torch.arange(bins, device=low.device)[None, :, None] + (number + 0.5) / samples[:, None, None]
    place = low[:, None, None] + offset * (size / bins)[:, None, None]
    counted = (number < samples[:, None, None]) & (place >= -1) & (place <= length)
    cells = torch.arange(length, device=low.device)
    near = (1 - (place.clamp(0, length - 1)[..., None] - cells).abs()).clamp(min=0)
    return (near * counted[..., None]).sum(2) / samples[:, None, None]


def roi_align(features: Tensor, boxes: Sequence[Tensor], output_size: int) -> Tensor:
    """`torchvision.ops.roi_align` with its default arguments (He et al., Mask R-CNN, 2017, section 3).

    Args:
        features: ``(B, C, H, W)``.
        boxes: For each picture its regions ``(n, 4)``: x1 y1 x2 y2 in cells.
        output_size: Bins along each side.

    Returns:
        ``(K, C, output_size, output_size)`` for all ``K`` regions, picture by picture.
    """
    height, width = features.shape[-2:]
    left, top, right, bottom = torch.cat(list(boxes)).unbind(1)
    rows = _weights(top, bottom, output_size, height).to(features.dtype)
    columns = _weights(left, right, output_size, width).to(features.dtype)
    owner = torch.arange(len(features), device=features.device)
    owner = owner.repeat_interleave(torch.tensor([len(part) for part in boxes], device=features.device))
    return rows[:, None] @ features[owner] @ columns[:, None].transpose(-1, -2)


def stand_in() -> None:
    """Let the library's box encoder run where torchvision is not installed."""
    if not hasattr(modeling_sam3_lite_text, "torchvision"):
        modeling_sam3_lite_text.torchvision = SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align))
