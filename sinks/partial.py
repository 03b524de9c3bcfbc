"""A file that takes its name only when it is whole: until then it is ``name.partial.suffix`` beside its place."""

from __future__ import annotations

import logging
import os
from itertools import count
from pathlib import Path

from streaming.errors import SinkError

logger = logging.getLogger(__name__)


def partial_path(path: Path) -> Path:
    """Where the output stands while it is being written; the suffix stays, so that players and readers open it."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


def set_aside(part: Path) -> Path | None:
    """Rename what a killed run has left at `part` to the first free ``name.partial.<number>.suffix``, and return that.

    An empty file is of no use to anyone, and what is no regular file (a pipe, a device) is left as it is.

    Raises:
        OSError: the folder refuses.
    """
    if not part.is_file() or part.stat().st_size == 0:
        return None
    names = (part.with_name(f"{part.stem}.{number}{part.suffix}") for number in count(1))
    free = next(name for name in names if not name.exists())
    part.rename(free)
    logger.warning("what an earlier run had left in %s is kept as %s", part, free.name)
    return free


def check_target(path: Path) -> None:
    """Refuse a target that could not be renamed into place at the end, hours later.

    Raises:
        SinkError: the target is a folder, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise SinkError(f"{path} is a folder; name a file in it")
    folder = path.parent
    if not folder.is_dir():
        raise SinkError(f"cannot write {path}: the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"cannot write {path}: no permission to write in the folder {folder}")


def write_error(path: Path, error: OSError) -> SinkError:
    """One line for a failed write: what, where, and where the part that was written is."""
    what = error.strerror or str(error)
    return SinkError(f"cannot write {path}: {what}; what was written before is kept in {partial_path(path).name}")


def publish(path: Path) -> None:
    """Give the finished partial file its name, safe against a power cut.

    Raises:
        SinkError: the disk or the folder refuses.
    """
    part = partial_path(path)
    try:
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
