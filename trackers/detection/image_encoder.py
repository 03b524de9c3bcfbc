"""The image encoder of the detector: all that is computed once a frame, whatever is looked for in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trackers.detection.vision_transformer import VisionTransformer
from trackers.folded_neck import FoldedLevel
from trackers.precision import computed_narrowly, narrow
from trackers.row_pass import FRAMES, row_pass


@dataclass(frozen=True)
class ImageFeatures:
    """What the image encoder says of a batch of frames; everything later reads from here.

    Attributes:
        tokens: ``(N, h·w, D)`` output of the ViT.
        coarse: ``(N, C, h, w)`` the neck's feature maps at the ViT's own stride. The finer ones are for masks alone:
            `MaskHead.levels`.
        attended: ``(N, h·w, C)`` these after the first self-attention of the DETR encoder: no prompt has come
            in yet, so this is done once a frame, not once a prompt.
    """

    tokens: Tensor
    coarse: Tensor
    attended: Tensor


def patches(model: Any) -> tuple[int, int]:
    """Height and width of the ViT's feature maps."""
    side = int(model.config.image_size) // int(model.vision_encoder.config.backbone_config.patch_size)
    return side, side


class ImageEncoder:
    """ViT and neck of a `Sam3LiteTextModel` or `Sam3Model`, and the first self-attention of its DETR encoder.

    Attributes:
        size: height and width of the coarsest feature map.
        positions: ``(1, h·w, C)`` float32 position encoding of it.
    """

    def __init__(self, model: Any, device: torch.device, precision: torch.dtype) -> None:
        """Move the image encoder to `device`; `precision` is that of products."""
        self.device, self.precision = device, precision
        vision = model.vision_encoder
        self.size = patches(model)
        neck = vision.neck
        # The last level is not read: `Sam3LiteTextModel.forward` drops it.
        coarse = FoldedLevel(neck.fpn_layers[-2], self.size)
        narrow(vision.to(device=device), precision)
        # The ViT's tokens lie in memory by pixel, and convolutions are faster where nothing has to be turned over.
        narrow(coarse.to(device=device, memory_format=torch.channels_last), precision)  # type: ignore[call-overload]
        self._coarse = coarse
        self._backbone = VisionTransformer(vision.backbone)
        shape = torch.Size((1, int(vision.config.fpn_hidden_size), *self.size))
        # Made once and in float32; the reference makes them for each frame, in the features' own type: in bfloat16 the
        # phases are then off before the sine is taken.
        encoding = neck.position_encoding(shape, torch.device("cpu"), torch.float32)
        self.positions: Tensor = encoding.flatten(2).transpose(1, 2).contiguous().to(device)
        self._first = model.detr_encoder.layers[0].to(device=device)
        narrow(self._first, precision)

    @computed_narrowly
    @row_pass(FRAMES)
    def encode(self, pixels: Tensor) -> ImageFeatures:
        """Encode N pictures ``(N, 3, H, W)`` float32, see `trackers.detection.preprocess`."""
        tokens = self._backbone(pixels)
        coarse = self._coarse(tokens.permute(0, 3, 1, 2))
        attended = attend_to_itself(self._first, coarse.flatten(2).transpose(1, 2), self.positions)
        return ImageFeatures(tokens.flatten(1, 2), coarse, attended)


def attend_to_itself(layer: Any, hidden: Tensor, positions: Tensor) -> Tensor:
    """The first part of a `Sam3LiteTextDetrEncoderLayer`, which no prompt takes part in.

    Args:
        layer: the one.
        hidden: ``(N, h·w, C)`` features.
        positions: ``(1, h·w, C)`` their position encodings.

    Returns:
        ``(N, h·w, C)``
    """
    normed = layer.layer_norm1(hidden)
    placed = normed + positions
    attended: Tensor = layer.self_attn(query=placed, key=placed, value=normed)[0]
    return hidden + attended
