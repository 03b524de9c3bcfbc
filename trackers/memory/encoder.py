"""Turn masks into memories, several tracks at a time."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from trackers.memory.mask_downsampler import MaskDownsampler
from trackers.memory.propagation import Propagation, TrackerFeatures
from trackers.precision import computed_narrowly
from trackers.row_pass import TRACKS, row_pass


def soft_masks(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits ``(N, h, w)`` as ``(N, 1, *size)`` in [0, 1], as a memory is made of them."""
    return _resize(logits, size).sigmoid()


def hard_masks(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits ``(N, h, w)`` as ``(N, 1, *size)``, 0 or 1: the reference makes memories of mask prompts so."""
    return (_resize(logits, size) > 0).to(logits.dtype)


def _resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits[:, None], size, mode="bilinear", antialias=True, align_corners=False)


class MemoryEncoder:
    """`Sam3TrackerVideoMemoryEncoder` for tracks of several frames at once."""

    def __init__(self, propagation: Propagation) -> None:
        """Use the modules of `propagation`, where they are."""
        self._propagation = propagation
        self.device, self.precision = propagation.device, propagation.precision
        model = propagation.model
        self._model = model
        self._downsampler = MaskDownsampler(model.memory_encoder.mask_downsampler, self.precision)
        height, width = propagation.mask_size
        # The mask encoder reads masks at four times their resolution: `Sam3TrackerVideoModel._encode_new_memory`.
        self.size = (height * 4, width * 4)
        self.image_size = (int(model.config.image_size),) * 2

    def full(self, logits: Tensor) -> Tensor:
        """Decoder logits ``(N, h, w)`` at the model's resolution, as the reference keeps them for binary memories."""
        return F.interpolate(logits[:, None], self.image_size, mode="bilinear", align_corners=False)[:, 0]

    @computed_narrowly
    def encode(self, features: TrackerFeatures, frames: Tensor, masks: Tensor, present: Tensor) -> Tensor:
        """Remember N masks, at most `MAX_TRACKS_A_PASS`: one takes about 60 MB on the way at full size in float32.

        Args:
            features: of B frames.
            frames: ``(N,)`` int64, the frame of each mask.
            masks: ``(N, 1, *size)`` in [0, 1].
            present: ``(N,)`` bool, False where the object is hidden.

        Returns:
            ``(N, h·w, C)`` in `Propagation.memory_dtype`.
        """
        return self._write(features.rows(frames).remembered, masks, present)

    @row_pass(TRACKS)
    def _write(self, pixels: Tensor, masks: Tensor, present: Tensor) -> Tensor:
        """Memories of N masks, each with the features of its frame ``(N, C, h, w)``."""
        config, encoder = self._model.config, self._model.memory_encoder
        pixels = pixels + self._downsampler(masks * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc)
        memories = encoder.projection(encoder.memory_fuser(pixels))
        hidden = self._model.occlusion_spatial_embedding_parameter
        if hidden is not None:
            memories = memories + (~present)[:, None, None, None] * hidden[..., None, None]
        return memories.flatten(2).transpose(1, 2).to(self._propagation.memory_dtype)  # type: ignore[no-any-return]
