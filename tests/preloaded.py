"""What `tests.forked` loads before it forks: all that takes time. The process ends with the one that started it."""

import ctypes
import signal
import sys

from streaming.process import wait_politely

PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


end_with_parent()
wait_politely()

import streaming.api  # noqa: E402 - loaded is what they are to be
import streaming.cli.app  # noqa: E402
import streaming.commands.track  # noqa: E402
import streaming.service.service  # noqa: E402, F401
from streaming.lean_imports import import_lean  # noqa: E402
from trackers.detection.checkpoint import load_checkpoint  # noqa: E402

import_lean()
load_checkpoint("nano")  # what the library loads when a model is made
