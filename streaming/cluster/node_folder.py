"""Temporary folders of this node: for what is fetched before it is tracked, and for outputs before they are uploaded.

A folder is removed with its owner's last breath, or, where the owner was killed, by whoever makes the next one: whose
owner lives is told by a lock, which is the kernel's.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from maskcast.errors import MaskcastError, reason_of
from maskcast.files import make_folder
from maskcast.lock import open_locked

# Left free on the node's disk beside what is fetched: for outputs, logs, and others.
SPARE_BYTES = 256 << 20


@contextmanager
def node_folder() -> Iterator[Path]:
    """A new folder, empty, for its owner alone, in the folder of temporary files (`$TMPDIR`).

    Raises:
        MaskcastError: it cannot be made.
    """
    # With the node's name: nodes may have one folder of temporary files together, and locks that hold on each alone.
    root = Path(tempfile.gettempdir()) / f"maskcast-{os.getuid()}-{platform.node()}"
    folder = root / token_hex(8)
    lock = folder.with_suffix(".lock")
    try:
        make_folder(root)
        _require_ours(root)
        _sweep(root)
        held = _locked(lock)
        folder.mkdir(mode=0o700)
    except OSError as error:
        advice = "name another folder for temporary files with TMPDIR"
        raise MaskcastError(f"no temporary folder: {reason_of(error)}", where=root, advice=advice) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(held)


def _require_ours(root: Path) -> None:
    """Refuse a folder in which another user of the machine could replace what we write.

    Raises:
        OSError: it is not ours alone.
    """
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EPERM, "it is not ours alone", str(root))


def free_bytes(folder: Path) -> int:
    """What may still be written where a folder is, `SPARE_BYTES` kept back; never less than 0."""
    return max(shutil.disk_usage(folder).free - SPARE_BYTES, 0)


def _locked(lock: Path) -> int:
    """Make a lock and take it.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        held = open_locked(lock, os.O_RDWR | os.O_CREAT)
        if held is None:  # somebody sweeps, and takes it for a dead one's
            continue
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), lock.stat()):
                return held
        os.close(held)


def _sweep(root: Path) -> None:
    """Remove what killed owners have left."""
    for lock in root.glob("*.lock"):
        with suppress(OSError):
            held = open_locked(lock, os.O_RDWR)
            if held is not None:
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
                os.close(held)
