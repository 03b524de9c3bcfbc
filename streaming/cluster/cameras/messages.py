"""What the head and a worker of cameras say to each other: picklable values, and the order in which they are said.

The *head* is the process of `maskcast run`: it keeps settings, broker, journal, page, counting and sinks. A *worker* is
an actor with one engine, `streaming.cluster.cameras.camera_worker.CameraWorker`; there, frames go from their source
through the model. Pixels stay on the worker; results go up without them.

**An attempt** is one run of one stream on one worker, with a number that the head never gives twice. All that is said
of a stream names its attempt, so what an abandoned one says late is known as such, and passed over.

    head                                worker
    start()                        ►    loads the model
                                   ◄    WorkerFacts, or why not
    give_state(attempt, 0, …) …    ►    (a track state to go on with, in parts, each answered before the next)
    assign(Assignment)             ►    opens the source; begins
    wish(Wish)                     ►    other prompts, pause; the newest revision counts, so order does not matter
    end(attempt)                   ►    stops after the frames that the model has
    poll(received, delivered)      ►    waits until there is something to say, at most `POLL_SECONDS`
                                   ◄    a `Batch` (pickled: to Ray one string of bytes costs least)
    picture(attempt, index)        ►
                                   ◄    a JPEG, or None: it is gone
    read_state(attempt, number, o) ►
                                   ◄    a part of a saved track state, or None: a newer one has taken its place

**Up** all goes by polls, one at a time. Of an attempt come, in this order: notices (`StreamBegan` before any result),
`Tracked` for each frame that the model has seen, `Held` with what the tracker held back, and `Ended` as the last.

- *Received*: a poll names the number of the last batch that came. If that is not the last one that was sent, this one
  is sent again, as it was, and what is new waits. So no message is lost or comes twice, whichever answer is lost.
- *Delivered*: a poll names, of each attempt, with how many of its messages with results (`Tracked` and `Held`) the
  head is done. A stream with `MOST_RESULTS` of them on their way is paused until half of them are delivered: live, its
  newest frame wins then, and none of its *results* is ever dropped; offline, its source waits.
- *Lease*: polls are the head's heartbeat. A worker that is not polled for `LEASE_SECONDS` ends its streams.

**Clocks** (`taken`, `done`, `decoded_at`) are the worker's `time.monotonic`. `Batch.sent` is that clock as the batch
leaves; the head adds to each what its own clock is ahead of it when the batch comes, see `Batch.ahead`.

**Errors are values**: a method answers with the `MaskcastError`, which pickles with its place and its advice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import numpy as np

from maskcast.errors import MaskcastError
from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.notices import FramesDropped, Problem, SourceStatus, StreamBegan
from maskcast.picture import Colour, Picture
from maskcast.prompts import Prompt
from maskcast.result import Event, KnownTracks, Result, Track, TrackState
from sources.settings import SourceSettings
from streaming.pipeline.report import Report

# A poll without news is answered after this time, so that the head hears from a worker whose cameras are silent.
POLL_SECONDS = 1.0
# Not polled for so long, a worker ends its streams: by then the head has given it up (it waits for less) or is gone.
LEASE_SECONDS = 15.0
# Results of a stream on their way to the head: more than half a second of a camera, so that one slow poll costs none.
MOST_RESULTS = 16
# Of a track state in one answer. Ray copies an answer twice, and a large one would hold up the polls behind it.
PART_BYTES = 4 << 20


# Down.


@dataclass(frozen=True)
class Assignment:
    """A stream to run.

    Attributes:
        attempt: number of this run of it.
        stream: its id.
        source: as in the settings; may hold a password.
        settings: how the source is opened.
        ends: whether the source has an end; otherwise it is connected again without end.
        prompts: what to look for.
        paused: whether it begins paused.
        known: what subscribers know of earlier tracks; None if there were none.
        max_rate, weight: see `streaming.pipeline.job.Job`.
        save_seconds: between two savings of the track state; None to keep none.
        resume: whether to go on with the track state that was given.
        pictures: whether a JPEG goes up with every result; otherwise on request.
        ca: content of the file `settings.ca_file`, which the worker need not have.
    """

    attempt: int
    stream: str
    source: str = field(repr=False)
    settings: SourceSettings
    ends: bool
    prompts: tuple[Prompt, ...]
    paused: bool = False
    known: KnownTracks | None = None
    max_rate: float | None = None
    weight: float = 1.0
    save_seconds: float | None = None
    resume: bool = False
    pictures: bool = False
    ca: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """All that the head wants of a running stream, whatever it wanted before.

    Attributes:
        attempt: which one.
        revision: larger than that of every earlier wish, and at least 1.
        prompts: what to look for; checked.
        paused: whether frames are passed over.
    """

    attempt: int
    revision: int
    prompts: tuple[Prompt, ...]
    paused: bool


# Up: results.


@dataclass(frozen=True, slots=True, eq=False)
class PackedFrame:
    """A `Frame` without its pixels; `size` is ``(height, width)``.

    Attributes:
        jpeg: the pixels, where they travel along.
        The others: as those of the frame and its picture.
    """

    stream: str
    index: int
    pts: float
    captured_at: datetime
    decoded_at: float
    last: bool
    file_name: str | None
    size: tuple[int, int]
    colour: Colour
    jpeg: bytes | None = None

    @classmethod
    def of(cls, frame: Frame, jpeg: bytes | None = None) -> PackedFrame:
        """Pack a frame; its sound stays behind."""
        picture = frame.picture
        return cls(
            frame.stream,
            frame.index,
            frame.pts,
            frame.captured_at,
            frame.decoded_at,
            frame.last,
            frame.file_name,
            (picture.height, picture.width),
            picture.colour,
            jpeg,
        )

    def frame(self, picture: Picture, ahead: float) -> Frame:
        """The frame with `picture`, on a clock that is `ahead` seconds ahead of the worker's."""
        return Frame(
            self.stream,
            self.index,
            self.pts,
            self.captured_at,
            picture,
            self.decoded_at + ahead,
            last=self.last,
            file_name=self.file_name,
        )


