"""Stage 5: teach the finished tracker to answer clicks and boxes, and to track as before."""

from __future__ import annotations

import copy
import json

import numpy as np
import torch
from click_pass import ClickHeads, click_loss, free_decoder, pointing_loss
from click_score import click_cases, score_clicks
from click_sessions import Clicking, TrackedFrames
from clip_batches import clip_batches
from encoded_pictures import EncodedPictures, PairedScenes
from partial_training import PartialTraining, arguments, finished_model
from pretrain_encoder import backbone_features
from schedule import device_for, mixed_precision
from torch import Tensor
from tracker_pass import pyramid
from train_detector import RULES
from train_tracker import in_blocks


def main() -> None:
    """Run or resume the stage."""
    parser = arguments(__doc__, rate=1.5e-3, seed=15)
    parser.add_argument("--rows", type=int, default=20, help="clicked objects per step")
    parser.add_argument("--pointing", type=int, default=1000, help="steps at first without masks")
    parser.add_argument("--kept-rows", type=int, default=12, help="tracked frames whose answers must stay, per step")
    parser.add_argument("--keep", type=float, default=1.0, help="weight of what must stay")
    parser.add_argument("--pictures", type=int, default=2400, help="encoded pictures to keep")
    parser.add_argument("--frames", type=int, default=2400, help="tracked frames to keep")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = device_for(options.device)
    model = finished_model(options.model, device)
    tracker, neck = model.tracker_model, model.tracker_neck
    before = copy.deepcopy(tracker)
    free_decoder(tracker)
    heads = ClickHeads().to(device)
    training = PartialTraining(options.run / "clicks.pt", tracker, heads, in_blocks, options)

    def encode(images: Tensor) -> tuple[Tensor, ...]:
        levels = pyramid(before, neck, backbone_features(model.detector_model, images.to(device)), train_fine=False)
        return levels.coarse, *levels.fine

    scenes = PairedScenes(RULES, 8, training.seed, from_clips=0.3, pairs=0.3)
    pictures = EncodedPictures(iter(scenes), encode, options.pictures)
    pieces = clip_batches(training.seed, clips=2, length=8, objects=4)
    tracked = TrackedFrames(model, pieces, options.frames, training.seed)
    for _ in range(40):
        pictures.grow()
    for _ in range(10):
        tracked.grow(before)
    clicking = Clicking(np.random.default_rng(training.seed), pictures, tracked)
    cases = click_cases(120, 77)
    while True:
        if training.is_scored():
            with training.averaged():
                result = score_clicks(model, cases)
            print(f"SCORE step {training.step} t {training.clock.spent:.0f} {json.dumps(result)}", flush=True)
            training.checkpoint()
        if training.clock.share >= 1:
            break
        if training.step % 5 == 0:
            pictures.grow()
        if training.step % 25 == 0:
            tracked.grow(before)
        with mixed_precision(device):
            parts = (tracker, before, clicking, pictures, tracked, heads)
            sizes = {"rows": options.rows, "kept_rows": options.kept_rows}
            if training.step < options.pointing:
                loss, figures = pointing_loss(*parts, **sizes)
            else:
                loss, figures = click_loss(*parts, **sizes, keep=options.keep)
        training.learn(loss, figures)


if __name__ == "__main__":
    main()
