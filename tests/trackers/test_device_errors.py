import pytest
import torch

from maskcast.errors import ModelError, TooLargeError
from trackers.device_errors import device_error, out_of_memory

CUDA, MPS, CPU = torch.device("cuda", 0), torch.device("mps"), torch.device("cpu")


def test_memory_that_is_wanting_is_known_on_every_device():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.07 GB)"),
        caught.value,  # the CPU's own
    ):
        assert out_of_memory(error)
        assert type(device_error(CPU, torch.float32, error, TooLargeError)) is TooLargeError
    assert not out_of_memory(RuntimeError("shapes do not fit"))


def test_advice_where_memory_is_wanting():
    error = torch.OutOfMemoryError("CUDA out of memory")
    wide, narrow = (str(device_error(CUDA, dtype, error)) for dtype in (torch.float32, torch.float16))
    assert wide == "cuda:0 is out of memory; use fewer prompts or streams, another device, or --precision auto"
    assert narrow == "cuda:0 is out of memory; use fewer prompts or streams, or another device"


def test_an_operator_that_mps_lacks_can_run_on_the_cpu():
    error = NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device.")
    assert "; set PYTORCH_ENABLE_MPS_FALLBACK=1" in str(device_error(MPS, torch.float32, error))
    assert "FALLBACK" not in str(device_error(CPU, torch.float32, error))


def test_a_gpu_that_this_torch_was_not_built_for():
    error = RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")
    said = str(device_error(CUDA, torch.float16, error))
    assert said.endswith("; this PyTorch was built for other GPUs: install one for an older or newer CUDA")


def test_anything_else_says_what_torch_said():
    error = device_error(CPU, torch.float32, RuntimeError("shapes do not fit\nC++ stack"), TooLargeError)
    assert type(error) is ModelError
    assert str(error) == "the model failed on cpu: RuntimeError: shapes do not fit"
