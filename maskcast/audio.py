"""The audio that a medium carries beside its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet


@dataclass(frozen=True, slots=True, eq=False)
class AudioTrack:
    """One audio stream of a medium.

    Attributes:
        index: of the stream in the medium, from 0.
        template: a stream with its codec's parameters, language, title and disposition, as a muxer takes it; None if
            FFmpeg does not know the codec.
    """

    index: int
    template: AudioStream | None


class AudioPacket(Protocol):
    """Coded audio on its way from a medium into the videos that are made of it, which all share it.

    What it gives are objects of PyAV.
    """

    @property
    def track(self) -> int:
        """Position of its track among those of the medium, from 0."""

    @property
    def start(self) -> Fraction:
        """When its decoding begins, in seconds on the clock of `Frame.pts`; increasing within a track."""

    def coded(self) -> Packet[Any]:
        """A new packet with its bytes, its times on the clock of `Frame.pts`."""

    def decoded(self) -> list[AudioFrame]:
        """Its samples, times on the clock of `Frame.pts`, not to be changed. Decoded once, when first asked for.

        Raises:
            av.FFmpegError: it is damaged.
        """
