"""What is known of a stream before its first frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from maskcast.audio import AudioTrack
from maskcast.picture import Look


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows about itself once it is open.

    Attributes:
        stream: id of the stream; non-empty, without ``/``, ``+``, ``#`` or control characters.
        width, height: size of the first frame in pixels, rotation applied.
        time_base: the finest step of `Frame.pts`, in seconds.
        frame_rate: average frames a second; None where nobody knows.
        frame_count: number of frames, perhaps an estimate; None where nobody knows.
        duration: in seconds; None where nobody knows.
        live: True for a stream that cannot wait (the newest frame wins).
        end: when the last frame stops being shown, in seconds on the clock of `Frame.pts`, if the container tells.
        look: how the samples are to be shown.
        audio: the audio streams, whose packets come with the frames; none for live streams and images.
    """

    stream: str
    width: int
    height: int
    time_base: Fraction
    frame_rate: Fraction | None = None
    frame_count: int | None = None
    duration: float | None = None
    live: bool = False
    end: Fraction | None = None
    look: Look = field(default_factory=Look)
    audio: tuple[AudioTrack, ...] = ()
