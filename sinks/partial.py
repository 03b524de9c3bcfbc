"""A file that takes its name only when it is whole: until then it is ``name.partial.suffix`` beside its place."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from itertools import count
from pathlib import Path

from maskcast import files
from maskcast.errors import SinkError, reason_of
from maskcast.lock import open_locked
from sinks.folder import make_folder
from sinks.through import destination, kind_of_target

logger = logging.getLogger(__name__)


def partial_path(path: Path) -> Path:
    """Where the output stands while it is being written; the suffix stays, so that players and readers open it."""
    return path.with_name(f"{path.stem}{files.PARTIAL}{path.suffix}")


class PartialFile:
    """The partial file of one output, which nobody else writes meanwhile: neither another process nor another sink.

    The lock is the kernel's (flock), so that a killed process leaves none behind.

    Attributes:
        path: where the output lands in the end, links followed.
        part: where it is written.
        descriptor: of `part`, for writing; closed with `publish`, `discard` or `leave`.
    """

    def __init__(self, path: Path) -> None:
        """Create it, empty. What a killed run has left there is set aside; that of a living one is never touched.

        Raises:
            SinkError: the file cannot be created, or somebody else is writing it.
        """
        prepare_target(path)
        self.path = destination(path)
        self.part = partial_path(self.path)
        try:
            self.descriptor = self._lock()
        except OSError as error:
            raise write_error(path, error) from error

    @property
    def place(self) -> Path:
        """What a library that opens it itself is told: the path."""
        return self.part

    def error(self, error: OSError) -> SinkError:
        """One line for a failed write."""
        return write_error(self.path, error)

    def publish(self) -> None:
        """Give the finished file its name, safe against a power cut.

        Raises:
            SinkError: the disk or the folder refuses.
        """
        try:
            publish(self.path)
        finally:
            self.leave()

    def discard(self) -> None:
        """Remove it: it holds nothing of use."""
        with suppress(OSError):
            self.part.unlink()
        self.leave()

    def leave(self) -> None:
        """Close it and leave it where it is, unless nothing is in it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        state = os.fstat(descriptor)
        if stat.S_ISREG(state.st_mode) and state.st_size == 0 and _is_at(descriptor, self.part):
            self.part.unlink(missing_ok=True)
        os.close(descriptor)

    def _lock(self) -> int:
        while (descriptor := open_locked(self.part, os.O_RDWR | os.O_CREAT)) is not None:
            try:
                # Before it was locked it may have been published or removed by its owner: then it is another's now.
                if _is_at(descriptor, self.part) and keep_leftover(self.part) is None:
                    return descriptor
            except OSError:
                os.close(descriptor)
                raise
            os.close(descriptor)
        what = f"cannot write: another run is writing it (to {self.part.name})"
        raise SinkError(what, where=self.path)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def keep_leftover(part: Path) -> Path | None:
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


def prepare_target(path: Path) -> None:
    """Make the folder of a target, and refuse one that could not be renamed into place at the end, hours later.

    What is written through, such as a pipe, is left to whoever opens it.

    Raises:
        SinkError: the target is a folder, or its folder cannot be made or is not writable.
    """
    if kind_of_target(path):
        return
    make_folder(destination(path).parent)
    refuse_folder(path)


def refuse_folder(path: Path) -> None:
    """Refuse a target that is a folder.

    Raises:
        SinkError: it is one.
    """
    if path.is_dir():
        raise SinkError("is a folder", where=path, advice="name a file in it")


def write_error(path: Path, error: OSError) -> SinkError:
    """One line for a failed write: what, where, and where the part that was written is."""
    kept = f"what was written before is kept in {partial_path(destination(path)).name}"
    return SinkError(f"cannot write: {reason_of(error)}", where=path, advice=kept)


def publish(path: Path) -> None:
    """Give the finished partial file its name, safe against a power cut.

    Raises:
        SinkError: the disk or the folder refuses.
    """
    try:
        files.publish(partial_path(path), path)
    except OSError as error:
        raise write_error(path, error) from error
