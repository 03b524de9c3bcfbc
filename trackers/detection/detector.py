"""Find every object that matches the prompts: one image encoder pass a frame, one decoder pass for all prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from maskcast.picture import Image
from trackers.detection.checkpoint import Checkpoint
from trackers.detection.preprocess import preprocess
from trackers.detection.text import TextEmbedding
from trackers.masks import mask_iou, non_maximum_suppression
from trackers.nano_rules import trimmed
from trackers.precision import narrow, products
from trackers.rules import Rules
from trackers.stage_times import measured
from trackers.upload import upload

# Pairs of frame and prompt decoded together. The mask head holds several (C, 288, 288) maps a pair, about 0.5 GB in
# float32 at full size, so the number of prompts must not set the memory.
MAX_PAIRS = 8


@dataclass(frozen=True)
class ImageFeatures:
    """What the image encoder says of a batch of frames; everything later reads from here.

    Attributes:
        tokens: ``(N, h·w, D)`` output of the ViT.
        pyramid: feature maps ``(N, C, h_i, w_i)`` from fine to coarse, strides 3.5, 7 and 14 pixels of the model input.
        positions: their position encodings, the same for all frames: ``(1, C, h_i, w_i)``.
    """

    tokens: Tensor
    pyramid: tuple[Tensor, ...]
    positions: tuple[Tensor, ...]

    @property
    def coarse(self) -> Tensor:
        """``(N, C, h, w)`` features at the encoder's own stride."""
        return self.pyramid[-1]


@dataclass(frozen=True)
class Detections:
    """Matches in one frame, by prompt, then in the decoder's order of queries.

    Attributes:
        prompt: ``(N,)`` int64 index into the frame's prompts.
        scores: ``(N,)`` float32: class probability times the probability that the prompt is present at all.
        logits: ``(N, h, w)`` float32 mask logits at a quarter of the model's resolution.
        looked: False where the frame was left out, and nothing found says nothing; see `trackers.detection.turns`.
    """

    prompt: Tensor
    scores: Tensor
    logits: Tensor
    looked: bool = True

    def __len__(self) -> int:
        return len(self.scores)

    def resized(self, size: tuple[int, int]) -> Detections:
        """The same with mask logits of height and width `size`."""
        if self.logits.shape[-2:] == size:
            return self
        logits = F.interpolate(self.logits[:, None], size, mode="bilinear", antialias=True, align_corners=False)
        return replace(self, logits=logits[:, 0])


@dataclass(frozen=True)
class _VisionEmbeds:
    """The part of the image encoder's output that `Sam3LiteTextModel.forward` reads."""

    fpn_hidden_states: tuple[Tensor, ...]
    fpn_position_encoding: tuple[Tensor, ...]
    hidden_states: None = None
    attentions: None = None


@dataclass(frozen=True)
class _TextEmbeds:
    """The part of the text encoder's output that `Sam3LiteTextModel.forward` reads."""

    pooler_output: Tensor


