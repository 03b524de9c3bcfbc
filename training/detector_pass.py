"""The detector's forward pass for training: the library's modules, plus denoising queries and mask windows.

Several prompts share one picture. A *row* is one (picture, prompt) pair; ``R = B * K`` rows for ``B`` pictures with
``K`` prompts each. Denoising queries start from true boxes with noise: they learn to classify and to segment before
the ordinary queries find anything. They neither see nor are seen by the ordinary ones, so inference, which has none,
computes the same as here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from architecture import GRID, HIDDEN, QUERIES, reset_weights
from matching import to_centres
from torch import Tensor, nn
from transformers import Sam3LiteTextModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import inverse_sigmoid


class TrainingHeads(nn.Module):
    """Parts that exist only in training: the denoising queries' contents, and a read-out of the fused tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.denoising = nn.Parameter(torch.randn(2, HIDDEN) * 0.5)
        self.token = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1 + 4))
        reset_weights(self)


@dataclass
class Decoded:
    """What the decoder's ``L`` layers say about ``R`` rows; the first ``QUERIES`` of ``Q`` queries are ordinary."""

    hidden: Tensor
    """``(L, R, Q, HIDDEN)``."""
    boxes: Tensor
    """``(L, R, Q, 4)``, centre form."""
    presence: Tensor
    """Presence logits ``(L, R)``."""
    logits: Tensor
    """Match logits ``(L, R, Q)``."""


def noisy_boxes(boxes: Tensor, valid: Tensor) -> Tensor:
    """Two groups of noisy copies of true boxes (centre form): lightly and strongly moved; ``(R, 2 N, 4)``."""
    groups = []
    for strength in (0.15, 0.35):
        noise = torch.rand(*boxes.shape[:2], 4, device=boxes.device) * 2 - 1
        centre = boxes[..., :2] + noise[..., :2] * strength * boxes[..., 2:]
        moved = torch.cat([centre, boxes[..., 2:] * torch.exp(noise[..., 2:] * strength * 1.3)], -1)
        anywhere = torch.cat([noise[..., :2] * 0.45 + 0.5, noise[..., 2:] * 0.12 + 0.24], -1)
        groups.append(torch.where(valid[..., None], moved, anywhere).clamp(0.02, 0.98))
    return torch.cat(groups, 1)


