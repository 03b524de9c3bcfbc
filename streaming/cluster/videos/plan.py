"""Which videos there are, and what is done with them: values that go from the command to its workers and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from maskcast.errors import MaskcastError
from streaming.cluster.origin import Origin
from streaming.cluster.videos.ledger import Identity, Record
from streaming.cluster.videos.remote_outputs import RemoteOutput
from streaming.commands.tracking_plan import TrackingPlan

# What a worker is told when it asks whether to begin a video, or says how far it is.
Answer: TypeAlias = Literal["go on", "alone", "stop", "too often"]
# What a worker is doing as a whole.
Phase: TypeAlias = Literal["loading", "ready"]


@dataclass(frozen=True, slots=True)
class Video:
    """One video to track, which is one stream.

    Attributes:
        stream: its id.
        source: what is read: a path or a URL.
        identity: which input it is.
    """

    stream: str
    source: str
    identity: Identity


@dataclass(frozen=True)
class VideosPlan:
    """What each worker does with its videos.

    Attributes:
        tracking: the same for all of them.
        asked: its fingerprint, which stands in the ledger.
        origin: who asks, so that a worker of another version does not begin.
        state: the folder of the ledger, which all workers see.
        token: name of a file in it, by which a worker knows that it does see it.
        at_once: videos that one worker tracks at the same time.
        remote: outputs at URLs, beside those of `tracking`.
    """

    tracking: TrackingPlan
    asked: str
    origin: Origin
    state: Path
    token: str
    at_once: int = 1
    remote: tuple[RemoteOutput, ...] = ()


class Sealed:
    """A plan on its way to workers, who get the plan itself.

    Ray Data notes the arguments of actors down, dataclasses field by field, for its dashboard and its logs; the URLs of
    outputs may hold credentials.
    """

    # Nor is the plan hashable, which holds lists: Ray Data takes for a key what is one as it leaves, and fails when it
    # is none as it arrives.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, plan: VideosPlan) -> None:
        """Seal it."""
        self._plan = plan

    def __reduce__(self) -> tuple[Any, ...]:
        """Arrive as the plan."""
        return _opened, (self._plan,)


def _opened(plan: VideosPlan) -> VideosPlan:
    return plan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a video.

    Attributes:
        stream: its id.
        frames: that were tracked.
        tracks: that were confirmed.
        seconds: from the first frame to the end.
        outputs: the files that it wrote.
        error: why it failed, in one line; None if it did not.
        interrupted: it was begun and stopped, or not begun at all, because the command is to end.
        counted: at lines and zones, see `streaming.commands.counting.stored`.
        worker: who did it.
    """

    stream: str
    frames: int = 0
    tracks: int = 0
    seconds: float = 0.0
    outputs: tuple[str, ...] = ()
    error: str | None = None
    interrupted: bool = False
    counted: dict[str, Any] | None = None
    worker: str = ""

    @classmethod
    def of(cls, stream: str, record: Record, worker: str = "") -> Outcome:
        """That of a video that is done, as its record has it."""
        outputs = tuple(record.outputs)
        return cls(stream, record.frames, record.tracks, record.seconds, outputs, counted=record.counted, worker=worker)


@dataclass(frozen=True, slots=True)
class Doing:
    """How far a worker is with one video.

    Attributes:
        stream: its id.
        frames: tracked so far.
        total: that it has; None where nobody knows.
    """

    stream: str
    frames: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker says of itself every second.

    Attributes:
        worker: its name: node and process.
        phase: whether its model is there.
        frames: that it has tracked since it began.
        doing: the videos that it is at.
        description: of its engine; empty until it is loaded.
        transferred: bytes that it has fetched and uploaded.
    """

    worker: str
    phase: Phase
    frames: int
    doing: tuple[Doing, ...] = ()
    description: str = ""
    transferred: int = 0


@dataclass(frozen=True)
class View:
    """How a round stands.

    Attributes:
        outcomes: those that the asker has not seen yet.
        beats: the newest of each worker that has spoken lately.
        attempts: how often each video was begun that is not done.
        failures: why workers could not begin.
        ended: whether the round is over, because all is done or because of `error`.
        error: of the execution itself; None if it went well so far.
    """

    outcomes: tuple[Outcome, ...] = ()
    beats: tuple[Beat, ...] = ()
    attempts: dict[str, int] = field(default_factory=dict)
    failures: tuple[MaskcastError, ...] = ()
    ended: bool = False
    error: str | None = None
