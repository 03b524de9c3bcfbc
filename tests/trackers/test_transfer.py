import numpy as np
import torch

from trackers.transfer import fetched, packed, unpacked, upload_together

CPU = torch.device("cpu")
ARRAYS = [
    np.arange(5),
    np.array([[True, False, True]]),
    np.zeros((0, 4), np.int64),
    np.arange(6, dtype=np.float32).reshape(3, 2).T,
]


def test_tables_that_go_together_come_out_as_they_went_in():
    for tensors in (upload_together(ARRAYS, CPU), unpacked(packed(ARRAYS), ARRAYS)):
        for array, tensor in zip(ARRAYS, tensors, strict=True):
            assert torch.equal(tensor, torch.from_numpy(array))
            assert tensor.dtype == torch.from_numpy(array).dtype


def test_what_is_fetched_is_float32():
    tensors = [torch.arange(3), torch.tensor([True]), torch.rand(2, 3, dtype=torch.float64), torch.zeros(0, 2)]
    for tensor, array in zip(tensors, fetched(tensors), strict=True):
        assert array.dtype == np.float32
        assert np.array_equal(array, tensor.float().numpy())