@dataclass(frozen=True, slots=True, eq=False)
class PackedTrack:
    """A `Track`, with eight pixels of its mask in a byte.

    Attributes:
        x, y, shape, bits: of `Mask.crop`, whose rows follow each other without a break.
        The others: as those of the track.
    """

    id: int
    prompt: str
    state: str
    score: float
    x: int
    y: int
    shape: tuple[int, int]
    bits: bytes

    @classmethod
    def of(cls, track: Track) -> PackedTrack:
        """Pack a track that no zone has been told of."""
        mask = track.mask
        height, width = mask.crop.shape
        bits = np.packbits(mask.crop).tobytes()
        return cls(track.id, track.prompt, track.state.value, track.score, mask.x, mask.y, (height, width), bits)

    def track(self, size: tuple[int, int]) -> Track:
        """The track in a frame of `size`."""
        height, width = self.shape
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=height * width)
        mask = Mask(size, self.x, self.y, flat.view(np.bool_).reshape(height, width))
        return Track(self.id, self.prompt, TrackState(self.state), self.score, mask)


@dataclass(frozen=True, slots=True, eq=False)
class PackedResult:
    """A `Result` before any stage: without zones, totals and lost tracks."""

    frame: PackedFrame
    tracks: tuple[PackedTrack, ...]
    events: tuple[Event, ...]
    prompts: tuple[str, ...]

    @classmethod
    def of(cls, result: Result, frame: PackedFrame) -> PackedResult:
        """Pack a result of a packed frame."""
        tracks = tuple(PackedTrack.of(track) for track in result.tracks)
        return cls(frame, tracks, result.events, result.prompts)

    def result(self, frame: Frame) -> Result:
        """The result of the frame."""
        tracks = tuple(track.track(self.frame.size) for track in self.tracks)
        return Result(frame, tracks, self.events, prompts=self.prompts)


# Up: messages. Each says of which attempt it is.


@dataclass(frozen=True, slots=True, eq=False)
class Notified:
    """What `Job.notify` was told. `StreamInfo.audio` is empty: sound stays on the worker."""

    attempt: int
    notice: SourceStatus | StreamBegan | FramesDropped | Problem


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """The model has seen a frame; see `maskcast.notices.TrackedFrame`.

    Attributes:
        attempt: of which stream.
        frame: itself; a result of it shares the object.
        taken, done: on the worker's clock.
        pace: seconds.
        results: those that are certain now, with the events that happened between two frames.
    """

    attempt: int
    frame: PackedFrame
    taken: float
    done: float
    pace: float
    results: tuple[PackedResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A result that the tracker held back, and hands out at the stream's end."""

    attempt: int
    results: tuple[PackedResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """A track state was written on the worker, which keeps it for `read_state` until the next one.

    Attributes:
        attempt: of which stream.
        number: of this state, rising.
        size: bytes.
    """

    attempt: int
    number: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """An attempt is over, and nothing more comes of it.

    Its last track state can be read, and its last picture asked for, until another attempt at the stream begins there.

    Attributes:
        attempt: of which stream.
        error: why it could not begin; None where there is a report.
        report: what `run_stream` returned, without what sinks did.
    """

    attempt: int
    error: MaskcastError | None = None
    report: Report | None = None


Message: TypeAlias = Notified | Tracked | Held | Saved | Ended


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """What a stream wants of the model, and what it gets, over the last `WorkerLoad.seconds`.

    Attributes:
        wanted, tracked: frames a second.
        share: of the model's time that went into its frames, in [0, 1].
    """

    wanted: float
    tracked: float
    share: float


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """How a worker is.

    Attributes:
        seconds: over which the rates were counted.
        streams: by attempt.
        failures: of the model, in a row.
        death: why the model's thread has ended; None while it lives. Such a worker is of no more use.
        gpu_bytes, gpu_total: memory in use on its GPU, by all processes, and all there is; None without one.
        rss_bytes: memory of the process.
    """

    seconds: float
    streams: Mapping[int, StreamLoad]
    failures: int
    death: MaskcastError | None
    gpu_bytes: int | None
    gpu_total: int | None
    rss_bytes: int

    @property
    def busy(self) -> float:
        """Share of the time in which the model was at work, in [0, 1]."""
        return min(sum(stream.share for stream in self.streams.values()), 1.0)


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker is, once its model is loaded.

    Attributes:
        host: name of its node.
        pid: its process.
        device: that the model runs on, such as ``NVIDIA L4`` or ``cpu``.
        has_track_state: whether streams can be saved and resumed.
    """

    host: str
    pid: int
    device: str
    has_track_state: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """The answer to a poll.

    Attributes:
        number: counts from 1; 0 has nothing to acknowledge, and no messages.
        sent: the worker's `time.monotonic` as it left.
        messages: in order.
        load: now and then, see `streaming.cluster.cameras.camera_worker.LOAD_SECONDS`.
    """

    number: int
    sent: float
    messages: Sequence[Message] = ()
    load: WorkerLoad | None = None

    def ahead(self, now: float) -> float:
        """Seconds by which the clock that says `now`, at which the batch came, is ahead of the worker's."""
        return now - self.sent
