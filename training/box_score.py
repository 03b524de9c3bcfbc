"""Scores a detector on prompts with boxes, on freshly rendered pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from batches import FEWEST_PIXELS, pixels
from box_prompts import drawn, look_alikes
from detection_score import Tally, answers, judge
from encoded_pictures import has_pair
from losses import mask_iou
from matching import to_centres
from numpy.typing import NDArray
from prompts import VISUAL, Kind, Prompt, encode
from scenes import SIZE, Image, Rules, Scene, render_scene
from torch import nn
from transformers import PreTrainedTokenizerFast

RULES = Rules(objects=(3, 6), confusing=0.8)
"""The scenes of the detection table, with more look-alikes in them."""


@dataclass(frozen=True)
class BoxQuestion:
    """A picture, a prompt with one box, and the masks that answer it."""

    form: str
    image: Image
    text: str
    box: NDArray[np.float32]
    """``(4,)``, centre form, as drawn."""
    positive: bool
    masks: NDArray[np.bool_]
    """``(n, SIZE, SIZE)``."""
    example: NDArray[np.bool_]
    """``(SIZE, SIZE)``: the object in the box."""
    alike: NDArray[np.bool_]
    """``(m, SIZE, SIZE)``: what must not be found: the negative's kind."""


def _kinds(scene: Scene) -> list[Kind]:
    return [(look.colour, look.shape) for look in scene.looks]


def _masks(scene: Scene, labels: Sequence[int]) -> NDArray[np.bool_]:
    return np.stack([scene.labels == label for label in labels]) if labels else np.zeros((0, SIZE, SIZE), bool)


def _box(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    corners = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    return np.asarray(to_centres(torch.from_numpy(drawn(rng, corners / np.float32(SIZE)))).numpy(), np.float32)


def box_questions(count: int, seed: int) -> list[BoxQuestion]:
    """``count`` pictures with four questions each.

    "example": one box around an object that has others of its kind beside it. "in words": the same question as a
    phrase, "<colour> <shape>". "negative": a phrase that two kinds answer, and a box around one of them that says "not
    this". "phrase": the same phrase and picture without the box.
    """
    rng = np.random.default_rng(seed)
    asked: list[BoxQuestion] = []
    nothing = np.zeros((0, SIZE, SIZE), bool)
    while len(asked) < 4 * count:
        scene = render_scene(rng, RULES)
        kinds = _kinds(scene)
        if not has_pair(scene):
            continue
        shown = np.bincount(scene.labels.ravel(), minlength=len(kinds) + 1)[1:] >= FEWEST_PIXELS
        repeated = [i for i, kind in enumerate(kinds) if kinds.count(kind) > 1 and shown[i]]
        near = [i for i, kind in enumerate(kinds) if shown[i] and _shares(kinds, kind)]
        if not repeated or not near:
            continue
        chosen = repeated[int(rng.integers(len(repeated)))]
        same = [i + 1 for i, kind in enumerate(kinds) if kind == kinds[chosen]]
        example = scene.labels == chosen + 1
        box = _box(rng, example)
        masks, words = _masks(scene, same), Prompt(*kinds[chosen]).text()
        asked += [
            BoxQuestion(form, scene.image, text, box, True, masks, example, nothing)
            for form, text in (("example", VISUAL), ("in words", words))
        ]
        out = near[int(rng.integers(len(near)))]
        colour, shape = kinds[out]
        by_shape = any(kind[1] == shape for kind in look_alikes(sorted(set(kinds)), kinds[out]))
        prompt = Prompt(None, shape) if by_shape else Prompt(colour, None)
        left = [i + 1 for i, kind in enumerate(kinds) if prompt.matches(kind) and kind != kinds[out]]
        alike = _masks(scene, [i + 1 for i, kind in enumerate(kinds) if kind == kinds[out]])
        example = scene.labels == out + 1
        box, masks = _box(rng, example), _masks(scene, left)
        asked += [
            BoxQuestion(form, scene.image, prompt.text(), box, False, masks, example, alike)
            for form in ("negative", "phrase")
        ]
    return asked


def _shares(kinds: list[Kind], kind: Kind) -> bool:
    return any(other != kind and (other[0] == kind[0] or other[1] == kind[1]) for other in kinds)


def _hits(found: NDArray[np.bool_], masks: NDArray[np.bool_]) -> int:
    """How many of the masks something found covers with an IoU above one half."""
    if not len(found) or not len(masks):
        return 0
    return int((mask_iou(torch.from_numpy(found), torch.from_numpy(masks)).amax(0) > 0.5).sum())


@torch.no_grad()
def score_boxes(
    detector: nn.Module, tokenizer: PreTrainedTokenizerFast, asked: Sequence[BoxQuestion], batch: int = 20
) -> dict[str, dict[str, float]]:
    """Tables by form: precision, recall, F1, IoU.

    ``others``: share of the other objects of the example's kind that are found; ``alike``: share of the objects that
    the negative box rules out that are found all the same.
    """
    device = next(detector.parameters()).device
    result: dict[str, dict[str, float]] = {}
    for form in dict.fromkeys(question.form for question in asked):
        part = [question for question in asked if question.form == form]
        tally, others, other_hits, alike, alike_hits = Tally(), 0, 0, 0, 0
        for start in range(0, len(part), batch):
            here = part[start : start + batch]
            images = torch.from_numpy(np.stack([q.image.transpose(2, 0, 1) for q in here])).to(device)
            ids, attention = (torch.from_numpy(v).to(device) for v in encode([q.text for q in here], tokenizer))
            boxes = {}
            if form in ("example", "negative"):
                boxes["input_boxes"] = torch.from_numpy(np.stack([q.box for q in here]))[:, None].to(device)
                boxes["input_boxes_labels"] = torch.tensor([[int(q.positive)] for q in here], device=device)
            output = detector(pixel_values=pixels(images), input_ids=ids, attention_mask=attention, **boxes)
            for question, found in zip(here, answers(output), strict=True):
                judge(found, question.masks, tally)
                if question.positive:
                    rest = question.masks[[not (mask & question.example).any() for mask in question.masks]]
                    others, other_hits = others + len(rest), other_hits + _hits(found, rest)
                alike, alike_hits = alike + len(question.alike), alike_hits + _hits(found, question.alike)
        result[form] = tally.table()
        if others:
            result[form]["others"] = round(other_hits / others, 4)
        if alike:
            result[form]["alike"] = round(alike_hits / alike, 4)
    return result
