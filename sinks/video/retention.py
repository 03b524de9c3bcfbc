"""The names of a stream's recordings, and which of them are kept."""

from __future__ import annotations

import logging
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maskcast.errors import reason_of
from maskcast.files import PARTIAL
from sinks.partial import partial_path

logger = logging.getLogger(__name__)

# 2026-11-24T151200.123Z.mp4: no character that a file system or a shell refuses, and the order of the names is the
# order of the times. A number follows where two begin in one millisecond.
SUFFIX = ".mp4"
_MOMENT = "%Y-%m-%dT%H%M%S.%f"
_NAME = re.compile(
    rf"(\d{{4}}-\d\d-\d\dT\d{{6}}\.\d{{3}}Z)((?:-\d+)*)({re.escape(PARTIAL)})?{re.escape(SUFFIX)}", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording: its file and how many bytes are in it."""

    path: Path
    size: int


def recording_path(folder: Path, start: datetime) -> Path:
    """A path of no file yet, finished or partial, for what begins at `start` (time zone aware)."""
    moment = start.astimezone(UTC).strftime(_MOMENT)[:-3]
    return unused(folder / f"{moment}Z{SUFFIX}")


def unused(path: Path) -> Path:
    """`path`, or the first of ``name-1.mp4``, ``name-2.mp4``… that is not taken by anything, finished or partial."""
    candidate, number = path, 0
    while os.path.lexists(candidate) or os.path.lexists(partial_path(candidate)):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def start_of(name: str) -> datetime | None:
    """When the recording in a file of this name begins, be it finished or partial; None for a name that is not ours."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return datetime.fromisoformat(f"{name[:13]}:{name[13:15]}:{name[15:21]}+00:00")
    except ValueError:  # no such day or time
        return None


def recordings(folder: Path) -> list[Recording]:
    """The finished recordings in `folder`, oldest first: regular files that are named as ours, nothing else.

    Those that are named for more than a day ahead come before all others: they are from when the clock was wrong, and
    would otherwise outlast everything recorded since.

    Raises:
        OSError: the folder cannot be read.
    """
    ahead = (datetime.now(UTC) + timedelta(days=1)).strftime(_MOMENT)
    found = _ours(folder, partial=False)
    found.sort(key=lambda one: one[0][0] <= ahead)  # stable: else in the order of the names
    return [Recording(path, size) for _, path, size in found]


def left_partial(folder: Path) -> list[Path]:
    """The partial recordings in `folder`, oldest first.

    Raises:
        OSError: the folder cannot be read.
    """
    return [path for _, path, _ in _ours(folder, partial=True)]


def prune(folder: Path, keep_files: int | None, keep_bytes: int | None, newest: Path | None = None) -> None:
    """Delete the oldest recordings until at most `keep_files`, and at most `keep_bytes` in all, are left.

    One is always left, be it larger than `keep_bytes`: the newest by name, and `newest` if it is another one because
    the clock was set back. A file that cannot be deleted is logged.
    """
    found = recordings(folder)
    count, total = len(found), sum(recording.size for recording in found)
    for recording in found[:-1]:
        if (keep_files is None or count <= keep_files) and (keep_bytes is None or total <= keep_bytes):
            return
        if recording.path != newest and _delete(recording.path):
            count, total = count - 1, total - recording.size


def make_room(folder: Path, free: int) -> bool:
    """Delete the oldest recordings, but for the newest, until `free` bytes are free on the disk. Return if they are.

    Nothing is deleted where that could not be reached: something else fills the disk then.

    Raises:
        OSError: the folder cannot be read.
    """
    found = recordings(folder)[:-1]
    if free_bytes(folder) + sum(recording.size for recording in found) < free:
        return False
    deleted = 0
    while free_bytes(folder) < free and found:
        deleted += _delete(found.pop(0).path)
    if deleted:
        logger.warning("%s: the %d oldest recordings were deleted because the disk is full", folder, deleted)
    return free_bytes(folder) >= free


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write to the disk that holds `folder`."""
    return shutil.disk_usage(folder).free


def _ours(folder: Path, *, partial: bool) -> list[tuple[tuple[str, list[int]], Path, int]]:
    """Sort key, path and size of the regular files whose whole name is one of ours, in order."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name is None or bool(name[3]) is not partial or not entry.is_file(follow_symlinks=False):
                continue
            order = (name[1], [int(number) for number in name[2].split("-")[1:]])
            found.append((order, Path(entry.path), entry.stat(follow_symlinks=False).st_size))
    return sorted(found)


def _delete(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("cannot delete the old recording %s: %s", path, reason_of(error))
        return False
    return True
