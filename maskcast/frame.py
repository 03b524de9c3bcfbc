"""One picture of a stream, its place and its times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from maskcast.audio import AudioPacket
from maskcast.picture import Picture


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    Attributes:
        stream: id of the stream.
        index: 0-based count of decoded frames; dropped frames leave gaps.
        pts: presentation time in seconds on the media clock, 0 at the start of the medium; strictly increasing.
        captured_at: when the frame was decoded (live) or is shown relative to the start of the run (offline), UTC.
        picture: the pixels.
        decoded_at: `time.monotonic` when the frame came out of the decoder, for latencies.
        audio: what the medium holds of its audio tracks between the frame before and this one, in the medium's order;
            with the last frame all that is left.
        last: whether a recording ends with this frame, and regularly; False also where nobody can know.
        file_name: name of the file that the frame is, relative to the folder that was given, with `/`; None for frames
            of videos and for the pictures of a file that holds several.
    """

    stream: str
    index: int
    pts: float
    captured_at: datetime
    picture: Picture
    decoded_at: float = field(default_factory=time.monotonic, compare=False)
    audio: tuple[AudioPacket, ...] = field(default=(), compare=False, repr=False)
    last: bool = False
    file_name: str | None = None
