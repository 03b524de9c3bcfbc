"""Find every object that matches the prompts: one image encoder pass a frame, one decoder pass for all prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maskcast.picture import Image
from trackers.detection.checkpoint import Checkpoint
from trackers.detection.image_encoder import ImageEncoder, ImageFeatures
from trackers.detection.mask_head import MaskHead
from trackers.detection.preprocess import preprocess
from trackers.detection.prompt_decoder import PromptDecoder
from trackers.detection.text import TextEmbedding
from trackers.masks import mask_iou, non_maximum_suppression
from trackers.nano_rules import trimmed
from trackers.rules import Rules
from trackers.stage_times import measured
from trackers.transfer import fetched, upload

# Pairs of frame and prompt decoded together. The mask head holds several (C, 288, 288) maps a pair, about 0.5 GB in
# float32 at full size, so the number of prompts must not set the memory.
MAX_PAIRS = 8


@dataclass(frozen=True)
class Detections:
    """Matches in one frame, by prompt, then in the decoder's order of queries.

    Attributes:
        prompt: ``(N,)`` int64 index into the frame's prompts.
        scores: ``(N,)`` float32: class probability times the probability that the prompt is present at all.
        logits: ``(N, h, w)`` float32 mask logits at a quarter of the model's resolution.
        starts_at: ``(N,)`` score from which each may start a track; None for the tracker's own, see
            `trackers.conditions`.
        claims: ``(N, P)`` what the prompts of its group score at each detection; None where none asks for anything.
        looked: False where the frame was left out, and nothing found says nothing; see `trackers.detection.turns`.
    """

    prompt: Tensor
    scores: Tensor
    logits: Tensor
    looked: bool = True
    starts_at: NDArray[np.float32] | None = None
    claims: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def resized(self, size: tuple[int, int]) -> Detections:
        """The same with mask logits of height and width `size`."""
        if self.logits.shape[-2:] == size:
            return self
        logits = F.interpolate(self.logits[:, None], size, mode="bilinear", antialias=True, align_corners=False)
        return replace(self, logits=logits[:, 0])


@dataclass(frozen=True)
class Found:
    """What was found for some pairs of frame and prompt, by pair, then in the decoder's order of queries.

    Attributes:
        pair: ``(n,)`` which of the pairs.
        scores: ``(n,)`` float32, see `Detections`.
        logits: ``(n, h, w)`` float32 mask logits.
    """

    pair: NDArray[np.int64]
    scores: NDArray[np.float32]
    logits: Tensor


class Detector:
    """`Sam3LiteTextModel` without its text encoder, on a device.

    Attributes:
        encoder: what is computed once a frame.
        decoder: what is computed for each pair of frame and prompt.
        mask_head: what is computed for each of them that found something.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        dtype: torch.dtype,
        *,
        score_threshold: float = Rules.score_threshold_detection,
        nms_iou: float = Rules.det_nms_thresh,
        box_margin: float | None = None,
    ) -> None:
        """Move the image encoder and the decoder to `device` in `dtype`; the text encoder stays where it is.

        Args:
            checkpoint: whose detector to use.
            device: where to run.
            dtype: of matrix products, see `trackers.precision`.
            score_threshold: detections must score above it.
            nms_iou: mask IoU above which the lower of two matches of one prompt falls; 0 switches NMS off.
            box_margin: see `Rules.box_margin`.
        """
        model: Any = checkpoint.detector
        # Before the encoder narrows the levels that it folds.
        self.mask_head = MaskHead(model, device, dtype)
        self.encoder = ImageEncoder(model, device, dtype)
        self.decoder = PromptDecoder(model, self.encoder.size, self.encoder.positions, device, dtype)
        self.device = device
        self.image_size = int(model.config.image_size)
        self.score_threshold, self.nms_iou, self.box_margin = score_threshold, nms_iou, box_margin

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """Run the image encoder once over a batch of ``(H, W, 3)`` uint8 RGB pictures of any size."""
        with measured("preprocess", len(images)):
            pixels = preprocess(images, self.image_size, self.device, torch.float32)
        with measured("encode", len(images)):
            return self.encoder.encode(pixels)

    @torch.inference_mode()
    def detect(self, features: ImageFeatures, prompts: Sequence[Sequence[TextEmbedding]]) -> list[Detections]:
        """Decode all prompts of all frames together.

        Args:
            features: of N frames.
            prompts: for each of the N frames its prompts; may be empty, may differ between frames.

        Returns:
            One `Detections` a frame.
        """
        with measured("decode", sum(map(len, prompts))):
            return self._detect(features, prompts)

    @torch.inference_mode()
    def matches(
        self, features: ImageFeatures, prompt: TextEmbedding, threshold: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """All matches of one prompt in one frame, in the decoder's order of queries, without NMS.

        Returns:
            Scores ``(N,)`` above `threshold`, and boxes ``(N, 4)``: left, top, right, bottom as shares of the frame.
        """
        decoded = self.decoder.decode(features.attended, prompt.features[None], prompt.mask[None])
        scores, boxes = fetched([decoded.scores[0], decoded.boxes[0]])
        kept = scores > threshold
        return scores[kept], boxes[kept]

    def _detect(self, features: ImageFeatures, prompts: Sequence[Sequence[TextEmbedding]]) -> list[Detections]:
        pairs = [(frame, index) for frame, listed in enumerate(prompts) for index in range(len(listed))]
        found = [self._nothing()]
        levels = cache(lambda: self.mask_head.levels(features.tokens))
        for start in range(0, len(pairs), MAX_PAIRS):
            chunk = pairs[start : start + MAX_PAIRS]
            part = self._find(features, levels, chunk, [prompts[frame][index] for frame, index in chunk])
            found.append(replace(part, pair=start + part.pair))
        pair, scores = (np.concatenate([getattr(part, name) for part in found]) for name in ("pair", "scores"))
        logits = torch.cat([part.logits for part in found])
        return self._divide(Found(pair, scores, logits), pairs, frames=len(prompts))

    def _find(
        self,
        features: ImageFeatures,
        levels: Callable[[], tuple[Tensor, ...]],
        pairs: Sequence[tuple[int, int]],
        embeddings: Sequence[TextEmbedding],
    ) -> Found:
        """What is found for P pairs of frame and prompt: first the scores of all, then the masks of what scores enough.

        The CPU waits for the device once, for the scores. `levels` makes those of the frames, if there is a mask.
        """
        frames = upload(np.array([frame for frame, _ in pairs], np.int64), self.device)
        text = torch.stack([embedding.features for embedding in embeddings])
        mask = torch.stack([embedding.mask for embedding in embeddings])
        decoded = self.decoder.decode(_of(features.attended, frames), text, mask)
        [scores] = fetched([decoded.scores])
        pair, query = self._chosen(scores, pairs, embeddings)
        used, counts = np.unique(pair, return_counts=True)
        if len(used) == 0:
            return self._nothing()
        chosen = upload(np.stack([pair, query]), self.device).unbind()
        rows = upload(used, self.device)
        seen = tuple(_of(level, frames[rows]) for level in levels())
        pixels = self.mask_head.pixels(decoded.memory[rows], text[rows], mask[rows], seen)
        logits = self.mask_head.masks(decoded.queries[chosen], pixels, counts.tolist())
        if self.box_margin is None:
            return Found(pair, scores[pair, query], logits)
        logits, remaining = trimmed(logits, decoded.boxes[chosen], self.box_margin)
        left = np.flatnonzero(fetched([remaining])[0])
        return Found(pair[left], scores[pair, query][left], logits[upload(left, self.device)])

    def _nothing(self) -> Found:
        logits = torch.zeros(0, *self.mask_head.size, device=self.device)
        return Found(np.zeros(0, np.int64), np.zeros(0, np.float32), logits)

    def _chosen(
        self,
        scores: NDArray[np.float32],
        pairs: Sequence[tuple[int, int]],  # noqa: ARG002 - for rehearsals
        embeddings: Sequence[TextEmbedding],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pair and query of the scores ``(P, Q)`` that are high enough, in this order."""
        own = self.score_threshold
        least = [own if embedding.threshold is None else embedding.threshold for embedding in embeddings]
        pair, query = np.nonzero(scores > np.array(least, np.float32)[:, None])
        return pair, query

    def _divide(self, found: Found, pairs: Sequence[tuple[int, int]], *, frames: int) -> list[Detections]:
        """The detections of each frame, after mask NMS among those of one pair of frame and prompt.

        The CPU waits for the device once for all frames, and not at all where no pair found more than one object.
        """
        keep = np.ones(len(found.pair), np.bool_)
        rivals = found.pair[:, None] == found.pair[None]
        if self.nms_iou > 0 and np.count_nonzero(rivals) > len(rivals):
            masks = found.logits > 0
            [overlaps] = fetched([mask_iou(masks, masks)])
            keep = non_maximum_suppression(overlaps * rivals, found.scores, self.nms_iou)
        places = np.array(pairs, np.int64).reshape(-1, 2)[found.pair]
        kept = np.flatnonzero(keep)
        # Pairs are in the order of frames.
        counts = np.bincount(places[kept, 0], minlength=frames).tolist()
        whole = (
            upload(places[kept, 1], self.device),
            upload(found.scores[kept], self.device),
            found.logits[upload(kept, self.device)],
        )
        parts = (torch.split(tensor, counts) for tensor in whole)
        return [Detections(*part) for part in zip(*parts, strict=True)]


def _of(maps: Tensor, frames: Tensor) -> Tensor:
    """A row for each pair of frame and prompt; of one frame without copies."""
    return maps[frames] if len(maps) > 1 else maps.expand(len(frames), *maps.shape[1:])
