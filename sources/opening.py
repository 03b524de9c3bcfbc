"""Open a medium with FFmpeg, within the protocols of its kind, and say what is wrong where that fails."""

from __future__ import annotations

import time
from errno import EIO
from typing import NamedTuple

import av
from av.container import InputContainer
from av.format import ContainerFormat

from maskcast.errors import SourceError
from maskcast.redaction import redact
from sources.decoder import acceleration
from sources.failure import NO_STREAM, explain, nothing_came
from sources.location import HTTP_SCHEMES, RTSP_SCHEMES, scheme_of
from sources.pixels import MAX_PIXELS
from sources.redirect import MOST_REDIRECTS, redirection
from sources.rtsp_answer import speaks_rtsp
from sources.settings import DEFAULT_DECODER, DecoderName

# Keeps FFmpeg from taking a colon in a file's name for a protocol.
FILE = "file:"
# What a medium of each kind may open, itself and by what is written in it: the segments and keys of a playlist, the
# transport of RTSP's media. Nothing that comes from a network opens a file, and a playlist that is a file opens files.
PROTOCOLS = {
    "file": "file,crypto,data",
    "fd": "fd,crypto,data",
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsps,rtp,tls,tcp,udp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "srt": "srt",
    "udp": "udp",
    "rtp": "rtp,udp",
    "http": "http,https,httpproxy,tls,tcp,crypto,data",
    "https": "https,httpproxy,tls,tcp,crypto,data",
}
# How much of what is no video tells what it is.
HEAD_BYTES = 4096


class Opening(NamedTuple):
    """How to open a medium.

    Attributes:
        url: what FFmpeg is told to open.
        shown: what people are told; no credentials.
        format: name of the demuxer; None to let FFmpeg find out.
        options: for the demuxer and its protocols.
        timeout: seconds to wait for the connection and for data; None for no bound.
        endless: it never ends by itself, even if it tells a length.
        max_pixels: largest picture that is decoded, width times height.
        piped: it can be read once, and may come as it is made.
        private_redirects: whether HTTP may redirect to another host of a private network.
        decoder: what decodes its video, see `sources.decoder`.
    """

    url: str
    shown: str
    format: str | None = None
    options: dict[str, str] | None = None
    timeout: tuple[float, float] | None = None
    endless: bool = False
    max_pixels: int = MAX_PIXELS
    piped: bool = False
    private_redirects: bool = False
    decoder: DecoderName = DEFAULT_DECODER


def open_container(opening: Opening) -> InputContainer:
    """Open the medium, following the redirections of HTTP.

    Raises:
        SourceError: it cannot be opened; `AccessDeniedError` if for its credentials.
    """
    for _ in range(MOST_REDIRECTS + 1):
        started = time.monotonic()
        try:
            return _open(opening)
        except (av.FFmpegError, OSError, ValueError) as error:
            onward = _redirection(opening, error)
            if onward is None:
                # PyAV's error quotes the URL as it is, and a traceback would print it.
                quotes_credentials = redact(str(error)) != str(error)
                meaning = _meaning(opening, error, time.monotonic() - started)
                raise meaning.at(opening.shown) from (None if quotes_credentials else error)
        opening = opening._replace(url=onward)
    what = f"redirects more than {MOST_REDIRECTS} times"
    raise SourceError(what, where=opening.shown, advice="give the URL that it leads to")


def _open(opening: Opening, container_format: str | None = None, **other: str) -> InputContainer:
    scheme = opening.url.partition(":")[0].lower()
    # The bound is for the decoders with which FFmpeg finds out what is in the medium.
    options = {"max_pixels": str(opening.max_pixels), **(opening.options or {}), **other}
    if scheme in PROTOCOLS:  # devices open none
        options["protocol_whitelist"] = PROTOCOLS[scheme]
    if scheme in HTTP_SCHEMES:
        options["max_redirects"] = "0"  # see `redirection`
    return av.open(
        opening.url,
        format=container_format or opening.format,
        options=options,
        timeout=opening.timeout,
        metadata_errors="replace",
        hwaccel=acceleration(opening.decoder),
    )


