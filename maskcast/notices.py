"""What the parts of a stream say of their work: small values that go up, to one callable a stream.

Whoever opens a stream decides who listens: metrics, a progress bar, the status that subscribers see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from maskcast.errors import MaskcastError
from maskcast.frame import Frame
from maskcast.places import Tally
from maskcast.result import Result
from maskcast.stream_info import StreamInfo


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source delivers frames, or does not.

    Attributes:
        online: whether frames come.
        reason: why not, in one line without credentials.
    """

    online: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StreamBegan:
    """A source is open, and its frames are about to be tracked."""

    info: StreamInfo


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """The model has seen a frame.

    Attributes:
        frame: the frame; of a live stream the newest when the model took it.
        results: those that are certain now, of this frame or of earlier ones.
        taken, done: `time.monotonic` when the model took the frame and when it was done with it.
        pace: seconds that the longer of the model's two stages took, which work beside each other.
    """

    frame: Frame
    results: list[Result]
    taken: float
    done: float
    pace: float


@dataclass(frozen=True, slots=True)
class FramesDropped:
    """A live stream gave frames up.

    Attributes:
        where: before the model (``reader``), or because a sink was slow (``sink``).
        count: how many, since this was told last.
    """

    where: Literal["reader", "sink"]
    count: int


@dataclass(frozen=True, slots=True)
class FramePublished:
    """A frame's message was handed to the network, `seconds` after its result was ready."""

    frame: Frame
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestsAnswered:
    """A reply was given to so many control requests."""

    accepted: bool
    count: int = 1


@dataclass(frozen=True, slots=True)
class PromptsChanged:
    """Other prompts are wanted of a stream."""

    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PauseChanged:
    """A stream is paused on request, or goes on."""

    paused: bool


@dataclass(frozen=True, slots=True)
class TalliesChanged:
    """Something else than before has been counted at zones and lines."""

    tally: Tally


@dataclass(frozen=True, slots=True)
class TotalsReset:
    """The totals of zones and lines have begun anew, between two frames."""

    tally: Tally


@dataclass(frozen=True, slots=True)
class PlacesChanged:
    """Objects are counted at other zones and lines, since between two frames.

    Attributes:
        tally: what has been counted there; None if there are no places any more.
    """

    tally: Tally | None


@dataclass(frozen=True, slots=True)
class TrackStateSaved:
    """The stream's track state was written to this file."""

    file: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """Something went wrong; what can go on does."""

    error: MaskcastError


Notice: TypeAlias = (
    SourceStatus
    | StreamBegan
    | TrackedFrame
    | FramesDropped
    | FramePublished
    | RequestsAnswered
    | PromptsChanged
    | PauseChanged
    | TalliesChanged
    | TotalsReset
    | PlacesChanged
    | TrackStateSaved
    | Problem
)
# Must be quick. Called in the event loop, but for `SourceStatus`, which comes from the thread that connects.
Notify: TypeAlias = Callable[[Notice], None]


def ignore(notice: Notice) -> None:
    """Where nobody listens."""
