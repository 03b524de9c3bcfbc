"""All kernels of a call in one launch: CUDA graphs of our own.

Not those of ``torch.compile(mode="reduce-overhead")``: its trees belong to the thread that ran them first, while passes
are prepared by one thread and replayed by two; and an operator that cannot be compiled, for want of a C compiler say,
would be without a graph as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Calls before the capture, in which libraries allocate what they keep and kernels are tuned: as many as
# `torch.cuda.make_graphed_callables` makes.
WARM_UP_CALLS = 3


class CudaGraph:
    """A call with fixed inputs, captured; its outputs lie where they always lie, until the next replay."""

    def __init__(self, call: Callable[[], Any], device: torch.device, pool: Any) -> None:
        """Run `call` some times and capture it. No other thread may use the device meanwhile.

        Args:
            call: what to capture; must not wait for the device.
            device: whose.
            pool: of memory, see `torch.cuda.graph_pool_handle`, for graphs of which never two run at once.

        Raises:
            RuntimeError: it cannot be captured.
        """
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(device):
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_CALLS):
                    call()
            torch.cuda.current_stream(device).wait_stream(stream)
            with torch.cuda.graph(self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                self._outputs = call()

    def __call__(self) -> Any:
        """Replay on the current stream."""
        self._graph.replay()
        return self._outputs
