"""Decoded pictures in the two forms of `streaming.types.Picture`."""

from __future__ import annotations

from functools import cached_property

import av
import numpy as np

from streaming.types import Colour, Image, Planes

PLANAR = ("yuv420p", "yuvj420p")
# Matrix coefficients as in ITU-T H.273, the numbering of FFmpeg and of the codecs.
_MATRIX: dict[int, Colour] = {
    1: Colour("bt709"),
    5: Colour("bt601"),
    6: Colour("bt601"),
    9: Colour("bt2020"),
    10: Colour("bt2020"),
}
_CODE = {"bt709": 1, "bt601": 5, "bt2020": 9}
_FULL_RANGE = 2


class DecodedPicture:
    """A picture that FFmpeg decoded. It keeps the decoder's buffer, which must not be written to."""

    def __init__(self, frame: av.VideoFrame) -> None:
        """Wrap a frame in any pixel format."""
        self._frame = frame

    @property
    def width(self) -> int:
        return int(self._frame.width)

    @property
    def height(self) -> int:
        return int(self._frame.height)

    @property
    def colour(self) -> Colour:
        """As the medium says; where it says nothing, HD is BT.709 and SD is BT.601, as players take it."""
        large = self.width >= 1280 or self.height > 576
        known = _MATRIX.get(int(self._frame.colorspace), Colour("bt709" if large else "bt601"))
        full = int(self._frame.color_range) == _FULL_RANGE or self._frame.format.name.startswith("yuvj")
        return Colour(known.matrix, full)

    @cached_property
    def _rgb(self) -> Image:
        colour = self.colour
        converted = self._frame.reformat(
            format="rgb24",
            src_colorspace=_CODE[colour.matrix],
            src_color_range=2 if colour.full_range else 1,
            dst_color_range=2,
        )
        array: Image = np.ascontiguousarray(converted.to_ndarray())
        array.flags.writeable = False
        return array

    @cached_property
    def _planes(self) -> Planes:
        frame = self._frame
        if frame.format.name not in PLANAR:
            code = _CODE[self.colour.matrix]
            full = 2 if self.colour.full_range else 1
            frame = frame.reformat(
                format="yuv420p", src_colorspace=code, dst_colorspace=code, src_color_range=full, dst_color_range=full
            )
        return Planes(*(_view(plane) for plane in frame.planes))

    def rgb(self) -> Image:
        return self._rgb

    def yuv420p(self) -> Planes:
        return self._planes


class ArrayPicture:
    """A picture that came as RGB, such as a still image."""

    colour = Colour("bt709", full_range=False)

    def __init__(self, array: Image) -> None:
        """Wrap ``(H, W, 3)`` uint8 RGB, C-contiguous; it is not copied and must not change."""
        self._array = array
        self._array.flags.writeable = False

    @property
    def width(self) -> int:
        return int(self._array.shape[1])

    @property
    def height(self) -> int:
        return int(self._array.shape[0])

    @cached_property
    def _planes(self) -> Planes:
        frame = av.VideoFrame.from_ndarray(self._array, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=_CODE["bt709"], src_color_range=2, dst_color_range=1
        )
        return Planes(*(_view(plane) for plane in frame.planes))

    def rgb(self) -> Image:
        return self._array

    def yuv420p(self) -> Planes:
        return self._planes


def _view(plane: av.video.plane.VideoPlane) -> Image:
    """The plane's samples without its padding, no copy."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    view: Image = rows[:, : plane.width]
    view.flags.writeable = False
    return view
