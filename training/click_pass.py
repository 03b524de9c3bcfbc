"""Teaching clicks: the mask decoder learns to answer points and boxes, and to track exactly as before.

The decoder is one for both. What it answered on tracked frames and on mask-prompted ones before is kept as a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from architecture import GRID, HIDDEN, MASK
from click_sessions import Clicking, TrackedFrames
from clicks import CORNERS, Session
from encoded_pictures import EncodedPictures
from losses import mask_losses
from scenes import SIZE
from torch import Tensor, nn
from tracker_pass import FrameFeatures, Prediction, decode_masks, repeat_mask
from transformers import Sam3TrackerVideoModel

_FREE = (
    "prompt_encoder.point_embed",
    "no_memory_embedding",
    "mask_decoder.transformer.",
    "mask_decoder.output_hypernetworks_mlps.0.",
    "mask_decoder.upscale",
    "mask_decoder.mask_tokens",
)
FIRST_POINT = 4
"""Place of the first click among the decoder's tokens, after those for presence, quality and two masks."""


def free_decoder(tracker: Sam3TrackerVideoModel) -> dict[str, nn.Parameter]:
    """Fix the tracker except for the mask decoder and what only clicked frames use; returns what may learn."""
    tracker.requires_grad_(False).eval()
    free = {name: parameter for name, parameter in tracker.named_parameters() if name.startswith(_FREE)}
    for parameter in free.values():
        parameter.requires_grad_(True)
    return free


