"""Between the CPU and the device that the model runs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Where tables that go together begin: a multiple of what any number takes.
ALIGNMENT = 8


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """An array on `device`; on the CPU it shares the array's memory.

    CUDA takes a copy of pageable memory before the call returns, so that nothing has to wait for the device. MPS reads
    the array later, when it may hold something else (pytorch/pytorch#189690, #139550): there the call waits.
    """
    return torch.from_numpy(array).to(device, non_blocking=device.type == "cuda")


def upload_together(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Small arrays of any shape and type on `device`, on CUDA in one copy from pinned memory."""
    if device.type != "cuda":
        return [upload(array, device) for array in arrays]
    return unpacked(packed(arrays, pinned=True).to(device, non_blocking=True), arrays)


def packed(arrays: Sequence[NDArray[Any]], *, pinned: bool = False) -> Tensor:
    """The bytes of arrays, one after the other, each from a multiple of `ALIGNMENT` on: ``(B,)`` uint8."""
    together = torch.empty(sum(map(_room, arrays)), dtype=torch.uint8, pin_memory=pinned)
    numbers, start = together.numpy(), 0
    for array in arrays:
        numbers[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        start += _room(array)
    return together


def unpacked(together: Tensor, arrays: Sequence[NDArray[Any]]) -> list[Tensor]:
    """What `packed` put into ``(B,)`` uint8, as views of the shapes and types that `arrays` have."""
    tensors, start = [], 0
    for array in arrays:
        part = together[start : start + array.nbytes]
        tensors.append(part.view(torch.from_numpy(array[:0]).dtype).view(array.shape))
        start += _room(array)
    return tensors


def _room(array: NDArray[Any]) -> int:
    return -(-array.nbytes // ALIGNMENT) * ALIGNMENT


def fetched(tensors: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """Tensors of any shape and type as float32 on the CPU, in one transfer: here the CPU waits for the device.

    What is float32 on the CPU already is shared, not copied.
    """
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return [tensor.float().numpy() for tensor in tensors]
    numbers = torch.cat([tensor.flatten().float() for tensor in tensors]).cpu().numpy()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    return [part.reshape(tensor.shape) for part, tensor in zip(np.split(numbers, ends[:-1]), tensors, strict=True)]
