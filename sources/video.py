"""Video files."""

from __future__ import annotations

from pathlib import Path

from sources.container import FILE, ContainerSource, Opening
from streaming.errors import SourceError


def open_video(path: Path, stream: str, *, live: bool) -> ContainerSource:
    """Open a file of any container and codec that FFmpeg reads; see `ContainerSource`.

    Raises:
        SourceError: it is missing, empty, unreadable, or holds no video.
    """
    try:
        if not path.exists():
            raise SourceError(f"{path}: no such file")
        if path.is_file() and path.stat().st_size == 0:
            raise SourceError(f"{path}: the file is empty")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    return ContainerSource(Opening(f"{FILE}{path}", str(path)), stream, live=live)
