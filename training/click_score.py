"""Scores clicks and boxes on freshly rendered pictures: how good the mask of the clicked object is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from click_pass import click_features
from clicks import CORNERS, POSITIVE, Mask, box_points, correction, point_in
from numpy.typing import NDArray
from pretrain_encoder import backbone_features
from scenes import Image, render_scene
from torch import Tensor
from tracker_pass import FrameFeatures, decode_masks, picture_masks, pyramid
from transformers import Sam3VideoModel

_FEWEST = 60
CLICKS = 3


@dataclass(frozen=True)
class ClickCase:
    """An object in a picture, and the first click on it."""

    image: Image
    mask: Mask
    point: NDArray[np.float32]
    """x and y, pixels: a random point of the object's inner part, at least half as deep as its deepest."""
    box: NDArray[np.float32]
    """Two corners ``(2, 2)`` of a box drawn around it."""


def click_cases(count: int, seed: int) -> list[ClickCase]:
    """One object out of each of ``count`` pictures."""
    rng = np.random.default_rng(seed)
    cases: list[ClickCase] = []
    while len(cases) < count:
        scene = render_scene(rng)
        shown = [i for i in range(1, len(scene.looks) + 1) if (scene.labels == i).sum() >= _FEWEST]
        if shown:
            mask = scene.labels == shown[int(rng.integers(len(shown)))]
            cases.append(ClickCase(scene.image, mask, point_in(rng, mask, 0.5), box_points(rng, mask)))
    return cases


def _iou(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / max(int((first | second).sum()), 1))


@torch.no_grad()
def score_clicks(model: Sam3VideoModel, cases: Sequence[ClickCase], batch: int = 20) -> dict[str, dict[str, float]]:
    """Mean IoU after one to three clicks and for a box, and the shares of objects from 0.8 and from 0.85.

    Clicks after the first go to the deepest point of the largest wrong region, as a patient person's would.
    """
    tracker = model.tracker_model
    device = tracker.no_memory_embedding.device
    overlaps: dict[str, list[float]] = {}
    rng = np.random.default_rng(0)

    def ask(features: FrameFeatures, points: NDArray[np.float32], labels: list[list[int]]) -> list[Mask]:
        places, kinds = torch.from_numpy(points).to(device), torch.tensor(labels, device=device)
        answer = decode_masks(tracker, features.coarse, features.fine, points=places, labels=kinds)
        found: Tensor = picture_masks(answer.blanked())
        return list(found.cpu().numpy())

    for start in range(0, len(cases), batch):
        here = cases[start : start + batch]
        images = torch.from_numpy(np.stack([case.image.transpose(2, 0, 1) for case in here])).to(device)
        backbone = backbone_features(model.detector_model, images)
        whole = pyramid(tracker, model.tracker_neck, backbone, train_fine=False)
        features = FrameFeatures(click_features(tracker, whole.coarse), whole.fine)
        corners = np.stack([case.box for case in here]).astype(np.float32)
        for case, found in zip(here, ask(features, corners, [list(CORNERS)] * len(here)), strict=True):
            overlaps.setdefault("box", []).append(_iou(found, case.mask))
        points = np.stack([case.point for case in here])[:, None]
        labels = [[POSITIVE] for _ in here]
        for click in range(1, CLICKS + 1):
            masks = ask(features, points, labels)
            more = np.zeros((len(here), 1, 2), np.float32)
            for index, (case, found) in enumerate(zip(here, masks, strict=True)):
                name = f"{click} click" + "s" * (click > 1)
                overlaps.setdefault(name, []).append(_iou(found, case.mask))
                then = correction(rng, found, case.mask, 1.0) or (case.point, POSITIVE)
                more[index, 0] = then[0]
                labels[index] = [*labels[index], then[1]]
            points = np.concatenate([points, more], 1)
    return {
        name: {
            "iou": round(float(np.mean(values)), 4),
            "from_0.80": round(float(np.mean(np.array(values) >= 0.8)), 4),
            "from_0.85": round(float(np.mean(np.array(values) >= 0.85)), 4),
            "objects": float(len(values)),
        }
        for name, values in overlaps.items()
    }
