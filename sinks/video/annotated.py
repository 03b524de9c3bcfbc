"""Annotated video: the source's frames at the source's times, tracks drawn on them, the source's audio beside them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from maskcast.errors import SinkError
from maskcast.frame import Frame
from maskcast.picture import Look
from maskcast.redaction import redact
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.partial import PartialFile, write_error
from sinks.sink import BlockingSink
from sinks.through import kind_of_target, open_through, refuse_without_seeking, through_error
from sinks.video.audio import AudioTracks
from sinks.video.audio_track import FORMATS
from sinks.video.codec import AV_ERRORS, EncoderSettings, choose_encoder, encoder_options, software_for
from sinks.video.render import MATRIX, even_size, render, set_up

logger = logging.getLogger(__name__)

UNSPECIFIED = 2
FILE = "file:"  # keeps FFmpeg from taking a colon in a file's name for a protocol

# A killed process must leave what it wrote playable, so MP4 is written in fragments of a second. The hybrid form hides
# them at the end under an ordinary index, which every player and editor can seek in, without copying the file. That
# index grows in memory with each frame: a live stream has no end to plan for, stays fragmented, and does without the
# list of its fragments at the end too.
FRAGMENTS = {"frag_duration": "1000000", "flush_packets": "1"}
OFFLINE_MP4 = {"movflags": "hybrid_fragmented+delay_moov", **FRAGMENTS}
LIVE_MP4 = {"movflags": "delay_moov+default_base_moof+skip_trailer", **FRAGMENTS}
MATROSKA = {"cluster_time_limit": "1000", "flush_packets": "1"}


class AnnotatedVideoSink(BlockingSink):
    """Draws each result on its frame and encodes it; ``name.partial.mp4`` until the stream has ended.

    Frames whose size differs from the first one's are scaled into it, with black bars.
    """

    def __init__(self, path: Path, settings: EncoderSettings | None = None) -> None:
        """Write to `path`, whose suffix says the container: mp4, mov, mkv or webm.

        Raises:
            UsageError: MP4 is to go where it cannot be written.
        """
        if path.suffix.lower() in {".mp4", ".mov"}:
            refuse_without_seeking(path, "use .mkv or .webm")
        super().__init__(str(path))
        self.path = path
        self.settings = settings or EncoderSettings()
        self._info: StreamInfo | None = None
        self._encoder = ""
        self._output: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._audio: AudioTracks | None = None
        self._last_pts: int | None = None
        self._ended = False  # whether the medium's last frame has come
        self._step = 1  # ticks from the last frame but one to the last
        self._durations: dict[int, int] = {}  # by pts, of frames that are still in the encoder
        self._failed = False
        # Where it is written: one or the other.
        self._partial: PartialFile | None = None
        self._descriptor: int | None = None  # of a pipe or device

    def start_blocking(self, info: StreamInfo) -> None:
        self._encoder = choose_encoder(self.settings, self.path.suffix.lower(), *even_size(info.width, info.height))
        if kind_of_target(self.path):
            self._descriptor = open_through(self.path)
        else:
            self._partial = PartialFile(self.path)
        self._info = info

    def write_blocking(self, result: Result) -> None:
        if self._failed:
            return
        with self._abandoned_on_error():
            if self._output is None:
                self._open_output(result.frame)
            self._encode(result)

    def finish_blocking(self, reason: str | None) -> None:
        if self._failed or self._info is None:
            self._abandon()
            return
        if self._output is None:  # not one frame
            if self._partial is not None:
                self._partial.discard()
            self._abandon()
            return
        with self._abandoned_on_error():
            self._drain(early=reason is not None)
            self._output.close()
        self._output = None
        if self._partial is not None:
            self._partial.publish()
        self._abandon()

    @contextmanager
    def _abandoned_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._abandon()
            if isinstance(error, AV_ERRORS):
                raise self._error(error) from error
            raise

    def _error(self, error: Exception) -> SinkError:
        if isinstance(error, OSError):
            return write_error(self.path, error) if self._partial else through_error(self.path, error)
        return SinkError(f"cannot encode {self.path} with {self._encoder}: {redact(str(error))}; try another codec")

    def _open_output(self, first: Frame) -> None:
        """Open the output; a hardware encoder that has no room for one more session now gives way to software."""
        try:
            self._open_with_encoder(first)
        except AV_ERRORS as error:
            software = software_for(self._encoder)
            if software is None:
                raise
            why = redact(str(error))
            logger.warning("%s: %s cannot be opened (%s); %s encodes", self.path, self._encoder, why, software)
            self._close()
            self._encoder = software
            self._open_with_encoder(first)

    def _open_with_encoder(self, first: Frame) -> None:
        """Open encoder and file, now that the first frame has told its colour encoding."""
        info = self._require_info()
        suffix = self.path.suffix.lower()
        options = MATROSKA if suffix in {".mkv", ".webm"} else LIVE_MP4 if info.live else OFFLINE_MP4
        if suffix in {".mp4", ".mov"}:  # or the end of the video would be rounded down to milliseconds
            scale = info.time_base.denominator
            options = {**options, "movie_timescale": str(scale if 1000 <= scale <= 1_000_000 else 90_000)}
        place = f"{FILE}{self._partial.part}" if self._partial else f"pipe:{self._descriptor}"
        # Frames are passed on with their own times, whatever the rate.
        output = av.open(place, "w", format=FORMATS[suffix], container_options=options)
        self._output = output
        encoder_settings = encoder_options(self._encoder, self.settings, live=info.live)
        stream = cast(
            "VideoStream", output.add_stream(self._encoder, rate=info.frame_rate or 25, options=encoder_settings)
        )
        self._stream = stream
        set_up(stream, self._encoder, even_size(info.width, info.height), info.time_base, first.picture.colour)
        _carry_over(info.look, stream)
        self._audio = AudioTracks(info.audio, output, suffix)
        output.start_encoding()

    def _encode(self, result: Result) -> None:
        info, stream = self._require_info(), self._stream
        assert stream is not None
        assert self._audio is not None
        self._audio.take(result.frame.audio)
        self._ended = result.frame.last
        pts = round(Fraction(result.frame.pts) / info.time_base)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)  # encoders refuse a time twice
            self._step = pts - self._last_pts
            self._durations[self._last_pts] = self._step
        self._last_pts = pts
        frame = render(result, info.width, info.height)
        frame.pts, frame.time_base = pts, info.time_base
        self._mux(stream.encode(frame))

    def _mux(self, packets: list[Packet[Any]]) -> None:
        assert self._output is not None
        assert self._audio is not None
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts or 0, self._step)
            if packet.dts is not None:
                self._audio.mux_until(packet.dts * packet.time_base)
            self._output.mux(packet)

    def _drain(self, *, early: bool) -> None:
        """Write what the encoder holds, and the audio: all of it if the video was, else as far as the video goes."""
        info, stream = self._require_info(), self._stream
        assert stream is not None
        assert self._last_pts is not None
        last = self._last_pts * info.time_base
        usual = 1 / info.frame_rate if info.frame_rate else self._step * info.time_base
        whole = not early and self._ended
        # Only the medium knows how long its last frame lasts.
        duration = info.end - last if whole and info.end is not None and info.end > last else usual
        self._step = max(1, round(duration / info.time_base))
        packets = stream.encode(None)
        # The hybrid MP4 takes as the end of the video what its last packet says, though with B-frames another one is
        # shown last.
        if packets and packets[-1].pts is not None:
            self._durations[packets[-1].pts] = self._last_pts + self._step - packets[-1].pts
        self._mux(packets)
        assert self._audio is not None
        self._audio.finish(None if whole else last + duration)

    def _abandon(self) -> None:
        """Close everything that is open and leave the partial file as it is."""
        self._failed = True
        self._close()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        if self._partial is not None:
            self._partial.leave()

    def _close(self) -> None:
        output, self._output = self._output, None
        self._audio = self._stream = None
        if output is not None:
            with suppress(*AV_ERRORS):  # what led here has been reported
                output.close()

    def _require_info(self) -> StreamInfo:
        assert self._info is not None, "start comes first"
        return self._info


def _carry_over(look: Look, stream: VideoStream) -> None:
    """Have the samples shown as the medium wants it: primaries, transfer curve, shape of the pixels."""
    coded = stream.codec_context
    if any({look.matrix, coded.colorspace} <= set(same) for same in MATRIX.values()):
        coded.colorspace = look.matrix
    if look.primaries not in {0, UNSPECIFIED}:
        coded.color_primaries = look.primaries
    if look.transfer not in {0, UNSPECIFIED}:
        coded.color_trc = look.transfer
    if look.pixel_aspect:
        coded.sample_aspect_ratio = look.pixel_aspect
