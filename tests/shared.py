"""What is made once for all tests, also where they run in several workers."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask for it makes; the others wait for it.

    Args:
        factory: pytest's own.
        name: of the folder.
        make: writes into the empty folder that it is given.
    """
    base = factory.getbasetemp()  # one a worker, all in the folder of their session
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = root / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)  # of a worker that crashed
            part.mkdir()
            make(part)
            part.rename(made)
    return made
