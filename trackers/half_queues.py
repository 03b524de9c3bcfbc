"""Where the two halves of a pass queue their work on a device, so that it can be at both at once.

On CUDA each has a stream of its own (NVIDIA's "CUDA C++ Programming Guide", Asynchronous Concurrent Execution). What
one stream has made another may read once it has waited for an event behind it, and memory belongs to the stream that it
was allocated for: torch would give it to that stream's next tensor while the other one still reads, unless it is told
(`torch.Tensor.record_stream`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from trackers.structure import tensors

# Of two streams the device works first at the one with the lower number (`torch.cuda.Stream`). The frames that are
# followed are the older ones: theirs is the latency.
SEEING_PRIORITY, FOLLOWING_PRIORITY = 0, -1


class HalfQueues:
    """One queue for each half on CUDA. Elsewhere nothing is queued, or all is in one queue.

    On MPS the halves take turns: two threads that use torch there at once end the process (pytorch/pytorch#197805).
    """

    def __init__(self, device: torch.device) -> None:
        """Make them."""
        self._device = device
        self._turns = threading.RLock() if device.type == "mps" else None
        self._streams: tuple[Any, Any] | None = None
        if device.type == "cuda":
            seeing, following = (
                torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]
                for priority in (SEEING_PRIORITY, FOLLOWING_PRIORITY)
            )
            self._streams = seeing, following

    @contextmanager
    def seeing(self) -> Iterator[None]:
        """Queue the work of the first half meanwhile."""
        with self._in(0):
            yield

    @contextmanager
    def following(self) -> Iterator[None]:
        """Queue the work of the second half meanwhile. At its end the device has done it.

        So nothing that comes after it, on whatever queue, has to wait for a part of it. It costs nothing: the results
        are on the CPU by then.
        """
        with self._in(1):
            yield
            if self._streams is not None:
                self._streams[1].synchronize()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do something between two passes that changes what both halves read, on the second half's queue."""
        if self._streams is not None:
            torch.cuda.synchronize(self._device)
        with self._in(1):
            yield
        if self._streams is not None:
            torch.cuda.synchronize(self._device)

    def behind(self) -> Any:
        """In the first half: the moment when the device has done what was queued so far, for `take`."""
        if self._streams is None:
            return None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(self._streams[0])
        return event

    def take(self, moment: Any, *made: Any) -> None:
        """In the second half: let the device wait for `moment`, and read what was made until then.

        Args:
            moment: of `behind`.
            made: tensors, or sequences and dataclasses of them.
        """
        if self._streams is None:
            return
        self._streams[1].wait_event(moment)
        for tensor in tensors(made):
            tensor.record_stream(self._streams[1])

    @contextmanager
    def _in(self, half: int) -> Iterator[None]:
        if self._streams is not None:
            with torch.cuda.stream(self._streams[half]):
                yield
        elif self._turns is not None:
            with self._turns:
                yield
        else:
            yield
