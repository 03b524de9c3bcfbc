"""The detector on prompts with boxes, for training: everything but the box encoder stays as it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from box_prompts import PADDING, Examples
from detection_losses import box_losses
from detector_pass import TrainingHeads, decode, predict_masks, prompt_pixels
from encoded_pictures import EncodedPictures
from losses import mask_losses, score_loss
from matching import match
from prompts import CONTEXT, VISUAL_TOKEN, Prompt, encode
from scenes import COLOURS, SHAPES
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Sam3LiteTextModel

COARSE, BACKBONE = 0, 1
"""Levels of the encoded pictures."""


def free_box_encoder(detector: Sam3LiteTextModel) -> dict[str, nn.Parameter]:
    """Fix the detector except for its box encoder and the word that stands for boxes; returns what may learn.

    Phrases without boxes therefore keep their outputs to the last bit.
    """
    detector.requires_grad_(False).eval()
    detector.geometry_encoder.requires_grad_(True)
    words = detector.text_encoder.embeddings.token_embedding.weight.requires_grad_(True)
    only = torch.zeros_like(words)
    only[VISUAL_TOKEN] = 1
    words.register_hook(lambda grad: grad * only)
    return {name: parameter for name, parameter in detector.named_parameters() if parameter.requires_grad}


def prompt_tokens(
    detector: Sam3LiteTextModel, coarse: Tensor, position: Tensor, ids: Tensor, attention: Tensor, shown: Examples
) -> tuple[Tensor, Tensor]:
    """Tokens of phrase and boxes ``(R, T, HIDDEN)`` and their mask, as `Sam3LiteTextModel.forward` joins them.

    Args:
        detector: The model.
        coarse: Features of the boxes' pictures ``(R, HIDDEN, GRID, GRID)``.
        position: Their position encoding, same shape.
        ids: int64 ``(R, CONTEXT)``.
        attention: int64 ``(R, CONTEXT)``.
        shown: The boxes.
    """
    text = detector.get_text_features(ids, attention).pooler_output
    tokens, mask = _box_tokens(detector, coarse, position, shown)
    return torch.cat([text, tokens], 1), torch.cat([attention.bool(), mask], 1)


@torch.no_grad()
def words_of_kinds(detector: Sam3LiteTextModel, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Tokens of the colour's and of the shape's word in "<colour> <shape>", ``(6, 6, 2, HIDDEN)``."""
    texts = [Prompt(colour, shape).text() for colour in range(len(COLOURS)) for shape in range(len(SHAPES))]
    device = next(detector.parameters()).device
    ids, attention = (torch.from_numpy(part).to(device) for part in encode(texts, tokenizer, CONTEXT))
    tokens = detector.get_text_features(ids, attention).pooler_output
    return tokens[:, 1:3].unflatten(0, (len(COLOURS), len(SHAPES)))


def word_loss(tokens: Tensor, shown: Examples, words: Tensor) -> Tensor:
    """How far the tokens of positive boxes are from the word of their colour, and the last one from their shape's.

    The detector knows these words. A box encoder that says them is understood at once.

    Args:
        tokens: Of the box encoder, ``(R, MOST_BOXES + 1, HIDDEN)``: the boxes, then its class token.
        shown: The prompts.
        words: Of `words_of_kinds`.
    """
    known = shown.kinds[:, 0] >= 0
    goal = words[shown.kinds[known, 0], shown.kinds[known, 1]]
    boxes = shown.labels[known] == 1
    colour = (tokens[known, :-1] - goal[:, :1]).pow(2).mean(-1)
    # The class token comes right after the boxes there are: the library packs both to the left.
    last = (shown.labels[known] != PADDING).sum(1)
    shape = (tokens[known, last] - goal[:, 1]).pow(2).mean(-1)
    loss: Tensor = ((colour * boxes).sum() / boxes.sum().clamp(min=1) + shape.mean()) / words.var()
    return loss


