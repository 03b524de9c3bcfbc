"""Masks of what has been found, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.precision import computed_narrowly, narrow
from trackers.row_pass import FOUND, row_pass


class MaskHead:
    """`Sam3LiteTextMaskDecoder` without its semantic segmentation, which nobody reads."""

    def __init__(self, model: Any, device: torch.device, precision: torch.dtype) -> None:
        """Move the mask head of a `Sam3LiteTextModel` or `Sam3Model` to `device`; `precision` is that of products."""
        self.device, self.precision = device, precision
        self._head = model.mask_decoder
        narrow(self._head.to(device=device), precision)
        # Its input lies in memory by pixel; so do the levels, see `ImageEncoder`.
        self._head.pixel_decoder.to(memory_format=torch.channels_last)

    @computed_narrowly
    @row_pass(FOUND)
    def pixels(self, memory: Tensor, text: Tensor, mask: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
        """What each pixel shows, for U pairs of frame and prompt.

        Args:
            memory: ``(U, h·w, C)``, see `Decoded`.
            text: ``(U, L, C)`` token embeddings.
            mask: ``(U, L)`` bool, True for tokens that are not padding.
            levels: the frames' feature maps ``(U, C, h_i, w_i)`` from fine to coarse, of which the last gives way to
                `memory`.

        Returns:
            ``(U, C, h_0, w_0)``
        """
        head = self._head
        normed = head.prompt_cross_attn_norm(memory)
        read = head.prompt_cross_attn(query=normed, key=text, value=text, attention_mask=mask[:, None, None])[0]
        pixels: Tensor = (memory + read).transpose(1, 2).reshape(levels[-1].shape)
        decoder = head.pixel_decoder
        for level, convolution, norm in zip(reversed(levels[:-1]), decoder.conv_layers, decoder.norms, strict=False):
            # Step by step, so that no more than two maps of this size are held beside the level.
            pixels = F.interpolate(pixels, level.shape[-2:], mode="nearest").add_(level)
            pixels = convolution(pixels)
            pixels = F.relu_(norm(pixels))
        return pixels

    @computed_narrowly
    def masks(self, queries: Tensor, pixels: Tensor, counts: Sequence[int]) -> Tensor:
        """Mask logits of n queries.

        Args:
            queries: ``(n, C)`` those of the first of U pairs, then those of the second, and so on.
            pixels: ``(U, C, h, w)``, see above.
            counts: how many queries each pair has.

        Returns:
            ``(n, h, w)`` float32.
        """
        # A query's product with projected pixels is the projected query's product with pixels.
        projection = self._head.instance_projection
        embedded = self._head.mask_embedder(queries)
        weights, offsets = embedded @ projection.weight[:, :, 0, 0], embedded @ projection.bias
        found = zip(weights.split(list(counts)), offsets.split(list(counts)), pixels.flatten(2), strict=True)
        logits = torch.cat([torch.addmm(offset[:, None], weight, shown) for weight, offset, shown in found])
        return logits.view(-1, *pixels.shape[-2:]).float()
