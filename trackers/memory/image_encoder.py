"""Where the memory tracker's image features come from: the detector's image encoder, or one of its own.

SAM 2's tracker and SAM 3's, which derives from it, differ in nothing else but the size of their masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from maskcast.picture import Picture
from trackers.detection.image_encoder import ImageFeatures
from trackers.detection.preprocess import resize
from trackers.precision import narrow

# Feature maps `(B, C, h_i, w_i)` of strides 4, 8 and 16, in units of the tracker's own patches.
Pyramid: TypeAlias = tuple[Tensor, Tensor, Tensor]

# Of ImageNet's pixels, which Hiera was trained with: `Sam2VideoVideoProcessor`.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageEncoder(Protocol):
    """Makes the feature maps that the tracker reads.

    Attributes:
        position_encoding: of the feature maps, a module that is called with shape, device and dtype.
    """

    position_encoding: Any

    def pyramid(self, features: ImageFeatures, pictures: Sequence[Picture]) -> Pyramid:
        """Encode B frames in one pass.

        Args:
            features: what the detector's image encoder says of them.
            pictures: themselves.
        """


class SharedEncoder:
    """SAM 3: a neck of the tracker's own on the tokens of the detector's ViT."""

    def __init__(self, neck: Any, size: tuple[int, int], device: torch.device, dtype: torch.dtype) -> None:
        """Move a `Sam3VisionNeck` to a device.

        Args:
            neck: the one.
            size: height and width of the ViT's output, in tokens.
            device: where to run.
            dtype: of matrix products, see `trackers.precision`.
        """
        self.position_encoding = neck.position_encoding
        self._neck = neck.to(device=device)
        narrow(self._neck, dtype)
        self._size = size

    def pyramid(self, features: ImageFeatures, pictures: Sequence[Picture]) -> Pyramid:  # noqa: ARG002 - seen already
        """See `ImageEncoder.pyramid`."""
        pixels = features.tokens.view(len(features.tokens), *self._size, -1).permute(0, 3, 1, 2)
        # The neck's last level is not read by the tracker.
        fine, middle, coarse = (level(pixels) for level in self._neck.fpn_layers[:3])
        return fine, middle, coarse


class OwnEncoder:
    """SAM 2: a Hiera with its neck, which looks at the pictures itself, at the tracker's resolution."""

    def __init__(self, encoder: Any, image_size: int, device: torch.device, dtype: torch.dtype) -> None:
        """Move a `Sam2VisionModel` to a device.

        Args:
            encoder: the one.
            image_size: side of its square input in pixels.
            device: where to run.
            dtype: of matrix products, see `trackers.precision`.
        """
        self.position_encoding = encoder.neck.position_encoding
        encoder.neck.position_encoding = _NoPositions()
        self._encoder = encoder.to(device=device)
        narrow(self._encoder, dtype)
        self._image_size, self._device = image_size, device
        self._mean = 255 * torch.tensor(MEAN, device=device).view(3, 1, 1)
        self._deviation = 255 * torch.tensor(DEVIATION, device=device).view(3, 1, 1)

    def pyramid(self, features: ImageFeatures, pictures: Sequence[Picture]) -> Pyramid:  # noqa: ARG002 - another's
        """See `ImageEncoder.pyramid`."""
        pixels = resize([picture.rgb() for picture in pictures], self._image_size, self._device)
        normalised = (pixels.float() - self._mean) / self._deviation
        fine, middle, coarse = self._encoder(normalised).fpn_hidden_states
        return fine, middle, coarse


class _NoPositions(nn.Module):
    """Stands where the neck would make position encodings of each frame: as many sines as there are features."""

    def forward(self, _: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
        return torch.zeros((), device=device, dtype=dtype)


def image_encoder(video: Any, size: tuple[int, int], device: torch.device, dtype: torch.dtype) -> ImageEncoder:
    """The image encoder of a tracker, on a device.

    Args:
        video: a `Sam3VideoModel` or `TrackerWeights`.
        size: height and width of the coarsest feature map.
        device: where to run.
        dtype: of matrix products, see `trackers.precision`.
    """
    if video.tracker_neck is None:
        return OwnEncoder(video.tracker_model.vision_encoder, int(video.tracker_model.config.image_size), device, dtype)
    return SharedEncoder(video.tracker_neck, size, device, dtype)
