"""Whether a checkpoint answers as the published one: its scores and boxes beside those known of two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from maskcast.errors import UsageError
from maskcast.picture import Image
from trackers.defaults import ContextTokens
from trackers.detection.checkpoint import Checkpoint
from trackers.detection.detector import Detector
from trackers.detection.text import TextEncoder
from trackers.device_errors import device_error

# Other decoders of JPEG, other processors and precisions move a score and a box by less. The reference's own test
# takes 1e-4.
SCORE_TOLERANCE, LEAST_BOX_IOU = 0.02, 0.95


@dataclass(frozen=True)
class Question:
    """A phrase to look for in a picture.

    Attributes:
        picture: name of the file.
        phrase: what to look for.
        threshold: matches must score above it.
    """

    picture: str
    phrase: str
    threshold: float


@dataclass(frozen=True)
class Match:
    """One match.

    Attributes:
        score: in [0, 1].
        box: left, top, right, bottom, in pixels of the picture.
    """

    score: float
    box: tuple[float, float, float, float]


# Of COCO's validation set of 2017.
QUESTIONS = (Question("000000077595.jpg", "ear", 0.5), Question("000000136466.jpg", "dial", 0.3))

# `tests/models/sam3_lite_text/test_modeling_sam3_lite_text.py` of Transformers, with prompts of 32 tokens: of the
# queries above the threshold the first, which need not be the best.
KNOWN: dict[str, tuple[Match, ...]] = {
    "vil-uob/sam3-litetext-s0": (
        Match(0.9137, (402.36, 90.16, 459.67, 156.52)),
        Match(0.5882, (110.6558, 271.1691, 137.3885, 301.4023)),
    )
}


def answers(
    checkpoint: Checkpoint, device: torch.device, pictures: Sequence[Image], known: Sequence[Match | None]
) -> dict[int, list[Match | None]]:
    """What a checkpoint finds for each of `QUESTIONS`, by the length of the prompt's context.

    Args:
        checkpoint: its detector is moved to the device and computes in float32.
        device: where.
        pictures: ``(H, W, 3)`` uint8 RGB, one a question.
        known: for each question the match that is looked for, of which the one with the nearest box is taken; None for
            the one with the highest score.

    Returns:
        For each context that the checkpoint can read a match a question, None where nothing was found.

    Raises:
        UsageError: it cannot read the phrases.
        ModelError: the device failed, such as for want of memory.
    """
    try:
        return _answers(checkpoint, device, pictures, known)
    except RuntimeError as error:
        raise device_error(device, torch.float32, error) from error


def _answers(
    checkpoint: Checkpoint, device: torch.device, pictures: Sequence[Image], known: Sequence[Match | None]
) -> dict[int, list[Match | None]]:
    detector = Detector(checkpoint, device, torch.float32)
    encoded = [detector.encode([picture]) for picture in pictures]
    found: dict[int, list[Match | None]] = {}
    for context in get_args(ContextTokens):
        variant = replace(checkpoint, context_tokens=context)
        try:
            length = variant.context_length
        except UsageError:
            continue
        if length in found:
            continue
        text = TextEncoder(variant, device, torch.float32)
        found[length] = []
        for question, features, picture, match in zip(QUESTIONS, encoded, pictures, known, strict=True):
            scores, boxes = detector.matches(features, text.embed(question.phrase), question.threshold)
            boxes = boxes * np.tile(picture.shape[1::-1], 2)
            found[length].append(_chosen(scores, boxes, match))
    return found


def _chosen(scores: NDArray[np.float32], boxes: NDArray[np.float32], known: Match | None) -> Match | None:
    if len(scores) == 0:
        return None
    best = scores.argmax() if known is None else np.argmax([box_iou(tuple(box), known.box) for box in boxes])
    left, top, right, bottom = (float(side) for side in boxes[best])
    return Match(float(scores[best]), (left, top, right, bottom))


def box_iou(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes: left, top, right, bottom."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    union = sum(areas) - width * height
    return width * height / union if union > 0 else 0.0


def fits(found: Match | None, known: Match) -> bool:
    """Whether a match is the known one, within the tolerances above."""
    near = found is not None and abs(found.score - known.score) <= SCORE_TOLERANCE
    return near and found is not None and box_iou(found.box, known.box) >= LEAST_BOX_IOU


def distance(found: Match | None, known: Match) -> float:
    """How far a match is from the known one: 0 for the same, 2 for nothing alike."""
    return 2.0 if found is None else abs(found.score - known.score) + 1 - box_iou(found.box, known.box)
