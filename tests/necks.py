"""Levels of a neck with weights that keep the size of what they are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.models.sam3.modeling_sam3 import Sam3FPNLayer


def a_level(wide: int, fpn: int, scale: float, narrower: int | None) -> tuple[Any, nn.Conv2d | None]:
    """A level from `wide` to `fpn` channels, and a 1x1 convolution after it to `narrower` ones, if that is given."""
    torch.manual_seed(0)
    level = Sam3FPNLayer(wide, fpn, scale).eval()
    after = nn.Conv2d(fpn, narrower, 1) if narrower else None
    for parameter in (*level.parameters(), *(after.parameters() if after else ())):
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return level, after
