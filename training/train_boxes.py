"""Stage 4: teach the box encoder of a finished detector, all else fixed: phrases alone keep their answers exactly."""

from __future__ import annotations

import json

import numpy as np
import torch
from box_pass import example_loss, free_box_encoder, spelling_loss, words_of_kinds
from box_prompts import Album, show
from box_score import box_questions, score_boxes
from detector_pass import TrainingHeads
from encoded_pictures import EncodedPictures, PairedScenes
from partial_training import PartialTraining, arguments, finished_model
from pretrain_encoder import backbone_features
from prompts import build_tokenizer
from region_pooling import stand_in
from schedule import device_for, mixed_precision
from torch import Tensor, nn
from train_detector import RULES, in_blocks


def main() -> None:
    """Run or resume the stage."""
    parser = arguments(__doc__, rate=1e-3, seed=14)
    parser.add_argument("--rows", type=int, default=24, help="prompts per step")
    parser.add_argument("--spelling", type=int, default=600, help="steps at first that teach the words of kinds only")
    parser.add_argument("--mask-rows", type=int, default=2, help="rows with a mask loss, per step")
    parser.add_argument("--pictures", type=int, default=3000, help="encoded pictures to keep")
    options = parser.parse_args()

    stand_in()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = device_for(options.device)
    detector = finished_model(options.model, device).detector_model
    free_box_encoder(detector)
    training = PartialTraining(options.run / "boxes.pt", detector, nn.Module(), in_blocks, options)
    no_denoising, tokenizer = TrainingHeads().requires_grad_(False).to(device), build_tokenizer()
    words = words_of_kinds(detector, tokenizer)
    neck = detector.vision_encoder.neck

    def encode(images: Tensor) -> tuple[Tensor, ...]:
        backbone = backbone_features(detector, images.to(device))
        return neck.fpn_layers[2](backbone), backbone

    rng = np.random.default_rng(training.seed)
    scenes = PairedScenes(RULES, 8, training.seed, from_clips=0.25, pairs=0.5)
    pictures = EncodedPictures(iter(scenes), encode, options.pictures)
    for _ in range(60):
        pictures.grow()
    asked = box_questions(80, 77)
    while True:
        if training.is_scored():
            with training.averaged():
                result = score_boxes(detector, tokenizer, asked)
            print(f"SCORE step {training.step} t {training.clock.spent:.0f} {json.dumps(result)}", flush=True)
            training.checkpoint()
        if training.clock.share >= 1:
            break
        if training.step % 4 == 0:
            pictures.grow()
        spelling = training.step < options.spelling
        shown = show(rng, Album.of(pictures), options.rows * (2 if spelling else 1))
        with mixed_precision(device):
            if spelling:
                loss, figures = spelling_loss(detector, pictures, shown, words)
            else:
                loss, figures = example_loss(
                    detector, no_denoising, pictures, shown, tokenizer, words, mask_rows=options.mask_rows
                )
        training.learn(loss, figures)


if __name__ == "__main__":
    main()
