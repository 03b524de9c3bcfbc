"""Where the track state of streams is kept between two runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

from maskcast.files import DAMAGED, PARTIAL, damaged_name, partial_name
from sinks.filename import file_name

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"
# A track state, and what a killed process or a damaged one has left beside it.
_NAME = re.compile(rf"\.?(?P<file>.+{re.escape(SUFFIX)})(?:{re.escape(PARTIAL)}|{re.escape(DAMAGED)})?", re.DOTALL)
# Bytes at the beginning of a track state among which it says that it is one.
_HEAD_BYTES = 1 << 20
_MARK = b"maskcast.track_state/"


def track_state_file(folder: Path, stream: str) -> Path:
    """The file of one stream in a folder of track states."""
    return folder / f"{file_name(stream)}{SUFFIX}"


def remove_track_state(folder: Path, stream: str) -> None:
    """Delete the track state of a stream, and what a killed process or a damaged one has left beside it.

    Raises:
        OSError: the disk refuses.
    """
    file = track_state_file(folder, stream)
    for path in (file, partial_name(file), damaged_name(file)):
        if path.is_file():
            path.unlink()


def remove_other_track_states(folder: Path, streams: Collection[str]) -> None:
    """Delete the track states of all but these streams. What is no track state stays.

    Raises:
        OSError: the disk refuses.
    """
    wanted = {track_state_file(folder, stream).name for stream in streams}
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        name = _NAME.fullmatch(path.name)
        if name and name["file"] not in wanted and path.is_file() and (path.name != name["file"] or _is_one(path)):
            path.unlink()
            logger.info("%s is deleted: its stream is not in the settings any more", path)


def _is_one(path: Path) -> bool:
    with path.open("rb") as file:
        return _MARK in file.read(_HEAD_BYTES)
