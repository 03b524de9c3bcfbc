"""Pictures and masks that no code makes small."""

from __future__ import annotations

import cv2
import numpy as np

from maskcast.mask import Mask
from maskcast.picture import Planes
from maskcast.result import Result, Track, TrackState
from tests.sinks_media import frame


def noise(size: tuple[int, int], count: int, grain: int = 4) -> tuple[Track, ...]:
    """Masks whose outlines are everywhere: what run lengths are worst at."""
    random = np.random.default_rng(1)
    found = []
    for number in range(count):
        coarse = random.random((size[0] // grain, size[1] // grain)) < 0.5
        mask = cv2.resize(coarse.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.bool_)
        mask[: number * 8] = False  # the later, the smaller
        found.append(Track(number + 1, "person", TrackState.CONFIRMED, 0.9, Mask.from_array(mask, size)))
    return tuple(found)


def grainy(index: int) -> Result:
    """A frame with a picture and masks of which nothing is small."""
    random = np.random.default_rng(index)
    planes = Planes(*(random.integers(0, 255, size, np.uint8) for size in ((720, 1280), (360, 640), (360, 640))))
    return Result(frame(index, planes), noise((720, 1280), 4, grain=2))
