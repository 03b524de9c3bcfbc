"""Masks of what has been found, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trackers.detection.image_encoder import patches
from trackers.detection.mask_levels import MaskLevel, after_doubling
from trackers.precision import computed_narrowly, narrow
from trackers.row_pass import FOUND, FRAMES, row_pass


class MaskHead:
    """`Sam3LiteTextMaskDecoder` without its semantic segmentation, which nobody reads, and the neck's finer levels.

    Attributes:
        size: height and width of masks.
    """

    def __init__(self, model: Any, device: torch.device, precision: torch.dtype) -> None:
        """Move the mask head to `device`.

        Args:
            model: a `Sam3LiteTextModel` or `Sam3Model`, each level of whose neck is twice as large as the next, best
                before its neck is narrowed.
            device: where to run.
            precision: of products.
        """
        self.device, self.precision = device, precision
        self._coarsest = size = patches(model)
        self._head = model.mask_decoder
        decoder = self._head.pixel_decoder
        finer = list(reversed(model.vision_encoder.neck.fpn_layers[:-2]))
        # The ViT's tokens lie in memory by pixel, and convolutions are faster where nothing has to be turned over.
        pairs = list(zip(finer, decoder.conv_layers, strict=False))
        levels = [MaskLevel(level, size, convolution) for level, convolution in pairs]
        self.size = levels[-1].shape
        self._levels: Any = nn.ModuleList(levels)
        self._upward: Any = nn.ModuleList(after_doubling(convolution) for _, convolution in pairs)
        narrow(self._head.to(device=device), precision)
        parts: list[Any] = [self._levels, self._upward]
        for part in parts:
            narrow(part.to(device=device, memory_format=torch.channels_last), precision)

    @computed_narrowly
    @row_pass(FRAMES)
    def levels(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """What N frames add to masks, whatever is looked for, from coarse to fine: ``(N, C, h_i, w_i)``.

        Args:
            tokens: ``(N, h·w, D)`` output of the ViT.
        """
        planes = tokens.transpose(1, 2).view(len(tokens), -1, *self._coarsest)
        return tuple(level(planes) for level in self._levels)

    @computed_narrowly
    @row_pass(FOUND)
    def pixels(self, memory: Tensor, text: Tensor, mask: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
        """What each pixel shows, for U pairs of frame and prompt.

        Args:
            memory: ``(U, h·w, C)``, see `Decoded`.
            text: ``(U, L, C)`` token embeddings.
            mask: ``(U, L)`` bool, True for tokens that are not padding.
            levels: of the frames, see `levels`.

        Returns:
            ``(U, C, h_0, w_0)``
        """
        head = self._head
        normed = head.prompt_cross_attn_norm(memory)
        read = head.prompt_cross_attn(query=normed, key=text, value=text, attention_mask=mask[:, None, None])[0]
        pixels: Tensor = (memory + read).transpose(1, 2).view(len(memory), -1, *self._coarsest)
        for level, upward, norm in zip(levels, self._upward, head.pixel_decoder.norms, strict=False):
            # Step by step, so that no more than two maps of this size are held beside the level.
            pixels = F.relu_(norm(upward(pixels).add_(level)))
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
