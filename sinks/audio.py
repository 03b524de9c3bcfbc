"""Carry the audio of a medium into an annotated video: packets copied as they are, or transcoded where they must be."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias, cast

from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet

from sinks.encoder import AV_ERRORS
from streaming.redaction import redact
from streaming.types import AudioPacket, AudioTrack

logger = logging.getLogger(__name__)

MuxedPacket: TypeAlias = "Packet[Any]"

# What each kind of file may hold and players play; Matroska holds anything that FFmpeg puts in.
COPIED = {
    ".mp4": {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"},
    ".mov": {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"},
    ".webm": {"opus", "vorbis"},
}


class AudioTracks:
    """All audio tracks of one medium on their way into an output, in step with its video.

    The clock is the pipeline's: seconds since the start of the medium.
    """

    def __init__(self, tracks: Sequence[AudioTrack], output: OutputContainer, suffix: str) -> None:
        """Add the tracks to `output`, whose header must not be written yet."""
        self._written: dict[int, int] = {}  # by stream of the output: the last decoding time
        self._output = output
        # Matroska knows no negative times and would move all streams by the encoder delay at the start of the audio.
        self._from_zero = suffix in {".mkv", ".webm"}
        # By position of the track in the medium.
        self._copies: dict[int, AudioStream] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._transcodes: dict[int, AudioStream] = {}
        self._waiting: deque[AudioPacket] = deque()
        copied = COPIED.get(suffix, output.supported_codecs)
        for position, track in enumerate(tracks):
            if track.template is None:
                logger.warning("audio stream %d is left out of the video: FFmpeg cannot read its codec", track.index)
                continue
            codec = track.template.codec_context
            try:
                self._add(position, track.template, suffix, copy=codec.codec.canonical_name in copied)
            except AV_ERRORS as error:
                reason = redact(str(error))
                logger.warning("audio stream %d (%s) is left out of the video: %s", track.index, codec.name, reason)

    def take(self, packets: Sequence[AudioPacket]) -> None:
        """Take what came with a frame; it is written when the video has got that far."""
        self._waiting.extend(packet for packet in packets if self._stream_of(packet.track))

    def mux_until(self, seconds: Fraction) -> None:
        """Write the audio that starts before `seconds`."""
        while self._waiting and self._waiting[0].start < seconds:
            self._mux(self._waiting.popleft())

    def finish(self, seconds: Fraction | None) -> None:
        """Write the audio that starts before `seconds`, or all that is left, and what the encoders still hold."""
        if seconds is not None:
            self.mux_until(seconds)
        while seconds is None and self._waiting:
            self._mux(self._waiting.popleft())
        for stream in self._transcodes.values():
            self._write(*stream.encode(None))

    def _add(self, position: int, template: AudioStream, suffix: str, *, copy: bool) -> None:
        codec = template.codec_context
        if copy:
            self._copies[position] = self._output.add_stream_from_template(template)
            # AAC from MPEG-TS repeats its parameters before each packet; other containers want them once, in front.
            if codec.name == "aac" and not codec.extradata:
                self._filters[position] = BitStreamFilterContext("aac_adtstoasc", template)
            return
        name = "libopus" if suffix == ".webm" else "aac"
        rate = 48000 if name == "libopus" else codec.sample_rate
        target = cast("AudioStream", self._output.add_stream(name, rate=rate, layout=codec.layout.name))
        target.bit_rate = 64_000 * codec.channels
        self._transcodes[position] = target
        logger.info("audio stream %d is transcoded from %s to %s", template.index, codec.name, name)

    def _stream_of(self, position: int) -> AudioStream | None:
        return self._copies.get(position) or self._transcodes.get(position)

    def _mux(self, packet: AudioPacket) -> None:
        target = self._copies.get(packet.track)
        if target is None:
            self._transcode(packet, self._transcodes[packet.track])
            return
        coded = packet.coded()
        if self._from_zero and (coded.pts or 0) < 0:
            return
        filtering = self._filters.get(packet.track)
        for ready in [coded] if filtering is None else filtering.filter(coded):
            ready.stream = target
            self._write(ready)

    def _transcode(self, packet: AudioPacket, target: AudioStream) -> None:
        try:
            frames = packet.decoded()
        except AV_ERRORS as error:  # one broken packet is a click, not the end
            logger.debug("audio packet skipped: %s", redact(str(error)))
            return
        for frame in frames:
            self._write(*target.encode(frame))

    def _write(self, *packets: MuxedPacket) -> None:
        for packet in packets:
            assert packet.dts is not None, "what is copied or encoded has a time"
            # Muxers refuse a time twice, and encoders give one where packets overlap.
            if packet.dts > self._written.get(packet.stream.index, packet.dts - 1):
                self._written[packet.stream.index] = packet.dts
                self._output.mux(packet)
