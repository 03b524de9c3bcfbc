"""A highest rate for recordings: frames are left out by their time stamps, which the others keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil

from maskcast.frame import Frame
from maskcast.stream_info import StreamInfo
from sources.source import Source

# Matroska's time stamps are rounded to milliseconds.
ROUNDING_SECONDS = 1e-3


class ThinnedSource:
    """At most so many frames a second of media time, spread evenly; see `sources.source.Source`.

    `Frame.index` goes on to count decoded frames. Sound of a frame that is left out goes with the next one; if none
    follows, the last frame is kept for it.
    """

    def __init__(self, source: Source, max_rate: float) -> None:
        """Wrap a source that can wait; `max_rate` is in frames a second."""
        self._source, self._interval = source, 1 / max_rate
        info = source.info
        rate = Fraction(max_rate).limit_denominator(1001)
        if info.frame_rate and rate and rate < info.frame_rate:
            count = info.frame_count and ceil(info.frame_count * rate / info.frame_rate)
            info = replace(info, frame_rate=rate, frame_count=count)
        self._info = info

    @property
    def info(self) -> StreamInfo:
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        due = float("-inf")
        left_out: Frame | None = None  # the newest, with the sound of all since the last that was kept
        for frame in self._source:
            if left_out is not None and left_out.audio:
                frame = replace(frame, audio=(*left_out.audio, *frame.audio))  # noqa: PLW2901
            if frame.pts < due - ROUNDING_SECONDS:
                left_out = frame
                continue
            # What is due next counts from what was due, so that the rate is kept on average; after a gap, anew.
            due += self._interval
            if due <= frame.pts:
                due = frame.pts + self._interval
            left_out = None
            yield frame
        if left_out is not None and left_out.audio:
            yield left_out

    def close(self) -> None:
        self._source.close()
