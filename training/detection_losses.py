"""The detector's training objective on one batch of pictures and prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from architecture import GRID, MASK, QUERIES
from batches import Batch
from detector_pass import (
    Decoded,
    TrainingHeads,
    centre_boxes,
    decode,
    noisy_boxes,
    predict_masks,
    prompt_pixels,
    window_corners,
    windows,
)
from losses import mask_losses, score_loss
from matching import generalised_iou, match, to_corners
from pretrain_encoder import backbone_features, token_centres
from prompts import CONTEXT, encode, random_prompt
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Sam3LiteTextModel

_SCALE = MASK // GRID


@dataclass(frozen=True)
class Prompts:
    """``K`` prompts for each of ``B`` pictures, flattened to ``R = B * K`` rows."""

    ids: Tensor
    """int64 ``(R, T)``."""
    attention: Tensor
    """int64 ``(R, T)``."""
    wanted: Tensor
    """bool ``(R, N)``: the objects that answer."""


def ask(rng: np.random.Generator, batch: Batch, count: int, tokenizer: PreTrainedTokenizerFast) -> Prompts:
    """Make up ``count`` prompts about each picture."""
    texts: list[str] = []
    wanted = np.zeros((len(batch.images) * count, batch.valid.shape[1]), bool)
    all_kinds, all_valid = batch.kinds.cpu().numpy(), batch.valid.cpu().numpy()
    for index, (kinds, valid) in enumerate(zip(all_kinds, all_valid, strict=True)):
        places = np.flatnonzero(valid)
        present = [(int(kinds[place, 0]), int(kinds[place, 1])) for place in places]
        for number in range(count):
            prompt = random_prompt(rng, present)
            texts.append(prompt.random_text(rng))
            wanted[index * count + number, places] = [prompt.matches(kind) for kind in present]
    # One batch in four is padded to twice the context, as the library's processor does to every prompt.
    ids, attention = encode(texts, tokenizer, CONTEXT if rng.random() < 0.75 else 2 * CONTEXT)
    device = batch.images.device
    return Prompts(*(torch.from_numpy(part).to(device) for part in (ids, attention, wanted)))


def box_losses(
    decoded: Decoded, layer: int, pairs: tuple[Tensor, Tensor, Tensor], boxes: Tensor
) -> tuple[Tensor, Tensor]:
    """Summed L1 and GIoU loss of one layer's matched boxes; ``boxes`` are true corners ``(R, N, 4)``."""
    rows, queries, objects = pairs
    predicted, truth = decoded.boxes[layer][rows, queries], boxes[rows, objects]
    distance = (predicted - centre_boxes(truth)).abs().sum()
    overlap = generalised_iou(to_corners(predicted), truth)
    return distance, (1 - overlap).sum()


def _token_loss(heads: TrainingHeads, fused: Tensor, batch: Batch, wanted: Tensor, picture: Tensor) -> Tensor:
    """Read-out of the fused tokens: is this token on a wanted object, and where is that object's box."""
    best, owner = batch.coverage.flatten(2).max(1)
    hit = (torch.gather(wanted, 1, owner[picture]) & (best > 0.25)[picture]).float()
    boxes = torch.gather(batch.boxes, 1, owner[..., None].expand(-1, -1, 4))
    centres = token_centres(fused.device)
    edges = (torch.cat([boxes[..., :2] - centres, boxes[..., 2:] - centres], -1) * 4)[picture]
    read = heads.token(fused).float()
    weight = torch.tensor(3.0, device=fused.device)
    loss = 2 * F.binary_cross_entropy_with_logits(read[..., 0], hit, pos_weight=weight)
    return loss + ((read[..., 1:] - edges).abs().mean(-1) * hit).sum() / hit.sum().clamp(min=1)


