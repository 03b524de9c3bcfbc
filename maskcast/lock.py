"""Locks between processes, which are the kernel's (flock): a killed process leaves none behind."""

from __future__ import annotations

import fcntl
import logging

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
