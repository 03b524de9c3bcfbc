"""Run `transformers.Sam3VideoModel` frame by frame, as its users stream, on what our own preprocessing hands it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Sam3VideoModel
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

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

    def __init__(self, video: Sam3VideoModel, tokenizer: Any, prompts: Sequence[str]) -> None:
        self.video = video
        parameter = next(video.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.session = Sam3VideoInferenceSession(
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=self.dtype,
        )
        length = video.config.detector_config.text_config.max_position_embeddings
        for prompt in prompts:
            index = self.session.add_prompt(prompt)
            tokens = tokenizer(prompt, padding="max_length", max_length=length, return_tensors="pt").to(self.device)
            self.session.prompt_input_ids[index] = tokens.input_ids
            self.session.prompt_attention_masks[index] = tokens.attention_mask.bool()

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


def run(
    video: Sam3VideoModel, tokenizer: Any, prompts: Sequence[str], images: Sequence[Image]
) -> Iterator[ReferenceFrame]:
    """The reference's answer for each of a clip's frames."""
    session = Reference(video, tokenizer, prompts)
    with torch.inference_mode():
        for image in images:
            yield session.step(image)
