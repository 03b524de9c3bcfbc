"""Find remembered objects in new frames: one memory attention pass and one mask decoder pass for all tracks.

The weights and modules are those of `Sam3TrackerVideoModel`, or of `Sam2VideoModel`, which are the same classes under
other names; only what their methods do one object at a time is done here for all tracks of all streams together. Tracks
whose histories differ in length are padded and masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from maskcast.picture import Picture
from trackers.detection.image_encoder import ImageFeatures
from trackers.device_errors import out_of_memory
from trackers.memory.image_encoder import image_encoder
from trackers.memory.memory_attention import MemoryAttention, MemoryTokens
from trackers.precision import computed_narrowly, memory_precision, narrow
from trackers.rotary import Rotation
from trackers.row_pass import FRAMES, TRACKS, row_pass

T = TypeVar("T")

# Tracks that go through the model together. Keys of one track at full size are 52,000 vectors of 256 numbers a layer,
# in float32 while they are rotated, and its mask is read by the memory encoder at 1,152 x 1,152, so the number of
# tracks must not set the memory. 16 tracks of 5,184 queries fill any GPU.
MAX_TRACKS_A_PASS = 16
# The reference's constants: how strongly image positions enter, and the logit of an object that is not there
# (`Sam3TrackerVideoMemoryAttention.forward`, `NO_OBJ_SCORE`).
POSITION_WEIGHT = 0.1
NO_OBJECT_LOGIT = -1024.0
# Logits of a mask prompt: `Sam3TrackerVideoModel._use_mask_as_output`.
MASK_PROMPT_SCALE, MASK_PROMPT_BIAS = 20.0, -10.0


@dataclass(frozen=True)
class TrackerFeatures:
    """B frames as the tracker sees them, through a neck or an image encoder of its own.

    Attributes:
        fine: ``(B, C/8, 4h, 4w)``, projected for the mask decoder.
        middle: ``(B, C/4, 2h, 2w)``, projected for the mask decoder.
        coarse: ``(B, C, h, w)``.
        tokens: ``(B, h·w, C)`` the coarse ones as the memory attention's first layer has them before it meets memories.
        queries: ``(B, heads, h·w, C / heads)`` its queries. Both are made once a frame, not once a track.
        remembered: ``(B, C, h, w)`` the coarse ones as the memory encoder reads them.
    """

    fine: Tensor
    middle: Tensor
    coarse: Tensor
    tokens: Tensor
    queries: Tensor
    remembered: Tensor

    def rows(self, frames: Tensor) -> TrackerFeatures:
        """Those of ``(N,)`` frames, which may repeat; a view where there is one frame only."""
        parts = (self.fine, self.middle, self.coarse, self.tokens, self.queries, self.remembered)
        if len(self.coarse) == 1:
            return TrackerFeatures(*(part.expand(len(frames), *part.shape[1:]) for part in parts))
        return TrackerFeatures(*(part[frames] for part in parts))


@dataclass(frozen=True)
class Memories:
    """What N tracks remember, padded to W frames and P pointers.

    Attributes:
        spatial: ``(N, W, h·w, C)`` frame memories.
        place: ``(N, W)`` int64 index of each into the temporal position encoding.
        pointers: ``(N, P, D)`` object pointers.
        offset: ``(N, P)`` float32 age of each, 1 for the oldest of a full ring.
        used: ``(N, W + P)`` bool, False for padding; None where there is none.
    """

    spatial: Tensor
    place: Tensor
    pointers: Tensor
    offset: Tensor
    used: Tensor | None


@dataclass(frozen=True)
class Propagated:
    """N tracks in the new frame.

    Attributes:
        logits: ``(N, H, W)`` float32 mask logits at a quarter of the model's resolution.
        scores: ``(N,)`` float32 logit of the object being there.
        pointers: ``(N, D)`` object pointers.
        quality: ``(N,)`` float32 IoU that the mask is predicted to have.
    """

    logits: Tensor
    scores: Tensor
    pointers: Tensor
    quality: Tensor

    def rows(self, index: Tensor) -> Propagated:
        """Some of them, in the order of ``(K,)`` int64."""
        return Propagated(self.logits[index], self.scores[index], self.pointers[index], self.quality[index])

    @classmethod
    def join(cls, parts: Sequence[Propagated]) -> Propagated:
        """The tracks of several passes, one after the other."""
        return cls(
            torch.cat([part.logits for part in parts]),
            torch.cat([part.scores for part in parts]),
            torch.cat([part.pointers for part in parts]),
            torch.cat([part.quality for part in parts]),
        )


def passes(count: int, most: int = MAX_TRACKS_A_PASS) -> Iterator[slice]:
    """Cut `count` tracks into parts of at most `most`."""
    return (slice(start, start + most) for start in range(0, count, most))


def in_passes(work: Callable[[int], T]) -> T:
    """What `work` gives when it takes so many tracks a pass: as many as it may, or one where memory is wanting.

    Args:
        work: to be done again from its beginning if it fails, so it must leave everything as it was until its end.
    """
    try:
        return work(MAX_TRACKS_A_PASS)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    return work(1)  # when the error has let go of what it held


class Propagation:
    """The tracker part of a `Sam3VideoModel`, or a `Sam2VideoModel`, on a device."""

    @torch.inference_mode()
    def __init__(self, video: Any, device: torch.device, dtype: torch.dtype) -> None:
        """Move the tracker and its image encoder or neck to `device`; `dtype` is that of products."""
        self.model: Any = video.tracker_model
        self.config: Any = self.model.config
        self.device, self.precision = device, dtype
        self.memory_dtype = memory_precision(device)
        size = self.model.prompt_encoder.image_embedding_size
        self.height, self.width = int(size[0]), int(size[1])
        attention = self.model.memory_attention
        # Computed before the weights change type: rotations and positions in bfloat16 would be coarse.
        cos, sin = attention.rotary_emb(torch.zeros(1, dtype=torch.float32), attention.position_ids.cpu())
        hidden, memory = int(self.model.hidden_dim), int(self.model.mem_dim)
        rotation = Rotation(cos.to(device), sin.to(device))
        self._image_positions = self.model.get_image_wide_positional_embeddings().to(device)
        self._endless = video.tracker_neck is None
        self._encoder = image_encoder(video, (self.height, self.width), device, dtype)
        # (h·w, C) of the image, for queries.
        self._query_positions = POSITION_WEIGHT * self._sine(self._encoder.position_encoding, hidden)
        self.model.to(device=device)
        # (places in time, h·w, C) of memories, for keys.
        time = self.model.memory_temporal_positional_encoding[:, 0].float()
        self._memory_positions = time + self._sine(self.model.memory_encoder.position_encoding, memory)
        self._pointer_periods = _periods(hidden).to(device)
        self._memory_attention = MemoryAttention(attention, rotation, dtype)
        narrow(self.model, dtype)
        if device.type == "cuda":
            self._choose_kernel()

        self.memory_shape = (self.height * self.width, memory)
        size = self.model.prompt_encoder.mask_input_size
        self.mask_size = (int(size[0]), int(size[1]))
        self.hidden = hidden
        # Of memories, that passes are compiled for: `trackers.memory.widths`; none for any.
        self.widths: Sequence[tuple[int, int]] = ()
        self._no_prompt = self._empty_prompt(None)
        config = self.config
        self._several = bool(
            config.multimask_output_in_sam
            and config.multimask_output_for_tracking
            and config.multimask_min_pt_num <= 0 <= config.multimask_max_pt_num
        )

    def _sine(self, encoding: Any, channels: int) -> Tensor:
        shape = torch.Size((1, channels, self.height, self.width))
        positions: Tensor = encoding(shape, torch.device("cpu"), torch.float32)[0].flatten(1).T
        return positions.to(self.device).contiguous()

    def _empty_prompt(self, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Embeddings of a prompt without points; of `masks` ``(N, 1, H, W)`` if given."""
        count = 1 if masks is None else len(masks)
        points = torch.zeros(count, 1, 1, 2, device=self.device)
        labels = -torch.ones(count, 1, 1, device=self.device, dtype=torch.int32)
        sparse, dense = self.model.prompt_encoder(points, labels, None, masks)
        return sparse, dense

    def _choose_kernel(self) -> None:
        """Measure the attention to as many memories as a track can have."""
        config, places, memory = self.config, self.height * self.width, int(self.model.mem_dim)
        heads = int(config.memory_attention_num_attention_heads)
        queries = torch.ones(1, heads, places, self.hidden // heads, dtype=self.precision, device=self.device)
        pointers = int(config.max_object_pointers_in_encoder) * self.hidden // memory
        self._memory_attention.attention.measure(queries, int(config.num_maskmem) * places + pointers, memory, TRACKS)

    def pointer_span(self, step: int) -> int:
        """The age in frames, at least 1, that the pointers' ages are told as shares of, in frame number `step`.

        `Sam2VideoModel` takes the longest that there can be from the first frame of a stream on, the tracker of
        `Sam3VideoModel` the longest that there can be by now (`_get_object_pointers`).
        """
        longest = int(self.config.max_object_pointers_in_encoder) - 1
        return max(longest if self._endless else min(step, longest), 1)

    @computed_narrowly
    def tracker_features(self, features: ImageFeatures, pictures: Sequence[Picture]) -> TrackerFeatures:
        """Encode the frames of which the detector's image encoder has made `features`."""
        return self._see(self._encoder.inputs(features, pictures))

    @computed_narrowly
    def propagate(self, features: TrackerFeatures, frames: Tensor, memories: Memories) -> Propagated:
        """Find N tracks in their new frames, at most `MAX_TRACKS_A_PASS`.

        Args:
            features: of B frames.
            frames: ``(N,)`` int64, which of them each track is looked for in.
            memories: of the N tracks.
        """
        return self._find(features.rows(frames), memories)

    @computed_narrowly
    def from_masks(self, features: TrackerFeatures, frames: Tensor, masks: Tensor) -> Propagated:
        """Start N tracks from masks, at most `MAX_TRACKS_A_PASS`.

        Args:
            features: of B frames.
            frames: ``(N,)`` int64, the frame of each mask.
            masks: ``(N, H, W)`` bool.

        Returns:
            Logits here at the model's full resolution: the masks, scaled.
        """
        size = (int(self.config.image_size),) * 2
        full = F.interpolate(masks[:, None].float(), size, mode="bilinear", antialias=True, align_corners=False)
        prompts = self.model.mask_downsample(full)
        if prompts.shape[-2:] != self.mask_size:
            prompts = F.interpolate(
                prompts.float(), self.mask_size, mode="bilinear", antialias=True, align_corners=False
            )
        rows = features.rows(frames)
        decoded = self._decode(rows, rows.coarse, self._empty_prompt(prompts), several=True)
        present = masks.flatten(1).any(1)
        pointers = torch.where(present[:, None], decoded.pointers, self.model.no_object_pointer)
        logits, scores = (
            full[:, 0] * MASK_PROMPT_SCALE + MASK_PROMPT_BIAS,
            present * MASK_PROMPT_SCALE + MASK_PROMPT_BIAS,
        )
        return Propagated(logits, scores, pointers, torch.ones_like(scores))

    @row_pass(FRAMES)
    def _see(self, inputs: Tensor) -> TrackerFeatures:
        """Frames, as their encoder takes them."""
        fine, middle, coarse = self._encoder.pyramid(inputs)
        tokens = coarse.flatten(2).transpose(1, 2) + self._query_positions
        remembered = self.model.memory_encoder.feature_projection(coarse)
        return TrackerFeatures(fine, middle, coarse, *self._memory_attention.before(tokens), remembered)

    @row_pass(TRACKS)
    def _find(self, features: TrackerFeatures, memories: Memories) -> Propagated:
        """N tracks, each in a row of `features`."""
        tokens = self._memory_attention(features.tokens, features.queries, self._tokens(memories))
        pixels = tokens.transpose(1, 2).view(len(tokens), -1, self.height, self.width)
        sparse, dense = self._no_prompt
        prompt = sparse.expand(len(tokens), -1, -1, -1), dense.expand(len(tokens), -1, -1, -1)
        return self._decode(features, pixels, prompt, several=self._several)

    def _tokens(self, memories: Memories) -> MemoryTokens:
        """Memories, as the memory attention reads them."""
        count, _, places, channels = memories.spatial.shape
        spatial, pointers = memories.spatial.float().flatten(1, 2), memories.pointers.reshape(count, -1, channels)
        splits = self.hidden // channels
        values = torch.cat([spatial, pointers], dim=1)
        keys = values + torch.cat(
            [
                self._memory_positions[memories.place].flatten(1, 2),
                self._pointer_positions(memories.offset).repeat_interleave(splits, dim=1),
            ],
            dim=1,
        )
        used = memories.used
        if used is not None:
            frames = memories.place.shape[1]
            used = torch.cat(
                [used[:, :frames].repeat_interleave(places, dim=1), used[:, frames:].repeat_interleave(splits, dim=1)],
                dim=1,
            )
        return MemoryTokens(keys.to(self.precision), values.to(self.precision), spatial.shape[1], used)

    def _pointer_positions(self, offset: Tensor) -> Tensor:
        """Positions in time, ``(N, P, C)``, of pointers of age ``(N, P)``: `_get_object_pointers`."""
        if not self.config.enable_temporal_pos_encoding_for_object_pointers:
            return torch.zeros(*offset.shape, int(self.model.mem_dim), device=self.device)
        phases = offset[..., None] / self._pointer_periods
        waves = torch.cat([phases.sin(), phases.cos()], dim=-1)
        return self.model.temporal_positional_encoding_projection_layer(waves)  # type: ignore[no-any-return]

    def _decode(
        self, features: TrackerFeatures, pixels: Tensor, prompt: tuple[Tensor, Tensor], *, several: bool
    ) -> Propagated:
        """The mask decoder on N tracks: `Sam3TrackerVideoModel._single_frame_forward`, for more than one image."""
        count = len(pixels)
        masks, quality, tokens, scores = self.model.mask_decoder(
            image_embeddings=pixels,
            image_positional_embeddings=self._image_positions.expand(count, -1, -1, -1),
            sparse_prompt_embeddings=prompt[0],
            dense_prompt_embeddings=prompt[1],
            multimask_output=several,
            high_resolution_features=[features.fine, features.middle],
        )
        # One prompt an image: masks (N, 1, M, H, W), quality (N, 1, M), tokens (N, 1, M, D), scores (N, 1, 1).
        every = torch.arange(count, device=self.device)
        best = quality[:, 0].argmax(dim=-1) if several else torch.zeros_like(every)
        present = scores[:, 0, 0] > 0
        logits = torch.where(present[:, None, None], masks[every, 0, best].float(), NO_OBJECT_LOGIT)
        token = tokens[every, 0, best if tokens.shape[2] > 1 else 0]
        pointers = torch.where(present[:, None], self.model.object_pointer_proj(token), self.model.no_object_pointer)
        return Propagated(logits, scores[:, 0, 0].float(), pointers, quality[every, 0, best].float())


def _periods(channels: int) -> Tensor:
    """Periods of the sines and cosines of a time: `get_1d_sine_pe`, Vaswani et al. 2017."""
    half = channels // 2
    return 10000 ** (2 * (torch.arange(half, dtype=torch.float32) // 2) / half)
