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
from trackers.folded_neck import FoldedLevel, joined
from trackers.precision import narrow

# Feature maps `(B, C_i, h_i, w_i)` of strides 4, 8 and 16, in units of the tracker's own patches: the two finer ones
# projected for the mask decoder, to 1/8 and 1/4 of the channels.
Pyramid: TypeAlias = tuple[Tensor, Tensor, Tensor]

# Of ImageNet's pixels, which Hiera was trained with: `Sam2VideoVideoProcessor`.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageEncoder(Protocol):
    """Makes the feature maps that the tracker reads.

    Attributes:
        position_encoding: of the feature maps, a module that is called with shape, device and dtype.
    """

    position_encoding: Any

    def inputs(self, features: ImageFeatures, pictures: Sequence[Picture]) -> Tensor:
        """What it reads of B frames, a row a frame.

        Args:
            features: what the detector's image encoder says of them.
            pictures: themselves.
        """

    def pyramid(self, inputs: Tensor) -> Pyramid:
        """Encode B frames in one pass."""


class SharedEncoder:
    """SAM 3: a neck of the tracker's own on the tokens of the detector's ViT."""

    def __init__(
        self, neck: Any, decoder: Any, size: tuple[int, int], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Put a neck's levels on a device, its finer ones with the layers that read them folded in.

        Args:
            neck: a `Sam3VisionNeck`.
            decoder: the tracker's mask decoder.
            size: height and width of the ViT's output, in tokens.
            device: where to run.
            dtype: of matrix products, see `trackers.precision`.
        """
        self.position_encoding = neck.position_encoding
        # The neck's last level is not read by the tracker.
        readers = (decoder.conv_s0, decoder.conv_s1, None)
        levels = zip(neck.fpn_layers[:3], readers, strict=True)
        self._levels = nn.ModuleList(FoldedLevel(level, size, reader) for level, reader in levels)
        narrow(self._levels.to(device), dtype)
        self._size = size

    def inputs(self, features: ImageFeatures, pictures: Sequence[Picture]) -> Tensor:  # noqa: ARG002 - seen already
        """See `ImageEncoder.inputs`: the tokens ``(B, h·w, D)``."""
        return features.tokens

    def pyramid(self, inputs: Tensor) -> Pyramid:
        """See `ImageEncoder.pyramid`."""
        pixels = inputs.view(len(inputs), *self._size, -1).permute(0, 3, 1, 2)
        fine, middle, coarse = (level(pixels) for level in self._levels)
        return fine, middle, coarse


class OwnEncoder:
    """SAM 2: a Hiera with its neck, which looks at the pictures itself, at the tracker's resolution.

    The layers that read the neck's finer levels are folded into it, where the checkpoint's neck allows.
    """

    def __init__(self, encoder: Any, decoder: Any, image_size: int, device: torch.device, dtype: torch.dtype) -> None:
        """Move a `Sam2VisionModel` to a device.

        Args:
            encoder: the one.
            decoder: the tracker's mask decoder, on the device.
            image_size: side of its square input in pixels.
            device: where to run.
            dtype: of matrix products, see `trackers.precision`.
        """
        self.position_encoding = encoder.neck.position_encoding
        encoder.neck.position_encoding = _NoPositions()
        readers = decoder.conv_s0, decoder.conv_s1
        # Those that are left to be asked.
        self._readers = [
            nn.Identity() if _join(encoder.neck, level, reader) else reader for level, reader in enumerate(readers)
        ]
        self._encoder = encoder.to(device=device)
        narrow(self._encoder, dtype)
        self._image_size, self._device = image_size, device
        self._mean = 255 * torch.tensor(MEAN, device=device).view(3, 1, 1)
        self._deviation = 255 * torch.tensor(DEVIATION, device=device).view(3, 1, 1)

    def inputs(self, features: ImageFeatures, pictures: Sequence[Picture]) -> Tensor:  # noqa: ARG002 - another's
        """See `ImageEncoder.inputs`: pixels ``(B, 3, H, W)``, normalised."""
        pixels = resize([picture.rgb() for picture in pictures], self._image_size, self._device)
        return (pixels.float() - self._mean) / self._deviation

    def pyramid(self, inputs: Tensor) -> Pyramid:
        """See `ImageEncoder.pyramid`."""
        fine, middle, coarse = self._encoder(inputs).fpn_hidden_states
        return self._readers[0](fine), self._readers[1](middle), coarse


def _join(neck: Any, level: int, reader: Any) -> bool:
    """Let a level of a `Sam2VisionNeck` give what the 1x1 convolution says that reads it, where no other level does.

    Args:
        neck: the one, of 1x1 convolutions.
        level: 0 for the finest.
        reader: 1x1 as well.

    Returns:
        Whether it was possible.
    """
    convolution = neck.convs[-1 - level]  # they begin with the coarsest
    if {level, level - 1} & set(neck.fpn_top_down_levels) or convolution.kernel_size != (1, 1):
        return False
    neck.convs[len(neck.convs) - 1 - level] = joined(convolution, reader)
    return True


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
    tracker = video.tracker_model
    if video.tracker_neck is None:
        return OwnEncoder(tracker.vision_encoder, tracker.mask_decoder, int(tracker.config.image_size), device, dtype)
    return SharedEncoder(video.tracker_neck, tracker.mask_decoder, size, device, dtype)
