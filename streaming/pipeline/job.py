"""One stream to run: where it comes from, what is wanted of it, where it goes, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskcast.notices import Notify, ignore
from maskcast.result import KnownTracks
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from sources.source import Source
from streaming.pipeline.controls import Controls
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.spool import Spool
from streaming.pipeline.stage import Stage


@dataclass(frozen=True)
class Job:
    """One stream to run.

    Attributes:
        open_source: opens the source; blocking.
        open_sinks: makes the sinks, not yet started, for a stream.
        controls: what to look for, and whether it is paused; may change meanwhile.
        stages: what results pass through before the sinks, in this order.
        max_frames: stop after this many frames; None for all.
        max_rate: most frames a second to track, of media time where the source can wait; None for all.
        weight: share of the model when there is not enough for all.
        track_state: where to keep the track state; None to keep none.
        spool: what a video is taken up from in its middle, in place of `track_state`; None to begin anew.
        known: what subscribers know of earlier tracks of the stream; None if it had none.
        notify: is told in the event loop what happens, each problem as soon as it comes; those are in the report, too.
    """

    open_source: Callable[[], Source]
    open_sinks: Callable[[StreamInfo], Sequence[Sink]]
    controls: Controls
    stages: Sequence[Stage] = ()
    max_frames: int | None = None
    max_rate: float | None = None
    weight: float = 1.0
    track_state: TrackStateFile | None = None
    spool: Spool | None = None
    known: KnownTracks | None = None
    notify: Notify = ignore
