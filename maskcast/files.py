"""Files that a process keeps for the next one: for their owner alone, whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# In the names of files that are not whole yet, whatever they are, and of those that are damaged.
PARTIAL, DAMAGED = ".partial", ".damaged"
# What others than the owner may do.
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def cache_of(kind: str) -> Path:
    """Where files of one kind are kept that can be had again: `$XDG_CACHE_HOME` or `~/.cache`, then `maskcast/KIND`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "maskcast" / kind


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, that only its owner may enter; one that is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)


def make_private(file: Path) -> None:
    """Make an empty file that only its owner may read, or make one that is there so.

    It is not opened if it is there: to close it would give up locks that this process holds on it (POSIX).

    Raises:
        OSError: it cannot be made.
    """
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, stat.S_IRUSR | stat.S_IWUSR))
    except FileExistsError:
        tighten(file)


def tighten(file: Path) -> None:
    """Take a regular file from everybody but its owner, where that is allowed."""
    with suppress(OSError):
        mode = file.stat().st_mode
        if stat.S_ISREG(mode) and mode & _OTHERS:
            file.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def partial_name(file: Path) -> Path:
    """Where `write_whole` writes before it renames: a killed process leaves it."""
    return file.with_name(f".{file.name}{PARTIAL}")


def damaged_name(file: Path) -> Path:
    """Where `set_aside` puts what is damaged."""
    return file.with_name(f"{file.name}{DAMAGED}")


def publish(part: Path, file: Path) -> None:
    """Give a file that is written its name, safe against a power cut; an older file of that name is replaced.

    Raises:
        OSError: the disk or the folder refuses.
    """
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(file)


def write_whole(file: Path, write: Callable[[Path], object]) -> None:
    """Replace a file, whole or not at all, safe against a power cut.

    Args:
        file: what is replaced; its folder is made.
        write: writes the path that it is given, which is there and empty. It is always the same one: a process that is
            killed here leaves one such file, not one a time.

    Raises:
        OSError: it cannot be written; an older file is unharmed.
    """
    make_folder(file.parent)
    part = partial_name(file)
    try:
        part.unlink(missing_ok=True)
        make_private(part)
        write(part)
        tighten(part)  # some writers make a file of their own
        publish(part, file)
    finally:
        with suppress(OSError):
            part.unlink()


def set_aside(file: Path) -> Path:
    """Rename what is damaged, or no file, to ``name.damaged``, for a person to look at; an earlier one is replaced.

    Returns:
        Its new path.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = damaged_name(file)
    if file.is_dir() and not aside.is_dir():
        aside.unlink(missing_ok=True)
    file.replace(aside)
    tighten(aside)
    return aside
