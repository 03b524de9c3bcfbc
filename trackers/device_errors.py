"""What torch raises when a device fails, as one line with advice."""

from __future__ import annotations

import torch

from maskcast.errors import ModelError, unforeseen

# How the backends begin that have no exception of their own for it (MPSAllocator.mm, c10's alloc_cpu.cpp).
_OUT_OF_MEMORY = ("MPS backend out of memory", "DefaultCPUAllocator: ")
# CUDA's `cudaErrorNoKernelImageForDevice`.
_NO_KERNELS = "no kernel image is available"


def out_of_memory(error: RuntimeError) -> bool:
    """Whether memory was wanting, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or any(start in str(error) for start in _OUT_OF_MEMORY)


def device_error(
    device: torch.device, precision: torch.dtype, error: RuntimeError, kind: type[ModelError] = ModelError
) -> ModelError:
    """What an error of torch's means to the person who chose device and precision.

    Args:
        device: where the model runs.
        precision: what it computes in.
        error: what torch raised.
        kind: of the result, if memory was wanting.
    """
    if out_of_memory(error):
        narrower = device.type == "cuda" and precision == torch.float32
        last = "another device, or --precision auto" if narrower else "or another device"
        return kind(f"{device} is out of memory", advice=f"use fewer prompts or streams, {last}")
    advice: str | None = None
    if isinstance(error, NotImplementedError) and device.type == "mps":
        advice = "set PYTORCH_ENABLE_MPS_FALLBACK=1, which runs on the CPU what MPS lacks"
    elif _NO_KERNELS in str(error):
        advice = "this PyTorch was built for other GPUs: install one for an older or newer CUDA"
    return ModelError(f"the model failed on {device}: {unforeseen(error)}", advice=advice)