def _redirection(opening: Opening, error: Exception) -> str | None:
    """Where HTTP is redirected to, which FFmpeg does not say: it only fails."""
    if scheme_of(opening.url) not in HTTP_SCHEMES or getattr(error, "errno", None) != EIO:
        return None
    seconds = opening.timeout[0] if opening.timeout else None
    try:
        return redirection(
            opening.url,
            seconds=seconds,
            ca_file=(opening.options or {}).get("ca_file"),
            private=opening.private_redirects,
        )
    except SourceError as refusal:
        raise refusal.at(opening.shown) from None


def _meaning(opening: Opening, error: Exception, seconds: float) -> SourceError:
    """What is wrong, after an attempt that took `seconds`."""
    options = opening.options or {}
    # FFmpeg takes an RTSP server's silence for a bad answer.
    if isinstance(error, av.InvalidDataError) and opening.timeout and seconds > 0.8 * min(opening.timeout):
        return explain(TimeoutError())
    if scheme_of(opening.url) in RTSP_SCHEMES and _is_bad_answer(error) and speaks_rtsp(opening.url) is False:
        over = " over TLS" if scheme_of(opening.url) == "rtsps" else ""
        return SourceError(f"did not answer as RTSP{over}", advice="check host, port and path")
    if getattr(error, "errno", None) == EIO and (authorities := options.get("ca_file")):
        # FFmpeg says no more of a certificate that it does not trust.
        return SourceError(f"cannot be reached, or its certificate is none that {authorities} vouches for")
    if "allowed_media_types" in options and isinstance(error, av.HTTPOtherClientError | av.InvalidDataError):
        # Nothing was asked for, which servers answer each in their way.
        kinds = _kinds(opening)
        if kinds and "video" not in kinds:
            return SourceError(f"holds no video, only {', '.join(kinds)}")
    if isinstance(error, av.InvalidDataError):
        return nothing_came() if opening.piped else what_it_is(_head(opening)) or explain(error)
    return explain(error)


def _is_bad_answer(error: Exception) -> bool:
    """Whether FFmpeg got an answer that may be none of RTSP; over TLS it says no more than that it cannot read."""
    kinds = av.InvalidDataError, av.HTTPServerError, av.EOFError, ConnectionResetError
    return isinstance(error, kinds) or getattr(error, "errno", None) == EIO


def _kinds(opening: Opening) -> list[str]:
    """The kinds of media that an RTSP server has."""
    for _ in range(2):  # a server may need a moment after the attempt before
        try:
            with _open(opening, allowed_media_types="video+audio+data+subtitle") as container:
                return sorted({stream.type for stream in container.streams})
        except (av.FFmpegError, OSError, ValueError):
            time.sleep(0.5)
    return []


def _head(opening: Opening) -> bytes | None:
    """The first bytes of a file or an HTTP answer, over the same protocol; None if there are none now."""
    if opening.url.partition(":")[0].lower() not in {"file", *HTTP_SCHEMES}:
        return None
    try:
        with _open(opening, "data") as container:
            return bytes(next(packet for packet in container.demux() if packet.size))[:HEAD_BYTES]
    except (av.FFmpegError, OSError, ValueError, StopIteration):
        return None


def what_it_is(head: bytes | None) -> SourceError | None:
    """What begins so is no video, in a person's words; None if it may be one that is damaged."""
    if head is None:
        return None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<mpd" in text:
        if _reads("dash"):
            return SourceError("is a DASH manifest, which FFmpeg cannot make sense of")
        advice = "give the HLS playlist of the same stream"
        return SourceError("is a DASH manifest, which this PyAV's FFmpeg is built without", advice=advice)
    if text.startswith(b"#extm3u"):
        return SourceError(NO_STREAM)
    if text.startswith((b"<!doctype html", b"<html")) or b"<html" in text or b"<body" in text:
        page = "is a web page, not a video: perhaps a log-in, or the page around the player"
        return SourceError(page, advice="give the stream's own URL")
    if text.startswith((b"{", b"[")) and text.isascii():
        return SourceError("is a message in JSON, not a video", advice="open it in a browser")
    if text.startswith(b"<"):
        return SourceError("is an XML document, not a video", advice="open it in a browser")
    if (
        text
        and text.isascii()
        and text.replace(b"\n", b"").replace(b"\r", b"").replace(b"\t", b"").decode().isprintable()
    ):
        return SourceError("is a text, not a video")
    return None


def _reads(name: str) -> bool:
    try:
        return ContainerFormat(name, "r").is_input
    except ValueError:
        return False
