"""The memory tracker's computation on a short clip, for all objects at once.

`Sam3TrackerVideoModel` tracks one object at a time out of a growing session; here the same modules run on batches of
``R`` objects, each from one of ``C`` clips, so that losses can flow through them. Frame 0 takes a mask; later frames
see memories of earlier ones and predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from architecture import GRID, HIDDEN, MASK
from scenes import SIZE
from torch import Tensor
from transformers import Sam3TrackerVideoModel
from transformers.models.sam3.modeling_sam3 import Sam3SinePositionEmbedding, Sam3VisionNeck
from transformers.models.sam3_tracker_video.modeling_sam3_tracker_video import get_1d_sine_pe

_NO_OBJECT_LOGIT = -1024.0
"""Mask logit of an object that is not in the picture, as in the library."""
_SINE = Sam3SinePositionEmbedding(num_position_features=HIDDEN // 2, normalize=True)
_RECENT_FRAMES = 6
"""Memories of tracked frames that the tracker looks at, besides the conditioning ones."""


@dataclass(frozen=True)
class FrameFeatures:
    """The tracker's pyramid for one frame of ``R`` objects' clips."""

    coarse: Tensor
    """``(R, HIDDEN, GRID, GRID)``."""
    fine: tuple[Tensor, Tensor]
    """Projected for the mask decoder: ``(R, HIDDEN / 8, MASK, MASK)`` and ``(R, HIDDEN / 4, MASK / 2, MASK / 2)``."""

    def rows(self, clip: Tensor) -> FrameFeatures:
        """Repeat the clips' features for their objects: ``clip`` int64 ``(R,)``."""
        return FrameFeatures(self.coarse[clip], (self.fine[0][clip], self.fine[1][clip]))


@dataclass(frozen=True)
class Memory:
    """What the tracker keeps of one frame for ``R`` objects."""

    frame: int
    tokens: Tensor
    """``(GRID², R, 64)``."""
    pointer: Tensor
    """``(R, HIDDEN)``."""
    conditioning: bool


@dataclass(frozen=True)
class Prediction:
    """Outcome of one tracked frame."""

    masks: Tensor
    """Logits ``(R, MASK, MASK)``, before the absent ones are blanked."""
    presence: Tensor
    """Logits ``(R,)``."""
    pointer: Tensor
    """``(R, HIDDEN)``."""

    def blanked(self) -> Tensor:
        """Mask logits with absent objects blanked."""
        return torch.where(self.presence[:, None, None] > 0, self.masks, _NO_OBJECT_LOGIT)


@dataclass
class Tracked:
    """Outcome of a clip."""

    predictions: list[Prediction] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    conditioned: list[Tensor] = field(default_factory=list)
    """From frame 1 on, what the mask decoder saw: features that look at the memories, ``(R, HIDDEN, GRID, GRID)``."""


def pyramid(
    tracker: Sam3TrackerVideoModel, neck: Sam3VisionNeck, backbone: Tensor, *, train_fine: bool
) -> FrameFeatures:
    """The tracker's features of frames, from the image encoder's output ``(F, HIDDEN, GRID, GRID)``."""
    with torch.set_grad_enabled(train_fine and torch.is_grad_enabled()):
        finest, finer = neck.fpn_layers[0](backbone), neck.fpn_layers[1](backbone)
    decoder = tracker.mask_decoder
    return FrameFeatures(neck.fpn_layers[2](backbone), (decoder.conv_s0(finest), decoder.conv_s1(finer)))


