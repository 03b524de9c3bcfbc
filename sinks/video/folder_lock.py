"""A folder that only one process writes into, whatever number of its sinks do."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from maskcast.errors import SinkError
from maskcast.lock import open_locked

_guard = Lock()
_held: dict[Path, tuple[int, int]] = {}  # by folder: the descriptor that holds the lock, and how many sinks need it


class FolderLock:
    """The kernel's lock of a folder (flock), which ends with the process, also if it is killed."""

    def __init__(self, folder: Path) -> None:
        """Lock it.

        Raises:
            OSError: the folder cannot be opened.
            SinkError: another process has locked it.
        """
        self._folder = Path(os.path.realpath(folder))
        with _guard:
            descriptor, sinks = _held.get(self._folder) or (_locked(self._folder), 0)
            _held[self._folder] = descriptor, sinks + 1

    def release(self) -> None:
        """Let go; the last of this process's sinks unlocks the folder."""
        with _guard:
            descriptor, sinks = _held.pop(self._folder)
            if sinks > 1:
                _held[self._folder] = descriptor, sinks - 1
            else:
                os.close(descriptor)


def _locked(folder: Path) -> int:
    descriptor = open_locked(folder, os.O_RDONLY | os.O_DIRECTORY)
    if descriptor is None:
        raise SinkError("another process records into it", where=folder, advice="give each a folder of its own")
    return descriptor
