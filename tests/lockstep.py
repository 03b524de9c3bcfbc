"""The reference and our tracker on the same frames and detections, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray

from maskcast.picture import Image
from maskcast.result import Result
from tests import tiny
from tests.frames import frame
from tests.reference import Reference, ReferenceFrame
from trackers.detection.checkpoint import Checkpoint
from trackers.detection.detector import Detector
from trackers.detection.text import TextEncoder
from trackers.masks import upscale
from trackers.memory.tracker import MemoryState, MemoryTracker
from trackers.rules import Rules

PROMPTS = ("person", "a car")
CPU = torch.device("cpu")
Found = list[list[tuple[float, NDArray[np.float32]]]]


class Ours:
    """Our detector and memory tracker on a model, without an engine."""

    def __init__(
        self,
        video: Any,
        tokenizer: Any = None,
        rules: Rules | None = None,
        device: torch.device = CPU,
        dtype: torch.dtype = torch.float32,
        **changes: Any,
    ) -> None:
        checkpoint = Checkpoint(
            "test", "sam3_video", 0, uuid4().hex, video.detector_model, tokenizer or tiny.tokenizer(), video, ("test",)
        )
        self.rules = rules or Rules.reference(video.config, **changes)
        self.detector = Detector(
            checkpoint,
            device,
            dtype,
            score_threshold=self.rules.score_threshold_detection,
            nms_iou=self.rules.det_nms_thresh,
        )
        self.text = TextEncoder(checkpoint, device, dtype)
        self.tracker = MemoryTracker(video, device, dtype, self.rules)

    def step(
        self, states: Sequence[MemoryState], images: Sequence[Image], pts: float | None = None, *, looked: bool = True
    ) -> list[list[Result]]:
        """Advance each stream by one frame, at which the detector looks or not."""
        features = self.detector.encode(images)
        prompts = [[self.text.embed(prompt) for prompt in state.prompts if looked] for state in states]
        detections = [replace(found, looked=looked) for found in self.detector.detect(features, prompts)]
        frames = [frame(state.step, image, pts) for state, image in zip(states, images, strict=True)]
        return self.tracker.follow(states, frames, detections, features)


def scene(count: int, seed: int = 0) -> list[Image]:
    """Discs on a noisy ground: they enter, leave and cross."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 255, (96, 160, 3), dtype=np.uint8) // 3
    y, x = np.mgrid[:96, :160]
    discs = [
        (
            rng.uniform(-60, 200),
            rng.uniform(0, 96),
            *rng.uniform(-3, 3, 2),
            rng.integers(8, 24),
            rng.integers(60, 255, 3),
        )
        for _ in range(6)
    ]
    images = []
    for t in range(count):
        image = ground.copy()
        for cx, cy, vx, vy, radius, colour in discs:
            image[np.hypot(x - cx - vx * t, y - cy - vy * t) < radius] = colour
        images.append(image)
    return images


def blob(rng: np.random.Generator, size: int = 32) -> NDArray[np.float32]:
    """Mask logits of a disc somewhere."""
    y, x = np.mgrid[:size, :size]
    cy, cx = rng.uniform(4, size - 4, 2)
    return (3 * (rng.uniform(4, 9) - np.hypot(y - cy, x - cx))).astype(np.float32)


def invent(rng: np.random.Generator, last: ReferenceFrame | None, prompts: int, most: int) -> Found:
    """What a detector could find after frame `last`: most tracks again, a little moved, some twice, some not, some new.

    Args:
        rng: the source of chance.
        last: the reference's last answer.
        prompts: how many prompts there are.
        most: tracks from which on nothing new is found.
    """
    found: Found = [[] for _ in range(prompts)]
    masks = last.masks if last else {}
    for track, logits in masks.items():
        if (logits > 0).any() and rng.random() < 0.7:
            moved = np.roll(logits, tuple(rng.integers(-1, 2, 2)), (0, 1))
            found[last.prompts[track]].append((float(rng.uniform(0.5, 0.99)), np.ascontiguousarray(moved)))
            if rng.random() < 0.1:
                found[last.prompts[track]].append((float(rng.uniform(0.5, 0.99)), np.ascontiguousarray(logits)))
    for listed in found:
        if len(masks) < most and rng.random() < (0.2 if masks else 1.0):
            listed.append((float(rng.uniform(0.6, 0.99)), blob(rng)))
    return found


def compare(theirs: ReferenceFrame, ours: Result) -> float:
    """The least mask IoU of a frame; 0 if the ids differ. The reference counts from 0, we from 1."""
    size = (ours.frame.picture.height, ours.frame.picture.width)
    expected = {track + 1: upscale(logits, size) for track, logits in theirs.masks.items()}
    expected = {track: mask for track, mask in expected.items() if mask.area}
    if expected.keys() != {track.id for track in ours.tracks}:
        return 0.0
    worst = 1.0
    for track in ours.tracks:
        a, b = track.mask.full(), expected[track.id].full()
        worst = min(worst, np.count_nonzero(a & b) / np.count_nonzero(a | b))
    return worst


__all__ = ["CPU", "PROMPTS", "Ours", "Reference", "blob", "compare", "invent", "scene"]