class ClickHeads(nn.Module):
    """Read-outs that exist only in training: what the click is on, and which image tokens lie on that object.

    They ask each layer for what the next one needs. Without them, the decoder takes long to look at the place of a
    click at all: tracking never asked it to.
    """

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.what = nn.ModuleList(nn.Linear(HIDDEN, 6 + 6 + 4) for _ in range(layers))
        self.where = nn.ModuleList(nn.Linear(HIDDEN, 1) for _ in range(layers))

    def loss(
        self, layers: list[tuple[Tensor, Tensor]], kinds: Tensor | None, boxes: Tensor | None, covered: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss of both read-outs.

        Args:
            layers: Of each layer of the decoder's transformer its tokens ``(R, 1, T, HIDDEN)`` and image tokens.
            kinds: Colour and shape ``(R, 2)`` of the clicked objects, ``boxes`` ``(R, 4)``; ``None`` for tracked ones.
            boxes: See ``kinds``.
            covered: Share of each image token that the object covers, ``(R, GRID²)``.
        """
        what, where = covered.new_zeros(()), covered.new_zeros(())
        for (tokens, image), read_what, read_where in zip(layers, self.what, self.where, strict=True):
            if kinds is not None and boxes is not None:
                read = read_what(tokens[:, 0, FIRST_POINT]).float()
                what = what + F.cross_entropy(read[:, :6], kinds[:, 0]) + F.cross_entropy(read[:, 6:12], kinds[:, 1])
                what = what + 4 * F.l1_loss(read[:, 12:], boxes)
            hit = read_where(image[:, 0])[..., 0].float()
            where = where + F.binary_cross_entropy_with_logits(hit, covered, pos_weight=covered.new_tensor(4.0))
        return what, where


def click_features(tracker: Sam3TrackerVideoModel, coarse: Tensor) -> Tensor:
    """Features of a frame on which a track starts with clicks, ``(R, HIDDEN, GRID, GRID)``: no memory yet."""
    return coarse + tracker.no_memory_embedding.reshape(1, HIDDEN, 1, 1)


def _given(sessions: list[Session], device: torch.device) -> tuple[Tensor, Tensor]:
    """Points ``(R, P, 2)`` and labels ``(R, P)`` of sessions with equally many."""
    points = torch.from_numpy(np.stack([np.stack(session.points) for session in sessions]))
    return points.to(device), torch.tensor([session.labels for session in sessions], device=device)


def _answer(
    tracker: Sam3TrackerVideoModel, pictures: EncodedPictures, tracked: TrackedFrames, sessions: list[Session]
) -> Prediction:
    rows = torch.tensor([session.row for session in sessions])
    points, labels = _given(sessions, pictures.device)
    if sessions[0].tracked:
        coarse, fine = tracked.features(rows)
    else:
        coarse = click_features(tracker, pictures.features(0, rows))
        fine = pictures.features(1, rows), pictures.features(2, rows)
    return decode_masks(tracker, coarse, fine, points=points, labels=labels)


def transform(
    tracker: Sam3TrackerVideoModel, features: Tensor, points: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """The mask decoder's transformer without what makes masks of it.

    Returns its tokens and image tokens, and both of each layer.
    """
    decoder = tracker.mask_decoder
    sparse, dense = tracker.prompt_encoder(
        input_points=points[:, None], input_labels=labels[:, None], input_boxes=None, input_masks=None
    )
    own = torch.cat([decoder.obj_score_token.weight, decoder.iou_token.weight, decoder.mask_tokens.weight])
    rows = len(features)
    with heard(tracker) as layers:
        tokens, image = decoder.transformer(
            point_embeddings=torch.cat([own.expand(rows, 1, -1, -1), sparse], 2),
            image_embeddings=features + dense,
            image_positional_embeddings=tracker.get_image_wide_positional_embeddings().repeat(rows, 1, 1, 1),
            attention_similarity=None,
        )
    return tokens, image, layers


@contextmanager
def heard(tracker: Sam3TrackerVideoModel) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect what each layer of the decoder's transformer says, for `ClickHeads`."""
    layers: list[tuple[Tensor, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, result: layers.append(result[:2]))
        for layer in tracker.mask_decoder.transformer.layers
    ]
    yield layers
    for hook in hooks:
        hook.remove()


def _read_out(
    heads: ClickHeads,
    layers: list[tuple[Tensor, Tensor]],
    pictures: EncodedPictures,
    sessions: list[Session],
    truth: Tensor,
) -> tuple[Tensor, Tensor]:
    covered = F.avg_pool2d(truth[:, None], MASK // GRID).flatten(1)
    if sessions[0].tracked:
        return heads.loss(layers, None, None, covered)
    number, place = torch.tensor([s.row for s in sessions]), torch.tensor([s.place for s in sessions])
    kinds, boxes = pictures.truth.kinds[number, place], pictures.truth.boxes[number, place]
    return heads.loss(layers, kinds.to(pictures.device), boxes.to(pictures.device), covered)


def pointing_loss(
    tracker: Sam3TrackerVideoModel,
    before: Sam3TrackerVideoModel,
    clicking: Clicking,
    pictures: EncodedPictures,
    tracked: TrackedFrames,
    heads: ClickHeads,
    *,
    rows: int,
    kept_rows: int,
) -> tuple[Tensor, dict[str, float]]:
    """Read-outs of clicks alone, and what the transformer says on tracked frames: a third of a step's work."""
    sessions = clicking.first(rows)
    coarse = click_features(tracker, pictures.features(0, torch.tensor([session.row for session in sessions])))
    layers = transform(tracker, coarse, *_given(sessions, pictures.device))[2]
    truth = torch.stack([clicking.truth(session) for session in sessions]).to(pictures.device)
    what, where = _read_out(heads, layers, pictures, sessions, truth)
    features = tracked.features(torch.randint(tracked.count, (kept_rows,)))[0]
    labels = torch.full((kept_rows, 1), -1, device=pictures.device)
    nothing = features.new_zeros(kept_rows, 1, 2), labels
    with torch.no_grad():
        goal = transform(before, features, *nothing)[:2]
    mine = transform(tracker, features, *nothing)[:2]
    kept = torch.stack([F.mse_loss(m.float(), g.float()) / g.float().var() for m, g in zip(mine, goal, strict=True)])
    parts = {"what": what, "where": where, "kept": 4 * kept.sum()}
    return torch.stack(list(parts.values())).sum(), {name: float(part.detach()) for name, part in parts.items()}


def overlap(masks: Tensor, truth: Tensor) -> Tensor:
    """IoU of pairs of boolean masks ``(R, H, W)``."""
    return (masks & truth).flatten(1).sum(1) / (masks | truth).flatten(1).sum(1).clamp(min=1)


def click_loss(
    tracker: Sam3TrackerVideoModel,
    before: Sam3TrackerVideoModel,
    clicking: Clicking,
    pictures: EncodedPictures,
    tracked: TrackedFrames,
    heads: ClickHeads,
    *,
    rows: int,
    kept_rows: int,
    keep: float,
) -> tuple[Tensor, dict[str, float]]:
    """The objective: masks and presence of clicked objects, and what must stay as it was.

    Args:
        tracker: The model that learns.
        before: The model of the beginning.
        clicking: Source of click sessions.
        pictures: Encoded pictures.
        tracked: Frames with the answers of the beginning.
        heads: Training-only parts.
        rows: Clicked objects.
        kept_rows: Tracked frames, and a third of that many mask-prompted ones, on which answers must stay.
        keep: Weight of the latter.
    """
    sessions = clicking.next(rows)
    with heard(tracker) as layers:
        answer = _answer(tracker, pictures, tracked, sessions)
    truth = torch.stack([clicking.truth(session) for session in sessions]).to(pictures.device)
    entropy, dice = mask_losses(answer.masks, truth)
    present = F.binary_cross_entropy_with_logits(answer.presence, torch.ones_like(answer.presence))
    parts = {"entropy": 10 * entropy.mean(), "dice": 4 * dice.mean(), "presence": present}

    parts["what"], parts["where"] = _read_out(heads, layers, pictures, sessions, truth)

    few = [session for session in sessions if not session.tracked][: max(kept_rows // 3, 1)]
    pointer_scale = tracked.pointer[: tracked.count].var().clamp(min=1e-4)
    if few:  # A click and a mask of the same object leave the same pointer; a mask leaves the one of before.
        number = torch.tensor([session.row for session in few])
        fine = pictures.features(1, number), pictures.features(2, number)
        features = FrameFeatures(pictures.features(0, number), fine)
        whole = F.interpolate(truth[: len(few), None], (SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0]
        with torch.no_grad():
            goal = repeat_mask(before, features, (whole > 0.5).float()).pointer.float()
        mine = repeat_mask(tracker, features, (whole > 0.5).float()).pointer.float()
        parts["pointer"] = F.mse_loss(answer.pointer[: len(few)].float(), goal) / pointer_scale
        parts["kept_start"] = keep * F.mse_loss(mine, goal) / pointer_scale

    chosen = torch.randint(tracked.count, (kept_rows,))
    again = decode_masks(tracker, *tracked.features(chosen))
    old, limit = tracked.masks[chosen].float(), 8.0
    shown = tracked.presence[chosen] > -1
    near = F.smooth_l1_loss(again.masks.clamp(-limit, limit), old.clamp(-limit, limit), reduction="none").mean((1, 2))
    sure = F.binary_cross_entropy_with_logits(again.masks, old.sigmoid(), reduction="none")
    sure = sure - F.binary_cross_entropy_with_logits(old, old.sigmoid(), reduction="none")
    each = near + 20 * sure.mean((1, 2))
    parts["kept_masks"] = keep * (each * shown).sum() / shown.sum().clamp(min=1)
    parts["kept_pointer"] = keep * F.mse_loss(again.pointer.float(), tracked.pointer[chosen]) / pointer_scale
    drift = again.presence.clamp(-6, 6) - tracked.presence[chosen].clamp(-6, 6)
    parts["kept_presence"] = keep * 0.2 * drift.pow(2).mean()

    figures = {name: float(value.detach()) for name, value in parts.items()}
    masks = answer.masks.detach() > 0
    exact = overlap(masks, truth > 0.5)
    points = len(sessions[0].points)
    name = f"iou_{'tracked' if sessions[0].tracked else 'box' if CORNERS[0] in sessions[0].labels else points}"
    figures[name] = float(exact.mean())
    figures["kept_iou"] = float(overlap(again.masks[shown] > 0, old[shown] > 0).mean())
    figures["kept_sign"] = float(((again.presence > 0) == (tracked.presence[chosen] > 0)).float().mean())
    clicking.go_on(sessions, masks.cpu().numpy())
    return torch.stack([value.float() for value in parts.values()]).sum(), figures
