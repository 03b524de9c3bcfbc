"""Carry the audio of a medium into an annotated video, in step with its pictures."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction

from av.container import OutputContainer

from maskcast.audio import AudioPacket, AudioTrack
from maskcast.redaction import redact
from sinks.video.audio_track import LATE_SECONDS, MuxedPacket, TrackWriter, add_track
from sinks.video.codec import AV_ERRORS
from sinks.video.container import Container

logger = logging.getLogger(__name__)


class AudioTracks:
    """All audio tracks of one medium on their way into an output, in step with its video.

    The clock is the pipeline's: seconds since the start of the medium.
    """

    def __init__(self, tracks: Sequence[AudioTrack], output: OutputContainer, container: Container) -> None:
        """Add the tracks to `output`, whose header must not be written yet."""
        self._output = output
        # Matroska knows no negative times and would move all streams by the encoder delay at the start of the audio.
        self._from_zero = not container.is_mp4
        self._silent_after = LATE_SECONDS if container.is_mp4 else None
        self._writers: dict[int, TrackWriter] = {}  # by position of the track in the medium
        self._written: dict[int, Fraction] = {}  # likewise: the last decoding time, in seconds
        self._waiting: deque[AudioPacket] = deque()
        for position, track in enumerate(tracks):
            if (writer := add_track(track, output, container)) is not None:
                self._writers[position] = writer

    def take(self, packets: Sequence[AudioPacket]) -> None:
        """Take what came with a frame; it is written when the video has got that far."""
        self._waiting.extend(packet for packet in packets if packet.track in self._writers)

    def mux_until(self, seconds: Fraction) -> None:
        """Write the audio that starts before `seconds`."""
        while self._waiting and self._waiting[0].start < seconds:
            self._mux(self._waiting.popleft())
        if self._silent_after is not None and seconds > self._silent_after:
            self._silent_after = None
            for position, writer in list(self._writers.items()):
                if position not in self._written:
                    self._write(position, writer.silence())

    def finish(self, seconds: Fraction | None) -> None:
        """Write the audio that starts before `seconds`, or all that is left, and what the encoders still hold."""
        if seconds is not None:
            self.mux_until(seconds)
        while seconds is None and self._waiting:
            self._mux(self._waiting.popleft())
        for position, writer in list(self._writers.items()):
            self._write(position, writer.drain())

    def _mux(self, packet: AudioPacket) -> None:
        writer = self._writers.get(packet.track)
        if writer is not None and not (self._from_zero and packet.start < 0):
            self._write(packet.track, writer.take(packet))

    def _write(self, position: int, packets: Iterator[MuxedPacket]) -> None:
        """Write what a track has made ready; one that fails is left out from here on."""
        try:
            ready = list(packets)
        except AV_ERRORS as error:
            writer = self._writers.pop(position)
            logger.warning("%s is left out of the rest of the video: %s", writer.name, redact(str(error)))
            return
        for packet in ready:
            assert packet.dts is not None, "what is copied or encoded has a time"
            assert packet.time_base is not None, "and a clock"
            # Muxers refuse a time twice, and encoders give one where packets overlap.
            time = packet.dts * packet.time_base
            if position not in self._written or time > self._written[position]:
                self._written[position] = time
                self._output.mux(packet)
