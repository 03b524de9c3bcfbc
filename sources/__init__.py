"""Frames in: files, network streams, cameras and image folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sources.location import LIVE_SCHEMES, Kind, check_stream_id, expand, kind_of, scheme_of, stream_id
from sources.source import Source

if TYPE_CHECKING:
    from sources.network import Transport

__all__ = ["Kind", "Source", "expand", "kind_of", "open_source", "stream_id"]


def open_source(
    spec: str, *, stream: str | None = None, live: bool | None = None, transport: Transport = "tcp"
) -> Source:
    """Open what `spec` names.

    Args:
        spec: a path, a folder or glob of images, a URL, `camera:N` or `/dev/videoN`.
        stream: id of the stream; None to make one from the spec.
        live: True to let frames be dropped (recordings then play at their own speed), False to keep every frame; None
            for what the source is by nature.
        transport: of RTSP's media.

    Raises:
        UsageError: the spec or the id can never be right.
        SourceError: it cannot be opened now.
    """
    # Each reader is imported where it is chosen, so that a list of sources can be checked without FFmpeg.
    kind = kind_of(spec)
    name = check_stream_id(stream) if stream is not None else stream_id(spec)
    match kind:
        case Kind.NETWORK:
            from sources.network import open_network

            source: Source = open_network(spec, name, live=live, transport=transport)
            if scheme_of(spec) in LIVE_SCHEMES or source.info.duration is None:
                return source
        case Kind.CAMERA:
            from sources.camera import open_camera

            return open_camera(spec, name, live=live is not False)
        case Kind.IMAGES:
            from sources.images import ImagesSource

            source = ImagesSource(spec, name, live=bool(live))
        case Kind.FILE:
            from sources.video import open_video

            source = open_video(Path(spec), name, live=bool(live))
    if live:
        from sources.paced import PacedSource

        return PacedSource(source)
    return source
