"""What the memory tracker keeps of a stream between two frames."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trackers.following import Following
from trackers.memory.hot_start import HotStart
from trackers.memory.memory_bank import Ints, SlotTable


@dataclass(frozen=True)
class LastMasks:
    """Where a stream's tracks were in its last frame.

    Attributes:
        ids: ``(M,)`` int64 of the tracks, ascending.
        masks: ``(M, h, w)`` bool, as published.
    """

    ids: Ints
    masks: Tensor


@dataclass
class MemoryState(Following):
    """Everything that is remembered of one stream; bounded by `Rules.max_tracks`.

    Attributes:
        table: memories of each living track.
        hot_start: results that are held back.
        step: number of frames processed; dropped frames do not count.
        looked: number of the last frame at which the detector looked; None before the first, and once resumed.
        last_masks: None before the first frame, and where `Rules.adaptive` does not ask for them.
        pts: of the last frame, in seconds; None before the first.
        resumed: the clock of the next frame may have nothing to do with that of the last one.
    """

    table: SlotTable
    hot_start: HotStart
    step: int = 0
    looked: int | None = None
    last_masks: LastMasks | None = None
    pts: float | None = None
    resumed: bool = False

    @property
    def prompts(self) -> tuple[str, ...]:
        """The names of what the stream looks for."""
        return self.wanted.names

    def follow_clock(self, pts: float) -> None:
        """If the media clock was restarted, let the time that tracks wait go on from where it stood."""
        if self.resumed and self.pts is not None:
            for life in self.lifecycle:
                life.last_seen += pts - self.pts
        self.resumed = False
