"""Where the tracking state of streams is kept between two runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

from sinks.filename import file_name

logger = logging.getLogger(__name__)

_SUFFIX = ".safetensors"
# A snapshot, and what a killed process or a damaged one has left beside it.
_NAME = re.compile(rf"\.?(?P<file>.+{re.escape(_SUFFIX)})(?:\.partial|\.damaged)?", re.DOTALL)
# Bytes at the beginning of a snapshot among which it says that it is one.
_HEAD_BYTES = 1 << 20
_MARK = b"maskcast.snapshot/"


def snapshot_file(folder: Path, stream: str) -> Path:
    """The file of one stream in a folder of snapshots."""
    return folder / f"{file_name(stream)}{_SUFFIX}"


def remove_snapshot(folder: Path, stream: str) -> None:
    """Delete the snapshot of a stream, and what a killed process or a damaged one has left beside it.

    Raises:
        OSError: the disk refuses.
    """
    file = snapshot_file(folder, stream)
    for path in (file, file.with_name(f".{file.name}.partial"), file.with_name(f"{file.name}.damaged")):
        if path.is_file():
            path.unlink()


def remove_other_snapshots(folder: Path, streams: Collection[str]) -> None:
    """Delete the snapshots of all but these streams. What is no snapshot stays.

    Raises:
        OSError: the disk refuses.
    """
    wanted = {snapshot_file(folder, stream).name for stream in streams}
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        name = _NAME.fullmatch(path.name)
        if name and name["file"] not in wanted and path.is_file() and (path.name != name["file"] or _is_one(path)):
            path.unlink()
            logger.info("%s is deleted: its stream is not in the settings any more", path)


def _is_one(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK in file.read(_HEAD_BYTES)
