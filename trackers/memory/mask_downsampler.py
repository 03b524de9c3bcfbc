"""Masks as the memory encoder reads them, at the resolution of image features."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.precision import exact


class MaskDownsampler:
    """`Sam3TrackerVideoMaskDownSampler`: convolutions of stride 2, each normalised over its 4 to 256 channels.

    A normalisation takes the mean of the channels away. This is linear, so it is part of the convolution's weights;
    what remains is arithmetic on planes, without two transposed copies, on a CPU in a third of the time where there are
    few channels.
    """

    def __init__(self, module: Any, precision: torch.dtype) -> None:
        """Use a module's weights.

        Args:
            module: the one, on its device.
            precision: of products, see `trackers.precision`.
        """
        self._layers = [_Layer(layer, precision) for layer in module.layers]
        self._last = module.final_conv

    def __call__(self, masks: Tensor) -> Tensor:
        """``(N, C, h, w)`` from ``(N, 1, s·h, s·w)``."""
        for layer in self._layers:
            masks = layer(masks)
        return self._last(masks)  # type: ignore[no-any-return]


class _Layer:
    """One `Sam3TrackerVideoMaskDownSamplerLayer`."""

    def __init__(self, module: Any, precision: torch.dtype) -> None:
        convolution, norm = module.conv, module.layer_norm
        weight, bias = exact(convolution.weight), exact(convolution.bias)
        device = convolution.weight.device
        self._weight = (weight - weight.mean(0)).to(device, precision)
        self._bias = (bias - bias.mean()).to(device, torch.float32)
        self._stride, self._padding = convolution.stride, convolution.padding
        self._gain, self._shift = (part.float()[:, None, None] for part in (norm.weight, norm.bias))
        self._epsilon, self._activation = float(norm.eps), module.activation

    def __call__(self, planes: Tensor) -> Tensor:
        centred = F.conv2d(planes, self._weight, self._bias, self._stride, self._padding).float()
        scale = centred.square().mean(1, keepdim=True).add_(self._epsilon).rsqrt_()
        return self._activation(torch.addcmul(self._shift, centred * scale, self._gain))  # type: ignore[no-any-return]
