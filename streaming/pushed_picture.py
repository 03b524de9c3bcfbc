"""Pictures that a caller pushes, arrays or tensors, as those of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from maskcast.errors import UsageError
from maskcast.picture import Image, Picture

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

    Pixels: TypeAlias = Image | Tensor

# Of the three samples of a pixel: OpenCV's pictures are `bgr`, those of nearly all others `rgb`.
Order: TypeAlias = Literal["rgb", "bgr"]


def check_order(order: str) -> Order:
    """Refuse another one.

    Raises:
        UsageError: it is none.
    """
    for known in get_args(Order):
        if order == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"order is 'rgb' or 'bgr', not {order!r}")


def pushed_picture(pixels: Pixels, order: Order) -> Picture:
    """Copy a picture.

    Args:
        pixels: uint8, ``(H, W, 3)``; a tensor may be ``(3, H, W)`` too, on any device. Where both could be meant, it is
            the former.
        order: of the samples of a pixel.

    Raises:
        UsageError: it is something else.
    """
    from torch import Tensor, uint8

    from sources.picture import ArrayPicture

    turned = pixels
    if isinstance(pixels, Tensor):
        if pixels.ndim == 3 and pixels.shape[2] != 3:
            turned = pixels.permute(1, 2, 0)
        fits = pixels.dtype == uint8
    else:
        fits = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    if not fits or turned.ndim != 3 or turned.shape[2] != 3 or 0 in turned.shape:
        raise UsageError(f"a picture is (H, W, 3) uint8, or a tensor (3, H, W) uint8, not {_described(pixels)}")
    array = turned.detach().cpu().numpy() if isinstance(turned, Tensor) else turned
    if order == "bgr":
        array = array[..., ::-1]
    return ArrayPicture(np.array(array, order="C"))


def _described(pixels: object) -> str:
    shape, dtype = getattr(pixels, "shape", None), getattr(pixels, "dtype", None)
    if shape is None or dtype is None:
        return type(pixels).__name__
    return f"{tuple(shape)} {str(dtype).removeprefix('torch.')}"
