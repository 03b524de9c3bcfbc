"""Run `transformers.Sam3VideoModel` frame by frame, as its users stream, on what our own preprocessing hands it.

Prompts reach it by `Sam3VideoProcessor.add_text_prompt` itself, which pads them to 32 tokens whatever the model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import Sam3VideoModel
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession
from transformers.models.sam3_video.processing_sam3_video import Sam3VideoProcessor

from maskcast.picture import Image
from trackers.detection.preprocess import preprocess


@dataclass(frozen=True)
class ReferenceFrame:
    """What the reference says of a frame.

    Attributes:
        masks: mask logits ``(h, w)`` float32 by object id; ids start at 0.
        prompts: index of each object's prompt.
        scores: detection score of each object when it was found.
    """

    masks: dict[int, NDArray[np.float32]]
    prompts: dict[int, int]
    scores: dict[int, float]


class Reference:
    """One streaming session."""

    def __init__(
        self, video: Sam3VideoModel, tokenizer: Any, prompts: Sequence[str], *, tokens: int | None = None
    ) -> None:
        """Begin.

        Args:
            video: the model.
            tokenizer: of its prompts.
            prompts: what to look for.
            tokens: to which prompts are padded, for a model that was trained so; None for the processor's own number.
        """
        self.video = video
        parameter = next(video.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.session = Sam3VideoInferenceSession(
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=self.dtype,
        )
        length = {} if tokens is None else {"max_length": tokens}
        # The method reads nothing of the processor but this; to make a whole one takes torchvision.
        Sam3VideoProcessor.add_text_prompt(
            SimpleNamespace(tokenizer=lambda text, **how: tokenizer(text, **(how | length))),
            self.session,
            list(prompts),
        )

    def step(self, image: Image) -> ReferenceFrame:
        """Process the next frame, ``(H, W, 3)`` uint8 RGB."""
        size = self.video.config.image_size
        pixels = preprocess([image], size, self.device, self.dtype)
        output = self.video(inference_session=self.session, frame=pixels[0])
        return ReferenceFrame(
            {i: mask[0].float().cpu().numpy() for i, mask in sorted(output.obj_id_to_mask.items())},
            dict(self.session.obj_id_to_prompt_id),
            {i: float(score) for i, score in output.obj_id_to_score.items()},
        )
