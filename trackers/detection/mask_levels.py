"""What the fine levels of the neck add to masks: once a frame, whatever is looked for in it.

The pixel decoder of SAM 3 (`Sam3LiteTextPixelDecoder`) adds a level to the next coarser map, scaled up by repeating
each pixel, and convolves the sum, for each pair of frame and prompt. A convolution is linear: that of the level is the
same for all prompts of a frame, and that of the scaled map is a transposed convolution of the map as it was, whose
kernel of 4 x 4 meets four times fewer pixels.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trackers.folded_neck import FoldedLevel
from trackers.precision import exact

# Which of three taps meet the same pixel, where each is there twice: by tap of the transposed convolution.
DOUBLED = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float64)


def after_doubling(convolution: Any) -> nn.ConvTranspose2d:
    """What a 3x3 convolution makes of a map that was scaled up to twice its size by repeating each pixel.

    Args:
        convolution: with a padding of one; its bias is left out.

    Returns:
        From ``(N, C, h, w)``, not scaled, to ``(N, C', 2h, 2w)``.
    """
    weight = exact(convolution.weight)
    made = nn.ConvTranspose2d(weight.shape[1], weight.shape[0], 4, stride=2, padding=1, bias=False)
    doubled = DOUBLED.to(weight.device)
    taps = torch.einsum("ay,bx,ocyx->coab", doubled, doubled, weight).float()
    made.weight = nn.Parameter(taps, requires_grad=False)
    return made.to(convolution.weight.device)


class MaskLevel(nn.Module):
    """A level of the neck, and the pixel decoder's 3x3 convolution of it.

    The level ends in a 3x3 convolution. The two are one of 5x5 where that is a third fewer multiply-adds, but at the
    border: the second reads zeros outside of the picture, where the first would have made something. That is taken away
    again, in four small steps. Folded in float64.

    Attributes:
        shape: height and width of what it makes.
    """

    def __init__(self, level: Any, size: tuple[int, int], convolution: Any) -> None:
        """Fold weights, best before they are narrowed; both modules stay as they are.

        Args:
            level: the `Sam3FPNLayer`.
            size: height and width of the feature maps that it is given.
            convolution: the pixel decoder's.
        """
        super().__init__()
        folded = FoldedLevel(level, size)
        *upward, last = folded.layers
        inner: Any = last
        first, second = exact(inner.weight), exact(convolution.weight)
        self.shape = int(size[0] * level.scale_factor), int(size[1] * level.scale_factor)
        added = exact(inner.bias)[:, None, None] if inner.bias is not None else first.new_zeros(1)
        if folded.borders is not None:
            added = added + exact(folded.borders[0])
        added = added.expand(len(first), *self.shape)[None]
        constant = F.conv2d(added, second, exact(convolution.bias), padding=1).float()
        self._upward = nn.Sequential(*upward)
        device = level.proj2.weight.device
        self._constant: Tensor
        self.register_buffer("_constant", constant.to(device), persistent=False)
        narrowest, middle = first.shape[1], first.shape[0]
        self._joined = 25 * narrowest < 2 / 3 * 9 * (narrowest + middle)
        self._inner, self._outer = _convolution(first).to(device), _convolution(second).to(device)
        if self._joined:
            self._both = _convolution(_composed(second, first)).to(device)

    def forward(self, planes: Tensor) -> Tensor:
        """``(N, C', s·h, s·w)`` from the ViT's ``(N, C, h, w)``, s the level's scale."""
        planes = self._upward(planes)
        if not self._joined:
            return self._outer(self._inner(planes)).add_(self._constant)  # type: ignore[no-any-return]
        made: Tensor = self._both(planes)
        inner, outer = self._inner.weight, self._outer.weight
        # Rows above and below, corners included, then the columns beside.
        made[:, :, :1] -= _conv(_conv(planes[:, :, :1], inner[:, :, 2:], (0, 2)), outer[:, :, :1], (0, 0))
        made[:, :, -1:] -= _conv(_conv(planes[:, :, -1:], inner[:, :, :1], (0, 2)), outer[:, :, 2:], (0, 0))
        made[..., :1] -= _conv(_conv(planes[..., :1], inner[..., 2:], (1, 0)), outer[..., :1], (1, 0))
        made[..., -1:] -= _conv(_conv(planes[..., -1:], inner[..., :1], (1, 0)), outer[..., 2:], (1, 0))
        return made.add_(self._constant)


def _convolution(weight: Tensor) -> nn.Conv2d:
    """One that keeps the size of its maps, with a square kernel ``(O, C, n, n)``."""
    side = weight.shape[-1]
    made = nn.Conv2d(weight.shape[1], len(weight), side, padding=side // 2, bias=False)
    made.weight = nn.Parameter(weight.float(), requires_grad=False)
    return made


def _conv(planes: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    return F.conv2d(planes, weight, padding=padding)


def _composed(second: Tensor, first: Tensor) -> Tensor:
    """The kernel ``(O, M, 5, 5)`` of a 3x3 convolution ``(O, C, 3, 3)`` after one of ``(C, M, 3, 3)``."""
    kernel = first.new_zeros(len(second), first.shape[1], 5, 5)
    for row in range(3):
        for column in range(3):
            part = torch.einsum("oc,cmyx->omyx", second[:, :, row, column], first)
            kernel[:, :, row : row + 3, column : column + 3] += part
    return kernel
