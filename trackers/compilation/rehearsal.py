"""One frame of nothing through all passes, with every kind of arguments that there will be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from maskcast.picture import Colour, Image, Planes
from trackers.detection.detector import Detector
from trackers.detection.image_encoder import ImageFeatures
from trackers.detection.text import TextEmbedding
from trackers.memory.propagation import Memories
from trackers.memory.tracker import MemoryTracker

# A score that every query has, so that the mask head is seen too.
ANY_SCORE = -1.0
SIDE = 64


class _Black:
    """A black picture; see `Picture`."""

    width = height = SIDE
    colour = Colour()

    def rgb(self) -> Image:
        return np.zeros((SIDE, SIDE, 3), np.uint8)

    def yuv420p(self) -> Planes:
        chroma = np.full((SIDE // 2, SIDE // 2), 128, np.uint8)
        return Planes(np.full((SIDE, SIDE), 16, np.uint8), chroma, chroma)


def rehearse_detector(detector: Detector, prompt: TextEmbedding) -> ImageFeatures:
    """Run the passes of the detector, and give what its image encoder says."""
    features = detector.encode([_Black().rgb()])
    threshold, detector.score_threshold = detector.score_threshold, ANY_SCORE
    try:
        detector.detect(features, [[prompt]])
    finally:
        detector.score_threshold = threshold
    return features


def rehearse_tracker(tracker: MemoryTracker, features: ImageFeatures) -> None:
    """Run the passes of the memory tracker, for one track."""
    propagation, encoder, device = tracker.propagation, tracker.encoder, tracker.device
    seen = propagation.tracker_features(features, [_Black()])
    frame = torch.zeros(1, dtype=torch.int64, device=device)
    for frames, pointers in propagation.widths:
        memories = Memories(
            spatial=torch.zeros(1, frames, *propagation.memory_shape, dtype=propagation.memory_dtype, device=device),
            place=torch.zeros(1, frames, dtype=torch.int64, device=device),
            pointers=torch.zeros(1, pointers, propagation.hidden, device=device),
            offset=torch.zeros(1, pointers, device=device),
            used=None,
        )
        used = torch.ones(1, frames + pointers, dtype=torch.bool, device=device)
        for kind in (memories, replace(memories, used=used)):
            propagation.propagate(seen, frame, kind)
    masks = torch.zeros(1, 1, *encoder.size, device=device)
    encoder.encode(seen, frame, masks, torch.ones(1, dtype=torch.bool, device=device))
