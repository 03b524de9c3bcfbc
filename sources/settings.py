"""How a source is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from sources.location import is_hls
from sources.pixels import MAX_PIXELS

# Long enough for a camera that must wait for its next key frame, short enough to notice that it is gone.
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 10.0
# HLS is silent for as long as a segment lasts.
HLS_SILENCE_SECONDS = 30.0

Transport: TypeAlias = Literal["tcp", "udp"]
DEFAULT_TRANSPORT: Transport = "tcp"
DecoderName: TypeAlias = Literal["cpu", "auto", "cuda", "vaapi"]
# The same pictures on every machine; a graphics card that is busy with the model has little to spare.
DEFAULT_DECODER: DecoderName = "cpu"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """How a source is opened; each kind of source heeds what concerns it.

    Attributes:
        live: True to let frames be dropped (recordings then play at their own speed), False to keep every frame; None
            for what the source is by nature: over HTTP it is live unless the length is known.
        transport: of RTSP's media. TCP passes firewalls and loses nothing; UDP has less delay. RTSP over TLS is TCP.
        connect_seconds: to wait for a network stream's connection and its description.
        silence_seconds: without data after which a network stream counts as dead; None for `silence_of` its URL.
        ca_file: PEM file of the authorities, or of the server's own certificate, that a server behind TLS must prove
            itself with. None to encrypt without verifying, as FFmpeg does: hardly a camera has a certificate that the
            machine's authorities would vouch for.
        max_pixels: largest picture that is decoded, width times height.
        private_redirects: whether HTTP may redirect to another host of a private network; see `sources.redirect`.
        decoder: what decodes video, see `sources.decoder`.
    """

    live: bool | None = None
    transport: Transport = DEFAULT_TRANSPORT
    connect_seconds: float = CONNECT_SECONDS
    silence_seconds: float | None = None
    ca_file: Path | None = None
    max_pixels: int = MAX_PIXELS
    private_redirects: bool = False
    decoder: DecoderName = DEFAULT_DECODER


DEFAULTS = SourceSettings()


def silence_of(url: str) -> float:
    """Seconds without data after which a stream counts as dead, where nobody says otherwise."""
    return HLS_SILENCE_SECONDS if is_hls(url) else SILENCE_SECONDS
