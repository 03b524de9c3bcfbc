"""A decoded picture in the two forms that its readers need, RGB and planar YUV, and how its samples are to be read.

Sizes are those of the frame as displayed: rotation is applied.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Samples: `(H, W, 3)` RGB or one plane `(H, W)`.
Image: TypeAlias = NDArray[np.uint8]


Matrix: TypeAlias = Literal["bt601", "bt709", "bt2020"]

# Code points of ITU-T H.273, which FFmpeg and the codecs use too: of the matrix coefficients, those that mean the same
# matrix, the usual one first; and what stands where a medium does not say its matrix, primaries or transfer curve.
MATRIX_CODES: dict[Matrix, tuple[int, ...]] = {"bt709": (1,), "bt601": (5, 6), "bt2020": (9, 10)}
UNSPECIFIED = 2


class Colour(NamedTuple):
    """How the YUV samples of a picture encode colour.

    Attributes:
        matrix: which weights of red, green and blue make luma: those of ITU-R BT.601, BT.709 or BT.2020, written
            `bt601`, `bt709` or `bt2020`.
        full_range: whether black and white are the samples 0 and 255; otherwise 16 and 235 (chroma 16 to 240).
    """

    matrix: Matrix = "bt709"
    full_range: bool = False


class Planes(NamedTuple):
    """An 8-bit 4:2:0 picture: three planes of samples, uint8, read-only.

    Attributes:
        y: luma, ``(H, W)``.
        u, v: blue and red difference, ``(⌈H/2⌉, ⌈W/2⌉)`` each.
    """

    y: Image
    u: Image
    v: Image


class Picture(Protocol):
    """One decoded picture, offered in the two forms that its readers need; each is converted when first asked for.

    The model wants RGB; the video encoder and the overlay want planar YUV, so that a picture that is decoded,
    drawn on and encoded again never goes through RGB.
    """

    @property
    def width(self) -> int:
        """Width in pixels."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    @property
    def colour(self) -> Colour:
        """The colour encoding of `yuv420p`."""

    def rgb(self) -> Image:
        """The picture as ``(H, W, 3)`` uint8 RGB, C-contiguous, read-only."""

    def yuv420p(self) -> Planes:
        """The picture as 8-bit 4:2:0 planes, encoded as `colour` says."""


class Look(NamedTuple):
    """How a medium wants its samples shown, beyond `Colour`.

    Attributes:
        matrix, primaries, transfer: code points of ITU-T H.273; `UNSPECIFIED` where the medium says nothing.
        pixel_aspect: width of a pixel by its height, rotation applied; None where the medium says nothing.
    """

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    pixel_aspect: Fraction | None = None
