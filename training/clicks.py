"""Where a person clicks: on an object, and then where the mask is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from box_prompts import drawn
from numpy.typing import NDArray
from scenes import SIZE

Mask = NDArray[np.bool_]
POSITIVE, NEGATIVE, CORNERS = 1, 0, (2, 3)
"""Labels of points, as in the library."""


def depth(region: Mask) -> NDArray[np.float32]:
    """How far each pixel of a region lies from its edge, pixels; the picture's edge counts as one."""
    padded = np.pad(region.astype(np.uint8), 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def point_in(rng: np.random.Generator, region: Mask, deepest: float) -> NDArray[np.float32]:
    """A random point of a region, x and y in pixels of the picture.

    Args:
        rng: Source of the choice.
        region: bool ``(S, S)`` of any size that shows the whole picture.
        deepest: 0 takes any point, 1 only the one farthest from the edge.
    """
    inside = depth(region)
    rows, columns = np.nonzero(inside >= max(deepest * float(inside.max()), 1e-3))
    chosen = int(rng.integers(len(rows)))
    scale = SIZE / len(region)
    return np.array([(columns[chosen] + 0.5) * scale - 0.5, (rows[chosen] + 0.5) * scale - 0.5], np.float32)


def correction(
    rng: np.random.Generator, found: Mask, truth: Mask, deepest: float
) -> tuple[NDArray[np.float32], int] | None:
    """The next click: inside the largest region where the mask is wrong (Kirillov et al., Segment Anything, 2023).

    Returns the point and its label; ``None`` where nothing is wrong.
    """
    wrong = found != truth
    count, regions, facts, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    region = regions == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax())
    missed = bool((region & truth).any())
    return point_in(rng, region, deepest), POSITIVE if missed else NEGATIVE


def box_points(rng: np.random.Generator, mask: Mask, care: float = 0.06) -> NDArray[np.float32]:
    """The two corners of a box drawn around a mask, ``(2, 2)``."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    return (drawn(rng, box / np.float32(len(mask)), care) * SIZE - 0.5).reshape(2, 2)


@dataclass
class Session:
    """Clicks on one object so far."""

    row: int
    """The picture or tracked frame."""
    place: int
    """The object in it."""
    version: int
    """As in `EncodedPictures.version`."""
    tracked: bool
    points: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
