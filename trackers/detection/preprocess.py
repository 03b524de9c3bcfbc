"""From a decoded picture to the tensor that the image encoder wants.

Equals the Transformers SAM 3 image processor (`Sam3ImageProcessor`: bilinear with antialiasing on uint8, then
scaled to [-1, 1] with mean and standard deviation 0.5), which needs torchvision and so cannot be used at run time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskcast.picture import Image
from trackers.transfer import upload


def preprocess(images: Sequence[Image], size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Resize and normalise pictures on `device`.

    Args:
        images: ``(H, W, 3)`` uint8 RGB each; sizes may differ.
        size: side of the square model input in pixels; the aspect ratio is not kept, as in the reference.
        device: where to resize; what is uploaded is the uint8 picture.
        dtype: of the result.

    Returns:
        ``(N, 3, size, size)``, values in [-1, 1].
    """
    return (resize(images, size, device).float().sub_(127.5).div_(127.5)).to(dtype)


def resize(images: Sequence[Image], size: int, device: torch.device) -> Tensor:
    """Resize pictures alone: ``(N, 3, size, size)`` uint8; see `preprocess`."""
    return torch.stack([_resize(image, size, device) for image in images])


def _resize(image: Image, size: int, device: torch.device) -> Tensor:
    # `from_numpy` refuses read-only arrays with a warning; the copy is what the upload would make anyway.
    array = image if image.flags.writeable else np.array(image)
    pixels = upload(array, device).permute(2, 0, 1)[None]
    if pixels.shape[-2:] == (size, size):
        return pixels[0]
    if device.type == "cpu":
        # The uint8 kernel is what torchvision dispatches to on a CPU; it exists for CPUs only.
        return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
    scaled = F.interpolate(pixels.float(), (size, size), mode="bilinear", antialias=True, align_corners=False)
    return scaled.round_().clamp_(0, 255).to(torch.uint8)[0]
