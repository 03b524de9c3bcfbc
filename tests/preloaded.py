"""What `tests.forked` loads before it forks: all that takes time. The process ends with the one that started it."""

import ctypes
import signal
import sys

from streaming.cpu import wait_politely

PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


end_with_parent()
wait_politely()

from streaming import api, cli, service, track_command  # noqa: E402, F401 - loaded is what they are to be
from trackers.detection.checkpoint import load_checkpoint  # noqa: E402

load_checkpoint("nano")  # what the library loads when a model is made
