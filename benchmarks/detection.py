"""What does a frame cost before it is tracked? Our detector beside `Sam3LiteTextModel.forward` on the same weights.

    python benchmarks/detection.py [--prompts 1 2 8 32] [--present 2] [--runs 7] [--threads 1] [--json]

Both look for the same prompts in the same frame of the demo's clip, in turns, with the embedded checkpoint on the CPU:
first the image encoder alone, then prompts of which so many are in the picture. Each side decodes all prompts in one
pass. Medians of the processor time of all threads, which other work on the machine does not lengthen. Their answers are
compared, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from docs.generate.markdown import table
from maskcast.picture import Image
from sources import open_source
from streaming.commands.demo import CLIP, MODEL
from trackers.detection.checkpoint import load_checkpoint
from trackers.detection.detector import MAX_PAIRS, Detector
from trackers.detection.preprocess import preprocess
from trackers.detection.text import TextEmbedding, TextEncoder

FRAME = 40
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
CPU = torch.device("cpu")


class Sides:
    """Both detectors on one checkpoint, and one picture."""

    def __init__(self) -> None:
        """Load the checkpoint."""
        checkpoint = load_checkpoint(MODEL)
        self._model: Any = checkpoint.detector
        self._text = TextEncoder(checkpoint, CPU, torch.float32)
        self._detector = Detector(checkpoint, CPU, torch.float32, nms_iou=0.0)
        source = open_source(str(CLIP), stream="clip")
        self._picture: Image = next(islice(iter(source), FRAME, None)).picture.rgb()
        source.close()
        self._pixels = preprocess([self._picture], self._detector.image_size, CPU, torch.float32)
        self._features, self._vision = self._detector.encode([self._picture]), self._seen()

    def _seen(self) -> Any:
        with torch.inference_mode():
            return self._model.vision_encoder(self._pixels)

    def encoders(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """The image encoder of the reference, and ours, pictures resized already."""
        encode = torch.inference_mode()(self._detector.encoder.encode)
        return self._seen, lambda: encode(self._pixels)

    def prompts(self, count: int, present: int) -> list[TextEmbedding]:
        """So many prompts, of which so many find something."""
        embedded = [self._text.embed(f"{colour} {shape}") for colour in COLOURS for shape in SHAPES]
        seen, unseen = [], []
        for embedding in embedded:
            (found,) = self._detector.detect(self._features, [[embedding]])
            (seen if len(found) else unseen).append(embedding)
        return [*seen[:present], *unseen][:count]

    def decoders(
        self, prompts: Sequence[TextEmbedding]
    ) -> tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]:
        """The reference's way from the encoded picture to scores and mask logits of what is found, and ours."""
        parts = [prompts[start : start + MAX_PAIRS] for start in range(0, len(prompts), MAX_PAIRS)]
        return lambda: _joined([self._reference(part) for part in parts]), lambda: self._ours(prompts)

    @torch.inference_mode()
    def _reference(self, prompts: Sequence[TextEmbedding]) -> tuple[Tensor, Tensor]:
        levels, positions = (
            tuple(level.expand(len(prompts), -1, -1, -1) for level in of)
            for of in (self._vision.fpn_hidden_states, self._vision.fpn_position_encoding)
        )
        output = self._model(
            vision_embeds=SimpleNamespace(
                fpn_hidden_states=levels, fpn_position_encoding=positions, hidden_states=None, attentions=None
            ),
            text_embeds=SimpleNamespace(pooler_output=torch.stack([prompt.features for prompt in prompts])),
            attention_mask=torch.stack([prompt.mask for prompt in prompts]),
        )
        scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
        found = scores > self._detector.score_threshold
        return scores[found], output.pred_masks[found]

    def _ours(self, prompts: Sequence[TextEmbedding]) -> list[Tensor]:
        (found,) = self._detector.detect(self._features, [prompts])
        return [found.scores, found.logits]


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


def medians(sides: Sequence[Callable[[], Any]], runs: int) -> list[float]:
    """Milliseconds of processor time of each, in turns."""
    spent: list[list[float]] = [[] for _ in sides]
    for run in range(runs + 1):
        for side, times in zip(sides, spent, strict=True):
            start = time.process_time()
            side()
            if run:  # the first is for warming up
                times.append(1e3 * (time.process_time() - start))
    return [statistics.median(times) for times in spent]


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 2, 8, 32])
    parser.add_argument("--present", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        sides = Sides()
        measured: list[dict[str, float]] = [_compared(sides.encoders(), arguments.runs)]
        for count in arguments.prompts:
            present = min(arguments.present, count)
            decoders = sides.decoders(sides.prompts(count, present))
            for theirs, ours in zip(*(decode() for decode in decoders), strict=True):
                torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
            measured.append({"prompts": count, "present": present, **_compared(decoders, arguments.runs)})
    rows = [
        (
            f"{one['prompts']}, of which {one['present']} are there" if "prompts" in one else "image encoder",
            *(f"{one[key]:.1f}" for key in ("reference", "ours", "ratio")),
        )
        for one in measured
    ]
    print(table(("prompts, ms", "Sam3LiteTextModel", "maskcast", "times as fast"), rows))
    if arguments.json:
        print(json.dumps({"benchmark": "detection", "threads": arguments.threads, "measured": measured}))


def _compared(sides: Sequence[Callable[[], Any]], runs: int) -> dict[str, float]:
    reference, ours = medians(sides, runs)
    return {"reference": round(reference, 2), "ours": round(ours, 2), "ratio": round(reference / ours, 2)}


if __name__ == "__main__":
    main()
