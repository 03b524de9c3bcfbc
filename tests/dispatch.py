"""What a pass asks of a device, counted on the CPU: where the processor would wait for it, and what it would launch."""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trackers import transfer

# Operators whose result, or the shape of it, the processor needs.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "unique_consecutive", "_unique2", "is_nonzero", "equal"}

# Operators that only look at memory in another way, or take some: nothing is launched.
VIEWS = (
    *("view", "_unsafe_view", "reshape", "expand", "slice", "select", "permute", "transpose", "t", "unsqueeze"),
    *("squeeze", "unbind", "split", "split_with_sizes", "chunk", "detach", "as_strided", "alias", "lift_fresh"),
    *("empty", "empty_strided", "empty_like", "new_empty", "unfold"),
)


class Dispatched(TorchDispatchMode):
    """Counts operators by name while it is entered.

    Attributes:
        operators: how often each was called.
        transfers: calls of `trackers.transfer.fetched`, through which everything goes to the CPU.
        waits: those, and whatever else waits for the device.
        launches: operators that would be kernels on a GPU, one each at least.
    """

    def __init__(self, *users: Any) -> None:
        """Count in modules that have imported `fetched` by name."""
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.transfers = 0
        self._patches = [patch.object(user, "fetched", self._fetched) for user in users]

    @property
    def waits(self) -> int:
        return self.transfers + sum(self.operators[name] for name in (*WAITING, "boolean index"))

    @property
    def launches(self) -> int:
        return sum(count for name, count in self.operators.items() if name not in {*VIEWS, "boolean index"})

    def _fetched(self, tensors: Any) -> Any:
        self.transfers += 1
        return transfer.fetched(tensors)

    def __enter__(self) -> Any:
        for patched in self._patches:
            patched.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for patched in self._patches:
            patched.stop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.operators[name] += 1
        if name.startswith("index") and len(args) > 1 and isinstance(args[1], (list, tuple)):
            self.operators["boolean index"] += any(
                index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
            )
        return func(*args, **(kwargs or {}))
