"""Small text on a coloured ground, as 4:2:0 planes that are rendered once and then only copied."""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from typing import Any

import cv2
import numpy as np

from maskcast.picture import Colour, Image, Planes
from sinks.video.palette import Yuv, to_yuv

# OpenCV does not promise that a font may be used by two threads at once; rendering is rare, so one at a time will do.
_rendering = threading.Lock()


@cache
def _font() -> Any | None:
    """OpenCV's embedded font, which knows Unicode; None before OpenCV 5, whose strokes know only ASCII."""
    return cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None


def _coverage(text: str, size: int) -> Image:
    """How much of each pixel the text covers: ``(h, w)`` uint8, h and w even."""
    height = (size * 7 // 5 + 1) & ~1
    canvas = np.zeros((height, (len(text) + 1) * size * 2), np.uint8)
    origin = (size // 4, size + size // 20)
    font = _font()
    if font is not None:
        end, _ = cv2.putText(canvas, text, origin, 255, font, size, 500)
        width = int(end[0])
    else:
        text = text.encode("ascii", "replace").decode()
        scale, thickness = size / 30, max(1, size // 14)
        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
        cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
        width += origin[0]
    width = min((width + size // 4 + 1) & ~1, canvas.shape[1])
    return np.ascontiguousarray(canvas[:, :width])


def _mix(ground: int, ink: int, coverage: Image) -> Image:
    # 16 bits hold the product; the result lies between the two samples.
    mixed = ground + (int(ink) - ground) * coverage.astype(np.int32) // 255
    return mixed.astype(np.uint8)


def text_size(planes: Planes) -> int:
    """Height of the text in a picture of this size, in pixels."""
    return max(10, round(int(min(planes.y.shape)) / 40))


@lru_cache(maxsize=1024)
def label(text: str, size: int, ground: Yuv, colour: Colour) -> Planes:
    """Black or white `text`, `size` pixels high, on `ground`; even width and height. Do not write into the planes."""
    dark = to_yuv((0, 0, 0), colour)
    light = to_yuv((1, 1, 1), colour)
    ink = dark if ground.y > (dark.y + light.y) // 2 else light
    with _rendering:
        coverage = _coverage(text, size)
    coarse = coverage[::2, ::2]
    return Planes(_mix(ground.y, ink.y, coverage), _mix(ground.u, ink.u, coarse), _mix(ground.v, ink.v, coarse))


def paste(planes: Planes, part: Planes, x: int, y: int) -> None:
    """Copy `part` into `planes` at (x, y), both even and not negative; what lies outside is cut off."""
    height, width = planes.y.shape
    h, w = min(part.y.shape[0], height - y), min(part.y.shape[1], width - x)
    if h <= 0 or w <= 0:
        return
    planes.y[y : y + h, x : x + w] = part.y[:h, :w]
    top, left, ch, cw = y // 2, x // 2, (h + 1) // 2, (w + 1) // 2
    planes.u[top : top + ch, left : left + cw] = part.u[:ch, :cw]
    planes.v[top : top + ch, left : left + cw] = part.v[:ch, :cw]
