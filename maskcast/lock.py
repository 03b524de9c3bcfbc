"""Locks between processes, which are the kernel's (flock): a killed process leaves none behind."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


def lock(descriptor: int) -> bool:
    """Lock an open file, folder or pipe until it is closed, or the process killed; False if somebody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.debug("a file system without locks: %s", error)
    return True


def open_locked(path: Path, flags: int) -> int | None:
    """Open a file or folder and lock it.

    Args:
        path: of it.
        flags: see `os.open`.

    Returns:
        The descriptor, whose closing unlocks it; None if somebody else has locked it.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    if lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None
