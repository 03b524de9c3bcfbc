"""Frames without a decoder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from maskcast.frame import Frame
from maskcast.picture import Colour, Image, Planes

START = datetime(2026, 1, 1, tzinfo=UTC)


class ArrayPicture:
    """A picture from an RGB array, for code that does not look at its planes."""

    colour = Colour()

    def __init__(self, array: Image) -> None:
        self._array = array
        self.height, self.width = array.shape[:2]

    def rgb(self) -> Image:
        return self._array

    def yuv420p(self) -> Planes:
        raise NotImplementedError


def frame(index: int = 0, array: Image | None = None, pts: float | None = None, stream: str = "test") -> Frame:
    if array is None:
        array = np.zeros((96, 160, 3), np.uint8)
    pts = index / 25 if pts is None else pts
    return Frame(stream, index, pts, START + timedelta(seconds=pts), ArrayPicture(array))
