"""The streams of a batch: their tracks and detections lie side by side, for the passes that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from maskcast.frame import Frame
from maskcast.result import Event
from trackers.appearance import appearance
from trackers.detection.detector import Detections
from trackers.masks import mask_iou
from trackers.memory.memory_bank import Bools, Floats, Ints
from trackers.memory.planning import Evidence, Plan
from trackers.memory.propagation import Propagated
from trackers.memory.state import MemoryState

# How many tensors `measure` returns.
MEASURES = 8


@dataclass
class BatchedStream:
    """A stream in a batch: N detections, M tracks, K of the detections start tracks.

    Attributes:
        place: position of the frame in the batch.
        rows: ``(M,)`` slots in order of track id.
        tracks: where the M tracks are among those of all streams.
        detections: where the N detections are among those of all streams.
        prompts: ``(M,)`` int64 index of each track's prompt, or of the one that stands for its group, see
            `Wanted.kinds`.
        looked: whether the detector looked at the frame.
        claims: ``(N, P)`` what prompts score at the detections, see `Detections`; None where it does not matter.
        taken_by: ``(M,)`` int64 the detection whose mask the track takes; -1 for tracks that are propagated, see
            `trackers.memory.adaptive`.
        evidence, plan: of this frame.
        suppressed: ``(M,)`` bool, the track loses its mask to one that overlaps it.
        seen: ``(M,)`` bool, the frame shows the object well enough to be remembered.
        appearance: ``(N, C)`` of the detections, see `measure`.
        alive: ``(M,)`` bool, the track goes on.
        masks: ``(M, h, w)`` mask logits of the tracks.
        found: ``(N, h, w)`` those of the detections.
        filled: the same, small holes closed.
        events: what happened to the tracks in this frame.
    """

    state: MemoryState
    frame: Frame
    place: int
    rows: Ints
    tracks: slice
    detections: slice
    prompts: Ints
    looked: bool
    claims: Floats | None
    # Decided one after the other; at first, that nothing happens.
    taken_by: Ints = field(init=False)
    evidence: Evidence = field(init=False)
    plan: Plan = field(init=False)
    suppressed: Bools = field(init=False)
    seen: Bools = field(init=False)
    appearance: Floats = field(init=False)
    alive: Bools = field(init=False)
    masks: Floats = field(init=False)
    found: Floats = field(init=False)
    filled: Floats = field(init=False)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.taken_by = np.full(len(self.rows), -1, np.int64)
        self.evidence = Evidence.nothing(len(self.rows))
        self.plan = Plan.nothing(len(self.rows))
        self.suppressed = np.zeros(len(self.rows), np.bool_)
        self.seen = np.ones(len(self.rows), np.bool_)
        self.alive = np.ones(len(self.rows), np.bool_)

    def published(self, track: int) -> Floats | None:
        """``(h, w)`` mask logits of a track as they are published; None where it is empty."""
        detection = int(self.plan.reconditioned_by[track])
        if detection < 0 and self.suppressed[track]:
            return None
        logits: Floats = self.found[detection] if detection >= 0 else self.masks[track]
        return logits

    @property
    def reconditioned(self) -> Ints:
        """Reconditioned tracks, among those of all streams."""
        return np.arange(self.tracks.start, self.tracks.stop)[self.plan.reconditioned]

    @property
    def reconditioned_by(self) -> Ints:
        """The detection that reconditions each of them, among those of all streams."""
        places: Ints = self.plan.reconditioned_by[self.plan.reconditioned] + self.detections.start
        return places

    @property
    def starts(self) -> Ints:
        """See `Plan.starts`; among the detections of all streams."""
        places: Ints = self.plan.starts + self.detections.start
        return places


def batched(
    states: Sequence[MemoryState], frames: Sequence[Frame], detections: Sequence[Detections]
) -> list[BatchedStream]:
    """Lay the tracks and detections of all streams side by side."""
    batch: list[BatchedStream] = []
    tracks = found = 0
    for place, (state, frame, part) in enumerate(zip(states, frames, detections, strict=True)):
        state.follow_clock(frame.pts)
        rows = state.table.rows()
        prompts = [state.prompts.index(state.lifecycle[track_id].prompt) for track_id in state.table.ids[rows].tolist()]
        batch.append(
            BatchedStream(
                state,
                frame,
                place,
                rows,
                slice(tracks, tracks + len(rows)),
                slice(found, found + len(part)),
                state.wanted.kinds[np.array(prompts, np.int64)],
                part.looked,
                part.claims,
            )
        )
        tracks, found = tracks + len(rows), found + len(part)
    return batch


def measure(
    stream: BatchedStream, found: Detections, logits: Tensor, tracks: Propagated, pixels: Tensor | None
) -> tuple[Tensor, ...]:
    """The `MEASURES` tensors that decisions about a stream rest on.

    The last but one is what a frame is worth as a memory of each track: how sure it is that the object is there, 0 to
    1, times the IoU that its mask is predicted to have (`Sam3TrackerBase.cal_mem_score` in SAM 3's own code). The last
    is the appearance of the detections, ``(N, C)`` of unit length, or ``(N, 0)``.

    Args:
        stream: the one.
        found: its detections.
        logits: ``(N, h, w)`` mask logits of the tracks of all streams.
        tracks: what else was found out about them.
        pixels: ``(C, h, w)`` features of its frame; None where appearance does not count.
    """
    masks, own, scores = found.logits > 0, logits[stream.tracks] > 0, tracks.scores[stream.tracks]
    return (
        found.scores,
        found.prompt,
        mask_iou(masks, own),
        mask_iou(own, own),
        own.flatten(1).any(1),
        scores,
        (2 * scores.sigmoid() - 1).clamp(min=0) * tracks.quality[stream.tracks],
        found.logits.new_zeros(len(found), 0) if pixels is None else appearance(pixels, masks),
    )


def places(batch: Sequence[BatchedStream], counts: Sequence[int]) -> Ints:
    """Each stream's place in the batch, as often as `counts` says."""
    return np.repeat(np.array([stream.place for stream in batch], np.int64), counts)
