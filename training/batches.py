"""Turns rendered scenes into training batches and reuses each picture turned around."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from architecture import GRID, MASK, PATCH
from clips import render_frame
from scenes import SIZE, Rules, Scene, render_scene
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

MAX_OBJECTS = 8
FEWEST_PIXELS = 60
"""Objects that show less are not asked for."""


@dataclass(frozen=True)
class Batch:
    """Pictures and the truth about them; ``B`` pictures with room for ``N = MAX_OBJECTS`` objects each."""

    images: Tensor
    """uint8 ``(B, 3, SIZE, SIZE)``, RGB."""
    masks: Tensor
    """float32 ``(B, N, MASK, MASK)``: share of each mask pixel that the object covers, 0 to 1."""
    kinds: Tensor
    """int64 ``(B, N, 2)``: colour and shape."""
    boxes: Tensor
    """float32 ``(B, N, 4)``: visible extent, x1 y1 x2 y2 as shares of the side."""
    valid: Tensor
    """bool ``(B, N)``: which of the N places hold an object."""
    coverage: Tensor
    """float32 ``(B, N, GRID, GRID)``: share of each image token that the object covers."""

    def to(self, device: torch.device) -> Batch:
        """Copy to a device."""
        return Batch(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def turned(self, symmetry: int) -> Batch:
        """The batch under one of the 8 symmetries of the square (bit 0 mirrors, bit 1 flips, bit 2 transposes)."""
        maps = [self.images, self.masks, self.coverage]
        boxes = self.boxes
        if symmetry & 1:
            maps = [m.flip(-1) for m in maps]
            boxes = torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], -1)
        if symmetry & 2:
            maps = [m.flip(-2) for m in maps]
            boxes = torch.stack([boxes[..., 0], 1 - boxes[..., 3], boxes[..., 2], 1 - boxes[..., 1]], -1)
        if symmetry & 4:
            maps = [m.transpose(-1, -2) for m in maps]
            boxes = boxes[..., [1, 0, 3, 2]]
        return Batch(maps[0], maps[1], self.kinds, boxes, self.valid, maps[2])


def truth_of(scene: Scene) -> tuple[np.ndarray, ...]:
    """Masks, kinds, boxes, valid and coverage of one scene, laid out as in `Batch`."""
    masks = np.zeros((MAX_OBJECTS, MASK, MASK), np.float32)
    kinds = np.zeros((MAX_OBJECTS, 2), np.int64)
    boxes = np.tile(np.array([0.4, 0.4, 0.6, 0.6], np.float32), (MAX_OBJECTS, 1))
    valid = np.zeros(MAX_OBJECTS, bool)
    coverage = np.zeros((MAX_OBJECTS, GRID, GRID), np.float32)
    for index, look in enumerate(scene.looks[:MAX_OBJECTS]):
        whole = (scene.labels == index + 1).astype(np.float32)
        if whole.sum() < FEWEST_PIXELS:
            continue
        rows, columns = np.flatnonzero(whole.any(1)), np.flatnonzero(whole.any(0))
        masks[index] = cv2.resize(whole, (MASK, MASK), interpolation=cv2.INTER_AREA)
        coverage[index] = whole.reshape(GRID, PATCH, GRID, PATCH).mean((1, 3))
        boxes[index] = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32) / SIZE
        kinds[index] = look.colour, look.shape
        valid[index] = True
    return masks, kinds, boxes, valid, coverage


class SceneBatches(IterableDataset[Batch]):
    """An endless stream of batches rendered from one seed; ``from_clips`` is the share of frames out of clips."""

    def __init__(self, rules: Rules, batch_size: int, seed: int, from_clips: float = 0.0) -> None:
        self.rules, self.batch_size, self.seed, self.from_clips = rules, batch_size, seed, from_clips

    def scene(self, rng: np.random.Generator) -> Scene:
        """Render one scene."""
        return render_frame(rng) if rng.random() < self.from_clips else render_scene(rng, self.rules)

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self.seed)
        while True:
            scenes = [self.scene(rng) for _ in range(self.batch_size)]
            images = np.stack([scene.image.transpose(2, 0, 1) for scene in scenes])
            truth = [np.stack(part) for part in zip(*(truth_of(scene) for scene in scenes), strict=True)]
            yield Batch(torch.from_numpy(images), *(torch.from_numpy(part) for part in truth))


def scene_batches(
    rules: Rules,
    batch_size: int,
    seed: int,
    *,
    from_clips: float = 0.0,
    uses: int = 3,
    keep: int = 64,
    workers: int = 0,
) -> Iterator[Batch]:
    """Batches for training: each rendered one is used about ``uses`` times, differently turned, not in a row.

    Background ``workers`` pay off next to a GPU; on two cores they only get in the way of the arithmetic.
    """
    scenes = SceneBatches(rules, batch_size, seed, from_clips)
    fresh = iter(DataLoader(scenes, batch_size=None, num_workers=workers)) if workers else iter(scenes)
    rng = np.random.default_rng(seed + 1)
    kept: list[Batch] = []
    while True:
        if len(kept) < keep // 4 or rng.random() < 1 / uses:
            batch = next(fresh)
            if len(kept) < keep:
                kept.append(batch)
            else:
                kept[int(rng.integers(keep))] = batch
        else:
            batch = kept[int(rng.integers(len(kept)))]
        yield batch.turned(int(rng.integers(8)))


def pixels(images: Tensor) -> Tensor:
    """Model input from uint8 pictures: float32, -1 to 1, channels last in memory."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
