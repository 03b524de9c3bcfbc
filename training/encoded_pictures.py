"""Rendered pictures with what a fixed image encoder says about them, each kept for many training steps.

Where the encoder does not learn, its features of a picture never change: encoding once and asking twenty questions
costs a twentieth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from batches import Batch, SceneBatches
from clips import render_frame
from scenes import Rules, Scene, render_scene
from torch import Tensor

Encode = Callable[[Tensor], tuple[Tensor, ...]]
"""From uint8 pictures ``(B, 3, SIZE, SIZE)`` to feature maps, each ``(B, ...)``."""


def has_pair(scene: Scene) -> bool:
    """Whether two objects of the scene have one colour and one shape."""
    kinds = [(look.colour, look.shape) for look in scene.looks]
    return len(set(kinds)) < len(kinds)


class PairedScenes(SceneBatches):
    """Scenes of which a share ``pairs`` holds two objects of one kind for certain; by chance it is about a third."""

    def __init__(self, rules: Rules, batch_size: int, seed: int, from_clips: float, pairs: float) -> None:
        super().__init__(rules, batch_size, seed, from_clips)
        self.pairs = pairs

    def scene(self, rng: np.random.Generator) -> Scene:
        """One scene, drawn again until it holds a pair where it must."""
        paired = rng.random() < self.pairs
        while True:
            scene = render_frame(rng) if rng.random() < self.from_clips else render_scene(rng, self.rules)
            if not paired or has_pair(scene):
                return scene


class EncodedPictures:
    """A bounded number of encoded pictures; new ones take the places of the oldest."""

    def __init__(self, scenes: Iterator[Batch], encode: Encode, capacity: int) -> None:
        self._scenes, self._encode, self.capacity = scenes, encode, capacity
        self._features: list[Tensor] = []
        self._truth: Batch | None = None
        self._next = self.count = 0
        self.version = np.zeros(capacity, np.int64)
        """How often each place was filled; whoever keeps the number of a picture sees whether it is still that one."""

    @property
    def device(self) -> torch.device:
        """Where the features are; the truth stays on the CPU."""
        return self._features[0].device

    @property
    def truth(self) -> Batch:
        """Masks, kinds, boxes of all pictures; their pixels are not kept."""
        assert self._truth is not None
        return self._truth

    @torch.no_grad()
    def grow(self) -> None:
        """Render and encode one more batch of pictures."""
        batch = next(self._scenes)
        features = self._encode(batch.images)
        size = len(batch.images)
        if self._truth is None:
            self._features = [f.new_zeros(self.capacity, *f.shape[1:], dtype=torch.float16) for f in features]
            room = [
                part.new_zeros(self.capacity, *part.shape[1:])
                for part in (batch.masks, batch.kinds, batch.boxes, batch.valid, batch.coverage)
            ]
            self._truth = Batch(batch.images[:0], *room)
        if self._next + size > self.capacity:
            self._next = 0
        here = slice(self._next, self._next + size)
        for kept, fresh in zip(self._features, features, strict=True):
            kept[here] = fresh.half()
        for name in ("masks", "kinds", "boxes", "valid", "coverage"):
            getattr(self._truth, name)[here] = getattr(batch, name)
        self.version[here] += 1
        self._next += size
        self.count = max(self.count, self._next)

    def features(self, level: int, pictures: Tensor) -> Tensor:
        """Feature maps of one level of the pictures with these numbers, float32."""
        return self._features[level][pictures].float()
