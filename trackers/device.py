"""The device that the model runs on: found by its name, and how much memory it has."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from maskcast.errors import ModelError, UsageError, reason_of

if TYPE_CHECKING:  # settings check names, and do not wait for torch
    import torch

DEVICE_NAMES = "auto, cpu, cuda:N or mps"
# Parsed here: `torch.device` keeps the index in 8 bits, so that cuda:999 would be cuda:-25.
DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(?::([0-9]{1,3}))?")

GIB = 2**30

logger = logging.getLogger(__name__)


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda:N` or `mps` into a device that exists.

    `auto` is the CUDA device with the most free memory, the first of equals; without one, the CPU. To ask each of
    several leaves a context of some hundred megabytes on every one, as nothing else tells what other processes hold;
    `cuda:N` asks none, and neither does `auto` where there is only one. It never is `mps`, where nothing was tested.

    Raises:
        UsageError: the name is unknown or the device is absent.
        ModelError: there are several CUDA devices, and none of them can be used.
    """
    import torch

    parts = DEVICE_NAME.fullmatch(name)
    if parts is None:
        raise UsageError(f"unknown device {name!r}", advice=f"use {DEVICE_NAMES}")
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            built = torch.backends.mps.is_built()
            why = "it takes an Apple GPU and macOS 14" if built else "this PyTorch was built without it"
            raise UsageError(f"device mps is not available ({why})", advice="use --device cpu or auto")
        return torch.device("mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return _freest(count) if count else torch.device("cpu")
    index = int(parts[1] or 0)
    if index >= count:
        found = f"{count} CUDA device{'s' * (count != 1)} found"
        raise UsageError(f"device {name} is not available ({found})", advice="use --device cpu or auto")
    return torch.device("cuda", index)


def _freest(count: int) -> torch.device:
    """The CUDA device with the most free memory; those that do not answer are passed over."""
    import torch

    devices = [torch.device("cuda", index) for index in range(count)]
    if count == 1:
        return devices[0]
    free: dict[torch.device, int] = {}
    for device in devices:
        try:
            free[device] = free_bytes(device)
        except ModelError as error:  # in exclusive use by another process, or fallen off the bus
            last = error
    if not free:
        raise last
    freest = max(free, key=lambda device: free[device])
    logger.info("%s has the most free memory of %d CUDA devices", describe(freest), count)
    return freest


@contextmanager
def asking(device: torch.device) -> Iterator[None]:
    """Ask torch about a device that exists.

    Raises:
        ModelError: it does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        raise ModelError(f"{device} cannot be used: {reason_of(error)}", advice="look at nvidia-smi") from error


def free_bytes(device: torch.device) -> int:
    """Memory of a device that no process holds, in bytes; of a CPU, what can be had without swapping.

    Raises:
        ModelError: the device cannot be used.
    """
    return _memory(device)[0]


def total_bytes(device: torch.device) -> int:
    """Memory of a device, in bytes.

    Raises:
        ModelError: the device cannot be used.
    """
    return _memory(device)[1]


def _memory(device: torch.device) -> tuple[int, int]:
    """Free and all memory in bytes."""
    import torch

    if device.type == "cuda":
        with asking(device):
            return torch.cuda.mem_get_info(device)
    if device.type == "mps":
        most = torch.mps.recommended_max_memory()
        return most - torch.mps.driver_allocated_memory(), most
    page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    try:  # `MemAvailable`: free, or given back by the kernel's caches when asked for (proc_meminfo(5))
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return 1024 * int(fields["MemAvailable"].split()[0]), page * pages
    except OSError:
        return page * pages, page * pages


def describe(device: torch.device) -> str:
    """What a device is, such as ``cpu (2 threads)`` or ``cuda:1 (NVIDIA L4, 20.1 of 22.2 GiB free)``.

    Raises:
        ModelError: the device cannot be used.
    """
    import torch

    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"{device} ({threads} thread{'s' * (threads != 1)})"
    free, total = _memory(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "Apple GPU, untested"
    return f"{device} ({name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free)"


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was given; a CPU has."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
