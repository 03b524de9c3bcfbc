"""Video files."""

from __future__ import annotations

import stat
from pathlib import Path

from sources.container import FILE, ContainerSource, Opening
from sources.failure import explain
from sources.pixels import MAX_PIXELS
from streaming.errors import SourceError


def open_video(path: Path, stream: str, *, live: bool, max_pixels: int = MAX_PIXELS) -> ContainerSource:
    """Open a file of any container and codec that FFmpeg reads; see `ContainerSource`.

    Raises:
        SourceError: it is missing, empty, unreadable, or holds no video.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path}: {explain(error)}") from error
    if stat.S_ISREG(status.st_mode) and status.st_size == 0:
        raise SourceError(f"{path}: the file is empty")
    return ContainerSource(Opening(f"{FILE}{path}", str(path), max_pixels=max_pixels), stream, live=live)
