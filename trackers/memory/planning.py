"""Bring a frame's detections and propagated tracks together: what is new, supported, reconditioned.

`Sam3VideoModel._associate_det_trk` and `_process_hotstart` with matrices for loops. Everything here is small (counts
of objects, not pixels) and lives on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from trackers.appearance import running
from trackers.memory.memory_bank import NEVER, Bools, Floats, Ints, SlotTable
from trackers.nano_rules import reidentified_pairs
from trackers.rules import Rules

# Detections start tracks where their logits reach this: the reference's `_tracker_add_new_objects` compares logits
# with a threshold for probabilities.
MASK_PROMPT_LOGIT = 0.5


@dataclass(frozen=True)
class Evidence:
    """N detections and M tracks of one stream's frame, the tracks in order of id.

    Attributes:
        scores: ``(N,)`` of the detections.
        prompts: ``(N,)`` int64 index of the prompt of each detection.
        iou: ``(N, M)`` mask IoU, 0 between prompts.
        visible: ``(M,)`` bool, the track's mask is not empty.
        logits: ``(M,)`` of the track being there, by the mask decoder.
        similarity: ``(N, M)`` cosine of their appearances, 0 between prompts and for tracks that are not lost.
        starts_at: ``(N,)`` score from which each detection may start a track; None for `Rules.new_det_thresh`.
    """

    scores: Floats
    prompts: Ints
    iou: Floats
    visible: Bools
    logits: Floats
    similarity: Floats
    starts_at: Floats | None = None

    @classmethod
    def nothing(cls, tracks: int) -> Evidence:
        """No detections, empty tracks."""
        none = np.zeros(0, np.float32)
        pairs = np.zeros((0, tracks), np.float32)
        return cls(none, none.astype(np.int64), pairs, np.zeros(tracks, np.bool_), none, pairs)


@dataclass(frozen=True)
class Plan:
    """What becomes of N detections and M tracks.

    Attributes:
        new: ``(K,)`` int64 detections that start tracks, in their own order.
        supported_by: ``(M,)`` int64 the detection that overlaps the track most, of those that belong to it, or in which
            it was re-identified; -1 without one.
        score: ``(M,)`` float32 score of this detection; 0 without one.
        reconditioned: ``(M,)`` bool, the memory becomes a conditioning one.
        reconditioned_by: ``(M,)`` int64 the detection that causes it; -1 where none.
        reidentified: ``(M,)`` bool, a lost track that was re-identified in the detection that reconditions it; its
            memory is made as that of a new one.
    """

    new: Ints
    supported_by: Ints
    score: Floats
    reconditioned: Bools
    reconditioned_by: Ints
    reidentified: Bools

    @property
    def supported(self) -> Bools:
        """``(M,)`` a detection belongs to the track."""
        return self.supported_by >= 0

    @property
    def starts(self) -> Ints:
        """``(K + R,)`` detections from whose masks memories are made: of new tracks, then of re-identified ones."""
        return np.concatenate([self.new, self.reconditioned_by[self.reidentified]])

    @classmethod
    def nothing(cls, tracks: int) -> Plan:
        """Nothing happens."""
        none, nobody = np.zeros(tracks, np.bool_), np.full(tracks, -1)
        return cls(np.zeros(0, np.int64), nobody, none.astype(np.float32), none, nobody, none)


def plan(evidence: Evidence, rules: Rules, step: int, last: int | None = None) -> Plan:
    """Decide about frame number `step` of a stream.

    Args:
        evidence: of the frame.
        rules: of the tracker.
        step: number of the frame.
        last: number of the last frame before it at which the detector looked; None for the one before.
    """
    detections, tracks = evidence.iou.shape
    belongs = evidence.iou >= rules.assoc_iou_thresh
    unclaimed = np.asarray(~belongs.any(axis=1))
    starts_at = rules.new_det_thresh if evidence.starts_at is None else evidence.starts_at
    if tracks == 0:
        # The reference takes every detection then, whatever its score.
        fresh: Bools = np.ones(detections, np.bool_) & np.isfinite(starts_at)
    else:
        fresh = (evidence.scores >= starts_at) & unclaimed
    reconditioned_by = np.full(tracks, -1, np.int64)
    every = rules.recondition_every_nth_frame
    before = step - 1 if last is None else last
    if tracks and detections and every > 0 and step // every > before // every:
        confident = ~fresh & (evidence.scores >= rules.high_conf_thresh)
        confident &= evidence.iou.max(axis=1) >= rules.high_iou_thresh
        candidates = np.flatnonzero(confident)
        # Of several detections that fit a track best, the last one counts, as in the reference.
        reconditioned_by[evidence.iou[candidates].argmax(axis=1)] = candidates
        reconditioned_by[evidence.logits <= rules.high_conf_thresh] = -1
    reidentified = np.zeros(tracks, np.bool_)
    if rules.reidentify_appearance is not None:
        for detection, track in reidentified_pairs(evidence.similarity, unclaimed, rules.reidentify_appearance):
            fresh[detection], reidentified[track], reconditioned_by[track] = False, True, detection
    score = np.zeros(tracks, np.float32)
    supported_by = np.full(tracks, -1)
    if detections:
        supported_by = np.where(belongs.any(axis=0), evidence.iou.argmax(axis=0), -1)
        supported_by[reidentified] = reconditioned_by[reidentified]
        score = np.where(supported_by >= 0, evidence.scores[supported_by], 0).astype(np.float32)
    return Plan(np.flatnonzero(fresh), supported_by, score, reconditioned_by >= 0, reconditioned_by, reidentified)


def remember_appearance(appearance: Floats, made: Plan, table: SlotTable, rows: Ints) -> None:
    """Bring the supported tracks at `rows` nearer to the appearances ``(N, C)`` of their detections: a running mean."""
    seen = rows[made.supported]
    now = appearance[made.supported_by[made.supported]]
    table.appearance[seen] = running(torch.from_numpy(table.appearance[seen]), torch.from_numpy(now)).numpy()


def keep_alive(evidence: Evidence, rules: Rules, table: SlotTable, rows: Ints) -> None:
    """Credit the tracks at `rows` that detections support, debit those that none does."""
    supported = (evidence.iou >= rules.assoc_iou_thresh).any(axis=0)
    unmatched = evidence.visible & ~(evidence.iou >= rules.trk_assoc_iou_thresh).any(axis=0)
    credit = np.where(
        supported, np.minimum(rules.max_trk_keep_alive, table.keep_alive[rows] + 1), table.keep_alive[rows]
    )
    debit = unmatched.astype(np.int64)
    if rules.decrease_trk_keep_alive_for_empty_masklets:
        debit += ~evidence.visible
    table.keep_alive[rows] = np.where(debit, np.maximum(rules.min_trk_keep_alive, credit - debit), credit)
    table.unmatched[rows] += unmatched


def rivals(overlap: Floats, prompts: Ints, rules: Rules) -> Bools:
    """Which of M tracks overlap so much that one of them must be a double.

    Args:
        overlap: ``(M, M)`` mask IoU of the tracks with each other.
        prompts: ``(M,)`` index of the prompt of each track; tracks of two prompts are no rivals.
        rules: of the tracker.

    Returns:
        ``(M, M)`` bool.
    """
    threshold = rules.suppress_overlapping_based_on_recent_occlusion_threshold
    if threshold <= 0:
        return np.zeros(overlap.shape, np.bool_)
    same: Bools = prompts[:, None] == prompts[None]
    return (overlap >= threshold) & same & ~np.eye(len(prompts), dtype=np.bool_)


def occlusions(rival: Bools, visible: Bools, table: SlotTable, rows: Ints, step: int) -> Bools:
    """Of rivals, suppress the one that was hidden more recently; note which tracks are hidden now.

    Args:
        rival: ``(M, M)`` bool, see `rivals`.
        visible: ``(M,)`` bool, the mask is not empty.
        table: of the stream; its record of occlusions is brought up to date.
        rows: ``(M,)`` slots of the tracks.
        step: number of the frame.

    Returns:
        ``(M,)`` bool: suppressed in this frame.
    """
    last = table.last_occluded[rows]
    # A track yields only to one that was hidden once itself, but longer ago: `last` is `NEVER` (-1) otherwise.
    yields = rival & (last[:, None] > last[None]) & (last[None] > NEVER)
    suppressed = np.asarray(yields.any(axis=1))
    table.last_occluded[rows[~visible | suppressed]] = step
    return suppressed


def hot_start_removals(evidence: Evidence, rules: Rules, table: SlotTable, rows: Ints, step: int) -> Bools:
    """Tracks that turn out, within `Rules.hot_start` frames of their start, to be wrong or doubles.

    Call after `keep_alive`.

    Returns:
        ``(M,)`` bool.
    """
    if rules.hot_start <= 0:
        return np.zeros(len(rows), np.bool_)
    young: Bools = table.first_step[rows] > step - rules.hot_start
    wrong: Bools = table.unmatched[rows] >= rules.hotstart_unmatch_thresh

    belongs = evidence.iou >= rules.assoc_iou_thresh
    for sharers in belongs[belongs.sum(axis=1) > 1]:
        members = rows[sharers]
        first = members[np.argmin(table.first_step[members])]
        table.shared[first, members[members != first]] += 1
    double = np.asarray((table.shared[np.ix_(rows, rows)] >= rules.hotstart_dup_thresh).any(axis=0))
    return young & (wrong | double)
