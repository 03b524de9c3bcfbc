"""Cameras at this machine (Video4Linux)."""

from __future__ import annotations

from pathlib import Path

from maskcast.errors import SourceError
from sources.container import ContainerSource
from sources.detached import DetachedSource
from sources.opening import Opening
from sources.pixels import MAX_PIXELS
from sources.settings import DEFAULT_DECODER, SILENCE_SECONDS, DecoderName


def open_camera(
    spec: str,
    stream: str,
    *,
    live: bool,
    max_pixels: int = MAX_PIXELS,
    decoder: DecoderName = DEFAULT_DECODER,
) -> DetachedSource:
    """Open `camera:N` or `/dev/videoN`; see `ContainerSource`.

    Raises:
        SourceError: there is no such camera, or another program uses it.
    """
    device = Path(spec.replace("camera:", "/dev/video"))
    if not device.exists():
        found = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*"))) or "none"
        raise SourceError(f"no such camera (found: {found})", where=spec)
    patience = (SILENCE_SECONDS, SILENCE_SECONDS)
    opening = Opening(
        str(device), spec, format="video4linux2", timeout=patience, max_pixels=max_pixels, decoder=decoder
    )
    return DetachedSource(lambda: ContainerSource(opening, stream, live=live), f"receive {stream}")
