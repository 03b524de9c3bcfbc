"""Models that are built before their weights are there, on torch's device `meta`, where nothing is allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# Largest tensor that is allocated all the same. A full-size model's longest table of positions has 5184 rows.
_MOST_NUMBERS = 16_384


class Unfilled(TorchFunctionMode):
    """A context in which building on `meta` computes with small tables as they are, and fills no weights.

    Most of torch's operations on `meta` are Python code that imports its compiler, which takes longer than all else
    that loading a small model needs. A constructor does such operations on tables of positions and frequencies, and
    draws weights at random that are then read from a file. Transformers does the same with `torch.linspace` alone
    (`initialization.meta_device_safe_creation_ops`).
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if getattr(func, "__module__", None) == "torch.nn.init":
            tensor = args[0] if args else kwargs["tensor"]
            return tensor if tensor.is_meta else func(*args, **kwargs)
        if (
            func not in {torch.arange, torch.ones, torch.randn}
            or torch.device(kwargs.get("device") or "cpu").type != "meta"
        ):
            return func(*args, **kwargs)
        real = {**kwargs, "device": "cpu"}
        if func is torch.arange:
            return func(*args, **(real if _length(*args, **kwargs) <= _MOST_NUMBERS else kwargs))
        unfilled = torch.empty(*args, **kwargs)
        if unfilled.numel() > _MOST_NUMBERS:
            return unfilled if func is torch.randn else func(*args, **kwargs)
        # Nothing is drawn: the caller's random numbers are his.
        return torch.zeros(unfilled.shape, dtype=unfilled.dtype) if func is torch.randn else func(*args, **real)


def _length(*args: Any, **kwargs: Any) -> float:
    """How many numbers `torch.arange` would make, about."""
    start, end = (args[0], args[1]) if len(args) > 1 else (kwargs.get("start", 0), args[0] if args else kwargs["end"])
    step = args[2] if len(args) > 2 else kwargs.get("step", 1)
    return abs((end - start) / step) if step else 0.0
