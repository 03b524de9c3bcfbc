"""Short pieces of clips for training the tracker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from architecture import MASK
from clips import Clip, ClipRules, render_clip, render_occlusion
from scenes import SIZE
from torch import Tensor

FloatMap = np.ndarray[tuple[int, int], np.dtype[np.float32]]
NDArrayInt = np.ndarray[tuple[int], np.dtype[np.int64]]
_START_PIXELS = 64
"""An object must show this many pixels in frame 0 to be followed."""


@dataclass(frozen=True)
class Pieces:
    """``C`` pieces of ``T`` frames, and ``R`` objects to follow in them."""

    images: Tensor
    """uint8 ``(C, T, 3, SIZE, SIZE)``."""
    clip: Tensor
    """int64 ``(R,)``: the piece that each object is in."""
    first: Tensor
    """float32 ``(R, SIZE, SIZE)``: masks of frame 0 as a detector would give them, 0 to 1."""
    masks: Tensor
    """float32 ``(T, R, MASK, MASK)``: covered shares."""
    pixels: Tensor
    """int64 ``(T, R)``: how many pixels of the object show."""

    def to(self, device: torch.device) -> Pieces:
        """Copy to a device."""
        return Pieces(*(v.to(device) for v in (self.images, self.clip, self.first, self.masks, self.pixels)))


def _piece(rng: np.random.Generator, clip: Clip, length: int) -> NDArrayInt:
    """Frame numbers of a piece: any start, every frame to every third, forwards or backwards."""
    total = len(clip.frames)
    stride = int(rng.integers(1, min(3, (total - 1) // (length - 1)) + 1))
    start = int(rng.integers(0, total - stride * (length - 1)))
    chosen = start + stride * np.arange(length)
    return chosen[::-1] if rng.random() < 0.5 else chosen


def _through_absence(rng: np.random.Generator, clip: Clip, length: int) -> NDArrayInt | None:
    """Frame numbers of a piece in which some object is seen, wholly hidden and seen again; ``None`` if there is none.

    Most of the piece is absence, so that the recent memories are empty when the object returns.
    """
    if length < 5:
        return None
    for index in rng.permutation(len(clip.looks)):
        shown = (clip.labels == index + 1).sum((1, 2))
        order = np.arange(len(shown))[:: 1 if rng.random() < 0.5 else -1]
        shown = shown[order]
        hidden = np.flatnonzero(shown < 8)
        seen = np.flatnonzero(shown >= 2 * _START_PIXELS)
        for start in hidden:
            before = seen[seen < start]
            after = np.flatnonzero(shown >= 30)
            after = after[after > start]
            if not before.size or not after.size:
                continue
            gone = np.arange(start, after[0])[shown[start : after[0]] < 8]
            if len(gone) < 2:
                continue
            many = int(rng.integers(2, min(length - 2, 6, len(gone)) + 1))
            returned = after[: int(rng.integers(1, length - many))]
            first = before[-(length - many - len(returned)) :]
            chosen = np.concatenate([first, gone[-many:], returned])
            if len(chosen) == length:
                return order[chosen]
    return None


def as_detected(rng: np.random.Generator, covered: FloatMap) -> FloatMap:
    """A true mask as a detector would give it, ``(SIZE, SIZE)``: coarse, often with a wavy edge, sometimes cut.

    Args:
        rng: Source of the errors.
        covered: True coverage ``(MASK, MASK)``.
    """
    luck = rng.random()
    soft = covered
    if luck < 0.5:
        noise = cv2.resize(rng.normal(0, 1, (9, 9)).astype(np.float32), (MASK, MASK), interpolation=cv2.INTER_CUBIC)
        soft = cv2.GaussianBlur(covered, (0, 0), 1.2) + float(rng.uniform(0, 0.3)) * noise * (
            cv2.dilate(covered, np.ones((5, 5), np.float32)) > 0
        )
    hard = soft > 0.5
    if luck < 0.15 and hard.any():  # part of the object is missing
        rows, columns = np.nonzero(hard)
        angle = float(rng.uniform(0, 2 * np.pi))
        along = rows * np.sin(angle) + columns * np.cos(angle)
        gone = along > np.quantile(along, rng.uniform(0.55, 0.95))
        hard[rows[gone], columns[gone]] = False
    if not hard.any():
        hard = covered >= max(float(covered.max()) * 0.5, 1e-3)
    return np.asarray(cv2.resize(hard.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), np.float32)


def cut(rng: np.random.Generator, clips: list[Clip], length: int, objects: int) -> Pieces:
    """Cut one piece from each clip and pick up to ``objects`` objects in it."""
    images, owners, first, masks, shown = [], [], [], [], []
    for number, clip in enumerate(clips):
        for attempt in range(10):
            absence = _through_absence(rng, clip, length) if attempt == 0 and rng.random() < 0.5 else None
            chosen = _piece(rng, clip, length) if absence is None else absence
            counts = np.stack([(clip.labels[chosen] == i + 1).sum((1, 2)) for i in range(len(clip.looks))])
            followed = np.flatnonzero(counts[:, 0] >= _START_PIXELS)
            if followed.size:
                break
        else:
            followed = np.array([int(counts[:, 0].argmax())])
        changing = counts[followed].min(1) / counts[followed].max(1).clip(1) + rng.random(followed.size) * 0.5
        followed = followed[np.argsort(changing)][:objects]
        images.append(clip.frames[chosen].transpose(0, 3, 1, 2))
        for index in followed:
            layers = (clip.labels[chosen] == index + 1).astype(np.float32)
            owners.append(number)
            small = [cv2.resize(layer, (MASK, MASK), interpolation=cv2.INTER_AREA) for layer in layers]
            first.append(as_detected(rng, small[0]))
            masks.append(np.stack(small))
            shown.append(counts[index])
    return Pieces(
        torch.from_numpy(np.stack(images)),
        torch.tensor(owners),
        torch.from_numpy(np.stack(first)),
        torch.from_numpy(np.stack(masks, 1)),
        torch.from_numpy(np.stack(shown, 1).astype(np.int64)),
    )


def clip_batches(seed: int, clips: int, length: int, objects: int, *, uses: int = 4) -> Iterator[Pieces]:
    """Endless pieces; each rendered clip serves about ``uses`` times, every time cut differently."""
    rng = np.random.default_rng(seed)
    rules = ClipRules(frames=26, size=(26, 84), speed=(0.5, 6), panels=0.5, confusing=0.6)
    kept: list[Clip] = []
    while True:
        while len(kept) < 4 * clips or rng.random() < clips / uses / (clips / uses + 1):
            busy = replace(rules, objects=(2, 6))
            hiding = rng.random() < 0.4
            clip = render_occlusion(rng, 44, int(rng.integers(6, 15)))[0] if hiding else render_clip(rng, busy)
            if len(kept) < 24:
                kept.append(clip)
            else:
                kept[int(rng.integers(len(kept)))] = clip
        chosen = rng.choice(len(kept), clips, replace=False)
        yield cut(rng, [kept[int(i)] for i in chosen], length, objects)
