"""Stage 3: train the memory tracker on rendered clips, with the image encoder fixed."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from architecture import new_detector, new_tracker
from clip_batches import Pieces, clip_batches
from losses import mask_losses
from pretrain_encoder import backbone_features
from schedule import Averages, Clock, Optimiser, device_for, load, mixed_precision, save, trapezoid
from torch import Tensor, nn
from tracker_pass import FrameFeatures, Tracked, pyramid, track
from transformers import Sam3TrackerVideoModel
from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

_PRESENT_PIXELS, _DOUBTFUL_PIXELS = 40, 8
"""Pixels from which an object counts as present; below the second number it is absent, between them it is not asked."""
_FINE = ("fpn_layers.0.", "fpn_layers.1.")
"""The finest pyramid levels, which are the detector's unless ``--train-fine``."""
_EMA = 0.99
"""A run has some hundred steps; a longer average would still hold its beginning."""


class Tracker(nn.Module):
    """The trained parts."""

    def __init__(self, model: Sam3TrackerVideoModel, neck: Sam3VisionNeck) -> None:
        super().__init__()
        self.model, self.neck = model, neck


def clip_loss(result: Tracked, pieces: Pieces) -> tuple[Tensor, dict[str, float]]:
    """Mask loss where an object is present, presence loss in every frame; frame 0 counts a fifth."""
    entropy, dice, weights, presence_losses, overlaps, right = [], [], [], [], [], []
    for frame, prediction in enumerate(result.predictions):
        shown = pieces.pixels[frame]
        weight = (shown >= _PRESENT_PIXELS).float() * (0.2 if frame == 0 else 1.0)
        each_entropy, each_dice = mask_losses(prediction.masks, pieces.masks[frame])
        entropy.append(each_entropy * weight)
        dice.append(each_dice * weight)
        weights.append(weight)
        present = (shown >= _PRESENT_PIXELS).float()
        certain = ((shown >= _PRESENT_PIXELS) | (shown < _DOUBTFUL_PIXELS)).float()
        balance = torch.where(present > 0, 1.0, 3.0)
        if frame:  # The moment of return decides whether an object keeps its id.
            returned = (present > 0) & (pieces.pixels[frame - 1] < _PRESENT_PIXELS)
            balance = torch.where(returned, 4.0, balance)
        each = F.binary_cross_entropy_with_logits(prediction.presence, present, reduction="none")
        presence_losses.append((each * certain * balance).mean())
        if frame:
            hard, truth = prediction.masks > 0, pieces.masks[frame] > 0.5
            overlap = (hard & truth).flatten(1).sum(1) / (hard | truth).flatten(1).sum(1).clamp(min=1)
            overlaps.append((overlap * present).sum() / present.sum().clamp(min=1))
            right.append((((prediction.presence > 0) == (present > 0)) * certain).sum() / certain.sum().clamp(min=1))
    total = torch.stack(weights).sum().clamp(min=1)
    parts = {
        "entropy": 10 * torch.stack(entropy).sum() / total,
        "dice": 4 * torch.stack(dice).sum() / total,
        "presence": 2 * torch.stack(presence_losses).mean(),
    }
    figures = {name: float(value.detach()) for name, value in parts.items()}
    figures["iou"] = float(torch.stack(overlaps).mean())
    figures["iou_last"] = float(overlaps[-1])
    figures["presence_right"] = float(torch.stack(right).mean())
    return torch.stack(list(parts.values())).sum(), figures


def in_blocks(name: str) -> bool:
    """Whether Muon may train this parameter: matrices inside attention and feed-forward blocks."""
    return ".layers." in name and "neck" not in name and "hypernetworks" not in name


def _stretch_absence(rng: np.random.Generator, pieces: Pieces) -> list[int]:
    """How many frames each frame stands for: often more than one where some object is wholly hidden."""
    lasting = [1] * len(pieces.pixels)
    if rng.random() < 0.6:
        for frame in np.flatnonzero((pieces.pixels < _DOUBTFUL_PIXELS).any(1).cpu().numpy()).tolist():
            lasting[frame] = int(rng.integers(1, 6)) if frame else 1
    return lasting


