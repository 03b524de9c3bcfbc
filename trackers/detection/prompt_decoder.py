"""DETR encoder and decoder for pairs of frame and prompt: which queries found something, and where; no masks yet.

The modules and weights are those of `Sam3LiteTextModel`; the order is ours: what is the same for all prompts is made
once, and heads are asked of the last layer only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trackers.detection.image_encoder import attend_to_itself
from trackers.precision import computed_narrowly, narrow
from trackers.row_pass import PROMPTS, row_pass

# `inverse_sigmoid` of the reference.
LEAST_SHARE = 1e-3
# Distances to the sides of a box are put into the relative position bias on a scale of log2(8 d + 1) / log2(8):
# `Sam3LiteTextDetrDecoder._get_rpb_matrix`.
DISTANCE_SCALE = 8


@dataclass(frozen=True)
class Decoded:
    """Q queries of P pairs of frame and prompt.

    Attributes:
        scores: ``(P, Q)`` float32: class probability times the probability that the prompt is present at all.
        boxes: ``(P, Q, 4)`` left, top, right, bottom as shares of the frame.
        queries: ``(P, Q, C)`` what the mask head makes masks of.
        memory: ``(P, h·w, C)`` the frame's coarse features with the prompt in them.
    """

    scores: Tensor
    boxes: Tensor
    queries: Tensor
    memory: Tensor


class PromptDecoder:
    """DETR encoder, decoder and scoring of a `Sam3LiteTextModel` or `Sam3Model`."""

    def __init__(
        self, model: Any, size: tuple[int, int], positions: Tensor, device: torch.device, precision: torch.dtype
    ) -> None:
        """Move the decoder to `device`.

        Args:
            model: whose.
            size: height and width of the feature map.
            positions: see `ImageEncoder`.
            device: where to run.
            precision: of products.
        """
        self.device, self.precision = device, precision
        self._encoder, self._decoder, self._scoring = model.detr_encoder, model.detr_decoder, model.dot_product_scoring
        for module in (self._encoder, self._decoder, self._scoring):
            narrow(module.to(device=device), precision)
        self._positions = positions
        height, width = size
        self._rows = torch.arange(height, device=device) / height
        self._columns = torch.arange(width, device=device) / width
        self._begin()

    @torch.inference_mode()
    @computed_narrowly
    def _begin(self) -> None:
        """The first layer before it has seen anything: reference boxes, and queries that have looked at each other."""
        decoder = self._decoder
        self._boxes = decoder.reference_points.weight[None].sigmoid()
        self._places = self._placed(self._boxes)
        self._bias = self._box_bias(self._boxes)
        hidden = torch.cat([decoder.presence_token.weight, decoder.query_embed.weight])[None]
        self._queries = _among_themselves(decoder.layers[0], hidden, self._places)

    @computed_narrowly
    @row_pass(PROMPTS)
    def decode(self, attended: Tensor, text: Tensor, mask: Tensor) -> Decoded:
        """Look for P prompts, each in a frame of its own.

        Args:
            attended: ``(P, h·w, C)`` see `ImageFeatures`.
            text: ``(P, L, C)`` token embeddings, see `TextEmbedding`.
            mask: ``(P, L)`` bool, True for tokens that are not padding.
        """
        allowed = mask[:, None, None]
        memory = self._encoded(attended, text, allowed)
        decoder, last = self._decoder, len(self._decoder.layers) - 1
        keys = memory + self._positions
        # As many rows as there are pairs.
        hidden, boxes, places, bias = self._queries, self._boxes, self._places, self._bias
        hidden, bias = (tensor.expand(len(text), *tensor.shape[1:]) for tensor in (hidden, bias))
        for index, layer in enumerate(decoder.layers):
            if index > 0:
                places, bias = self._placed(boxes), self._box_bias(boxes)
                hidden = _among_themselves(layer, hidden, places)
            read = layer.text_cross_attn(query=hidden + places, key=text, value=text, attention_mask=allowed)[0]
            hidden = layer.text_cross_attn_layer_norm(hidden + read)
            seen = layer.vision_cross_attn(query=hidden + places, key=keys, value=memory, attention_mask=bias)[0]
            hidden = layer.vision_cross_attn_layer_norm(hidden + seen)
            hidden = layer.mlp_layer_norm(hidden + layer.mlp(hidden))
            queries = decoder.output_layer_norm(hidden[:, 1:])
            boxes = (decoder.box_head(queries) + _inverse_sigmoid(boxes)).sigmoid()
            if index == last:
                presence = decoder.presence_head(decoder.presence_layer_norm(hidden[:, 0]))
        presence = presence.clamp(-decoder.clamp_presence_logit_max_val, decoder.clamp_presence_logit_max_val)
        logits = self._scoring(queries[None], text, mask)[0, :, :, 0]
        scores = logits.float().sigmoid() * presence.float().sigmoid()
        return Decoded(scores, _corners(boxes), queries, memory)

    def _encoded(self, attended: Tensor, text: Tensor, allowed: Tensor) -> Tensor:
        """`Sam3LiteTextDetrEncoder` without its first self-attention."""
        hidden = attended
        for index, layer in enumerate(self._encoder.layers):
            if index > 0:
                hidden = attend_to_itself(layer, hidden, self._positions)
            normed = layer.layer_norm2(hidden)
            hidden = hidden + layer.cross_attn(query=normed, key=text, value=text, attention_mask=allowed)[0]
            hidden = hidden + layer.mlp(layer.layer_norm3(hidden))
        return hidden

    def _placed(self, boxes: Tensor) -> Tensor:
        """Position embeddings ``(P, 1 + Q, C)`` of the presence token, which has none, and of boxes."""
        decoder = self._decoder
        return F.pad(decoder.ref_point_head(decoder.position_encoding.encode_boxes(boxes)), (0, 0, 1, 0))

    def _box_bias(self, boxes: Tensor) -> Tensor:
        """How much rather a query looks into and around its box.

        Args:
            boxes: ``(P, Q, 4)`` centre, width and height.

        Returns:
            ``(P, heads, 1 + Q, h·w)`` to be added before the softmax; 0 for the presence token.
        """
        decoder, corners = self._decoder, _corners(boxes)
        across = decoder.box_rpb_embed_x(_logarithmic(self._columns[:, None] - corners[:, :, None, 0::2]))
        down = decoder.box_rpb_embed_y(_logarithmic(self._rows[:, None] - corners[:, :, None, 1::2]))
        across, down = (F.pad(part.permute(0, 3, 1, 2), (0, 0, 1, 0)) for part in (across, down))
        return (down[..., :, None] + across[..., None, :]).flatten(3)


def _among_themselves(layer: Any, hidden: Tensor, places: Tensor) -> Tensor:
    """The self-attention of a `Sam3LiteTextDetrDecoderLayer`."""
    placed = hidden + places
    attended = layer.self_attn(query=placed, key=placed, value=hidden)[0]
    result: Tensor = layer.self_attn_layer_norm(hidden + attended)
    return result


def _logarithmic(distances: Tensor) -> Tensor:
    scaled = distances * DISTANCE_SCALE
    return scaled.sign() * torch.log2(scaled.abs() + 1) / math.log2(DISTANCE_SCALE)


def _corners(boxes: Tensor) -> Tensor:
    """Left, top, right and bottom of boxes given by centre, width and height."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - 0.5 * size, centre + 0.5 * size], dim=-1)


def _inverse_sigmoid(share: Tensor) -> Tensor:
    share = share.clamp(0, 1)
    return torch.log(share.clamp(min=LEAST_SHARE) / (1 - share).clamp(min=LEAST_SHARE))
