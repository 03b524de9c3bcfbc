"""Network streams: RTSP, RTMP, SRT, UDP, HTTP and HLS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from maskcast.errors import UsageError
from maskcast.redaction import place_of
from sources.container import ContainerSource
from sources.detached import DetachedSource
from sources.location import HLS_SILENCE_SECONDS, HTTP_SCHEMES, LIVE_SCHEMES, is_hls, scheme_of
from sources.opening import Opening
from sources.pixels import MAX_PIXELS

# Long enough for a camera that must wait for its next key frame, short enough to notice that it is gone.
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 10.0
# FFmpeg tries at once, then after 1, 3, 7... s, each less than this: well within one time-out.
RECONNECT_SECONDS = 4

Transport = Literal["tcp", "udp"]


def open_network(
    url: str,
    stream: str,
    *,
    live: bool | None,
    transport: Transport = "tcp",
    connect: float | None = None,
    silence: float | None = None,
    ca_file: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    private_redirects: bool = False,
) -> DetachedSource:
    """Open a network stream; see `ContainerSource`, and `network_opener` for the arguments.

    Raises:
        SourceError: no answer, refused, or no video in it.
    """
    opens = network_opener(
        url,
        stream,
        live=live,
        transport=transport,
        connect=connect,
        silence=silence,
        ca_file=ca_file,
        max_pixels=max_pixels,
        private_redirects=private_redirects,
    )
    return DetachedSource(opens, f"receive {stream}")


def network_opener(
    url: str,
    stream: str,
    *,
    live: bool | None,
    transport: Transport = "tcp",
    connect: float | None = None,
    silence: float | None = None,
    ca_file: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    private_redirects: bool = False,
) -> Callable[[], ContainerSource]:
    """What opens a network stream, once each time that it is called, on the thread that calls it.

    Args:
        url: with credentials in it where the server wants them.
        stream: id of the stream.
        live: None for "always, except over HTTP when the length is known".
        transport: of RTSP's media. TCP passes firewalls and loses nothing; UDP has less delay. RTSP over TLS is TCP.
        connect: seconds to wait for the connection and the description of the stream; None for the default.
        silence: seconds without data after which the stream counts as dead; None for what its kind needs.
        ca_file: PEM file of the authorities, or of the server's own certificate, that a server behind TLS must prove
            itself with. None to encrypt without verifying, as FFmpeg does: hardly a camera has a certificate that the
            machine's authorities would vouch for.
        max_pixels: largest picture that is decoded, width times height.
        private_redirects: whether HTTP may redirect to another host of a private network; see `sources.redirect`.

    Raises:
        UsageError: there is no such `ca_file`.
    """
    scheme = scheme_of(url)
    if silence is None:
        silence = HLS_SILENCE_SECONDS if is_hls(url) else SILENCE_SECONDS
    # FFmpeg's protocols have time-outs of their own, which say more than PyAV's, so these come a little earlier.
    microseconds = str(int(silence * 0.9 * 1_000_000))
    if scheme in {"rtsp", "rtsps"}:
        # Without counting frames for a second to guess their rate: it is told, or not needed, and the pictures that
        # came meanwhile would all be late.
        options = {"timeout": microseconds, "allowed_media_types": "video", "fpsprobesize": "0"}
        if scheme == "rtsp":
            options["rtsp_transport"] = transport
    elif scheme == "udp":
        # A reader that is late loses data rather than the connection.
        options = {"timeout": microseconds, "fifo_size": "100000", "overrun_nonfatal": "1"}
    else:
        options = {"rw_timeout": microseconds}
        if scheme in HTTP_SCHEMES:
            # Servers hang up on a reader that is slow; what has a length goes on where it was. Not with
            # `reconnect_on_network_error`: it also repeats the first connection, so that a wrong port takes seconds.
            options |= {"reconnect": "1", "reconnect_delay_max": str(RECONNECT_SECONDS)}
    if ca_file is not None and scheme in {"rtsps", "rtmps", "https"}:
        if not ca_file.is_file():
            raise UsageError(f"{ca_file}: no such file; give the certificate of the server or of its authority as PEM")
        options |= {"tls_verify": "1", "ca_file": str(ca_file)}
    if live is None and scheme in LIVE_SCHEMES:
        live = True
    opening = Opening(
        url,
        # Several cameras may be behind one host, and what tells them apart in the URL is not shown.
        f"{place_of(url)} ({stream})",
        options=options,
        timeout=(connect or CONNECT_SECONDS, silence),
        endless=scheme in LIVE_SCHEMES,
        max_pixels=max_pixels,
        private_redirects=private_redirects,
    )
    return lambda: ContainerSource(opening, stream, live=live)
