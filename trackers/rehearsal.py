"""An engine that is told how many objects there are, to measure what they cost whatever the model would find.

All of the work is done as ever: the detector looks for the prompts and makes a mask of each object, and only then is
its answer replaced by discs side by side. In a stream's first frame they start tracks. After it they are found again,
but with a score that starts none, so that their number stays what it was wherever a model with random weights takes its
masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcast.frame import Frame
from maskcast.picture import Image
from trackers.choice import Choice
from trackers.detection.detector import Detections, Detector
from trackers.detection.image_encoder import ImageFeatures
from trackers.detection.preprocess import preprocess
from trackers.detection.text import TextEmbedding
from trackers.engine import Engine, TrackedStream
from trackers.options import EngineOptions
from trackers.precision import products

# Sure enough to start a track under any rules; and too unsure to start one or to recondition it.
STARTING_SCORE, LATER_SCORE = 0.99, 0.0
# Logits well inside of a disc and well outside of it.
LOGIT = 10.0
# Radius of a disc as a share of its place, so that neighbours do not touch.
RADIUS = 0.35


class _RehearsedDetector(Detector):
    """Makes a mask for each object that there shall be, whatever its query scores.

    Attributes:
        objects: how many in a frame.
        prompts: of each frame; objects are dealt out to them in turns. Empty until the first one.
    """

    objects = 0
    prompts: Sequence[int] = ()

    def _chosen(
        self, scores: NDArray[np.float32], pairs: Sequence[tuple[int, int]], embeddings: Sequence[TextEmbedding]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if not self.prompts:  # while passes are compiled nothing is rehearsed yet
            return super()._chosen(scores, pairs, embeddings)
        counts = [len(range(index, self.objects, self.prompts[frame])) for frame, index in pairs]
        query = np.concatenate([np.arange(count) for count in counts])
        return np.repeat(np.arange(len(pairs)), counts), query % scores.shape[1]


class RehearsalEngine(Engine):
    """See above. No track ever ends, and each remembers as many frames as it can."""

    _detector_class = _RehearsedDetector
    _objects = 0

    def _choose(self, options: EngineOptions) -> Choice:
        choice = super()._choose(replace(options, hot_start=0, lost_after=float("inf")))
        # What is not seen is remembered all the same, or objects that the model cannot follow would cost too little.
        rules = replace(choice.rules, confirm_after=1, select_memories=False, reidentify_appearance=None)
        return replace(choice, rules=rules)

    def rehearse(self, streams: Sequence[TrackedStream], frames: Sequence[Frame], objects: int) -> int:
        """Advance streams by one frame each in which this many objects are found.

        Returns:
            The tracks that the streams have by now, all together.

        Raises:
            ModelError: the model failed, or has no room for all frames at once.
        """
        self._objects = objects
        self.step(streams, frames)
        return sum(len(stream.state.lifecycle) for stream in streams)

    def _detect(
        self, features: ImageFeatures, streams: Sequence[TrackedStream], looked: Sequence[bool]
    ) -> list[Detections]:
        detector = self._detector
        assert isinstance(detector, _RehearsedDetector)
        detector.objects, detector.prompts = self._objects, [len(stream.prompts) for stream in streams]
        found = super()._detect(features, streams, looked)
        side = found[0].logits.shape[-1]
        logits = discs(self._objects, side).to(found[0].logits)
        return [self._told(logits, stream) for stream in streams]

    def _told(self, logits: Tensor, stream: TrackedStream) -> Detections:
        score = LATER_SCORE if len(stream.state.lifecycle) else STARTING_SCORE
        prompt = torch.arange(len(logits), device=logits.device) % len(stream.prompts)
        order = prompt.argsort(stable=True)
        return Detections(prompt[order], torch.full_like(logits[:, 0, 0], score), logits[order])

    def copied(self, stream: TrackedStream) -> TrackedStream:
        """Another stream that stands where this one does."""
        return replace(stream, state=deepcopy(stream.state))

    def peer(self, prompts: Sequence[str], objects: int) -> Callable[[Image], None] | None:
        """The same model as `transformers.Sam3VideoModel` runs it, one picture a call, with as many objects.

        It keeps every frame, so it is to be dropped after a few.

        Returns:
            None where the checkpoint is no `Sam3VideoModel`, and in float16: its memories are in bfloat16 always.
        """
        from transformers import Sam3VideoModel

        video = self._checkpoint.video
        if not isinstance(video, Sam3VideoModel) or self.precision == torch.float16:
            return None
        return _Peer(video, self._stream(self.check_prompts(prompts), None), objects, self.device, self.precision)


class _Peer:
    """A streaming session of `Sam3VideoModel`, whose detector is told as ours is."""

    def __init__(
        self, video: Any, stream: TrackedStream, objects: int, device: torch.device, precision: torch.dtype
    ) -> None:
        from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

        self._video, self._device, self._precision = video, device, precision
        self._objects, self._known = objects, False
        self._session: Any = Sam3VideoInferenceSession(
            inference_device=device, inference_state_device=device, video_storage_device=device, dtype=torch.float32
        )
        for prompt, embedding in zip(stream.prompts, stream.embeddings, strict=True):
            index = self._session.add_prompt(prompt.text)
            self._session.prompt_embeddings[index] = SimpleNamespace(pooler_output=embedding.features[None])
            self._session.prompt_attention_masks[index] = embedding.mask[None]

    @torch.inference_mode()
    def __call__(self, image: Image) -> None:
        pixels = preprocess([image], int(self._video.config.image_size), self._device, torch.float32)
        itself = self._video.run_detection
        self._video.run_detection = lambda **named: self._told(itself(**named))
        try:
            with products(self._device, self._precision):
                self._video(inference_session=self._session, frame=pixels[0])
        finally:
            del self._video.run_detection  # the instance's own; the class's comes forth again

    def _told(self, found: dict[int, dict[str, Tensor]]) -> dict[int, dict[str, Tensor]]:
        first = next(iter(found.values()))
        logits = discs(self._objects, first["mask"].shape[-1]).to(first["mask"])
        score = LATER_SCORE if self._known else STARTING_SCORE
        self._known = True
        told = {}
        for number, index in enumerate(found):
            part = logits[number :: len(found)]
            told[index] = {
                "bbox": first["bbox"].new_zeros(len(part), 4),
                "mask": part,
                "scores": first["scores"].new_full((len(part),), score),
            }
        return told


def discs(count: int, side: int) -> Tensor:
    """Mask logits ``(count, side, side)`` of discs in a square grid, float32 on the CPU."""
    across = max(int(np.ceil(np.sqrt(count))), 1)
    place = side / across
    pixel = torch.arange(side) + 0.5
    logits = torch.empty(count, side, side)
    for index in range(count):
        row, column = divmod(index, across)
        y, x = pixel - (row + 0.5) * place, pixel - (column + 0.5) * place
        inside = torch.hypot(y[:, None], x[None]) < RADIUS * place
        logits[index] = torch.where(inside, LOGIT, -LOGIT)
    return logits
