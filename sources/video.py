"""Video files, and what comes through pipes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from maskcast.errors import SourceError
from sources.container import ContainerSource
from sources.detached import DetachedSource
from sources.failure import explain
from sources.location import STDIN
from sources.opening import FILE, Opening
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER, DecoderName
from sources.source import Source


def open_video(
    spec: str,
    stream: str,
    *,
    live: bool,
    max_pixels: int = MAX_PIXELS,
    decoder: DecoderName = DEFAULT_DECODER,
) -> Source:
    """Open a file of any container and codec that FFmpeg reads, or `-` for standard input; see `ContainerSource`.

    What cannot be sought in (a pipe, a socket, a device) is read once, on a thread of its own: whoever writes to it may
    be silent for as long as he likes.

    Raises:
        SourceError: it is missing, empty, unreadable, or holds no video.
    """
    try:
        status = os.fstat(0) if spec == STDIN else Path(spec).stat()
    except OSError as error:
        raise explain(error).at(shown(spec)) from error
    regular = stat.S_ISREG(status.st_mode)
    if regular and status.st_size == 0:
        raise SourceError("the file is empty", where=shown(spec))
    # FFmpeg's `fd:` is the standard input that can be sought in where it is a file.
    url = "fd:" if spec == STDIN else f"{FILE}{spec}"
    opening = Opening(url, shown(spec), piped=not regular, max_pixels=max_pixels, decoder=decoder)
    if regular:
        return ContainerSource(opening, stream, live=live)
    return DetachedSource(lambda: ContainerSource(opening, stream, live=live), f"read {stream}")


def shown(spec: str) -> str:
    """What people are told."""
    return "standard input" if spec == STDIN else spec
