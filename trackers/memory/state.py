"""What the memory tracker keeps of a stream between two frames."""

from __future__ import annotations

from dataclasses import dataclass

from trackers.lifecycle import Lifecycle
from trackers.memory.hot_start import HotStart
from trackers.memory.memory_bank import SlotTable


@dataclass
class MemoryState:
    """Everything that is remembered of one stream; bounded by `Rules.max_tracks`.

    Attributes:
        prompts: what the stream looks for.
        lifecycle: state of each living track.
        table: memories of each living track.
        hot_start: results that are held back.
        step: number of frames processed; dropped frames do not count.
        looked: number of the last frame at which the detector looked; None before the first, and once resumed.
        pts: of the last frame, in seconds; None before the first.
        resumed: the clock of the next frame may have nothing to do with that of the last one.
    """

    prompts: tuple[str, ...]
    lifecycle: Lifecycle
    table: SlotTable
    hot_start: HotStart
    step: int = 0
    looked: int | None = None
    pts: float | None = None
    resumed: bool = False

    def follow_clock(self, pts: float) -> None:
        """If the media clock was restarted, let the time that tracks wait go on from where it stood."""
        if self.resumed and self.pts is not None:
            for life in self.lifecycle:
                life.last_seen += pts - self.pts
        self.resumed = False
