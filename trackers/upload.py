"""From the CPU to the device that the model runs on."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """An array on `device`; on the CPU it shares the array's memory.

    CUDA takes a copy of pageable memory before the call returns, so that nothing has to wait for the device. MPS reads
    the array later, when it may hold something else (pytorch/pytorch#189690, #139550): there the call waits.
    """
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")
