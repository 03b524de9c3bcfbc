"""What the prompts of a stream ask of detections beyond their score: sizes, phrases to avoid, groups.

In this order: what has the wrong size falls, then what an avoided phrase covers, then all but the best of what the
prompts of one group found in one place. The order is such that a match that falls takes no other with it.

Decided on the CPU, from counts of pixels alone, after one more wait for the device; streams whose prompts ask for none
of it are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskcast.prompts import Prompt, avoided
from trackers.detection.detector import Detections
from trackers.masks import non_maximum_suppression
from trackers.rules import Rules
from trackers.transfer import fetched, upload
from trackers.wanted import Wanted

# By this share the size of what is followed may leave the bounds: a mask at the border would come and go with every
# pixel. On nano's clip areas change by 1 to 5 % from frame to frame (medians of the tracks).
SLACK = 0.2
# Share of a match's pixels that an avoided phrase's match must cover: the larger part of it is something else.
COVERED_SHARE = 0.5
# Two matches of one group are one object from the mask IoU on from which two of one prompt are.
GROUP_IOU = Rules.det_nms_thresh

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """Which of N detections are left.

    Attributes:
        rows: ``(K,)`` which ones, ascending.
        starts_at: ``(K,)`` score from which each may start a track; infinite where its size forbids it.
        claims: ``(K, P)`` best score of each of P prompts there; 0 for those of other groups, or that found none.
    """

    rows: Ints
    starts_at: Floats
    claims: Floats


@dataclass(frozen=True, eq=False)
class Conditions:
    """Of P prompts and H phrases that are looked for to be avoided, which come after them.

    Attributes:
        kinds: see `Wanted`.
        least, most: ``(P,)`` shares of the picture.
        starts_at: ``(P,)`` score from which a track starts; NaN for the tracker's own.
        takes: ``(P + H, P)`` bool, which phrase takes away whose matches.
    """

    kinds: Ints
    least: Floats
    most: Floats
    starts_at: Floats
    takes: NDArray[np.bool_]

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> Conditions | None:
        """None where no detection can break any."""
        if all(prompt == Prompt(prompt.text, prompt.name, min_frames=prompt.min_frames) for prompt in prompts):
            return None
        phrases = [*(prompt.text for prompt in prompts), *avoided(prompts)]
        return cls(
            Wanted.of(prompts).kinds,
            np.array([prompt.min_area for prompt in prompts], np.float32),
            np.array([prompt.max_area for prompt in prompts], np.float32),
            np.array([np.nan if prompt.threshold is None else prompt.threshold for prompt in prompts], np.float32),
            np.array([[phrase in prompt.avoid for prompt in prompts] for phrase in phrases], np.bool_),
        )

    def kept(self, phrase: Ints, scores: Floats, shared: Floats, pixels: int, new_score: float) -> Kept:
        """Decide about N detections.

        Args:
            phrase: ``(N,)`` which of the P + H phrases each matches.
            scores: ``(N,)``.
            shared: ``(N, N)`` pixels that their masks have in common; their own on the diagonal.
            pixels: of a mask that covers the whole picture.
            new_score: from which a track starts where a prompt does not say.
        """
        area = shared.diagonal()
        rows = np.flatnonzero(phrase < len(self.kinds))
        prompt = phrase[rows]
        share = area[rows] / pixels
        roomy = (share >= self.least[prompt] * (1 - SLACK)) & (share <= self.most[prompt] * (1 + SLACK))
        covers = shared[rows] >= COVERED_SHARE * area[rows, None]
        rows = rows[roomy & ~(covers & self.takes[phrase][:, prompt].T).any(axis=1)]
        prompt, share = phrase[rows], area[rows] / pixels
        fits = (share >= self.least[prompt]) & (share <= self.most[prompt])

        inner = shared[np.ix_(rows, rows)]
        overlap = inner / np.maximum(area[rows, None] + area[rows] - inner, 1)
        rivals = (self.kinds[prompt, None] == self.kinds[prompt]) & (prompt[:, None] != prompt)
        # What can start a track goes before what cannot.
        best = non_maximum_suppression(overlap * rivals, scores[rows] + fits, GROUP_IOU)
        claims = np.zeros((len(rows), len(self.kinds)), np.float32)
        for index, other in zip(
            *np.nonzero(rivals & (overlap > GROUP_IOU) | np.eye(len(rows), dtype=np.bool_)), strict=True
        ):
            claims[index, prompt[other]] = max(claims[index, prompt[other]], scores[rows[other]])
        own = np.where(np.isnan(self.starts_at[prompt]), np.float32(new_score), self.starts_at[prompt])
        starts_at = np.where(fits, own, np.inf).astype(np.float32)
        return Kept(rows[best], starts_at[best], claims[best])


def conditioned(
    found: Sequence[Detections], conditions: Sequence[Conditions | None], new_score: float
) -> list[Detections]:
    """The detections of some frames without those that break the conditions of their stream.

    Args:
        found: of each frame; those of phrases to avoid go.
        conditions: of each frame's stream; None leaves its detections as they are.
        new_score: see `Conditions.kept`.
    """
    result = list(found)
    asked = [(place, each) for place, each in enumerate(conditions) if each is not None and len(found[place])]
    flat = [(found[place].logits > 0).flatten(1).float() for place, _ in asked]
    values = iter(
        fetched(
            [
                tensor
                for (place, _), masks in zip(asked, flat, strict=True)
                for tensor in (found[place].prompt, found[place].scores, masks @ masks.T)
            ]
        )
    )
    for place, each in asked:
        part = found[place]
        phrase, scores, shared = (next(values) for _ in range(3))
        kept = each.kept(phrase.astype(np.int64), scores, shared, part.logits[0].numel(), new_score)
        rows = upload(kept.rows, part.scores.device)
        result[place] = replace(
            part,
            prompt=part.prompt[rows],
            scores=part.scores[rows],
            logits=part.logits[rows],
            starts_at=kept.starts_at,
            claims=kept.claims,
        )
    return result
