"""Pictures of any size and encoding as JPEG: their own colours, their own shape, never larger."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskcast.picture import Colour, Planes
from sinks.video.jpeg import LONGEST_SIDE_PIXELS, jpeg
from sinks.video.palette import to_yuv

RED, GREEN = (0.8, 0.1, 0.2), (0.1, 0.7, 0.3)


def halves(width: int, height: int, colour: Colour) -> Planes:
    """Red on the left, green on the right."""
    planes = []
    for number, (red, green) in enumerate(zip(to_yuv(RED, colour), to_yuv(GREEN, colour), strict=True)):
        h, w = (height, width) if number == 0 else ((height + 1) // 2, (width + 1) // 2)
        plane = np.full((h, w), green, np.uint8)
        plane[:, : w // 2] = red
        planes.append(plane)
    return Planes(*planes)


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return image[:, :, ::-1] / 255


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_colours_are_those_of_the_picture_in_every_encoding(matrix, full):
    colour = Colour(matrix, full)
    image = decoded(jpeg(halves(64, 48, colour), colour, 64, 90))
    np.testing.assert_allclose(image[24, 10], RED, atol=0.02)
    np.testing.assert_allclose(image[24, 54], GREEN, atol=0.02)


@pytest.mark.parametrize(
    ("size", "width", "expected"),
    [
        ((640, 360), 640, (640, 360)),
        ((640, 360), 1920, (640, 360)),
        ((1281, 719), 1281, (1281, 719)),
        ((1281, 719), 960, (960, 539)),
        ((1281, 719), 320, (320, 180)),
        ((90, 1601), 320, (90, 1601)),
        ((1601, 9), 320, (320, 2)),
        ((3, 3), 320, (3, 3)),
        ((1, 1), 320, (1, 1)),
        ((2000, 1), 320, (320, 1)),
        ((2, LONGEST_SIDE_PIXELS * 2), 320, (1, LONGEST_SIDE_PIXELS)),
    ],
)
def test_the_shape_is_kept_and_nothing_is_enlarged(size, width, expected):
    image = decoded(jpeg(halves(*size, Colour()), Colour(), width, 75))
    assert image.shape[1::-1] == expected


def test_what_is_made_smaller_is_neither_shifted_nor_full_of_steps():
    planes = halves(1280, 720, Colour())
    image = decoded(jpeg(planes, Colour(), 320, 95))
    np.testing.assert_allclose(image[:, 40].mean(axis=0), RED, atol=0.02)
    left, right = image[90, 156], image[90, 163]
    np.testing.assert_allclose(left, RED, atol=0.05)
    np.testing.assert_allclose(right, GREEN, atol=0.05)
    fine = Planes(np.tile(np.array([[16, 235]], np.uint8), (720, 640)), planes.u * 0 + 128, planes.v * 0 + 128)
    stripes = decoded(jpeg(fine, Colour(), 320, 95))
    assert stripes.std() < 0.02, "stripes of one pixel are grey, not a pattern"


def test_what_the_decoder_owns_is_not_written_to():
    planes = halves(65, 47, Colour())
    before = [plane.copy() for plane in planes]
    for plane in planes:
        plane.flags.writeable = False
    jpeg(planes, Colour(), 32, 75)
    jpeg(planes, Colour(), 65, 75)
    for plane, copy in zip(planes, before, strict=True):
        np.testing.assert_array_equal(plane, copy)
