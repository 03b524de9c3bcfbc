"""One stream's part in a step that several streams take together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from maskcast.frame import Frame
from maskcast.result import Event
from trackers.appearance import appearance
from trackers.detection.detector import Detections
from trackers.masks import mask_iou
from trackers.memory.planning import Evidence, Plan
from trackers.memory.propagation import Propagated
from trackers.memory.slots import Bools, Floats, Ints
from trackers.memory.state import MemoryState

# How many tensors `measure` returns.
MEASURES = 8


@dataclass
class Turn:
    """One stream's part in a step: N detections, M tracks, K of the detections start tracks.

    Attributes:
        place: position of the frame among those of the step.
        rows: ``(M,)`` slots in order of track id.
        tracks: where the M tracks are among those of all streams.
        detections: where the N detections are among those of all streams.
        prompts: ``(M,)`` int64 index of each track's prompt.
    """

    state: MemoryState
    frame: Frame
    place: int
    rows: Ints
    tracks: slice
    detections: slice
    prompts: Ints
    # Decided in the course of the step; at first, that nothing happens.
    evidence: Evidence = field(init=False)
    plan: Plan = field(init=False)
    suppressed: Bools = field(init=False)
    seen: Bools = field(init=False)
    looks: Floats = field(init=False)
    alive: Bools = field(init=False)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.evidence = Evidence.nothing(len(self.rows))
        self.plan = Plan.nothing(len(self.rows))
        self.suppressed = np.zeros(len(self.rows), np.bool_)
        self.seen = np.ones(len(self.rows), np.bool_)
        self.alive = np.ones(len(self.rows), np.bool_)


def take_turns(states: Sequence[MemoryState], frames: Sequence[Frame], detections: Sequence[Detections]) -> list[Turn]:
    """Lay the tracks and detections of all streams side by side."""
    turns: list[Turn] = []
    tracks = found = 0
    for place, (state, frame, part) in enumerate(zip(states, frames, detections, strict=True)):
        state.follow_clock(frame.pts)
        rows = state.table.rows()
        prompts = [state.prompts.index(state.lifecycle[track_id].prompt) for track_id in state.table.ids[rows].tolist()]
        turns.append(
            Turn(
                state,
                frame,
                place,
                rows,
                slice(tracks, tracks + len(rows)),
                slice(found, found + len(part)),
                np.array(prompts, np.int64),
            )
        )
        tracks, found = tracks + len(rows), found + len(part)
    return turns


def divide(turns: Sequence[Turn], size: int) -> Iterator[list[tuple[Turn, Ints]]]:
    """Cut the rows of all streams, one after the other, into parts of at most `size`."""
    part: list[tuple[Turn, Ints]] = []
    room = size
    for turn in turns:
        rows = turn.rows
        while len(rows):
            part.append((turn, rows[:room]))
            rows, room = rows[room:], room - len(part[-1][1])
            if room == 0:
                yield part
                part, room = [], size
    if part:
        yield part


def measure(turn: Turn, found: Detections, logits: Tensor, tracks: Propagated, pixels: Tensor) -> tuple[Tensor, ...]:
    """The `MEASURES` tensors that decisions about a stream rest on.

    The last but one is what a frame is worth as a memory of each track: how sure it is that the object is there, 0 to
    1, times the IoU that its mask is predicted to have (`Sam3TrackerBase.cal_mem_score` in SAM 3's own code). The last
    is what the detections look like, ``(N, C)`` of unit length.

    Args:
        turn: of the stream.
        found: its detections.
        logits: ``(N, h, w)`` mask logits of the tracks of all streams.
        tracks: what else was found out about them.
        pixels: ``(C, h, w)`` features of its frame.
    """
    masks, own, scores = found.logits > 0, logits[turn.tracks] > 0, tracks.scores[turn.tracks]
    return (
        found.scores,
        found.prompt,
        mask_iou(masks, own),
        mask_iou(own, own),
        own.flatten(1).any(1),
        scores,
        (2 * scores.sigmoid() - 1).clamp(min=0) * tracks.quality[turn.tracks],
        appearance(pixels, masks),
    )