def decode_masks(
    tracker: Sam3TrackerVideoModel,
    features: Tensor,
    fine: tuple[Tensor, Tensor],
    prompt: Tensor | None = None,
    *,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    first: bool = False,
) -> Prediction:
    """Run the mask decoder.

    Args:
        tracker: The model.
        features: ``(R, HIDDEN, GRID, GRID)``.
        fine: As in `FrameFeatures`.
        prompt: Mask prompt ``(R, 1, MASK, MASK)``.
        points: Clicks ``(R, P, 2)``, x and y in pixels.
        labels: int64 ``(R, P)``: 1 on the object, 0 not on it, 2 and 3 the first and the last corner of a box.
        first: Whether this is a mask-prompted frame.
    """
    rows = len(features)
    if points is None or labels is None:
        points = features.new_zeros(rows, 1, 2)
        labels = -torch.ones(rows, 1, dtype=torch.int32, device=features.device)
    sparse, dense = tracker.prompt_encoder(
        input_points=points[:, None], input_labels=labels[:, None], input_boxes=None, input_masks=prompt
    )
    masks, _, tokens, presence = tracker.mask_decoder(
        image_embeddings=features,
        image_positional_embeddings=tracker.get_image_wide_positional_embeddings().repeat(rows, 1, 1, 1),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=first,
        high_resolution_features=list(fine),
    )
    pointer = tracker.object_pointer_proj(tokens[:, 0, 0])
    return Prediction(masks[:, 0, 0].float(), presence[:, 0, 0].float(), pointer)


def _keep_pointer(tracker: Sam3TrackerVideoModel, pointer: Tensor, present: Tensor) -> Tensor:
    return torch.where(present[:, None], pointer, tracker.no_object_pointer)


def remember(tracker: Sam3TrackerVideoModel, coarse: Tensor, masks: Tensor) -> Tensor:
    """Encode masks (shares 0 to 1, ``(R, S, S)``) into memory tokens ``(GRID², R, 64)``."""
    config = tracker.config
    present = masks.flatten(1).amax(1) > 0.5
    big = F.interpolate(masks[:, None], (4 * MASK, 4 * MASK), mode="bilinear", align_corners=False, antialias=True)
    scaled = big * config.sigmoid_scale_for_mem_enc + config.sigmoid_bias_for_mem_enc
    tokens, _ = tracker.memory_encoder(coarse, scaled)
    gone = tracker.occlusion_spatial_embedding_parameter[..., None, None]
    tokens = tokens + (~present)[:, None, None, None].float() * gone
    return tokens.flatten(2).permute(2, 0, 1)


def repeat_mask(tracker: Sam3TrackerVideoModel, features: FrameFeatures, masks: Tensor) -> Prediction:
    """What the mask decoder makes of masks ``(R, SIZE, SIZE)``, 0 to 1; its pointer is what the tracker keeps."""
    small = tracker.mask_downsample(masks[:, None])
    small = F.interpolate(small.float(), (MASK, MASK), mode="bilinear", align_corners=False, antialias=True)
    return decode_masks(tracker, features.coarse, features.fine, small, first=True)


def start(tracker: Sam3TrackerVideoModel, features: FrameFeatures, masks: Tensor) -> tuple[Memory, Prediction]:
    """Frame 0: take masks ``(R, SIZE, SIZE)``, 0 to 1; the prediction repeats them and memory keeps them as hard."""
    repeated = repeat_mask(tracker, features, masks)
    pointer = _keep_pointer(tracker, repeated.pointer, repeated.presence > 0)
    hard = F.interpolate(masks[:, None], (4 * MASK, 4 * MASK), mode="bilinear", align_corners=False)[:, 0] > 0.5
    return Memory(0, remember(tracker, features.coarse, hard.float()), pointer, conditioning=True), repeated


