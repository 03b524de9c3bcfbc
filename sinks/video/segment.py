"""One file of a recording: MP4 in fragments while it is written, so that a killed process leaves it playable."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import av

from maskcast.files import PARTIAL
from maskcast.lock import open_locked
from sinks.partial import partial_path, publish
from sinks.video.codec import AV_ERRORS
from sinks.video.container import CONTAINERS
from sinks.video.encoder import Encoded
from sinks.video.retention import left_partial, unused
from sinks.video.video_file import VideoFile

logger = logging.getLogger(__name__)


class Segment:
    """A recording that is being written: ``name.partial.mp4`` until it is closed. Its first picture is at 0."""

    def __init__(self, path: Path, first: Encoded) -> None:
        """Open it for packets like `first`, which is to be written next.

        Raises:
            AV_ERRORS: the file cannot be opened; see `sinks.video.codec`.
        """
        assert first.key
        self.path = path
        self.bytes = 0  # of the packets written
        self._first = first
        self._file = VideoFile(partial_path(path), CONTAINERS[path.suffix], first.format, endless=False)
        self._lock: int | None = None
        try:
            self._lock = open_locked(partial_path(path), os.O_RDONLY)
        except BaseException:
            self.abandon()
            raise

    def is_over(self, packet: Encoded, seconds: float, max_bytes: int) -> bool:
        """Whether `packet` belongs into the next file: other pictures, or a key frame past one of the limits."""
        if packet.format is not self._first.format:
            return True
        return packet.key and (self.bytes >= max_bytes or packet.time - self._first.time >= seconds - 1e-3)

    def write(self, packet: Encoded) -> None:
        """Add a packet.

        Raises:
            AV_ERRORS: the disk refuses; see `sinks.video.codec`.
        """
        self._file.write(packet, start=self._first.pts)
        self.bytes += packet.packet.size

    def close(self) -> Path:
        """Finish the file and give it its name, which is returned.

        Raises:
            AV_ERRORS, SinkError: the disk refuses; what was written is then a job for `settle`.
        """
        self._file.close()
        path = _publish(partial_path(self.path))
        self._unlock()
        return path

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.abandon()
        self._unlock()

    def _unlock(self) -> None:
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)


def recover(folder: Path) -> None:
    """Settle every partial recording in `folder` that nobody is writing.

    Raises:
        OSError, SinkError: the disk refuses.
    """
    for part in left_partial(folder):
        descriptor = open_locked(part, os.O_RDONLY)
        if descriptor is None:
            continue
        try:
            kept = settle(part)
        finally:
            os.close(descriptor)
        if kept is None:
            logger.warning("no picture was left in the unfinished %s: removed", part)
        else:
            logger.warning("what was left in the unfinished %s is kept as %s", part, kept.name)


def settle(part: Path) -> Path | None:
    """Make a partial recording, which nobody writes, a whole one; or remove it if no picture is in it.

    Returns:
        The path that it has now; None if it is removed.

    Raises:
        OSError, SinkError: the disk refuses.
    """
    _cut_off_incomplete(part)
    if not _has_picture(part):
        part.unlink()
        return None
    return _publish(part)


def _publish(part: Path) -> Path:
    path = part.with_name(part.name.replace(f"{PARTIAL}.", "."))
    if os.path.lexists(path):  # somebody else's by now
        path = unused(path)
        part.rename(partial_path(path))
    publish(path)
    return path


def _cut_off_incomplete(part: Path) -> None:
    """Cut an MP4 file after the last box that is whole, and a fragment's head (``moof``) without its samples too."""
    size = part.stat().st_size
    end = place = 0
    with part.open("rb+") as file:
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:  # the length is in the next 8 bytes
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or place + length > size:
                break
            place += length
            if head[4:8] != b"moof":
                end = place
        if end < size:
            file.truncate(end)


def _has_picture(part: Path) -> bool:
    """Whether a picture can be decoded."""
    try:
        with av.open(f"file:{part}") as container:
            return any(True for _ in container.decode(video=0))
    except OSError:
        raise  # the disk says nothing of the file
    except (*AV_ERRORS, IndexError):  # IndexError: it has no video
        return False
