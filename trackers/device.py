"""The device that the model runs on, by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from maskcast.errors import UsageError

if TYPE_CHECKING:  # settings check names, and do not wait for torch
    import torch

DEVICE_NAMES = "auto, cpu or cuda:N"
# Parsed here: `torch.device` keeps the index in 8 bits, so that cuda:999 would be cuda:-25.
DEVICE_NAME = re.compile(r"auto|cpu|cuda(?::([0-9]{1,3}))?")


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda:N` into a device that exists.

    Raises:
        UsageError: the name is unknown or the device is absent.
    """
    import torch

    parts = DEVICE_NAME.fullmatch(name)
    if parts is None:
        raise UsageError(f"unknown device {name!r}", advice=f"use {DEVICE_NAMES}")
    if name == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto" and count == 0:
        return torch.device("cpu")
    index = int(parts[1] or 0)
    if index >= count:
        found = f"{count} CUDA device{'s' * (count != 1)} found"
        raise UsageError(f"device {name} is not available ({found})", advice="use --device cpu or auto")
    return torch.device("cuda", index)