def spelling_loss(
    detector: Sam3LiteTextModel, pictures: EncodedPictures, shown: Examples, words: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """`word_loss` alone: without the detector behind it, a step costs a tenth."""
    shown = shown.to(pictures.device)
    coarse = pictures.features(COARSE, shown.source)
    position = detector.vision_encoder.neck.position_encoding(coarse.shape, coarse.device, torch.float32)
    loss = word_loss(_box_tokens(detector, coarse, position, shown)[0], shown, words)
    return loss, {"words": float(loss.detach())}


def _box_tokens(
    detector: Sam3LiteTextModel, coarse: Tensor, position: Tensor, shown: Examples
) -> tuple[Tensor, Tensor]:
    encoded = detector.geometry_encoder(
        box_embeddings=shown.boxes,
        box_mask=shown.labels != PADDING,
        box_labels=shown.labels.clamp(min=0),
        img_feats=(coarse,),
        img_pos_embeds=(position,),
    )
    return encoded.last_hidden_state, encoded.attention_mask


def example_loss(
    detector: Sam3LiteTextModel,
    heads: TrainingHeads,
    pictures: EncodedPictures,
    shown: Examples,
    tokenizer: PreTrainedTokenizerFast,
    words: Tensor,
    *,
    mask_rows: int,
) -> tuple[Tensor, dict[str, float]]:
    """The detector's objective on prompts with boxes; ``mask_rows`` of them get a mask loss."""
    neck, device, shown = detector.vision_encoder.neck, pictures.device, shown.to(pictures.device)
    ids, attention = (torch.from_numpy(part).to(device) for part in encode(shown.texts, tokenizer, CONTEXT))
    rows = len(shown.texts)
    fused_from = pictures.features(COARSE, shown.target)
    position = neck.position_encoding(fused_from.shape, fused_from.device, torch.float32)[:1].expand(rows, -1, -1, -1)
    coarse = pictures.features(COARSE, shown.source)
    text, text_mask = prompt_tokens(detector, coarse, position, ids, attention, shown)
    fused = detector.detr_encoder(
        vision_features=[fused_from], text_features=text, vision_pos_embeds=[position], text_mask=text_mask
    ).last_hidden_state
    flat = position.flatten(2).transpose(1, 2)
    decoded = decode(detector, heads, fused, flat, text, text_mask, fused.new_zeros(rows, 0, 4))

    boxes, wanted = pictures.truth.boxes[shown.target].to(device), shown.wanted
    present, total = wanted.any(1), wanted.sum().clamp(min=1).float()
    parts = dict.fromkeys(("score", "l1", "giou", "presence"), fused.new_zeros(()))
    parts["words"] = 0.5 * word_loss(text[:, CONTEXT:], shown, words)
    for layer in range(len(decoded.boxes)):
        weight = 1.0 if layer + 1 == len(decoded.boxes) else 0.5
        logits = decoded.logits[layer]
        pairs = match(logits, decoded.boxes[layer], boxes, wanted)
        target = torch.zeros_like(logits)
        target[pairs[0], pairs[1]] = 1
        distance, overlap = box_losses(decoded, layer, pairs, boxes)
        parts["score"] = parts["score"] + weight * 3 * score_loss(logits, target) / total
        parts["l1"] = parts["l1"] + weight * 5 * distance / total
        parts["giou"] = parts["giou"] + weight * 2 * overlap / total
        presence = F.binary_cross_entropy_with_logits(decoded.presence[layer], present.float())
        parts["presence"] = parts["presence"] + weight * 3 * presence

    used = pairs[0] < mask_rows
    if bool(used.any()):
        chosen = torch.arange(mask_rows)
        seen = prompt_pixels(detector, fused[chosen], text[chosen], text_mask[chosen])
        below = pictures.features(BACKBONE, shown.target[chosen])
        predicted, _ = predict_masks(detector, below, seen, decoded.hidden[-1][chosen])
        truth = pictures.truth.masks[shown.target[chosen]].to(device)
        row, query, place = (part[used] for part in pairs)
        entropy, dice = mask_losses(predicted[row, query], truth[row, place])
        parts["entropy"], parts["dice"] = 5 * entropy.mean(), 2 * dice.mean()

    figures = {name: float(value.detach()) for name, value in parts.items()}
    best = decoded.logits[-1].sigmoid() * decoded.presence[-1].sigmoid()[:, None]
    found = (best > 0.5).sum(1)
    figures["presence_right"] = float(((decoded.presence[-1] > 0) == present).float().mean())
    figures["count_right"] = float((found == wanted.sum(1)).float().mean())
    return torch.stack([value.float() for value in parts.values()]).sum(), figures