def decode(
    detector: Sam3LiteTextModel,
    heads: TrainingHeads,
    vision: Tensor,
    position: Tensor,
    text: Tensor,
    text_mask: Tensor,
    noisy: Tensor,
) -> Decoded:
    """Run the decoder as the library does, with ``noisy`` boxes (``(R, D, 4)``) as additional queries.

    Args:
        detector: The model.
        heads: Source of the denoising queries' contents.
        vision: Fused image tokens ``(R, GRID², HIDDEN)``.
        position: Their position encoding, same shape.
        text: Prompt tokens ``(R, T, HIDDEN)``.
        text_mask: bool ``(R, T)``.
        noisy: Reference boxes of the denoising queries, first half lightly, second half strongly moved.
    """
    decoder = detector.detr_decoder
    rows, extra = len(vision), noisy.shape[1]
    contents = heads.denoising.repeat_interleave(extra // 2, 0).expand(rows, -1, -1)
    hidden = torch.cat(
        [decoder.presence_token.weight.expand(rows, 1, -1), decoder.query_embed.weight.expand(rows, -1, -1), contents],
        1,
    )
    reference = torch.cat([decoder.reference_points.weight.sigmoid().expand(rows, -1, -1), noisy], 1)
    group = torch.tensor([0] * (QUERIES + 1) + [1] * (extra // 2) + [2] * (extra // 2), device=vision.device)
    apart = torch.zeros(len(group), len(group), device=vision.device)
    apart = apart.masked_fill(group[:, None] != group[None], -1e4).to(hidden.dtype)[None, None].expand(rows, 1, -1, -1)
    cross_mask = create_bidirectional_mask(
        config=decoder.config, inputs_embeds=hidden, attention_mask=text_mask, encoder_hidden_states=text
    )
    keys = vision + position
    states, boxes, presence = [], [], []
    for layer in decoder.layers:
        query_position = decoder.ref_point_head(decoder.position_encoding.encode_boxes(reference))
        query_position = F.pad(query_position, (0, 0, 1, 0))
        bias = F.pad(decoder._get_rpb_matrix(reference, (GRID, GRID)), (0, 0, 1, 0))  # noqa: SLF001
        query = hidden + query_position
        hidden = layer.self_attn_layer_norm(hidden + layer.self_attn(query, query, hidden, apart)[0])
        attended = layer.text_cross_attn(hidden + query_position, text, text, cross_mask)[0]
        hidden = layer.text_cross_attn_layer_norm(hidden + attended)
        attended = layer.vision_cross_attn(hidden + query_position, keys, vision, bias)[0]
        hidden = layer.vision_cross_attn_layer_norm(hidden + attended)
        hidden = layer.mlp_layer_norm(hidden + layer.mlp(hidden))
        state = decoder.output_layer_norm(hidden[:, 1:])
        moved = (decoder.box_head(state[:, :QUERIES]).float() + inverse_sigmoid(reference[:, :QUERIES])).sigmoid()
        states.append(state)
        boxes.append(torch.cat([moved, reference[:, QUERIES:]], 1))
        presence.append(decoder.presence_head(decoder.presence_layer_norm(hidden[:, :1])).float().flatten())
        reference = boxes[-1].detach()
    stacked = torch.stack(states)
    logits = detector.dot_product_scoring(stacked, text, text_mask).squeeze(-1).float()
    limit = decoder.clamp_presence_logit_max_val
    return Decoded(stacked, torch.stack(boxes), torch.stack(presence).clamp(-limit, limit), logits)


def prompt_pixels(detector: Sam3LiteTextModel, fused: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
    """Fused tokens after the mask decoder's own look at the prompt, as a map ``(M, HIDDEN, GRID, GRID)``."""
    decoder = detector.mask_decoder
    normed = decoder.prompt_cross_attn_norm(fused)
    mask = create_bidirectional_mask(
        config=decoder.config, inputs_embeds=normed, encoder_hidden_states=text, attention_mask=text_mask
    )
    seen = fused + decoder.prompt_cross_attn(normed, text, text, mask)[0]
    return seen.transpose(1, 2).unflatten(2, (GRID, GRID))


def windows(maps: Tensor, corners: Tensor, size: int, scale: int = 1) -> Tensor:
    """Cut a square of ``size * scale`` from each map ``(M, ..., H, W)``; ``corners`` int64 ``(M, 2)``: row, column."""
    cut = []
    for one, (top, left) in zip(maps, corners.tolist(), strict=True):
        rows, columns = top * scale, left * scale
        cut.append(one[..., rows : rows + size * scale, columns : columns + size * scale])
    return torch.stack(cut)


def window_corners(boxes: Tensor, size: int) -> Tensor:
    """Corners, int64 ``(M, 2)``, of token windows that hold the given boxes (``(M, 4)``), moved about at random."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 * GRID
    slack = (size - (boxes[:, 2:] - boxes[:, :2]) * GRID).clamp(min=0)
    start = centre - size / 2 + (torch.rand_like(centre) - 0.5) * slack
    return start.round().long().clamp(0, GRID - size).flip(-1)


def predict_masks(
    detector: Sam3LiteTextModel, backbone: Tensor, seen: Tensor, queries: Tensor
) -> tuple[Tensor, Tensor]:
    """Masks inside windows of ``w`` tokens.

    Args:
        detector: The model.
        backbone: Backbone output in the windows ``(M, HIDDEN, w, w)``.
        seen: `prompt_pixels` in the windows, same shape.
        queries: ``(M, Q, HIDDEN)``.

    Returns:
        Mask logits ``(M, Q, 4 w, 4 w)`` and semantic logits ``(M, 4 w, 4 w)``.
    """
    neck, decoder = detector.vision_encoder.neck, detector.mask_decoder
    pixels = decoder.pixel_decoder([neck.fpn_layers[0](backbone), neck.fpn_layers[1](backbone), seen])
    embedded = decoder.instance_projection(pixels)
    masks = torch.einsum("mqc,mchw->mqhw", decoder.mask_embedder(queries), embedded)
    return masks.float(), decoder.semantic_projection(pixels).float()[:, 0]


def prepare_decoder(detector: Sam3LiteTextModel) -> float:
    """Give the decoder a start from which it moves: references on a grid that attend to the inside of their boxes.

    Returns the remaining error of fitting the relative-position networks.
    """
    decoder = detector.detr_decoder
    side = int(QUERIES**0.5)
    steps = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    boxes = torch.stack([x, y, torch.full_like(x, 0.24), torch.full_like(x, 0.24)], -1).reshape(QUERIES, 4)
    with torch.no_grad():
        decoder.reference_points.weight.copy_(torch.logit(boxes))
        nn.init.normal_(decoder.query_embed.weight, 0, 0.5)
        nn.init.normal_(decoder.presence_token.weight, 0, 0.5)
        nn.init.zeros_(decoder.box_head.layer3.weight)
        nn.init.zeros_(decoder.box_head.layer3.bias)
        nn.init.normal_(detector.text_encoder.embeddings.token_embedding.weight, 0, 0.3)
    slopes = torch.tensor([6.0, 12.0, 20.0, 0.0])
    error = 0.0
    for network in (decoder.box_rpb_embed_x, decoder.box_rpb_embed_y):
        network.layer1.reset_parameters()
        optimiser = torch.optim.Adam(network.parameters(), 3e-3)
        for _ in range(500):
            point, centre, width = torch.rand(2048, 1), torch.rand(2048, 1), torch.rand(2048, 1) * 0.5 + 0.02
            low, high = point - (centre - width / 2), point - (centre + width / 2)
            bias = -(F.relu(-low) + F.relu(high)) * slopes
            scaled = torch.cat([low, high], 1) * 8
            loss = F.mse_loss(network(scaled.sign() * torch.log2(scaled.abs() + 1) / 3), bias)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        error = max(error, float(loss.detach()))
    return error


def centre_boxes(corners: Tensor) -> Tensor:
    """True boxes in the decoder's form."""
    return to_centres(corners).clamp(0.001, 0.999)
