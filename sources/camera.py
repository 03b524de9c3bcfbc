"""Cameras at this machine (Video4Linux)."""

from __future__ import annotations

from pathlib import Path

from sources.container import ContainerSource, Opening
from sources.detached import DetachedSource
from streaming.errors import SourceError

SILENCE_SECONDS = 10.0


def open_camera(spec: str, stream: str, *, live: bool) -> DetachedSource:
    """Open `camera:N` or `/dev/videoN`; see `ContainerSource`.

    Raises:
        SourceError: there is no such camera, or another program uses it.
    """
    device = Path(spec.replace("camera:", "/dev/video"))
    if not device.exists():
        found = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
        raise SourceError(f"{spec}: no such camera (found: {found})")
    opening = Opening(str(device), spec, format="video4linux2", timeout=(SILENCE_SECONDS, SILENCE_SECONDS))
    return DetachedSource(lambda: ContainerSource(opening, stream, live=live), f"receive {stream}")
