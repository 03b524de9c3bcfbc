"""CUDA devices for machines that have none: as much of `torch.cuda` as is asked before a model moves there."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """One of them; `free` and `total` in bytes, `fault` is what it says if it does not answer."""

    name: str = "NVIDIA L4"
    free: int = 20 * GIB
    total: int = 22 * GIB
    capability: tuple[int, int] = (8, 9)
    fault: str | None = None


def pretend(monkeypatch: pytest.MonkeyPatch, *gpus: Gpu) -> list[int]:
    """Let torch have these devices.

    Returns:
        The indices of those that were asked for their memory, as it happens: each would have a context from then on.
    """
    asked: list[int] = []

    def gpu(device: torch.device) -> Gpu:
        found = gpus[device.index]
        if found.fault is not None:
            raise RuntimeError(found.fault)
        return found

    def memory(device: torch.device) -> tuple[int, int]:
        asked.append(device.index)
        return gpu(device).free, gpu(device).total

    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(gpus))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: gpu(device).name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: gpu(device).capability)
    return asked
