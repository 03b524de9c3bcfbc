"""Decode the video of anything that FFmpeg opens: the common part of files, network streams and cameras."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import av
import av.logging

from sources.clock import MediaClock
from sources.picture import DecodedPicture
from sources.upright import Upright
from streaming.errors import SourceError
from streaming.redaction import redact
from streaming.types import Frame, StreamInfo

DEFAULT_RATE = Fraction(25)
# FFmpeg's own unit for the times of containers.
AV_TIME_BASE = 1_000_000
# Keeps FFmpeg from taking a colon in a file's name for a protocol.
FILE = "file:"


class Opening(NamedTuple):
    """How to open a medium.

    Attributes:
        url: what FFmpeg is told to open.
        shown: what people are told; no credentials.
        format: name of the demuxer; None to let FFmpeg find out.
        options: for the demuxer and its protocols.
        timeout: seconds to wait for the connection and for data; None for ever.
    """

    url: str
    shown: str
    format: str | None = None
    options: dict[str, str] | None = None
    timeout: tuple[float, float] | None = None


class ContainerSource:
    """Frames of the best video stream of a container; see `sources.source.Source`."""

    def __init__(self, opening: Opening, stream: str, *, live: bool | None) -> None:
        """Open.

        Args:
            opening: what and how.
            stream: id of the stream.
            live: whether frames may be dropped; None for "if its length is unknown".

        Raises:
            SourceError: it cannot be opened or holds no video that can be decoded.
        """
        av.logging.set_level(None)  # FFmpeg writes to stderr past everyone; what matters arrives as an exception
        self._opening = opening
        self._stopped = False
        self._failure: Exception | None = None
        self._broken = 0
        try:
            self._container = av.open(
                opening.url, format=opening.format, options=opening.options or {}, timeout=opening.timeout
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{opening.shown}: {explain(error)}") from error
        try:
            self._video = self._best_stream()
            self._length = self._duration()
            self._live = self._length is None if live is None else live
            self._rate = self._video.average_rate or self._video.guessed_rate
            self._frames = self._produce(stream)
            # The first frame tells the size after rotation, and whether anything decodes at all.
            self._first = next(self._frames)
        except BaseException:
            self._container.close()
            raise
        self.info = self._describe(stream)

    def _best_stream(self) -> Any:
        video = self._container.streams.best("video")
        if video is None:
            kinds = sorted({stream.type for stream in self._container.streams})
            raise SourceError(f"{self._opening.shown}: holds no video, only {', '.join(kinds) or 'nothing'}")
        if video.codec_context is None:
            raise SourceError(f"{self._opening.shown}: no decoder for its video codec; convert it to H.264 first")
        return video

    def _duration(self) -> float | None:
        """Length of the video in seconds."""
        if self._video.duration:
            return float(self._video.duration * self._video.time_base)
        return self._container.duration / AV_TIME_BASE if self._container.duration else None

    def _describe(self, stream: str) -> StreamInfo:
        count = self._video.frames or (round(self._length * self._rate) if self._length and self._rate else None)
        return StreamInfo(
            stream=stream,
            width=self._first.picture.width,
            height=self._first.picture.height,
            time_base=self._video.time_base,
            frame_rate=self._rate,
            frame_count=count,
            duration=self._length,
            live=self._live,
            media=None if self._live else self._opening.url.removeprefix(FILE),
        )

    def __iter__(self) -> Iterator[Frame]:
        yield self._first
        yield from self._frames

    def _produce(self, stream: str) -> Iterator[Frame]:
        # Frame threads hold frames back: fast for files, late for cameras.
        self._video.thread_type = "SLICE" if self._live else "AUTO"
        started = datetime.now(UTC)
        start = self._container.start_time
        clock = MediaClock(None if start is None else start / AV_TIME_BASE, float(1 / (self._rate or DEFAULT_RATE)))
        index, pts = 0, 0.0
        for decoded in self._decode():
            raw = None if decoded.pts is None or decoded.time_base is None else float(decoded.pts * decoded.time_base)
            pts = clock.stamp(raw)
            captured = datetime.now(UTC) if self._live else started + timedelta(seconds=pts)
            yield Frame(stream, index, pts, captured, DecodedPicture(decoded))
            index += 1
        self._check_end(index, pts)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that decodes; a broken packet costs itself alone."""
        upright = Upright()
        packets = self._container.demux(self._video)
        while not self._stopped:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.FFmpegError, OSError) as error:
                self._failure = error
                break
            yield from self._attempt(packet.decode, upright)
        if self._failure is not None and not self._stopped:
            yield from self._attempt(lambda: self._video.codec_context.decode(None), upright)
        yield from upright.apply(None)

    def _attempt(self, decode: Callable[[], Sequence[av.VideoFrame]], upright: Upright) -> Iterator[av.VideoFrame]:
        try:
            frames = decode()
        except av.EOFError:
            return
        except (av.FFmpegError, OSError):
            self._broken += 1
            return
        for frame in frames:
            yield from upright.apply(frame)

    def _check_end(self, decoded: int, pts: float) -> None:
        """Raise if the stream ended before its time."""
        if self._stopped:
            return
        shown, expected = self._opening.shown, self._video.frames
        if decoded == 0:
            reason = explain(self._failure) if self._failure else "no frame of its video could be decoded"
            raise SourceError(f"{shown}: {reason}")
        if self._live and self._opening.timeout is not None:
            reason = explain(self._failure) if self._failure else "the other side ended it"
            raise SourceError(f"{shown}: the stream ended after {decoded} frames: {reason}")
        # Edit lists hide frames on purpose, so a smaller count alone proves nothing.
        frame = float(1 / (self._rate or DEFAULT_RATE))
        early = self._length is not None and pts < self._length - 2.5 * frame
        missing = bool(expected) and decoded < expected
        if self._failure is not None or (missing and (early or self._broken)) or (early and self._broken):
            of = f" of {expected}" if expected else ""
            raise SourceError(f"{shown}: truncated or damaged: only {decoded}{of} frames could be decoded")

    def close(self) -> None:
        # The decoder may be at work in another thread, so it is only told to stop; the memory goes with the object.
        self._stopped = True


def explain(error: Exception) -> str:
    """What an error of FFmpeg means to a person, without its URL."""
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return "the server refuses the user name or password (401 or 403); write them as rtsp://user:password@host/path"
    if isinstance(error, av.HTTPNotFoundError):
        return "the server knows no such path (404); look it up in the camera's manual"
    if isinstance(error, av.ExitError | av.TimeoutError):
        return "no answer in time; check the address and the network"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the server running, and is the port right?"
    if isinstance(error, av.InvalidDataError):
        return "not a video that FFmpeg can read, or damaged"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(text.splitlines()[0])
