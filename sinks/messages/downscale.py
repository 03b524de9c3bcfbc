"""Masks at a fraction of the frame's resolution, for messages that would be too large otherwise."""

from __future__ import annotations

import numpy as np

from maskcast.mask import Mask


def downscaled(mask: Mask, downscale: int) -> Mask:
    """The mask of a frame reduced by `downscale` in both directions, to ``(⌈H / downscale⌉, ⌈W / downscale⌉)``.

    A pixel is set where any of the `downscale` by `downscale` pixels that it stands for is. So no object vanishes, and
    the reduced mask, scaled up by repeating each pixel, covers the mask. Blocks outside the mask's box are not visited.
    """
    if downscale == 1:
        return mask
    size = (-(-mask.size[0] // downscale), -(-mask.size[1] // downscale))
    if not mask.crop.size:
        return Mask(size, 0, 0, mask.crop)
    # Widened to whole blocks; the blocks are counted from the frame's top left corner, not from the box's.
    height, width = mask.crop.shape
    top, left = mask.y % downscale, mask.x % downscale
    bottom, right = -(top + height) % downscale, -(left + width) % downscale
    whole = np.pad(mask.crop, ((top, bottom), (left, right)))
    blocks = whole.reshape(whole.shape[0] // downscale, downscale, whole.shape[1] // downscale, downscale)
    # A tight box has a set pixel in each border row and column, so the outer blocks have one too: it stays tight.
    return Mask(size, mask.x // downscale, mask.y // downscale, np.asarray(blocks.any(axis=(1, 3))))


def upscaled(mask: Mask, downscale: int, size: tuple[int, int]) -> Mask:
    """The mask at the size of its frame, each pixel repeated: it covers the one that `downscaled` was given.

    Args:
        mask: of size ``(⌈H / downscale⌉, ⌈W / downscale⌉)``.
        downscale: pixels of the frame, in each direction, that one of the mask stands for.
        size: ``(H, W)`` of the frame.
    """
    if downscale == 1:
        return mask
    y, x = mask.y * downscale, mask.x * downscale
    crop = mask.crop.repeat(downscale, axis=0).repeat(downscale, axis=1)
    return Mask.from_array(crop[: size[0] - y, : size[1] - x], size, x, y)
