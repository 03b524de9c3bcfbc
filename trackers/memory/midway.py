"""A stream's state in the middle of a medium that is begun again: whoever takes it up goes on with the very next frame.

A track state (`trackers.memory.track_state`) is for a process that goes on later, with another clock and perhaps after
tracks that nobody remembers. Here nothing lies between, what came after is done again, and so all later results are to
be the same to the bit as if there had been no break: no ids are left out, the clock goes on, and what the next frame
depends on beside lives and memories is kept as well. Not with a hot start, whose results would be held back twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from maskcast.prompts import Prompt
from trackers.memory.state import LastMasks, MemoryState
from trackers.memory.track_state import SavedState, opened, parts, restore
from trackers.memory.track_state_checks import integer, number, read_document
from trackers.memory.tracker import MemoryTracker

FORMAT = "maskcast.midway_state/1"
IDS, MASKS = "last.ids", "last.masks"


def take(state: MemoryState, revision: str, turn: int) -> SavedState:
    """Copy a stream's state.

    Args:
        state: of the stream, after its first frame and between two.
        revision: of the checkpoint, see `Checkpoint.revision`.
        turn: `trackers.detection.turns.Turns.next`.
    """
    tensors, document = parts(state, revision, state.lifecycle.next_id)
    document |= {"format": FORMAT, "looked": state.looked, "turn": turn, "votes": list(state.naming.votes().items())}
    if state.last_masks is not None:
        tensors |= {IDS: torch.from_numpy(state.last_masks.ids), MASKS: state.last_masks.masks.cpu()}
    return SavedState(tensors, json.dumps(document))


def load(
    tracker: MemoryTracker, file: Path, revision: str, prompts: Sequence[Prompt], frames: int, every: int
) -> tuple[MemoryState, int]:
    """Take up a state.

    Args:
        tracker: that will go on.
        file: the state.
        revision: of the tracker's checkpoint.
        prompts: what was looked for, and is.
        frames: how many the stream has had.
        every: of how many frames the detector looks at one.

    Returns:
        The state, and the turn, see `take`.

    Raises:
        FileNotFoundError, TrackStateError, ModelError: see `trackers.memory.track_state.load`.
    """
    with opened(tracker, file, FORMAT, revision) as (document, stored):
        known = read_document(document, tracker.rules.max_tracks)
        if [(prompt.name, prompt.text) for prompt in known.prompts] != [(one.name, one.text) for one in prompts]:
            raise ValueError("of other prompts")
        if known.step != frames:
            raise ValueError(f"behind {known.step} frames, and not {frames}")
        state = restore(tracker, known, stored, (IDS, MASKS))
        state.look_for(prompts)
        state.looked = None if document["looked"] is None else integer(document["looked"], 0, known.step)
        state.naming.go_on(_votes(document["votes"]))
        state.last_masks = _last_masks(tracker, stored)
        return state, integer(document["turn"], 1, every)


def _votes(found: Any) -> Mapping[int, tuple[list[float], int]]:
    return {
        integer(track, 1): ([number(score) for score in running], integer(ahead, 0))
        for track, (running, ahead) in found
    }


def _last_masks(tracker: MemoryTracker, stored: Any) -> LastMasks | None:
    if MASKS not in stored.keys():  # noqa: SIM118 - no mapping
        return None
    shape = stored.get_slice(IDS).get_shape()
    if len(shape) != 1 or shape[0] > tracker.rules.max_tracks:
        raise ValueError("masks of no tracks")
    if stored.get_slice(MASKS).get_shape() != [*shape, *tracker.propagation.mask_size]:
        raise ValueError("masks of another size")
    ids, masks = stored.get_tensor(IDS), stored.get_tensor(MASKS)
    if ids.dtype is not torch.int64 or masks.dtype is not torch.bool or not bool((ids[1:] > ids[:-1]).all()):
        raise ValueError("masks of another type or order")
    return LastMasks(ids.numpy(), masks.to(tracker.device))
