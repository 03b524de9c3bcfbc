"""A picture's own 4:2:0 samples as a JPEG, at its size or a smaller one."""

from __future__ import annotations

import threading
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from maskcast.errors import SinkError
from maskcast.picture import Colour, Image, Planes
from sinks.video.render import colour_codes

# JFIF 1.02 has 16 bits for a side; decoders of browsers on phones give up earlier, at 16,384.
LONGEST_SIDE_PIXELS = 16_000

_OF_THIS_THREAD = threading.local()


def jpeg(planes: Planes, colour: Colour, width: int, quality: int) -> bytes:
    """Encode the picture, made smaller to `width` pixels with its shape kept, never larger.

    Args:
        planes: the picture; not written to.
        colour: how its samples are to be read.
        width: of the JPEG; that of the picture, if it is less.
        quality: of libjpeg, 1 to 100.

    Raises:
        SinkError: it cannot be encoded.
    """
    picture = _bgr(_shrunk(planes, _size(planes, width)), colour)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise SinkError("a picture cannot be encoded as JPEG")
    return data.tobytes()


def _size(planes: Planes, width: int) -> tuple[int, int]:
    height, own = planes.y.shape
    scale = min(1.0, width / own, LONGEST_SIDE_PIXELS / max(height, own))
    return max(1, round(own * scale)), max(1, round(height * scale))


def _shrunk(planes: Planes, size: tuple[int, int]) -> Planes:
    """The picture at another size, width and height: halved while that is not too small, then interpolated.

    So every sample has its part, at a fraction of what an exact mean over areas of any size costs.
    """
    width, height = size
    half = ((width + 1) // 2, (height + 1) // 2)
    return Planes(*(_resized(plane, to) for plane, to in zip(planes, (size, half, half), strict=True)))


def _resized(plane: Image, size: tuple[int, int]) -> Image:
    while plane.shape[1] >= 2 * size[0] and plane.shape[0] >= 2 * size[1]:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cv2.resize(plane, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if plane.shape[::-1] == size:
        return plane
    return cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _bgr(planes: Planes, colour: Colour) -> Image:
    """``(H, W, 3)`` uint8, blue first."""
    height, width = planes.y.shape
    frame = av.VideoFrame(width + width % 2, height + height % 2, "yuv420p")
    for to, samples in zip(frame.planes, planes, strict=True):
        h, w = samples.shape
        rows = np.frombuffer(cast("Any", to), np.uint8).reshape(-1, to.line_size)
        rows[:h, :w] = samples
        # 4:2:0 has an even size: an odd picture gets its last column and row twice, which are cut off below.
        rows[:h, w : to.width] = samples[:, -1:]
        rows[h : to.height, : to.width] = rows[h - 1, : to.width]
    converter = getattr(_OF_THIS_THREAD, "converter", None)
    if converter is None:
        converter = _OF_THIS_THREAD.converter = VideoReformatter()
    matrix, levels = colour_codes(colour)
    converted: av.VideoFrame = converter.reformat(
        frame,
        format="bgr24",
        src_colorspace=matrix,
        src_color_range=levels,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    return converted.to_ndarray().astype(np.uint8, copy=False)[:height, :width]
