"""The audio of a recording: packets on the clock of its pictures, handed on with them."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from fractions import Fraction
from threading import Lock
from typing import Any, TypeAlias, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet

from maskcast.audio import AudioPacket, AudioTrack

logger = logging.getLogger(__name__)

MediaPacket: TypeAlias = "Packet[Any]"

# A longer step back is a new beginning (files put one behind the other); less is a packet out of order.
NEW_BEGINNING_SECONDS = 1
# Of coded audio between two pictures, in memory: more than an hour of AAC behind the last one, or of a pipe that holds
# all of its audio before its first picture.
MOST_WAITING_BYTES = 256 << 20
# What a packet takes beside its data.
PACKET_BYTES = 1024


class Audio:
    """The audio streams of a medium that is being read, and their packets since they were last taken."""

    def __init__(self, streams: Sequence[AudioStream], start: Fraction, shown: str) -> None:
        """Begin.

        Args:
            streams: of the medium.
            start: time of the medium in seconds that is 0 on the clock of `Frame.pts`.
            shown: the medium, as people are told; no credentials.
        """
        self._shown = shown
        self._readers = {stream.index: _Reader(number, stream, start) for number, stream in enumerate(streams)}
        self.tracks: tuple[AudioTrack, ...] = tuple(_track(stream) for stream in streams)
        self._waiting: list[AudioPacket] = []
        self._bytes = 0
        self._dropped = False

    def add(self, packet: MediaPacket) -> None:
        """Take a packet of any stream of the medium."""
        reader = self._readers.get(packet.stream.index)
        if reader is None or packet.dts is None or not reader.place(packet):
            return
        size = packet.size + PACKET_BYTES
        if self._bytes + size > MOST_WAITING_BYTES:
            if not self._dropped:
                self._dropped = True
                logger.warning(
                    "%s: audio is left out, for there is too much of it (%d MB) without a picture",
                    self._shown,
                    MOST_WAITING_BYTES >> 20,
                )
            return
        self._bytes += size
        self._waiting.append(_CodedAudio(packet, reader))

    def take(self) -> tuple[AudioPacket, ...]:
        """What has come since the last time, in the medium's order."""
        taken, self._waiting, self._bytes = tuple(self._waiting), [], 0
        return taken


class _Reader:
    """One stream's way onto the pipeline's clock, which never steps back, and its decoder."""

    def __init__(self, number: int, stream: AudioStream, start: Fraction) -> None:
        assert stream.time_base is not None, "what is demuxed has a clock"
        self.number, self.time_base = number, stream.time_base
        # The stream itself ends with its container; its decoder does not.
        self.decoder: Any = stream.codec_context
        self.decoding = Lock()
        self._origin = round(start / stream.time_base)  # ticks of the stream at the pipeline's zero
        self._last: int | None = None
        self._end = 0  # where the last packet ends

    def place(self, packet: MediaPacket) -> bool:
        """Put a packet on the pipeline's clock; False if it belongs before one that was read already."""
        assert packet.dts is not None, "only packets with a time are placed"
        dts = packet.dts - self._origin
        if self._last is not None and dts <= self._last:
            if (self._last - dts) * self.time_base <= NEW_BEGINNING_SECONDS:
                return False
            self._origin += dts - self._end
            dts = self._end
        self._last, self._end = dts, dts + max(1, packet.duration or 0)
        packet.pts = dts if packet.pts is None else packet.pts - self._origin
        packet.dts = dts
        return True


class _CodedAudio:
    """See `maskcast.audio.AudioPacket`."""

    __slots__ = ("_frames", "_packet", "_reader", "start", "track")

    def __init__(self, packet: MediaPacket, reader: _Reader) -> None:
        assert packet.dts is not None, "only packets with a time are placed"
        self.track, self.start = reader.number, packet.dts * reader.time_base
        self._packet, self._reader = packet, reader
        self._frames: list[AudioFrame] | None = None

    def coded(self) -> MediaPacket:
        mine = self._packet
        copy: MediaPacket = Packet(cast("Any", mine))  # the bytes are shared
        copy.pts, copy.dts, copy.duration, copy.time_base = mine.pts, mine.dts, mine.duration, self._reader.time_base
        copy.is_keyframe = mine.is_keyframe
        for data in mine.iter_sidedata():
            copy.set_sidedata(data)
        return copy

    def decoded(self) -> list[AudioFrame]:
        with self._reader.decoding:
            if self._frames is None:
                self._frames = []  # also if this fails
                self._frames = cast("list[AudioFrame]", self._reader.decoder.decode(self._packet))
            return self._frames


def _track(stream: AudioStream) -> AudioTrack:
    """What remains of a stream when its medium is closed."""
    if not stream.codec_context:
        return AudioTrack(stream.index, None)
    # PyAV ties a stream to a container; nothing is ever written to this one.
    holder = av.open(io.BytesIO(), "w", format="null")
    template = holder.add_stream_from_template(stream)
    template.metadata.update(stream.metadata)
    template.disposition = stream.disposition
    holder.close()
    return AudioTrack(stream.index, template)
