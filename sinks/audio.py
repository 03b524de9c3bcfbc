"""Carry the audio of a medium into an annotated video: packets copied as they are, or transcoded where they must be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard

from sinks.encoder import AV_ERRORS
from streaming.redaction import redact

logger = logging.getLogger(__name__)

AudioPacket: TypeAlias = "Packet[Any]"

# A step back of more seconds is a new beginning (files put one behind the other); less is a packet out of order.
NEW_BEGINNING = 1

# What each kind of file may hold and players play; Matroska holds anything that FFmpeg puts in.
COPIED = {
    ".mp4": {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"},
    ".mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"},
    ".webm": {"opus", "vorbis"},
}


class AudioTracks:
    """All audio streams of one medium on their way into an output, in step with its video.

    The clock is the pipeline's: seconds since the start of the medium.
    """

    def __init__(self, source: InputContainer, output: OutputContainer, suffix: str) -> None:
        """Add the streams to `output`, whose header must not be written yet; `source` is read from, not closed."""
        self._start = Fraction(source.start_time or 0, av.time_base)
        self._clocks: dict[int, _Clock] = {}
        self._written: dict[int, int] = {}  # by stream of the output: the last decoding time
        self._output = output
        # Matroska knows no negative times and would move all streams by the encoder delay at the start of the audio.
        self._from_zero = suffix in {".mkv", ".webm"}
        self._copies: dict[int, AudioStream] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._transcodes: dict[int, AudioStream] = {}
        copied = COPIED.get(suffix, output.supported_codecs)
        for stream in source.streams.audio:
            if not stream.codec_context:
                logger.warning("audio stream %d is left out of the video: FFmpeg cannot read its codec", stream.index)
                continue
            codec = stream.codec_context
            try:
                self._add(stream, suffix, copy=codec.codec.canonical_name in copied)
            except AV_ERRORS as error:
                reason = redact(str(error))
                logger.warning("audio stream %d (%s) is left out of the video: %s", stream.index, codec.name, reason)
        wanted = [stream for stream in source.streams.audio if self._stream_of(stream.index)]
        for other in source.streams:
            if other not in wanted:
                other.discard = Discard.all  # the demuxer then skips the video where the format lets it
        self._packets: Iterator[AudioPacket] = cast("Any", source.demux(wanted)) if wanted else iter(())
        self._next = self._read()

    def mux_until(self, seconds: Fraction) -> None:
        """Write the audio that starts before `seconds`."""
        while self._next is not None and _time(self._next) < seconds:
            self._mux(self._next)
            self._next = self._read()

    def finish(self, seconds: Fraction | None) -> None:
        """Write the audio that starts before `seconds`, or all that is left, and what the encoders still hold."""
        if seconds is not None:
            self.mux_until(seconds)
        while seconds is None and self._next is not None:
            self._mux(self._next)
            self._next = self._read()
        for stream in self._transcodes.values():
            self._write(*stream.encode(None))

    def _add(self, stream: AudioStream, suffix: str, *, copy: bool) -> None:
        if copy:
            self._copies[stream.index] = self._output.add_stream_from_template(stream)
            # AAC from MPEG-TS repeats its parameters before each packet; other containers want them once, in front.
            if stream.codec_context.name == "aac" and not stream.codec_context.extradata:
                self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", stream)
            return
        name = "libopus" if suffix == ".webm" else "aac"
        rate = 48000 if name == "libopus" else stream.codec_context.sample_rate
        target = cast("AudioStream", self._output.add_stream(name, rate=rate, layout=stream.layout.name))
        target.bit_rate = 64_000 * stream.codec_context.channels
        self._transcodes[stream.index] = target
        logger.info("audio stream %d is transcoded from %s to %s", stream.index, stream.codec_context.name, name)

    def _stream_of(self, index: int) -> AudioStream | None:
        return self._copies.get(index) or self._transcodes.get(index)

    def _read(self) -> AudioPacket | None:
        """The next packet, on the pipeline's clock; the end of the medium, or of what can be read of it, is None."""
        try:
            return next((packet for packet in self._packets if packet.dts is not None and self._place(packet)), None)
        except AV_ERRORS as error:  # a truncated file: the source has its say about that
            logger.warning("the audio ends early: %s", redact(str(error)))
            return None

    def _place(self, packet: AudioPacket) -> bool:
        """Put a packet on the pipeline's clock; False if it belongs before one that was read already."""
        index = packet.stream.index
        if index not in self._clocks:
            self._clocks[index] = _Clock(round(self._start / _seconds(packet.time_base)))
        return self._clocks[index].place(packet)

    def _mux(self, packet: AudioPacket) -> None:
        index = packet.stream.index
        target = self._copies.get(index)
        if target is None:
            self._transcode(packet, self._transcodes[index])
            return
        if self._from_zero and (packet.pts or 0) < 0:
            return
        filtering = self._filters.get(index)
        for ready in [packet] if filtering is None else filtering.filter(packet):
            ready.stream = target
            self._write(ready)

    def _transcode(self, packet: AudioPacket, target: AudioStream) -> None:
        try:
            frames = cast("list[AudioFrame]", packet.decode())
        except AV_ERRORS as error:  # one broken packet is a click, not the end
            logger.debug("audio packet skipped: %s", redact(str(error)))
            return
        for frame in frames:
            self._write(*target.encode(frame))

    def _write(self, *packets: AudioPacket) -> None:
        for packet in packets:
            assert packet.dts is not None, "what is copied or encoded has a time"
            # Muxers refuse a time twice, and encoders give one where packets overlap.
            if packet.dts > self._written.get(packet.stream.index, packet.dts - 1):
                self._written[packet.stream.index] = packet.dts
                self._output.mux(packet)


class _Clock:
    """One stream's way onto the pipeline's clock, which never steps back."""

    def __init__(self, origin: int) -> None:
        self._origin = origin  # ticks of the stream at the pipeline's zero
        self._last: int | None = None
        self._end = 0  # where the last packet ends

    def place(self, packet: AudioPacket) -> bool:
        assert packet.dts is not None, "only packets with a time are placed"
        dts = packet.dts - self._origin
        if self._last is not None and dts <= self._last:
            if (self._last - dts) * _seconds(packet.time_base) <= NEW_BEGINNING:
                return False
            self._origin += dts - self._end
            dts = self._end
        self._last, self._end = dts, dts + max(1, packet.duration or 0)
        packet.pts = dts if packet.pts is None else packet.pts - self._origin
        packet.dts = dts
        return True


def _time(packet: AudioPacket) -> Fraction:
    return (packet.dts or 0) * _seconds(packet.time_base)


def _seconds(time_base: Fraction | None) -> Fraction:
    assert time_base is not None, "what was demuxed or decoded has a clock"
    return time_base
