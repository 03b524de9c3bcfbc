"""The memory attention: what is seen in a frame asks what is remembered of an object.

The layers and weights are those of `Sam3TrackerVideoMemoryAttention` (SAM 2, Ravi et al. 2024, section 4), with fewer
products, which differ from the reference's by rounding only:

- Attention mixes values as they are, for the memories 64 numbers wide; `v_proj` and `o_proj`, folded into one matrix,
  come after it. Its weights sum to one, so that the bias of `v_proj` passes through.
- Until the first layer's queries meet memories they are the same for all objects of a frame.

Keys are made anew in each frame. Kept, projected and rotated for each layer, they would be 16 times as large as the
memories at full size (four layers of 256 numbers in place of 64), and would have to be read and added to: their age,
which is part of them, changes with each frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.memory.attention import Attention
from trackers.precision import exact
from trackers.rotary import Rotation


@dataclass(frozen=True)
class MemoryTokens:
    """K tokens for each of N objects: those of remembered frames, then those of pointers.

    Attributes:
        keys: ``(N, K, C)``, with their places in time and space.
        values: ``(N, K, C)``, without.
        spatial: how many are of frames: a multiple of h·w.
        used: ``(N, K)`` bool, False for padding; None without any.
    """

    keys: Tensor
    values: Tensor
    spatial: int
    used: Tensor | None


class MemoryAttention:
    """`Sam3TrackerVideoMemoryAttention` on a device, in two parts: once a frame, and once an object.

    Attributes:
        attention: the product of queries and memories.
    """

    def __init__(self, module: Any, rotation: Rotation, precision: torch.dtype) -> None:
        """Use a module's weights.

        Args:
            module: the one, on its device.
            rotation: of the places of a frame.
            precision: of products, see `trackers.precision`.
        """
        self.attention = Attention()
        self._layers = [_Layer(layer, rotation, self.attention, precision) for layer in module.layers]
        self._norm = module.layer_norm

    def before(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """What needs no memory.

        Args:
            tokens: ``(B, h·w, D)`` of B frames.

        Returns:
            Tokens ``(B, h·w, D)`` as the first layer has them when it meets memories, and its queries
            ``(B, heads, h·w, d)``.
        """
        tokens = self._layers[0].look_around(tokens)
        return tokens, self._layers[0].ask(tokens)

    def __call__(self, tokens: Tensor, query: Tensor, memory: MemoryTokens) -> Tensor:
        """The rest, for N objects: ``(N, h·w, D)`` from the like, with the first layer's queries."""
        tokens = self._layers[0].remember(tokens, query, memory)
        for layer in self._layers[1:]:
            tokens = layer.look_around(tokens)
            tokens = layer.remember(tokens, layer.ask(tokens), memory)
        return self._norm(tokens)  # type: ignore[no-any-return]


class _Layer:
    """One `Sam3TrackerVideoMemoryAttentionLayer`."""

    def __init__(self, module: Any, rotation: Rotation, attention: Attention, precision: torch.dtype) -> None:
        own, memory = module.self_attn, module.cross_attn_image
        self._module, self._rotation, self._attention = module, rotation, attention
        self._query_and_key = _Product(precision, _scaled_query(own), (own.k_proj.weight, own.k_proj.bias))
        self._own_out = _Product(precision, _folded(own))
        self._query = _Product(precision, _scaled_query(memory))
        self._key = memory.k_proj
        self._memory_out = _Product(precision, _folded(memory))
        self._heads = int(memory.num_attention_heads)

    def look_around(self, tokens: Tensor) -> Tensor:
        """``(N, h·w, D)`` after self-attention."""
        normed = self._module.layer_norm1(tokens)
        both = self._query_and_key(normed).view(*tokens.shape[:2], 2, self._heads, -1).permute(2, 0, 3, 1, 4)
        self._rotation.turn(both)
        mixed = F.scaled_dot_product_attention(both[0], both[1], self._for_heads(normed), scale=1.0)
        return tokens + self._own_out(_side_by_side(mixed))

    def ask(self, tokens: Tensor) -> Tensor:
        """What tokens ``(N, h·w, D)`` ask memories: queries ``(N, heads, h·w, d)``."""
        query = self._by_heads(self._query(self._module.layer_norm2(tokens)))
        self._rotation.turn(query)
        return query

    def remember(self, tokens: Tensor, query: Tensor, memory: MemoryTokens) -> Tensor:
        """Tokens after attention to memories and the layer's perceptron."""
        key = self._by_heads(self._key(memory.keys))
        count, heads, places, _ = query.shape
        self._rotation.turn(key[:, :, : memory.spatial].view(count, heads, -1, places, key.shape[-1]))
        mixed = self._attention(query, key, self._for_heads(memory.values), memory.used)
        tokens = tokens + self._memory_out(_side_by_side(mixed))
        module = self._module
        return tokens + module.linear2(module.activation(module.linear1(module.layer_norm3(tokens))))  # type: ignore[no-any-return]

    def _by_heads(self, vectors: Tensor) -> Tensor:
        """``(N, T, heads · d)`` as ``(N, heads, T, d)``."""
        return vectors.view(*vectors.shape[:2], self._heads, -1).transpose(1, 2)

    def _for_heads(self, values: Tensor) -> Tensor:
        """``(N, T, C)`` for each head: ``(N, heads, T, C)``, a view."""
        return values[:, None].expand(-1, self._heads, -1, -1)


def _side_by_side(mixed: Tensor) -> Tensor:
    """What heads made, ``(N, heads, T, C)``, as ``(N, T, heads · C)``."""
    return mixed.transpose(1, 2).flatten(2)


class _Product:
    """A linear layer of joined ones, each a weight ``(D, C)`` and a bias ``(D,)``."""

    def __init__(self, precision: torch.dtype, *parts: tuple[Tensor, Tensor]) -> None:
        device = parts[0][0].device
        self._weight = torch.cat([weight for weight, _ in parts]).to(device, precision)
        self._bias = torch.cat([bias for _, bias in parts]).to(device, torch.float32)

    def __call__(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self._weight, self._bias)


def _scaled_query(module: Any) -> tuple[Tensor, Tensor]:
    """`q_proj` times the scale of the scores."""
    scale = float(module.scaling)
    return module.q_proj.weight * scale, module.q_proj.bias * scale


def _folded(module: Any) -> tuple[Tensor, Tensor]:
    """`o_proj` after `v_proj`, for each head: from what it makes of values, ``heads · C`` wide, to D."""
    inward, outward = (module.v_proj, module.o_proj)
    heads = int(module.num_attention_heads)
    (v, v_bias), (o, o_bias) = ((exact(part.weight), exact(part.bias)) for part in (inward, outward))
    weight = torch.einsum("hdc,ohd->ohc", v.view(heads, -1, v.shape[-1]), o.view(len(o), heads, -1)).flatten(1)
    return weight.to(inward.weight.device), (o @ v_bias + o_bias).to(inward.weight.device)
