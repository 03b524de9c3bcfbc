"""Frames without a decoder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.notices import TrackedFrame
from maskcast.picture import Colour, Image, Planes
from maskcast.result import Result, Track, TrackState

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


def tracked(*ids):
    """A frame in which the model has seen cats with these ids."""
    mask = Mask.from_array(np.ones((2, 2), np.bool_), (96, 160), 1, 1)
    tracks = tuple(Track(number, "cat", TrackState.CONFIRMED, 0.9, mask) for number in ids)
    return TrackedFrame(frame(0), [Result(frame(0), tracks)], 0.0, 0.0, 0.0)
