"""Stage 1: teach the image encoder colours, shapes and outlines with dense targets, before any transformer decodes.

Every image token learns whether it lies on an object, which colour and shape that object is, where its box is, and
which of the 16 mask pixels under the token belong to it. Rendered truth makes this a strong signal; a DETR loss
alone moves an untrained encoder too slowly for a CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from architecture import GRID, HIDDEN, MASK, new_detector, reset_weights
from batches import Batch, pixels, scene_batches
from scenes import Rules
from schedule import Averages, Clock, Optimiser, device_for, load, mixed_precision, save, trapezoid
from torch import Tensor, nn
from transformers import Sam3LiteTextModel

CROWDED = Rules(objects=(3, 8), size=(26.0, 92.0), occlusion=0.4)
"""Many objects a picture: more truth for the same work."""
_SUB = MASK // GRID


class DenseHeads(nn.Module):
    """Per-token read-outs; without normalisation, so that the features keep a scale of about 1."""

    def __init__(self) -> None:
        super().__init__()
        self.kind = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1 + 6 + 6 + 4))
        self.mask = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, _SUB * _SUB))
        reset_weights(self)


def backbone_features(detector: Sam3LiteTextModel, images: Tensor) -> Tensor:
    """Output of the image encoder's blocks, ``(B, HIDDEN, GRID, GRID)``."""
    hidden = detector.vision_encoder.backbone(pixels(images)).last_hidden_state
    return hidden.view(len(images), GRID, GRID, HIDDEN).permute(0, 3, 1, 2)


def token_centres(device: torch.device) -> Tensor:
    """Centres of the image tokens, ``(GRID * GRID, 2)`` as x, y shares of the side."""
    centres = (torch.arange(GRID, device=device) + 0.5) / GRID
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def dense_loss(heads: DenseHeads, features: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Loss of the read-outs on ``features`` (``(B, HIDDEN, GRID, GRID)``) and its parts."""
    tokens = features.flatten(2).transpose(1, 2)
    kind, mask = heads.kind(tokens).float(), heads.mask(tokens).float()
    best, owner = batch.coverage.flatten(2).max(1)
    on_object = (best > 0.25).float()
    touched = (best > 0.02).float()
    count, touched_count = on_object.sum().clamp(min=1), touched.sum().clamp(min=1)
    colour, shape = torch.gather(batch.kinds, 1, owner[..., None].expand(-1, -1, 2)).unbind(-1)
    boxes = torch.gather(batch.boxes, 1, owner[..., None].expand(-1, -1, 4))
    centres = token_centres(features.device)
    edges = torch.cat([boxes[..., :2] - centres, boxes[..., 2:] - centres], -1) * 4
    sub = batch.masks.unflatten(-1, (GRID, _SUB)).unflatten(-3, (GRID, _SUB))
    sub = sub.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).flatten(-2)
    sub = torch.gather(sub, 2, owner[..., None, None].expand(-1, -1, 1, _SUB * _SUB))[:, :, 0]

    object_loss = F.binary_cross_entropy_with_logits(kind[..., 0], on_object)
    colour_loss = (F.cross_entropy(kind[..., 1:7].transpose(1, 2), colour, reduction="none") * on_object).sum() / count
    shape_loss = (F.cross_entropy(kind[..., 7:13].transpose(1, 2), shape, reduction="none") * on_object).sum() / count
    box_loss = ((kind[..., 13:] - edges).abs().mean(-1) * on_object).sum() / count
    mask_loss = F.binary_cross_entropy_with_logits(mask, sub, reduction="none").mean(-1)
    mask_loss = (mask_loss * touched).sum() / touched_count
    scale = features.float().pow(2).mean()
    loss = 2 * object_loss + colour_loss + 2 * shape_loss + box_loss + 3 * mask_loss + 0.05 * F.relu(scale - 1)
    right = ((kind[..., 1:7].argmax(-1) == colour) * on_object).sum() / count
    right_shape = ((kind[..., 7:13].argmax(-1) == shape) * on_object).sum() / count
    figures = {
        "object": object_loss.item(),
        "colour": colour_loss.item(),
        "shape": shape_loss.item(),
        "box": box_loss.item(),
        "mask": mask_loss.item(),
        "scale": scale.item() ** 0.5,
        "colour_right": right.item(),
        "shape_right": right_shape.item(),
    }
    return loss, figures


def in_blocks(name: str) -> bool:
    """Whether Muon may train this parameter: the matrices inside the image encoder's blocks."""
    return "backbone.layers" in name


def main() -> None:
    """Run or resume the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder for logs and checkpoints")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    device = device_for(options.device)
    detector = new_detector(options.seed)
    heads = DenseHeads()
    path = options.run / "encoder.pt"
    state = load(path) if path.exists() else None
    if state:
        detector.load_state_dict(state["detector"])
        heads.load_state_dict(state["heads"])
    detector.to(device, memory_format=torch.channels_last)
    heads.to(device)
    named = [(n, p) for n, p in detector.named_parameters() if "backbone" in n or "fpn_layers.2" in n]
    optimiser = Optimiser([*named, *heads.named_parameters()], muon=in_blocks)
    step = 0
    if state:
        optimiser.restore(state["optimiser"])
        step = int(state["step"])
    clock = Clock(options.minutes, state["spent"] if state else 0.0)
    averages = Averages()
    batches = scene_batches(CROWDED, options.batch, options.seed + step)

    def checkpoint() -> None:
        save(
            path,
            {
                "detector": detector.state_dict(),
                "heads": heads.state_dict(),
                "optimiser": optimiser.state(),
                "step": step,
                "spent": clock.spent,
            },
        )

    while clock.share < 1:
        batch = next(batches).to(device)
        with mixed_precision(device):
            features = detector.vision_encoder.neck.fpn_layers[2](backbone_features(detector, batch.images))
            loss, figures = dense_loss(heads, features, batch)
        rate = options.rate * trapezoid(clock.share, step)
        figures["norm"] = optimiser.step(loss, rate, clip=1.0)
        averages.add(figures)
        step += 1
        if step % 50 == 0:
            print(f"step {step} images {step * options.batch} t {clock.spent:.0f} {averages.line()}", flush=True)
        if clock.rings(120):
            checkpoint()
    checkpoint()


if __name__ == "__main__":
    main()
