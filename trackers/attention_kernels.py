"""Which of torch's attention kernels the model may use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel

# Without cuDNN's, which plans each new shape for tens of milliseconds and keeps the plan for good
# (pytorch/pytorch#155958): tracks come, go and remember more from frame to frame.
_KERNELS = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)

_lock = threading.Lock()
_inside = 0
_setting = ExitStack()


@contextmanager
def few_kernels() -> Iterator[None]:
    """Leave cuDNN's attention out meanwhile, in the whole process: that is how far torch's setting reaches.

    The first thread that enters sets it, and the last one that leaves puts it back, so that a thread that leaves
    changes nothing for one that stays.
    """
    global _inside  # noqa: PLW0603 - as global as the setting
    with _lock:
        if _inside == 0:
            _setting.enter_context(sdpa_kernel(list(_KERNELS)))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _setting.close()
