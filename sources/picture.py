"""Decoded pictures in the two forms of `maskcast.picture.Picture`."""

from __future__ import annotations

import threading
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from maskcast.picture import MATRIX_CODES, Colour, Image, Planes

PLANAR = ("yuv420p", "yuvj420p")
_MATRICES = {code: matrix for matrix, codes in MATRIX_CODES.items() for code in codes}
_LIMITED, _FULL = ColorRange.MPEG, ColorRange.JPEG


class DecodedPicture:
    """A picture that FFmpeg decoded. It keeps the decoder's buffer, which must not be written to."""

    def __init__(self, frame: av.VideoFrame) -> None:
        """Wrap a frame in any pixel format."""
        self.width, self.height = int(frame.width), int(frame.height)
        # Read now: a conversion changes the frame's own tags while it runs, and readers are on several threads.
        self.colour = _colour(frame)
        self._frame = frame
        self._converting = threading.Lock()
        self._rgb: Image | None = None
        self._planes: Planes | None = None

    def rgb(self) -> Image:
        with self._converting:
            if self._rgb is None:
                self._rgb = self._convert_to_rgb()
            return self._rgb

    def yuv420p(self) -> Planes:
        with self._converting:
            if self._planes is None:
                self._planes = self._convert_to_planes()
            return self._planes

    def _convert_to_rgb(self) -> Image:
        matrix, full = self.colour
        converted = _convert(
            self._frame,
            format="rgb24",
            src_colorspace=MATRIX_CODES[matrix][0],
            src_color_range=_FULL if full else _LIMITED,
            dst_color_range=_FULL,
        )
        pixels = _rows(converted.planes[0], 3 * self.width).reshape(self.height, self.width, 3)
        pixels.flags.writeable = False
        return pixels

    def _convert_to_planes(self) -> Planes:
        frame = self._frame
        if frame.format.name not in PLANAR:
            matrix, full = self.colour
            source_full = full or _is_rgb(frame)
            frame = _convert(
                frame,
                format="yuv420p",
                src_colorspace=MATRIX_CODES[matrix][0],
                dst_colorspace=MATRIX_CODES[matrix][0],
                src_color_range=_FULL if source_full else _LIMITED,
                dst_color_range=_FULL if full else _LIMITED,
            )
        return _planes(frame)


class ArrayPicture:
    """A picture that came as RGB, such as one from a file."""

    colour = Colour("bt709", full_range=False)

    def __init__(self, array: Image) -> None:
        """Wrap ``(H, W, 3)`` uint8 RGB, C-contiguous; it is not copied and must not change."""
        self._array = array
        self._array.flags.writeable = False
        self.height, self.width = int(array.shape[0]), int(array.shape[1])
        self._converting = threading.Lock()
        self._planes: Planes | None = None

    def rgb(self) -> Image:
        return self._array

    def yuv420p(self) -> Planes:
        with self._converting:
            if self._planes is None:
                frame = av.VideoFrame.from_ndarray(self._array, format="rgb24")
                self._planes = _planes(
                    _convert(
                        frame,
                        format="yuv420p",
                        dst_colorspace=MATRIX_CODES[self.colour.matrix][0],
                        src_color_range=_FULL,
                        dst_color_range=_LIMITED,
                    )
                )
            return self._planes


_OF_THIS_THREAD = threading.local()


def _convert(frame: av.VideoFrame, **wanted: Any) -> av.VideoFrame:
    """`VideoFrame.reformat`, which would make a converter with some threads for every single frame."""
    converter = getattr(_OF_THIS_THREAD, "converter", None)
    if converter is None:
        converter = _OF_THIS_THREAD.converter = VideoReformatter()
    converted: av.VideoFrame = converter.reformat(frame, threads=1, **wanted)
    return converted


def _colour(frame: av.VideoFrame) -> Colour:
    """As the medium says; where it says nothing, HD is BT.709 and SD is BT.601, as players take it."""
    large = frame.width >= 1280 or frame.height > 576
    matrix = _MATRICES.get(int(frame.colorspace), "bt709" if large else "bt601")
    # Pictures that are RGB become ordinary video when they are asked for their planes.
    full = not _is_rgb(frame) and (int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj"))
    return Colour(matrix, full)


def _is_rgb(frame: av.VideoFrame) -> bool:
    return bool(frame.format.is_rgb or frame.format.has_palette)


def _planes(frame: av.VideoFrame) -> Planes:
    views = [_rows(plane, plane.width, copy=False) for plane in frame.planes]
    for view in views:
        view.flags.writeable = False
    return Planes(*views)


def _rows(plane: av.video.plane.VideoPlane, used: int, *, copy: bool = True) -> Image:
    """The first `used` bytes of every row of a plane; no copy unless `copy` and there is padding between rows."""
    rows: Image = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, abs(plane.line_size))
    if plane.line_size < 0:  # FFmpeg's way to turn a picture upside down
        rows = rows[::-1]
    rows = rows[:, :used]
    return np.ascontiguousarray(rows) if copy else rows
