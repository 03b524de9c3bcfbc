"""One result as a line of a spool: all that a tracker says of a frame, to the bit, without the pixels.

Messages (`sinks.messages.frame`) round scores and times and know no events; here nothing may be lost, or what goes
through zones and sinks again would not be the same. The format is this version's own: a spool outlives no update.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from maskcast.frame import Frame
from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result, Track, TrackState
from sinks.messages import rle


@dataclass(frozen=True, slots=True)
class SpooledResult:
    """A line that was read.

    Attributes:
        index, pts: of the frame.
        size: its height and width in pixels.
    """

    index: int
    pts: float
    size: tuple[int, int]
    _tracks: list[Any]
    _events: list[Any]

    def fits(self, frame: Frame) -> bool:
        """Whether it is of this frame, as far as can be told without looking at it."""
        picture = frame.picture
        return (self.index, self.pts, self.size) == (frame.index, frame.pts, (picture.height, picture.width))

    def of(self, frame: Frame, prompts: tuple[str, ...]) -> Result:
        """The result, of a frame that fits; `prompts` are the names of what was looked for.

        Raises:
            ValueError, TypeError: the line is damaged.
        """
        tracks = tuple(
            Track(track, prompt, TrackState(state), score, rle.decode(counts, self.size))
            for track, prompt, state, score, counts in self._tracks
        )
        events = tuple(
            Event(EventKind(kind), track, prompt, score, Box(*box)) for kind, track, prompt, score, box in self._events
        )
        return Result(frame, tracks, events, prompts=prompts)


def line_of(result: Result) -> bytes:
    """A result as it comes from the tracker, as one line."""
    frame = result.frame
    tracks = [[track.id, track.prompt, track.state, track.score, rle.encode(track.mask)] for track in result.tracks]
    events = [[event.kind, event.track_id, event.prompt, event.score, event.bbox] for event in result.events]
    size = [frame.picture.height, frame.picture.width]
    return json.dumps([frame.index, frame.pts, size, tracks, events], separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> SpooledResult:
    """What `line_of` has made.

    Raises:
        ValueError, TypeError: it is something else.
    """
    index, pts, (height, width), tracks, events = json.loads(line)
    return SpooledResult(index, pts, (height, width), tracks, events)
