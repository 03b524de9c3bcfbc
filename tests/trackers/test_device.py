import pytest
import torch

from maskcast.errors import UsageError
from trackers.device import resolve_device


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:999", "meta", ""):
        with pytest.raises(UsageError):
            resolve_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_absent():
    with pytest.raises(UsageError, match=r"cuda is not available \(0 CUDA devices found\); use --device cpu or auto"):
        resolve_device("cuda")
