"""Folders that outputs go into: made before there is anything to write, so that a wrong one is told early."""

from __future__ import annotations

import os
from pathlib import Path

from maskcast.errors import SinkError, reason_of


def make_folder(folder: Path) -> None:
    """Make a folder for outputs, and those above it; one that is there stays as it is.

    Raises:
        SinkError: it cannot be made, or this user may not write in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"the folder cannot be made: {reason_of(error)}", where=folder) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError("no permission to write in this folder", where=folder)
