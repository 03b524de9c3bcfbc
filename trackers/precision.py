"""The type that the model computes in, by its name and for its device, and what of it that type is for.

Matrix products and convolutions, weights included, are in the chosen type; all else stays float32 (`torch.autocast`).
With everything in bfloat16 the scores are off by 0.0030 in the mean, so by 0.0013; see docs/measured.md. In float16 it
also keeps the sums between layers, norms, exponentials and boxes from overflow.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, get_args

import torch
from torch import Tensor, nn

from maskcast.errors import UsageError
from trackers.defaults import PrecisionName
from trackers.device import asking

# Ampere, the first NVIDIA GPUs that multiply matrices of bfloat16 (CUDA's table of compute capabilities); older ones
# emulate it in float32.
BFLOAT16_CAPABILITY = (8, 0)


def resolve_precision(name: PrecisionName, device: torch.device) -> torch.dtype:
    """Turn `auto`, `float32`, `bfloat16` or `float16` into the type for a device.

    `auto` is bfloat16 where the GPU has it, float16 on other CUDA devices (T4, V100), float32 on a CPU and on MPS.
    `torch.cuda.is_bf16_supported` would answer for the current device, which need not be this one.

    Raises:
        UsageError: there is no such precision, or the device does not have it.
        ModelError: the device cannot be used.
    """
    if name not in get_args(PrecisionName):
        advice = f"use {', '.join(get_args(PrecisionName)[:-1])} or {get_args(PrecisionName)[-1]}"
        raise UsageError(f"unknown precision {name!r}", advice=advice)
    if device.type == "mps" and name in ("bfloat16", "float16"):
        raise UsageError(f"no precision {name} on {device}", advice="use float32 or auto")
    if name == "auto" and device.type == "cuda":
        with asking(device):
            capability = torch.cuda.get_device_capability(device)
        native = torch.version.hip is not None or capability >= BFLOAT16_CAPABILITY
        return torch.bfloat16 if native else torch.float16
    types: dict[str, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}
    return types.get(name, torch.float32)


def narrow(model: nn.Module, precision: torch.dtype) -> None:
    """Hold the weights of products in `precision`, where `products` would turn them to it in each pass."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.data = module.weight.data.to(precision)


def exact(weight: Tensor) -> Tensor:
    """A weight in float64, to be multiplied into others and rounded once; on the CPU, as MPS has no such numbers."""
    return weight.detach().to(device=weight.device if weight.is_meta else "cpu", dtype=torch.float64)


def products(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Compute products in `precision` meanwhile; weights are not cached, as `narrow` has seen to them."""
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, precision, cache_enabled=False)


class _Computing(Protocol):
    """What runs on a device.

    Attributes:
        device: where.
        precision: of its products.
    """

    device: torch.device
    precision: torch.dtype


_Self = TypeVar("_Self", bound=_Computing)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def computed_narrowly(
    method: Callable[Concatenate[_Self, _Arguments], _Result],
) -> Callable[Concatenate[_Self, _Arguments], _Result]:
    """A method that computes its products in its object's precision, see `products`."""

    @wraps(method)
    def run(self: _Self, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with products(self.device, self.precision):
            return method(self, *args, **kwargs)

    return run


def memory_precision(device: torch.device) -> torch.dtype:
    """What memories of whole frames are kept in: bfloat16, as the reference keeps them whatever it computes in.

    On MPS float32: before macOS 14 there is no bfloat16.
    """
    return torch.float32 if device.type == "mps" else torch.bfloat16
