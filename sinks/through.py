"""Outputs that are no plain files: a pipe, a socket or a device is written through, never replaced or renamed over."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from pathlib import Path

from maskcast.errors import SinkError, UsageError, reason_of
from maskcast.lock import lock

# A pipe's reader may be started after us: how long it is waited for, and how often it is looked for, in seconds.
READER_SECONDS = 20.0
LOOK_SECONDS = 0.05

# What these hold are open files, to be written to as they are: `/dev/stdout`, a link to one, is wherever the shell has
# sent the output.
_OPEN_FILES = ("/proc/", "/dev/fd/")
_MOST_LINKS = 40  # as Linux


def kind_of_target(path: Path) -> str | None:
    """What an output is if it is no plain file: ``pipe``, ``socket`` or ``device``; None for files, present or not."""
    try:
        mode = path.stat().st_mode
    except OSError:  # not there, or whoever opens it says why not
        return None
    if stat.S_ISFIFO(mode):
        return "pipe"
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or (stat.S_ISREG(mode) and _is_open_file(path)):
        return "device"
    return None


def destination(path: Path) -> Path:
    """Where an output lands: links are followed, also those that lead to no file yet; what is written through stays."""
    if kind_of_target(path):
        return path
    real = os.path.realpath(path)
    return path if real == os.path.abspath(path) else Path(real)  # noqa: PTH100 - resolve() follows the links


def refuse_without_seeking(path: Path, suffix: str, instead: str) -> None:
    """Refuse an output that cannot be written from front to back.

    Raises:
        UsageError: the target is no plain file, as that format needs it; `instead` says what would do.
    """
    if kind := kind_of_target(path):
        what = f"is a {kind}, and {suffix} cannot be written without going back"
        raise UsageError(what, where=path, advice=instead)


class Through:
    """A pipe, a socket or a device that is written to: what was written cannot be taken back.

    Attributes:
        path: of it.
        descriptor: for writing; closed with `publish`, `discard` or `leave`, which are the same here.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            SinkError: see `open_through`.
        """
        self.path = path
        self.descriptor = open_through(path)

    @property
    def place(self) -> int:
        """What a library that opens it itself is told: the descriptor, for a name would be opened twice."""
        return self.descriptor

    def leave(self) -> None:
        """Close it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    publish = discard = leave

    def error(self, error: OSError) -> SinkError:
        """One line for a failed write."""
        return through_error(self.path, error)


def open_through(path: Path) -> int:
    """Open a pipe, a socket or a device for writing; the descriptor is to be closed.

    Raises:
        SinkError: it cannot be opened, nobody has come to read from it, or another run is writing to the pipe.
    """
    kind = kind_of_target(path)
    try:
        if path.is_block_device():
            raise SinkError("is a disk, not a file on one", where=path)
        if kind == "socket":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(str(path))
                return connection.detach()
        return _open_pipe(path) if kind == "pipe" else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
    except OSError as error:
        raise through_error(path, error) from error


def through_error(path: Path, error: OSError) -> SinkError:
    """One line for a failed write."""
    if isinstance(error, BrokenPipeError):
        return SinkError(f"its reader closed the {kind_of_target(path) or 'pipe'}", where=path)
    return SinkError(f"cannot write: {reason_of(error)}", where=path)


def _open_pipe(path: Path) -> int:
    """Opening a pipe waits for its reader, but not longer than `READER_SECONDS`."""
    deadline = time.monotonic() + READER_SECONDS
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > deadline:
                waited = f"nobody has opened the pipe for reading in {READER_SECONDS:g} s"
                raise SinkError(f"cannot write: {waited}", where=path, advice="start its reader first") from None
            time.sleep(LOOK_SECONDS)
        else:
            if not _is_open_file(path) and not lock(descriptor):  # what the shell has opened may be shared
                os.close(descriptor)
                raise SinkError("cannot write: another run is writing it", where=path)
            os.set_blocking(descriptor, True)  # a slow reader slows the sink, as a slow disk does
            return descriptor


def _is_open_file(path: Path) -> bool:
    place = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the links, which is done here
    for _ in range(_MOST_LINKS):
        if str(place).startswith(_OPEN_FILES):
            return True
        if not place.is_symlink():
            break
        place = Path(os.path.normpath(place.parent / place.readlink()))
    return False
