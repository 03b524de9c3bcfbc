"""Maskcast's frames in: files, network streams, cameras and image folders."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskcast.errors import UsageError
from sources.folder import expand, one_stream
from sources.location import LIVE_SCHEMES, STDIN, Kind, check_stream_id, kind_of, scheme_of, stream_id
from sources.settings import DEFAULTS, SourceSettings
from sources.source import Source

if TYPE_CHECKING:  # the command starts without numpy
    from maskcast.notices import Notify
    from sources.reconnecting import ReconnectingSource

__all__ = [
    "STDIN",
    "Kind",
    "Source",
    "SourceSettings",
    "expand",
    "kind_of",
    "open_reconnecting",
    "open_source",
    "stream_id",
]


def open_source(spec: str, settings: SourceSettings = DEFAULTS, *, stream: str | None = None) -> Source:
    """Open what `spec` names.

    Args:
        spec: a path, a folder or glob of images or with one video, `-` for standard input, a URL, `camera:N` or
            `/dev/videoN`.
        settings: how.
        stream: id of the stream; None to make one from the spec.

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

            source: Source = open_network(spec, name, settings)
            if scheme_of(spec) in LIVE_SCHEMES or source.info.duration is None:
                return source
        case Kind.CAMERA:
            from sources.camera import open_camera

            live = settings.live is not False
            return open_camera(spec, name, live=live, max_pixels=settings.max_pixels, decoder=settings.decoder)
        case Kind.IMAGES | Kind.FILE:
            source = _open_files(spec, kind, name, settings)
    if settings.live:
        from sources.paced import PacedSource

        return PacedSource(source)
    return source


def _open_files(spec: str, kind: Kind, name: str, settings: SourceSettings) -> Source:
    """Open a file, or what a folder or a glob holds: pictures or a video."""
    video, pictures, live = spec, list[Path](), bool(settings.live)
    if kind is Kind.IMAGES:
        videos, pictures = one_stream(spec)
        video = str(next(iter(videos), ""))
    elif os.path.isfile(spec):  # noqa: PTH113 - has an answer for every string
        from sources.picture_file import holds_more_than_ffmpeg_gives

        pictures = [Path(spec)] if holds_more_than_ffmpeg_gives(Path(spec)) else []
    if pictures:
        from sources.images import ImagesSource

        return ImagesSource(spec, pictures, name, live=live, max_pixels=settings.max_pixels)
    from sources.video import open_video

    return open_video(video, name, live=live, max_pixels=settings.max_pixels, decoder=settings.decoder)


def open_reconnecting(
    spec: str,
    notify: Notify,
    settings: SourceSettings = DEFAULTS,
    *,
    stream: str | None = None,
    stop: threading.Event | None = None,
) -> ReconnectingSource:
    """Open a network stream or a camera that is connected again, without end, whenever it is lost.

    Args:
        spec: a URL, `camera:N` or `/dev/videoN`.
        notify: is told when it comes up or is lost; see `sources.reconnecting.ReconnectingSource`.
        settings: how; it is live, whatever they say.
        stream: id of the stream; None to make one from the spec.
        stop: an event of this source alone that ends the wait for the first connection, and the source.

    Raises:
        UsageError: the spec or the id can never be right, or names a recording.
        SourceError: `stop` was set before the first frame came.
    """
    kind = kind_of(spec)
    name = check_stream_id(stream) if stream is not None else stream_id(spec)
    if kind not in {Kind.NETWORK, Kind.CAMERA}:
        raise UsageError("only a URL or a camera can be connected again", where=spec, advice="open it as a recording")
    from sources.camera import open_camera
    from sources.network import network_opener
    from sources.reconnecting import ReconnectingSource

    if kind is Kind.CAMERA:

        def camera() -> Source:
            return open_camera(spec, name, live=True, max_pixels=settings.max_pixels, decoder=settings.decoder)

        return ReconnectingSource(camera, name, notify, stop=stop)
    connect = network_opener(spec, name, replace(settings, live=True))

    def opens() -> Source:
        source = connect()
        if scheme_of(spec) not in LIVE_SCHEMES and source.info.duration is not None:
            source.close()
            raise UsageError("is a recording, which ends", where=spec, advice="open it as one")
        return source

    return ReconnectingSource(opens, name, notify, stop=stop)