def attend(
    tracker: Sam3TrackerVideoModel, coarse: Tensor, memories: list[Memory], frame: int, *, far: float, known: int
) -> Tensor:
    """Condition a frame's features on memories, ``(R, HIDDEN, GRID, GRID)``.

    Args:
        tracker: The model.
        coarse: Features of the frame.
        memories: Everything remembered so far.
        frame: Index of the frame.
        far: Frames to add to the age of conditioning pointers: practice for tracks older than a training clip.
        known: Frames of the video so far, which scale the pointers' ages.
    """
    rows = coarse.shape[0]
    recent = [m for m in memories if not m.conditioning and frame - m.frame <= _RECENT_FRAMES]
    conditioning = [m for m in memories if m.conditioning]
    spatial = tracker.memory_encoder.position_encoding((rows, 64, GRID, GRID), coarse.device, coarse.dtype)
    spatial = spatial.flatten(2).permute(2, 0, 1)
    ages = tracker.memory_temporal_positional_encoding
    tokens = [m.tokens for m in (*conditioning, *recent)]
    places = [spatial + ages[-1] for _ in conditioning] + [spatial + ages[frame - m.frame - 1] for m in recent]

    most = tracker.config.max_object_pointers_in_encoder - 1
    pointed = [*conditioning, *(m for m in memories if not m.conditioning and frame - m.frame <= most)]
    scale = max(min(known - 1, most), 1)
    offsets = [(frame - m.frame + (far if m.conditioning else 0)) / scale for m in pointed]
    sine = get_1d_sine_pe(torch.tensor(offsets, device=coarse.device), dim=HIDDEN)
    age = tracker.temporal_positional_encoding_projection_layer(sine)[:, None].expand(-1, rows, -1)
    splits = HIDDEN // 64
    pointers = torch.stack([m.pointer for m in pointed]).unflatten(-1, (splits, 64)).permute(0, 2, 1, 3).flatten(0, 1)
    tokens.append(pointers)
    places.append(age.repeat_interleave(splits, 0))

    fused = tracker.memory_attention(
        current_vision_features=coarse.flatten(2).permute(2, 0, 1),
        current_vision_position_embeddings=_image_position(coarse),
        memory=torch.cat(tokens),
        memory_posision_embeddings=torch.cat(places),
        num_object_pointer_tokens=len(pointers),
    )
    return fused[0].transpose(1, 2).unflatten(2, (GRID, GRID))


def _image_position(coarse: Tensor) -> Tensor:
    """The neck's position encoding of the coarse level, ``(GRID², R, HIDDEN)``."""
    encoding = _SINE(coarse.shape, coarse.device, coarse.dtype)
    return encoding.flatten(2).permute(2, 0, 1)


def track(
    tracker: Sam3TrackerVideoModel,
    frames: list[FrameFeatures],
    first_masks: Tensor,
    truth: Tensor,
    *,
    own: Tensor,
    conditioning: frozenset[int] = frozenset(),
    lasting: Sequence[int] | None = None,
    far: float = 0.0,
    known: int = 16,
) -> Tracked:
    """Follow ``R`` objects through ``T`` frames.

    Args:
        tracker: The model.
        frames: Features of each frame, already repeated for the objects.
        first_masks: Masks of frame 0, ``(R, SIZE, SIZE)``, 0 to 1.
        truth: True coverage ``(T, R, MASK, MASK)``, for teacher forcing.
        own: bool ``(T, R)``: where memory keeps the model's own mask instead of the true one.
        conditioning: Further frames to keep as conditioning memories, as re-conditioning on a detection does.
        lasting: For how many frames of the video each frame stands; long absences become cheap.
        far: See `attend`.
        known: See `attend`.

    Returns:
        Predictions of all frames (frame 0 repeats the prompt), and the memories.
    """
    memory, repeated = start(tracker, frames[0], first_masks)
    result = Tracked([repeated], [memory])
    lasting = lasting or [1] * len(frames)
    time = 0
    for index, features in enumerate(frames[1:], start=1):
        time += 1
        coarse = attend(tracker, features.coarse, result.memories, time, far=far, known=max(known, time + 1))
        predicted = decode_masks(tracker, coarse, features.fine)
        result.conditioned.append(coarse)
        result.predictions.append(predicted)
        if index + 1 == len(frames):
            break
        mine = torch.sigmoid(predicted.blanked().detach())
        masks = torch.where(own[index][:, None, None], mine, truth[index])
        there = torch.where(own[index], predicted.presence > 0, truth[index].flatten(1).amax(1) > 0.5)
        pointer = _keep_pointer(tracker, predicted.pointer, there)
        tokens = remember(tracker, features.coarse, masks)
        result.memories.append(Memory(time, tokens, pointer, conditioning=index in conditioning))
        for _ in range(lasting[index] - 1):
            time += 1
            result.memories.append(Memory(time, tokens, pointer, conditioning=False))
    return result


def picture_masks(masks: Tensor) -> Tensor:
    """Mask logits ``(R, MASK, MASK)`` at the picture's size, as booleans."""
    return F.interpolate(masks[:, None], (SIZE, SIZE), mode="bilinear", align_corners=False)[:, 0] > 0
