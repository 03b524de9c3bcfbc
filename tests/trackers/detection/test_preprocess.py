import numpy as np
import pytest
import torch

from tests.make_preprocessing_reference import SIZES, STRIDE, picture
from tests.paths import DATA
from trackers.detection.preprocess import preprocess

REFERENCE = np.load(DATA / "preprocessing.npz")
CPU = torch.device("cpu")


@pytest.mark.parametrize("side", [1008, 224])
@pytest.mark.parametrize("size", SIZES)
def test_equals_the_transformers_image_processor(side, size):
    height, width = size
    ours = preprocess([picture(height, width)], side, CPU, torch.float32)[0].numpy()
    assert ours.shape == (3, side, side)
    levels = ours.ravel()[::STRIDE] * 127.5 + 127.5
    np.testing.assert_allclose(levels, REFERENCE[f"{side}_{height}x{width}"], atol=1e-3)


def test_pictures_of_any_size_make_one_batch():
    images = [picture(77, 301), picture(224, 100)]
    batch = preprocess(images, 224, CPU, torch.float32)
    assert batch.shape == (2, 3, 224, 224)
    for image, row in zip(images, batch, strict=True):
        assert torch.equal(preprocess([image], 224, CPU, torch.float32)[0], row)


def test_a_read_only_picture_is_neither_changed_nor_warned_about(recwarn):
    image = picture(100, 100)
    image.flags.writeable = False
    before = image.copy()
    preprocess([image], 100, CPU, torch.float32)
    assert np.array_equal(image, before)
    assert not recwarn.list


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu_to_one_level():
    image = picture(720, 1280)
    ours = preprocess([image], 1008, torch.device("cuda"), torch.float32).cpu()
    assert (ours - preprocess([image], 1008, CPU, torch.float32)).abs().max() <= 1 / 127.5 + 1e-6
