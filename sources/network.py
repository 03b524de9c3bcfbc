"""Network streams: RTSP, RTMP, SRT, UDP, HTTP and HLS."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from sources.container import ContainerSource, Opening
from sources.location import LIVE_SCHEMES
from streaming.redaction import redact

# Long enough for a camera that must wait for its next key frame, short enough to notice that it is gone.
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 10.0

Transport = Literal["tcp", "udp"]


def open_network(
    url: str,
    stream: str,
    *,
    live: bool | None,
    transport: Transport = "tcp",
    silence: float = SILENCE_SECONDS,
) -> ContainerSource:
    """Open a network stream; see `ContainerSource`.

    Args:
        url: with credentials in it where the server wants them.
        stream: id of the stream.
        live: None for "always, except over HTTP when the length is known".
        transport: of RTSP's media. TCP passes firewalls and loses nothing; UDP has less delay.
        silence: seconds without data after which the stream counts as dead.

    Raises:
        SourceError: no answer, refused, or no video in it.
    """
    scheme = urlsplit(url).scheme.lower()
    microseconds = str(int(silence * 1_000_000))
    options = {"fflags": "nobuffer", "rw_timeout": microseconds}
    if scheme in {"rtsp", "rtsps"}:
        options = {"rtsp_transport": transport, "timeout": microseconds, "fflags": "nobuffer"}
    elif scheme == "udp":
        options = {"timeout": microseconds, "fflags": "nobuffer", "fifo_size": "100000", "overrun_nonfatal": "1"}
    if live is None and scheme in LIVE_SCHEMES:
        live = True
    opening = Opening(url, redact(url), options=options, timeout=(CONNECT_SECONDS, silence))
    return ContainerSource(opening, stream, live=live)
