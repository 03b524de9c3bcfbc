"""Masks at a fraction of their resolution."""

from __future__ import annotations

import math

import numpy as np
import pytest

from maskcast.mask import Mask
from sinks.messages.downscale import downscaled, upscaled


@pytest.mark.parametrize("downscale", [1, 2, 3, 7, 64, 400])
def test_a_reduced_mask_has_a_pixel_wherever_the_full_one_has_any(downscale: int) -> None:
    rng = np.random.default_rng(downscale)
    for _ in range(30):
        height, width = rng.integers(1, 40, 2)
        size = (int(height + rng.integers(0, 30)), int(width + rng.integers(0, 30)))
        y, x = int(rng.integers(0, size[0] - height + 1)), int(rng.integers(0, size[1] - width + 1))
        mask = Mask.from_array(rng.random((height, width)) < rng.choice([0.01, 0.5, 1]), size, x, y)
        reduced = downscaled(mask, downscale)
        assert reduced.size == (math.ceil(size[0] / downscale), math.ceil(size[1] / downscale))
        padded = np.zeros((reduced.size[0] * downscale, reduced.size[1] * downscale), np.bool_)
        padded[: size[0], : size[1]] = mask.full()
        blocks = padded.reshape(reduced.size[0], downscale, reduced.size[1], downscale)
        assert np.array_equal(reduced.full(), blocks.any(axis=(1, 3)))
        again = Mask.from_array(reduced.full(), reduced.size)
        assert (reduced.x, reduced.y, reduced.crop.shape) == (again.x, again.y, again.crop.shape)


def test_reducing_a_mask_does_not_visit_the_frame() -> None:
    small = Mask((1_000_000, 1_000_000), 999_990, 999_990, np.ones((10, 10), np.bool_))  # its frame fits no memory
    reduced = downscaled(small, 4)
    assert (reduced.size, reduced.x, reduced.crop.shape) == ((250_000, 250_000), 249_997, (3, 3))


@pytest.mark.parametrize("downscale", [1, 2, 3, 7, 64])
def test_a_reduced_mask_scaled_up_covers_the_full_one(downscale: int) -> None:
    rng = np.random.default_rng(downscale)
    for _ in range(30):
        size = (int(rng.integers(1, 60)), int(rng.integers(1, 60)))
        mask = Mask.from_array(rng.random(size) < rng.choice([0.0, 0.01, 0.5, 1]), size)
        reduced = downscaled(mask, downscale)
        back = upscaled(reduced, downscale, size)
        rows, columns = np.divmod(np.arange(size[0]), downscale)[0], np.divmod(np.arange(size[1]), downscale)[0]
        assert back.size == size
        assert np.array_equal(back.full(), reduced.full()[np.ix_(rows, columns)])
        assert (back.full() | ~mask.full()).all()
        again = Mask.from_array(back.full(), size)
        assert (back.x, back.y, back.crop.shape) == (again.x, again.y, again.crop.shape)
