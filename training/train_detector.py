"""Stage 2: train the text-prompted detector on top of the image encoder of stage 1."""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch
from architecture import GRID, new_detector
from batches import scene_batches
from detection_losses import ask, detection_loss
from detection_score import questions, score_detector
from detector_pass import TrainingHeads, prepare_decoder
from prompts import build_tokenizer
from scenes import Rules
from schedule import Averages, Clock, Optimiser, device_for, load, mixed_precision, save, trapezoid

RULES = Rules(objects=(1, 6), size=(26.0, 96.0), occlusion=0.55)
"""A little harder than what the model is meant for."""
_EMA = 0.998


def in_encoder(name: str) -> bool:
    """Whether a parameter is one that stage 1 trains."""
    return name.startswith(("vision_encoder.backbone.", "vision_encoder.neck.fpn_layers.2."))


def in_blocks(name: str) -> bool:
    """Whether Muon may train this parameter: matrices inside transformer layers."""
    return ".layers." in name and not name.startswith("mask_decoder")


def main() -> None:
    """Run or resume the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder with encoder.pt; gets detector.pt")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--flat", type=float, default=0.5, help="share of the time before the learning rate falls")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=3)
    parser.add_argument("--whole-masks-after", type=float, default=0.75, help="share of the time trained on windows")
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--mask-rows", type=int, default=6, help="rows with a mask loss, per step, trained on windows")
    parser.add_argument("--whole-rows", type=int, default=4, help="the same, trained on whole masks")
    parser.add_argument(
        "--encoder-rate", type=float, default=0.0, help="relative learning rate of what stage 1 trained"
    )
    parser.add_argument("--evaluate-every", type=float, default=8, help="minutes")
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--restart-clock", action="store_true", help="continue from detector.pt with a new time budget")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = device_for(options.device)
    detector, heads = new_detector(options.seed), TrainingHeads()
    path = options.run / "detector.pt"
    state = load(path) if path.exists() else None
    encoder = load(options.run / "encoder.pt")["detector"]
    train_encoder = options.encoder_rate > 0
    if state:
        if not train_encoder:  # Stage 1 may have gone on since.
            newest = {name: value for name, value in encoder.items() if in_encoder(name)}
            state["detector"] |= newest
            state["average"] |= newest
        detector.load_state_dict(state["detector"])
        heads.load_state_dict(state["heads"])
    else:
        detector.load_state_dict(encoder)
        print(f"relative-position fit {prepare_decoder(detector):.3f}", flush=True)
    for name, parameter in detector.named_parameters():
        unused = name.startswith(("geometry_encoder", "vision_encoder.neck.fpn_layers.3", "text_encoder.projection"))
        if unused or (in_encoder(name) and not train_encoder):
            parameter.requires_grad_(False)
    detector.to(device, memory_format=torch.channels_last)
    heads.to(device)
    average = copy.deepcopy(detector).requires_grad_(False)
    if state:
        average.load_state_dict(state["average"])

    def factor(name: str) -> float:
        return options.encoder_rate if in_encoder(name) else 1.0

    optimiser = Optimiser([*detector.named_parameters(), *heads.named_parameters()], muon=in_blocks, factor=factor)
    step, spent, best = 0, 0.0, -1.0
    if state:
        step, best = int(state["step"]), float(state["best"])
        if not options.restart_clock:
            spent = float(state["spent"])
            optimiser.restore(state["optimiser"])
    first = step if options.restart_clock else 0
    clock = Clock(options.minutes, spent)
    averages, tokenizer = Averages(), build_tokenizer()
    rng = np.random.default_rng(options.seed + step)
    batches = scene_batches(RULES, options.batch, options.seed + step, from_clips=0.3)
    asked = questions(250, 77)
    next_score = clock.spent + options.evaluate_every * 60

    def checkpoint(target: Path) -> None:
        save(
            target,
            {
                "detector": detector.state_dict(),
                "average": average.state_dict(),
                "heads": heads.state_dict(),
                "optimiser": optimiser.state(),
                "step": step,
                "spent": clock.spent,
                "best": best,
            },
        )

    while True:
        done = clock.share >= 1
        if done or clock.spent > next_score:
            result = score_detector(average, tokenizer, asked)
            print(f"SCORE step {step} t {clock.spent:.0f} {json.dumps(result)}", flush=True)
            next_score = clock.spent + options.evaluate_every * 60
            if result["all"]["f1"] > best:
                best = result["all"]["f1"]
                checkpoint(options.run / "detector_best.pt")
            checkpoint(path)
        if done:
            break
        batch = next(batches).to(device)
        prompts = ask(rng, batch, options.prompts, tokenizer)
        whole = clock.share > options.whole_masks_after
        with mixed_precision(device):
            loss, figures = detection_loss(
                detector,
                heads,
                batch,
                prompts,
                window=GRID if whole else options.window,
                mask_rows=options.whole_rows if whole else options.mask_rows,
                train_encoder=train_encoder,
            )
        rate = options.rate * trapezoid(clock.share, step - first, flat=options.flat)
        figures["norm"] = optimiser.step(loss, rate, clip=2.0)
        averages.add({"loss": float(loss.detach()), **figures})
        step += 1
        keep = min(_EMA, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(detector.parameters()), 1 - keep)
            for kept, current in zip(average.buffers(), detector.buffers(), strict=True):
                kept.copy_(current)
        if step % 50 == 0:
            print(f"step {step} t {clock.spent:.0f} rate {rate:.1e} {averages.line()}", flush=True)
        if clock.rings(120):
            checkpoint(path)


if __name__ == "__main__":
    main()
