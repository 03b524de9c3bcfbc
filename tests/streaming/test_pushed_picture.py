import numpy as np
import pytest
import torch

from maskcast import UsageError
from streaming.pushed_picture import check_order, pushed_picture

PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


@pytest.mark.parametrize(
    ("pixels", "order"),
    [
        (PICTURE, "rgb"),
        (PICTURE[..., ::-1], "bgr"),
        (np.asfortranarray(PICTURE), "rgb"),
        (torch.from_numpy(PICTURE), "rgb"),
        (torch.from_numpy(PICTURE).permute(2, 0, 1), "rgb"),
        (torch.from_numpy(PICTURE).permute(2, 0, 1).flip(0), "bgr"),
    ],
)
def test_each_form_is_the_same_picture(pixels, order):
    picture = pushed_picture(pixels, order)
    assert np.array_equal(picture.rgb(), PICTURE)
    assert (picture.width, picture.height) == (5, 4)


@pytest.mark.parametrize("make", [np.ascontiguousarray, torch.from_numpy])
def test_it_is_copied_and_the_callers_buffer_stays_writable(make):
    buffer = PICTURE.copy()
    pixels = make(buffer)
    picture = pushed_picture(pixels, "rgb")
    buffer[:] = 0
    assert np.array_equal(picture.rgb(), PICTURE)


def test_three_rows_of_three_pixels_are_rows_first():
    square = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    assert np.array_equal(pushed_picture(square, "rgb").rgb(), square.numpy())


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((9, 9), np.uint8), "(9, 9) uint8"),
        (np.zeros((9, 9, 4), np.uint8), "(9, 9, 4) uint8"),
        (np.zeros((3, 9, 8), np.uint8), "(3, 9, 8) uint8"),
        (np.zeros((9, 9, 3)), "(9, 9, 3) float64"),
        (np.zeros((0, 9, 3), np.uint8), "(0, 9, 3) uint8"),
        (torch.zeros(3, 9, 9), "(3, 9, 9) float32"),
        (torch.zeros(1, 3, 9, 9, dtype=torch.uint8), "(1, 3, 9, 9) uint8"),
        (torch.zeros(1, 9, 9, dtype=torch.uint8), "(1, 9, 9) uint8"),
        (None, "NoneType"),
        ([[[1, 2, 3]]], "list"),
    ],
)
def test_anything_else_is_refused(pixels, said):
    with pytest.raises(UsageError) as caught:
        pushed_picture(pixels, "rgb")
    assert caught.value.what == f"a picture is (H, W, 3) uint8, or a tensor (3, H, W) uint8, not {said}"


def test_an_order_that_does_not_exist():
    with pytest.raises(UsageError, match="order is 'rgb' or 'bgr', not 'RGB'"):
        check_order("RGB")
