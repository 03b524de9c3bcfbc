"""Follow objects without tracker weights: match each frame's detections to the tracks by mask IoU and appearance.

The scheme is DeepSORT's (Wojke et al. 2017) with masks for boxes and SAM features for a re-identification network:
Hungarian matching on overlap and appearance for tracks that were just seen, then on appearance alone for those that
were lost or moved out of their own mask. There is no motion model: masks of consecutive frames overlap, and where they
do not, appearance decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.prompts import Prompt
from maskcast.result import Event, Result, Track, TrackState
from trackers.appearance import appearance, running
from trackers.assignment import match
from trackers.defaults import LOST_AFTER_SECONDS
from trackers.detection.detector import Detections
from trackers.detection.image_encoder import ImageFeatures
from trackers.following import Following
from trackers.lifecycle import Lifecycle, Sighting
from trackers.masks import mask_iou, upscale
from trackers.rules import Rules
from trackers.stage_times import measured
from trackers.wanted import Wanted

# Cosine of centred features. Two views of one object stay well above it in practice, two objects of one prompt mostly
# below; it only decides where masks do not overlap.
MATCH_COSINE = 0.6
# Share of the overlap in the score of a pair that overlaps.
OVERLAP_WEIGHT = 0.7


@dataclass(frozen=True)
class _Memory:
    """Mask and appearance of a track when it was last seen."""

    mask: Tensor  # (h, w) bool, low resolution, on the device
    appearance: Tensor  # (C,) unit length


@dataclass
class AssociationState(Following):
    """Everything that is remembered of one stream; bounded by the life cycle's `max_tracks`."""

    memories: dict[int, _Memory] = field(default_factory=dict)

    def keep_memories(self) -> None:
        """Forget tracks that have ended."""
        self.memories = {i: memory for i, memory in self.memories.items() if i in self.lifecycle}
        self.naming.keep(self.memories)


class AssociationTracker:
    """Follows the objects of any number of streams; holds no state of its own."""

    def __init__(self, lost_after: float = LOST_AFTER_SECONDS, new_score: float = Rules.new_det_thresh) -> None:
        """See `Lifecycle` for `lost_after`; detections start tracks from `new_score` on."""
        self._lost_after, self._new_score = lost_after, new_score

    def new_state(self, prompts: Sequence[str | Prompt]) -> AssociationState:
        """The state of a stream that begins."""
        return AssociationState(Wanted.of(prompts), Lifecycle(lost_after=self._lost_after))

    def set_prompts(self, state: AssociationState, prompts: Sequence[str | Prompt]) -> list[Event]:
        """Change what a stream looks for; tracks of prompts that stay keep their ids, others end."""
        events = state.look_for(prompts)
        state.keep_memories()
        return events

    @torch.inference_mode()
    def follow(
        self,
        states: Sequence[AssociationState],
        frames: Sequence[Frame],
        detections: Sequence[Detections],
        features: ImageFeatures,
    ) -> list[list[Result]]:
        """See `Tracker.follow`: one result a frame, at once."""
        return [
            [self._follow(state, frame, found, features.coarse[index])]
            for index, (state, frame, found) in enumerate(zip(states, frames, detections, strict=True))
        ]

    def flush(self, state: AssociationState) -> list[Result]:  # noqa: ARG002 - the interface of all trackers
        """See `Tracker.flush`: nothing is ever held back."""
        return []

    def _follow(self, state: AssociationState, frame: Frame, found: Detections, features: Tensor) -> Result:
        size = (frame.picture.height, frame.picture.width)
        low_res = found.logits > 0
        with measured("publish", len(found)):
            masks = [upscale(logits, size) for logits in found.logits.cpu().numpy()]
        with measured("associate", 1):
            return self._matched(state, frame, found, low_res, features, masks)

    def _matched(
        self,
        state: AssociationState,
        frame: Frame,
        found: Detections,
        low_res: Tensor,
        features: Tensor,
        masks: Sequence[Mask],
    ) -> Result:
        appearances = appearance(features, low_res)
        scores = found.scores.tolist()
        prompts = found.prompt.tolist()

        matched = self._match(state, state.wanted.kinds[prompts], low_res, appearances)
        if found.claims is not None:
            for track_id, i in matched.items():
                state.naming.see(state.lifecycle[track_id], found.claims[i])
        sightings = {track_id: Sighting(scores[i], masks[i].bbox) for track_id, i in matched.items()}
        events = state.lifecycle.update(sightings, frame.pts)

        starts_at = [self._new_score] * len(found) if found.starts_at is None else found.starts_at.tolist()
        fresh = [i for i in range(len(found)) if i not in matched.values() and scores[i] >= starts_at[i]]
        events += state.lifecycle.make_room(len(fresh))
        for i in sorted(fresh, key=lambda i: -scores[i]):
            name = state.wanted.names[prompts[i]]
            if started := state.lifecycle.start(name, Sighting(scores[i], masks[i].bbox), frame.pts):
                matched[started[0]] = i
                if found.claims is not None:
                    state.naming.see(state.lifecycle[started[0]], found.claims[i])
                events += started[1]

        for track_id, i in matched.items():
            known = state.memories.get(track_id)
            blend = appearances[i] if known is None else running(known.appearance, appearances[i])
            # A copy: a view would keep the masks of all that was found in this frame.
            state.memories[track_id] = _Memory(low_res[i].clone(), blend)
        state.keep_memories()

        tracks = (
            Track(track_id, state.lifecycle[track_id].prompt, state.lifecycle[track_id].state, scores[i], masks[i])
            for track_id, i in sorted(matched.items())
            if masks[i].area
        )
        return Result(frame, tuple(tracks), tuple(events), prompts=state.wanted.names)

    @staticmethod
    def _match(state: AssociationState, found: NDArray[np.int64], masks: Tensor, appearances: Tensor) -> dict[int, int]:
        """Living tracks seen in this frame: track id to detection index; `found` are the detections' kinds."""
        lives = list(state.lifecycle)
        if not lives or not len(found):
            return {}
        memories = [state.memories[life.id] for life in lives]
        iou = mask_iou(torch.stack([memory.mask for memory in memories]), masks).cpu().numpy()
        cosine = (torch.stack([memory.appearance for memory in memories]) @ appearances.T).clamp(min=0).cpu().numpy()
        wanted = state.wanted
        kinds = np.array([wanted.kinds[wanted.names.index(life.prompt)] for life in lives])
        same_prompt = kinds[:, None] == found

        seen_before = np.array([[life.state is not TrackState.LOST] for life in lives])
        overlapping = same_prompt & seen_before & (iou >= Rules.assoc_iou_thresh)
        first = match(np.where(overlapping, OVERLAP_WEIGHT * iou + (1 - OVERLAP_WEIGHT) * cosine, 0))

        free = same_prompt & (cosine >= MATCH_COSINE)
        for row, column in first:
            free[row, :] = free[:, column] = False
        second = match(np.where(free, cosine, 0))
        return {lives[row].id: column for row, column in (*first, *second)}