def detection_loss(
    detector: Sam3LiteTextModel,
    heads: TrainingHeads,
    batch: Batch,
    prompts: Prompts,
    *,
    window: int,
    mask_rows: int,
    train_encoder: bool,
) -> tuple[Tensor, dict[str, float]]:
    """The objective and its parts.

    Args:
        detector: The model.
        heads: Training-only parts.
        batch: Pictures and truth.
        prompts: The rows.
        window: Side of the mask windows, tokens; ``GRID`` for whole masks.
        mask_rows: How many rows get a mask loss (each from another picture while there are enough).
        train_encoder: Whether gradients reach the image encoder.
    """
    count = len(prompts.ids) // len(batch.images)
    rows = torch.arange(len(prompts.ids), device=batch.images.device)
    picture = rows // count
    boxes, valid, wanted = batch.boxes[picture], batch.valid[picture], prompts.wanted
    present, text_mask = wanted.any(1), prompts.attention.bool()

    neck = detector.vision_encoder.neck
    with torch.set_grad_enabled(train_encoder):
        backbone = backbone_features(detector, batch.images)
        coarse = neck.fpn_layers[2](backbone)
    position = neck.position_encoding(coarse.shape, coarse.device, torch.float32)[:1].expand(len(rows), -1, -1, -1)
    text = detector.get_text_features(prompts.ids, prompts.attention).pooler_output
    fused = detector.detr_encoder(
        vision_features=[coarse[picture]], text_features=text, vision_pos_embeds=[position], text_mask=text_mask
    ).last_hidden_state
    noisy = noisy_boxes(centre_boxes(boxes), valid)
    places = boxes.shape[1]
    flat_position = position.flatten(2).transpose(1, 2)
    decoded = decode(detector, heads, fused, flat_position, text, text_mask, noisy)

    total = wanted.sum().clamp(min=1).float()
    noisy_wanted, noisy_valid = torch.cat([wanted, wanted], 1), torch.cat([valid, valid], 1)
    zero = fused.new_zeros(())
    parts = dict.fromkeys(("score", "l1", "giou", "presence"), zero)
    for layer in range(len(decoded.boxes)):
        logits = decoded.logits[layer]
        pairs = match(logits[:, :QUERIES], decoded.boxes[layer][:, :QUERIES], boxes, wanted)
        target = torch.zeros_like(logits[:, :QUERIES])
        target[pairs[0], pairs[1]] = 1
        noisy_score = score_loss(logits[:, QUERIES:][noisy_valid], noisy_wanted[noisy_valid].float())
        parts["score"] = parts["score"] + 2 * (score_loss(logits[:, :QUERIES], target) + 0.25 * noisy_score) / total
        distance, overlap = box_losses(decoded, layer, pairs, boxes)
        parts["l1"] = parts["l1"] + 5 * distance / total
        parts["giou"] = parts["giou"] + 2 * overlap / total
        presence = F.binary_cross_entropy_with_logits(decoded.presence[layer], present.float())
        parts["presence"] = parts["presence"] + 2 * presence
    parts["token"] = _token_loss(heads, fused, batch, wanted, picture)

    # Rows with many objects first: a row costs the same however many masks it teaches.
    worth = wanted.sum(1).clamp(max=4) * 0.7 + present.float() + torch.rand(len(rows), device=rows.device) * 1.5
    order = worth.view(-1, count).argsort(1, descending=True)
    ranked = (order + torch.arange(len(batch.images), device=rows.device)[:, None] * count).T.flatten()
    chosen = ranked[:mask_rows]
    focus = (wanted[chosen].float() * 2 + valid[chosen] + torch.rand(len(chosen), places, device=rows.device)).argmax(1)
    corners = window_corners(boxes[chosen, focus], window)
    seen = windows(prompt_pixels(detector, fused[chosen], text[chosen], text_mask[chosen]), corners, window)
    queries = torch.cat([decoded.hidden[-1][chosen], decoded.hidden[-2][chosen][:, :QUERIES]], 1)
    below = windows(backbone[picture[chosen]], corners, window)
    predicted, semantic = predict_masks(detector, below, seen, queries)
    truth = windows(batch.masks[picture[chosen]], corners, window, _SCALE)
    visible = truth.flatten(2).sum(2) > 4

    slot = torch.full((len(rows),), -1, device=rows.device)
    slot[chosen] = torch.arange(len(chosen), device=rows.device)
    of_pair = slot[pairs[0]]
    used = of_pair >= 0
    first = of_pair[used], pairs[1][used], pairs[2][used]
    copies = queries.shape[1] - QUERIES
    noisy_slot, noisy_place = (noisy_wanted[chosen][:, :places]).nonzero(as_tuple=True)
    index = [
        torch.cat([first[0], first[0], noisy_slot]),
        torch.cat([first[1], first[1] + copies, noisy_place + QUERIES]),
        torch.cat([first[2], first[2], noisy_place]),
    ]
    shown = visible[index[0], index[2]]
    entropy = dice = zero
    if bool(shown.any()):
        index = [part[shown] for part in index]
        each_entropy, each_dice = mask_losses(predicted[index[0], index[1]], truth[index[0], index[2]])
        entropy, dice = each_entropy.mean(), each_dice.mean()
    parts["entropy"], parts["dice"] = 10 * entropy, 4 * dice
    semantic_truth = (truth * wanted[chosen][:, :, None, None]).sum(1).clamp(max=1)
    each_entropy, each_dice = mask_losses(semantic, semantic_truth)
    there = (semantic_truth.flatten(1).sum(1) > 4).float()
    parts["semantic"] = 3 * each_entropy.mean() + 0.5 * (each_dice * there).sum() / there.sum().clamp(min=1)

    figures = {name: float(value.detach()) for name, value in parts.items()}
    figures["presence_right"] = ((decoded.presence[-1] > 0) == present).float().mean().item()
    figures["noisy_right"] = ((decoded.logits[-1][:, QUERIES:] > 0) == noisy_wanted)[noisy_valid].float().mean().item()
    figures["box_iou"] = 1 - float(overlap.detach() / max(len(pairs[0]), 1))
    loss = torch.stack([value.float() for value in parts.values()]).sum()
    return loss, figures
