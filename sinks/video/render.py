"""From a result to a picture for the encoder: the frame with its tracks, in the encoder's size and colour encoding."""

from __future__ import annotations

from typing import Any, cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from maskcast.picture import MATRIX_CODES, Colour, Planes
from maskcast.result import Result
from sinks.video.hiding import hide
from sinks.video.overlay import draw
from sinks.video.places import draw_counters, draw_outlines
from sinks.video.style import OUTLINED, Styles


def colour_codes(colour: Colour) -> tuple[int, ColorRange]:
    """What FFmpeg calls the matrix (as ITU-T H.273) and the range of `colour`."""
    return MATRIX_CODES[colour.matrix][0], ColorRange.JPEG if colour.full_range else ColorRange.MPEG


def even_size(width: int, height: int) -> tuple[int, int]:
    """The size of the encoded picture: 4:2:0 has an even one."""
    return width + width % 2, height + height % 2


def render(result: Result, width: int, height: int, styles: Styles = OUTLINED) -> av.VideoFrame:
    """A new frame with the picture and its tracks: what the decoder owns is never drawn on.

    Args:
        result: its picture is scaled into the frame, with black bars, where its size is another one.
        width: of the video in pixels; an odd one is rounded up in the frame.
        height: likewise.
        styles: how objects are shown.

    Raises:
        ValueError: a mask is of another size than the picture, so that what is to be hidden cannot be.
    """
    picture = result.frame.picture
    frame = av.VideoFrame(*even_size(width, height), "yuv420p")
    target = _views(frame)
    source = picture.yuv420p()
    if (picture.width, picture.height) != (width, height):
        copy = Planes(*(plane.copy() for plane in source))
        draw_result(copy, picture.colour, result, styles)
        _letterbox(copy, target, picture.colour)
        return frame
    visible = Planes(target.y[:height, :width], target.u, target.v)
    for to, plane in zip(visible, source, strict=True):
        np.copyto(to, plane)
    draw_result(visible, picture.colour, result, styles)
    # 4:2:0 has an even size: an odd picture gets its last column and row twice. Chroma is rounded up already.
    target.y[:height, width:] = target.y[:height, width - 1 : width]
    target.y[height:] = target.y[height - 1 : height]
    return frame


def draw_result(planes: Planes, colour: Colour, result: Result, styles: Styles) -> None:
    """Hide and draw in `planes`, which must be writable and of the size of the picture.

    Raises:
        ValueError: see `sinks.video.hiding.hide`.
    """
    if styles.hide:
        hide(planes, colour, result.tracks, result.lost, styles)
    if result.tally:
        draw_outlines(planes, colour, result.tally.places)
    draw(planes, colour, result.tracks, styles)
    if result.tally:
        draw_counters(planes, colour, result.tally)


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
