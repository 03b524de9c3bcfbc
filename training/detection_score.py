"""Scores a detector on freshly rendered single pictures, by the rules of the results table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from batches import pixels
from losses import mask_iou, mask_nms
from numpy.typing import NDArray
from prompts import Prompt, encode, random_prompt
from scenes import SIZE, Image, Rules, render_scene
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextImageSegmentationOutput

SCORE = 0.5
IOU = 0.5
NMS_IOU = 0.5


@dataclass(frozen=True)
class Question:
    """A picture, a prompt and the masks that answer it."""

    image: Image
    prompt: Prompt
    masks: NDArray[np.bool_]
    """``(n, SIZE, SIZE)``; ``n`` is 0 for an absent prompt."""


def questions(count: int, seed: int, rules: Rules | None = None) -> list[Question]:
    """``count`` scenes with one prompt each, about 30 % of them absent."""
    rng = np.random.default_rng(seed)
    asked = []
    for _ in range(count):
        scene = render_scene(rng, rules)
        kinds = [(look.colour, look.shape) for look in scene.looks]
        prompt = random_prompt(rng, kinds)
        labels = [index + 1 for index, kind in enumerate(kinds) if prompt.matches(kind)]
        masks = np.stack([scene.labels == label for label in labels]) if labels else np.zeros((0, SIZE, SIZE), bool)
        asked.append(Question(scene.image, prompt, masks))
    return asked


@dataclass
class Tally:
    """Counts for one form of prompt."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    overlaps: list[float] = field(default_factory=list)

    def table(self) -> dict[str, float]:
        """Precision, recall, F1 and mean IoU of the right masks."""
        precision = self.right / max(self.right + self.wrong, 1)
        recall = self.right / max(self.right + self.missed, 1)
        return {
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "f1": round(2 * precision * recall / max(precision + recall, 1e-9), 4),
            "iou": round(float(np.mean(self.overlaps)) if self.overlaps else 0.0, 4),
            "objects": self.right + self.missed,
        }


def judge(found: NDArray[np.bool_], truth: NDArray[np.bool_], tally: Tally) -> None:
    """Add one answer: ``found`` ``(m, H, W)`` best first against ``truth`` ``(n, H, W)``, matched greedily."""
    free = set(range(len(truth)))
    overlap = mask_iou(torch.from_numpy(found), torch.from_numpy(truth)).numpy() if len(found) and len(truth) else None
    for index in range(len(found)):
        best = max(free, key=lambda t: float(overlap[index, t]), default=None) if overlap is not None else None
        if best is not None and overlap is not None and overlap[index, best] > IOU:
            free.remove(best)
            tally.right += 1
            tally.overlaps.append(float(overlap[index, best]))
        else:
            tally.wrong += 1
    tally.missed += len(free)


@torch.no_grad()
def find(detector: nn.Module, images: Tensor, ids: Tensor, attention: Tensor) -> list[NDArray[np.bool_]]:
    """Masks that the detector finds in each picture, after NMS, best first; each ``(m, SIZE, SIZE)``."""
    return answers(detector(pixel_values=pixels(images), input_ids=ids, attention_mask=attention))


def answers(output: Sam3LiteTextImageSegmentationOutput) -> list[NDArray[np.bool_]]:
    """Masks of each picture of a detector's output, after NMS, best first; each ``(m, SIZE, SIZE)``."""
    scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
    found = []
    for score, masks in zip(scores, output.pred_masks, strict=True):
        good = score > SCORE
        if not bool(good.any()):
            found.append(np.zeros((0, SIZE, SIZE), bool))
            continue
        binary = F.interpolate(masks[good][None].float(), (SIZE, SIZE), mode="bilinear", align_corners=False)[0] > 0
        found.append(binary[mask_nms(score[good], binary, NMS_IOU)].cpu().numpy())
    return found


def score_detector(
    detector: nn.Module, tokenizer: PreTrainedTokenizerFast, asked: Sequence[Question], batch: int = 20
) -> dict[str, dict[str, float]]:
    """Tables by form of prompt, and ``absent``: share of absent prompts that raise a false alarm."""
    device = next(detector.parameters()).device
    was_training = detector.training
    detector.eval()
    tallies: dict[str, Tally] = {}
    overall, alarms, absent = Tally(), 0, 0
    for start in range(0, len(asked), batch):
        part = asked[start : start + batch]
        images = torch.from_numpy(np.stack([q.image.transpose(2, 0, 1) for q in part])).to(device)
        ids, attention = encode([q.prompt.text() for q in part], tokenizer)
        found = find(detector, images, torch.from_numpy(ids).to(device), torch.from_numpy(attention).to(device))
        for question, masks in zip(part, found, strict=True):
            judge(masks, question.masks, overall)
            if len(question.masks):
                judge(masks, question.masks, tallies.setdefault(question.prompt.form, Tally()))
            else:
                absent += 1
                alarms += len(masks) > 0
    detector.train(was_training)
    result = {form: tally.table() for form, tally in sorted(tallies.items())}
    result["all"] = overall.table()
    result["absent"] = {"prompts": absent, "false_alarms": round(alarms / max(absent, 1), 4)}
    return result
