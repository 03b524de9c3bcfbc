"""SAM 3's ViT with its own weights: what does not depend on the picture is made once."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.rotary import Rotation


class VisionTransformer:
    """`Sam3ViTModel` on a device: rotary tables made once, queries, keys and values in one product."""

    def __init__(self, model: Any) -> None:
        """Prepare a model that is where it shall run, its weights narrowed already."""
        self._model = model
        rotations: dict[int, Rotation] = {}
        self._attentions = []
        for layer in model.layers:
            if layer.window_size not in rotations:
                rotations[layer.window_size] = Rotation(*layer.rotary_emb(layer.position_ids, layer.position_ids))
            self._attentions.append(_Attention(layer.attention, rotations[layer.window_size]))

    def __call__(self, pixels: Tensor) -> Tensor:
        """Encode pictures ``(N, 3, H, W)``; returns ``(N, h, w, D)``, a token a patch."""
        model = self._model
        count, _, height, width = pixels.shape
        patch = model.config.patch_size
        hidden: Tensor = model.embeddings(pixels).view(count, height // patch, width // patch, -1)
        hidden = model.layer_norm(hidden)
        for layer, attention in zip(model.layers, self._attentions, strict=True):
            normed = layer.layer_norm1(hidden)
            side = layer.window_size
            attended = attention(normed) if side == 0 else _joined(attention(_cut(normed, side)), normed.shape, side)
            hidden = hidden + attended
            hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
        return hidden


class _Attention:
    """`Sam3ViTRoPEAttention` in windows of one size."""

    def __init__(self, module: Any, rotation: Rotation) -> None:
        self._module, self._rotation = module, rotation
        parts = module.q_proj, module.k_proj, module.v_proj
        self._weight = torch.cat([part.weight.data for part in parts])
        self._bias = torch.cat([part.bias.data for part in parts])
        # Weights are held once: the parts look at the whole.
        for part, weight in zip(parts, self._weight.chunk(3), strict=True):
            part.weight.data = weight

    def __call__(self, hidden: Tensor) -> Tensor:
        count, height, width, _ = hidden.shape
        module = self._module
        together = F.linear(hidden, self._weight, self._bias)
        together = together.view(count, height * width, 3, module.num_attention_heads, -1).permute(2, 0, 3, 1, 4)
        self._rotation.turn(together[:2])
        query, key, value = together.unbind()
        attended = F.scaled_dot_product_attention(query, key, value, scale=module.scaling)
        output: Tensor = module.o_proj(attended.transpose(1, 2).reshape(count, height, width, -1))
        return output


def _cut(hidden: Tensor, side: int) -> Tensor:
    """Windows ``(N·n, side, side, D)`` of ``(N, h, w, D)``, filled up with zeros: `window_partition`."""
    count, height, width, channels = hidden.shape
    down, across = -(-height // side), -(-width // side)
    hidden = F.pad(hidden, (0, 0, 0, across * side - width, 0, down * side - height))
    tiles = hidden.view(count, down, side, across, side, channels).transpose(2, 3)
    return tiles.reshape(-1, side, side, channels)


def _joined(windows: Tensor, shape: torch.Size, side: int) -> Tensor:
    """The opposite of `_cut`: `window_unpartition`."""
    count, height, width, channels = shape
    down, across = -(-height // side), -(-width // side)
    tiles = windows.view(count, down, across, side, side, channels).transpose(2, 3)
    return tiles.reshape(count, down * side, across * side, channels)[:, :height, :width]
