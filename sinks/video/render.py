"""From a result to a picture for the encoder: the frame with its tracks, in the encoder's size and colour encoding."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from maskcast.picture import Colour, Planes
from maskcast.result import Result
from sinks.video.codec import pixel_format
from sinks.video.overlay import draw

# ITU-T H.273 numbers of the matrix coefficients; where two mean the same matrix, the medium's own is kept.
MATRIX = {"bt709": (1,), "bt601": (5, 6), "bt2020": (9, 10)}


def codes(colour: Colour) -> tuple[int, int]:
    """The numbers of a matrix (ITU-T H.273) and of a range (FFmpeg's) that stand for `colour`."""
    return MATRIX[colour.matrix][0], 2 if colour.full_range else 1


def even_size(width: int, height: int) -> tuple[int, int]:
    """The size of the encoded picture: 4:2:0 has an even one."""
    return width + width % 2, height + height % 2


def set_up(stream: VideoStream, encoder: str, size: tuple[int, int], time_base: Fraction, colour: Colour) -> None:
    """Tell the encoder of `stream` what it gets: pictures of an even `size`, times in `time_base`, and their colour."""
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = pixel_format(encoder)
    context.time_base = stream.time_base = time_base
    # PyAV's default cuts each frame into slices, one a thread: slower, and a worse picture for the bytes.
    context.thread_type = "AUTO"
    context.colorspace, context.color_range = codes(colour)


def render(result: Result, width: int, height: int) -> av.VideoFrame:
    """A new frame with the picture and its tracks: what the decoder owns is never drawn on.

    Args:
        result: its picture is scaled into the frame, with black bars, where its size is another one.
        width: of the video in pixels; an odd one is rounded up in the frame.
        height: likewise.
    """
    picture = result.frame.picture
    frame = av.VideoFrame(*even_size(width, height), "yuv420p")
    target = _views(frame)
    source = picture.yuv420p()
    if (picture.width, picture.height) != (width, height):
        copy = Planes(*(plane.copy() for plane in source))
        draw(copy, picture.colour, result.tracks)
        _letterbox(copy, target, picture.colour)
        return frame
    visible = Planes(target.y[:height, :width], target.u, target.v)
    for to, plane in zip(visible, source, strict=True):
        np.copyto(to, plane)
    draw(visible, picture.colour, result.tracks)
    # 4:2:0 has an even size: an odd picture gets its last column and row twice. Chroma is rounded up already.
    target.y[:height, width:] = target.y[:height, width - 1 : width]
    target.y[height:] = target.y[height - 1 : height]
    return frame


def _views(frame: av.VideoFrame) -> Planes:
    """The samples of a frame of ours, writable, without the padding at the end of each row."""
    return Planes(
        *(
            np.frombuffer(cast("Any", plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
            for plane in frame.planes
        )
    )


def _letterbox(source: Planes, target: Planes, colour: Colour) -> None:
    """Scale `source` into the middle of `target`, its shape kept, on black."""
    height, width = target.y.shape
    h, w = source.y.shape
    scale = min(width / w, height / h)
    new_w, new_h = max(2, round(w * scale / 2) * 2), max(2, round(h * scale / 2) * 2)
    new_w, new_h = min(new_w, width), min(new_h, height)
    x, y = (width - new_w) // 4 * 2, (height - new_h) // 4 * 2
    black = (0 if colour.full_range else 16, 128, 128)
    for plane, to, ground, step in zip(source, target, black, (1, 2, 2), strict=True):
        to[:] = ground
        size = (new_w // step, new_h // step)
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(plane, size, interpolation=interpolation)
        to[y // step : y // step + size[1], x // step : x // step + size[0]] = scaled