def main() -> None:
    """Run or resume the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder with detector.pt; gets tracker.pt")
    parser.add_argument("--detector", default="detector.pt", help="whose image encoder and pyramid to use")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--flat", type=float, default=0.5, help="share of the time before the learning rate falls")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--short", type=int, default=3, help="frames of a piece at first")
    parser.add_argument("--long", type=int, default=8, help="frames of a piece later")
    parser.add_argument("--long-after", type=float, default=0.35, help="share of the time trained on short pieces")
    parser.add_argument("--own-after", type=float, default=0.25, help="share of the time with true masks only")
    parser.add_argument("--train-fine", action="store_true", help="also train the finest pyramid levels")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--restart-clock", action="store_true", help="continue from tracker.pt with a new time budget")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = device_for(options.device)
    detector = new_detector(options.seed)
    detector.load_state_dict(load(options.run / options.detector)["average"])
    detector.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
    trained = Tracker(new_tracker(options.seed), copy.deepcopy(detector.vision_encoder.neck).requires_grad_(True))
    path = options.run / "tracker.pt"
    state = load(path) if path.exists() else None
    if state:
        if not options.train_fine:  # Stage 2 may have gone on since.
            fine = {f"neck.{n}": v for n, v in trained.neck.state_dict().items() if n.startswith(_FINE)}
            state["tracker"] |= fine
            state["average"] |= fine
        trained.load_state_dict(state["tracker"])
    trained.neck.fpn_layers[3].requires_grad_(False)
    if not options.train_fine:
        trained.neck.fpn_layers[0].requires_grad_(False)
        trained.neck.fpn_layers[1].requires_grad_(False)
    trained.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(trained).requires_grad_(False)
    optimiser = Optimiser(trained.named_parameters(), muon=in_blocks)
    step, spent = 0, 0.0
    if state:
        average.load_state_dict(state["average"])
        step = int(state["step"])
        if not options.restart_clock:
            spent = float(state["spent"])
            optimiser.restore(state["optimiser"])
    first = step if options.restart_clock else 0
    clock, averages = Clock(options.minutes, spent), Averages()
    rng = np.random.default_rng(options.seed + step)
    scale = options.long // options.short
    short = clip_batches(options.seed + step, options.clips * scale, options.short, options.objects)
    long = clip_batches(options.seed + step + 1, options.clips, options.long, options.objects)

    def checkpoint() -> None:
        save(
            path,
            {
                "tracker": trained.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state(),
                "step": step,
                "spent": clock.spent,
            },
        )

    while clock.share < 1:
        is_long = clock.share >= options.long_after and rng.random() < 0.8
        pieces = next(long if is_long else short).to(device)
        frames, rows = pieces.masks.shape[:2]
        trust = min(max((clock.share - options.own_after) / 0.2, 0.0), 0.9)
        own = torch.rand(frames, rows, device=device) < trust
        conditioning = (
            frozenset(np.flatnonzero(rng.random(frames) < 0.15).tolist()) if rng.random() < 0.4 else frozenset()
        )
        lasting = _stretch_absence(rng, pieces)
        far = float(rng.exponential(60)) if rng.random() < 0.4 else 0.0
        known = int(rng.integers(2, 17)) if rng.random() < 0.3 else 16
        with mixed_precision(device):
            with torch.no_grad():
                backbone = backbone_features(detector, pieces.images.flatten(0, 1))
            whole = pyramid(trained.model, trained.neck, backbone, train_fine=options.train_fine)
            number = torch.arange(len(pieces.images), device=device) * frames
            features = [
                FrameFeatures(whole.coarse[number + f], (whole.fine[0][number + f], whole.fine[1][number + f])).rows(
                    pieces.clip
                )
                for f in range(frames)
            ]
            result = track(
                trained.model,
                features,
                pieces.first,
                pieces.masks,
                own=own,
                conditioning=conditioning,
                lasting=lasting,
                far=far,
                known=known,
            )
            loss, figures = clip_loss(result, pieces)
        rate = options.rate * trapezoid(clock.share, step - first, flat=options.flat, warm_up=30 if first else 100)
        figures["norm"] = optimiser.step(loss, rate, clip=1.0)
        averages.add({"loss": float(loss.detach()), "rows": float(rows), "long": float(is_long), **figures})
        step += 1
        keep = min(_EMA, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(trained.parameters()), 1 - keep)
        if step % 25 == 0:
            print(f"step {step} t {clock.spent:.0f} rate {rate:.1e} trust {trust:.2f} {averages.line()}", flush=True)
        if clock.rings(120):
            checkpoint()
    checkpoint()


if __name__ == "__main__":
    main()
