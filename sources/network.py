"""Network streams: RTSP, RTMP, SRT, UDP, HTTP and HLS."""

from __future__ import annotations

from collections.abc import Callable

from maskcast.errors import UsageError
from maskcast.redaction import place_of
from sources.container import ContainerSource
from sources.detached import DetachedSource
from sources.location import HTTP_SCHEMES, LIVE_SCHEMES, scheme_of
from sources.opening import Opening
from sources.settings import DEFAULTS, SourceSettings, silence_of

# FFmpeg tries at once, then after 1, 3, 7... s, each less than this: well within one time-out.
RECONNECT_SECONDS = 4


def open_network(url: str, stream: str, settings: SourceSettings = DEFAULTS) -> DetachedSource:
    """Open a network stream; see `network_opener`.

    Raises:
        UsageError: there is no such `ca_file`.
        SourceError: no answer, refused, or no video in it.
    """
    return DetachedSource(network_opener(url, stream, settings), f"receive {stream}")


def network_opener(url: str, stream: str, settings: SourceSettings) -> Callable[[], ContainerSource]:
    """What opens a network stream, once each time that it is called, on the thread that calls it.

    Args:
        url: with credentials in it where the server wants them.
        stream: id of the stream.
        settings: how.

    Raises:
        UsageError: there is no such `ca_file`.
    """
    scheme = scheme_of(url)
    silence = silence_of(url) if settings.silence_seconds is None else settings.silence_seconds
    # FFmpeg's protocols have time-outs of their own, which say more than PyAV's, so these come a little earlier.
    microseconds = str(int(silence * 0.9 * 1_000_000))
    if scheme in {"rtsp", "rtsps"}:
        # Without counting frames for a second to guess their rate: it is told, or not needed, and the pictures that
        # came meanwhile would all be late.
        options = {"timeout": microseconds, "allowed_media_types": "video", "fpsprobesize": "0"}
        if scheme == "rtsp":
            options["rtsp_transport"] = settings.transport
    elif scheme == "udp":
        # A reader that is late loses data rather than the connection.
        options = {"timeout": microseconds, "fifo_size": "100000", "overrun_nonfatal": "1"}
    else:
        options = {"rw_timeout": microseconds}
        if scheme in HTTP_SCHEMES:
            # Servers hang up on a reader that is slow; what has a length goes on where it was. Not with
            # `reconnect_on_network_error`: it also repeats the first connection, so that a wrong port takes seconds.
            options |= {"reconnect": "1", "reconnect_delay_max": str(RECONNECT_SECONDS)}
    ca_file, live = settings.ca_file, settings.live
    if ca_file is not None and scheme in {"rtsps", "rtmps", "https"}:
        if not ca_file.is_file():
            advice = "give the certificate of the server or of its authority as PEM"
            raise UsageError("no such file", where=ca_file, advice=advice)
        options |= {"tls_verify": "1", "ca_file": str(ca_file)}
    if live is None and scheme in LIVE_SCHEMES:
        live = True
    opening = Opening(
        url,
        # Several cameras may be behind one host, and what tells them apart in the URL is not shown.
        f"{place_of(url)} ({stream})",
        options=options,
        timeout=(settings.connect_seconds, silence),
        endless=scheme in LIVE_SCHEMES,
        max_pixels=settings.max_pixels,
        private_redirects=settings.private_redirects,
        decoder=settings.decoder,
    )
    return lambda: ContainerSource(opening, stream, live=live)