class _Positions(torch.nn.Module):
    """The position encodings of `Sam3VisionNeck`, made once for each size of feature map and rounded once.

    The reference makes them anew for each number of frames, about as many sines a frame as there are features, and in
    the features' own type: in bfloat16 the phases are then off before the sine is taken.
    """

    def __init__(self, encoding: torch.nn.Module) -> None:
        super().__init__()
        self._encoding = encoding
        self._made: dict[tuple[torch.Size, torch.device, torch.dtype], Tensor] = {}

    def forward(self, shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
        key = shape[1:], device, dtype
        if key not in self._made:
            self._made[key] = self._encoding(torch.Size((1, *shape[1:])), device, torch.float32).to(dtype)
        return self._made[key]


class Detector:
    """`Sam3LiteTextModel` without its text encoder, on a device."""

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
        self._model: Any = checkpoint.detector
        for name, module in self._model.named_children():
            if name not in {"text_encoder", "text_projection"}:
                narrow(module.to(device=device), dtype)
        neck = self._model.vision_encoder.neck
        if not isinstance(neck.position_encoding, _Positions):
            neck.position_encoding = _Positions(neck.position_encoding)
        self.device, self.precision = device, dtype
        self.image_size = int(self._model.config.image_size)
        self.score_threshold, self.nms_iou, self.box_margin = score_threshold, nms_iou, box_margin

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> ImageFeatures:
        """Run the image encoder once over a batch of ``(H, W, 3)`` uint8 RGB pictures of any size."""
        with measured("preprocess", len(images)):
            pixels = preprocess(images, self.image_size, self.device, torch.float32)
        with measured("encode", len(images)), products(self.device, self.precision):
            output = self._model.vision_encoder(pixels)
        # The coarsest level is not read by the detector: `Sam3LiteTextModel.forward` drops it.
        return ImageFeatures(
            output.last_hidden_state,
            tuple(output.fpn_hidden_states[:-1]),
            tuple(output.fpn_position_encoding[:-1]),
        )

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
        scores, _, boxes = self._decode(features, [(0, 0)], [prompt])
        kept = scores[0] > threshold
        return scores[0][kept].cpu().numpy(), boxes[0][kept].float().cpu().numpy()

    def _detect(self, features: ImageFeatures, prompts: Sequence[Sequence[TextEmbedding]]) -> list[Detections]:
        pairs = [(frame, index) for frame, listed in enumerate(prompts) for index in range(len(listed))]
        height, width = features.pyramid[0].shape[-2:]
        none = torch.zeros(0, device=self.device)
        found = [(none.long(), none, none.new_zeros(0, height, width))]
        for start in range(0, len(pairs), MAX_PAIRS):
            chunk = pairs[start : start + MAX_PAIRS]
            scores, logits, boxes = self._decode(features, chunk, [prompts[frame][index] for frame, index in chunk])
            pair, query = (scores > self.score_threshold).nonzero(as_tuple=True)
            masks = logits[pair, query].float()
            if self.box_margin is not None:
                masks, remaining = trimmed(masks, boxes[pair, query], self.box_margin)
                pair, query = pair[remaining], query[remaining]
            found.append((start + pair, scores[pair, query], masks))
        return self._divide(pairs, *(torch.cat(tensors) for tensors in zip(*found, strict=True)), frames=len(prompts))

    def _divide(
        self, pairs: Sequence[tuple[int, int]], pair: Tensor, scores: Tensor, logits: Tensor, *, frames: int
    ) -> list[Detections]:
        """The detections of each frame, after mask NMS among those of one pair of frame and prompt.

        The CPU waits for the device once for all frames.
        """
        masks = logits > 0
        iou = mask_iou(masks, masks) if self.nms_iou > 0 else logits.new_zeros(len(scores), 0)
        numbers = torch.cat([pair[:, None].float(), scores[:, None], iou], dim=1).cpu().numpy()
        which = numbers[:, 0].astype(np.int64)
        keep = np.ones(len(which), np.bool_)
        if self.nms_iou > 0:
            rivals = numbers[:, 2:] * (which[:, None] == which[None])
            keep = non_maximum_suppression(rivals, numbers[:, 1], self.nms_iou)
        places = np.array(pairs, np.int64).reshape(-1, 2)[which]
        chosen = [np.flatnonzero(keep & (places[:, 0] == frame)) for frame in range(frames)]
        result = []
        for rows in chosen:
            index = upload(rows, self.device)
            prompt = upload(places[rows, 1], self.device)
            result.append(Detections(prompt, scores[index], logits[index]))
        return result

    def _decode(
        self, features: ImageFeatures, pairs: Sequence[tuple[int, int]], embeddings: Sequence[TextEmbedding]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores ``(P, Q)``, mask logits ``(P, Q, h, w)`` and boxes ``(P, Q, 4)`` of P pairs of frame and prompt."""
        frames = upload(np.array([frame for frame, _ in pairs], np.int64), self.device)
        # `forward` drops the last level of what it is given, so it gets a level to drop.
        levels = tuple(level[frames] for level in features.pyramid)
        positions = tuple(level.expand(len(pairs), -1, -1, -1) for level in features.positions)
        height, width = (int(side) for side in features.coarse.shape[-2:])
        # Made anew from numbers on the CPU. The decoder's own would read them from the device, twice a layer, and the
        # CPU would wait for it each time.
        self._model.detr_decoder._get_coords = lambda *_, dtype, device: (  # noqa: SLF001
            torch.arange(height, device=device, dtype=dtype) / height,
            torch.arange(width, device=device, dtype=dtype) / width,
        )
        with products(self.device, self.precision):
            output = self._model(
                vision_embeds=_VisionEmbeds((*levels, levels[-1]), (*positions, positions[-1])),
                text_embeds=_TextEmbeds(torch.stack([embedding.features for embedding in embeddings])),
                attention_mask=torch.stack([embedding.mask for embedding in embeddings]),
            )
        scores = output.pred_logits.float().sigmoid() * output.presence_logits.float().sigmoid()
        return scores, output.pred_masks, output.pred_boxes
