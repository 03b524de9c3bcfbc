"""Necks with their linear layers multiplied into one another, so that a frame costs fewer products."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trackers.precision import exact


class FoldedLevel(nn.Module):
    """A `Sam3FPNLayer`: upsampling, a 1x1 and a 3x3 convolution, and perhaps one of 1x1 after them.

    Nothing but a GELU is between them, so neighbours are one linear map: the last is always folded into the 3x3
    convolution, the first into the upsampling before it or into the 3x3 convolution after it, whichever leaves the
    fewest multiply-adds. Folded in float64. The level itself stays as it is.

    Attributes:
        layers: one after the other; the last is the 3x3 convolution.
        borders: ``(1, C', s·h, s·w)`` what is added to what they make; None for nothing.
    """

    def __init__(self, level: Any, size: tuple[int, int], after: Any = None) -> None:
        """Fold the weights of a level, best before they are narrowed.

        Args:
            level: the `Sam3FPNLayer`.
            size: height and width of the feature maps that it is given.
            after: a 1x1 convolution that reads the level's output, and is read instead of it; its output is narrower.
        """
        super().__init__()
        layers = list(level.scale_layers)
        project, weight = exact(level.proj1.weight)[:, :, 0, 0], exact(level.proj2.weight)
        bias, start = exact(level.proj2.bias), exact(level.proj1.bias)
        if after is not None:
            narrow = exact(after.weight)[:, :, 0, 0]
            weight, bias = torch.einsum("oc,cmyx->omyx", narrow, weight), narrow @ bias + exact(after.bias)
        shape = tuple(int(side * level.scale_factor) for side in size)

        last: Any = layers[-1] if layers and isinstance(layers[-1], nn.ConvTranspose2d) else None
        middle, narrowest = project.shape
        products = weight[0, 0].numel() * len(weight)  # for each channel that the 3x3 convolution reads
        upward = last.in_channels if last else 0
        # Multiply-adds a pixel of the output; a kernel of the upsampling meets each pixel once.
        apart = narrowest * (upward + middle) + middle * products
        before = middle * (upward + products) if last else apart
        behind = narrowest * (upward + products)

        # What a 1x1 convolution adds is not added outside of the picture, where the 3x3 convolution reads zeros.
        borders: Tensor | None = None
        if before <= min(behind, apart) and last:
            taps = torch.einsum("imyx,cm->icyx", exact(last.weight), project)
            layers[-1] = _holding(last, taps, project @ exact(last.bias) + start)
            layers.append(_holding(level.proj2, weight, bias))
        elif behind <= apart:
            constant = start.view(1, -1, 1, 1).expand(1, -1, *shape)
            borders = F.conv2d(constant, weight, bias, padding=level.proj2.padding).float()
            layers.append(_holding(level.proj2, torch.einsum("ocyx,cm->omyx", weight, project), None))
        else:
            layers += [level.proj1, _holding(level.proj2, weight, bias)]
        self.layers = nn.ModuleList(layers)
        self.borders: Tensor | None
        self.register_buffer("borders", borders, persistent=False)
        self.to(level.proj2.weight.device)

    def forward(self, hidden: Tensor) -> Tensor:
        """Feature maps ``(B, C, h, w)`` of the size given; returns ``(B, C', s·h, s·w)``, s the level's scale."""
        for layer in self.layers:
            hidden = layer(hidden)
        # In place, so that the type remains that of the products.
        return hidden if self.borders is None else hidden.add_(self.borders)


def joined(first: Any, after: Any) -> Any:
    """Two 1x1 convolutions as one, multiplied in float64; the two stay as they are."""
    narrow, wide = exact(after.weight)[:, :, 0, 0], exact(first.weight)[:, :, 0, 0]
    return _holding(first, (narrow @ wide)[:, :, None, None], narrow @ exact(first.bias) + exact(after.bias))


def _holding(convolution: Any, weight: Tensor, bias: Tensor | None) -> Any:
    """The same kind of convolution with other weights."""
    made = deepcopy(convolution)
    made.weight = nn.Parameter(weight.float(), requires_grad=False)
    made.bias = None if bias is None else nn.Parameter(bias.float(), requires_grad=False)
    return made
