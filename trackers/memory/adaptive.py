"""Tracks that need no memory attention in a frame, because one detection says plainly where they are.

A track takes the mask of a detection if the two can hardly be confused: the detection is sure, lies where the track's
mask was in the frame before, and nothing else of the prompt is near, neither a detection nor a track. Its object
pointer and its memory are then made of that mask, as those of a track that starts. All others are propagated, and each
one is every `PROPAGATE_EVERY` frames, so that no track hangs on its detections alone.

This is association by overlap (as in IoU-Tracker, Bochinski et al. 2017) while it is safe, and SAM 3's propagation
otherwise; the constants were chosen on nano's clips, see docs/tracking.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trackers.detection.detector import Detections
from trackers.masks import mask_iou
from trackers.memory.batch import BatchedStream, places
from trackers.memory.memory_bank import Bools, Floats, Ints
from trackers.memory.planning import MASK_PROMPT_LOGIT
from trackers.memory.propagation import Propagated, Propagation, TrackerFeatures, passes
from trackers.memory.state import LastMasks
from trackers.rules import Rules
from trackers.transfer import fetched, upload

# Mask IoU of the detection with the track's last mask.
TAKING_IOU = 0.6
# By so much of their sides boxes are widened on each side before they are said to be near each other.
NEAR = 0.1
PROPAGATE_EVERY = 8
# Tensors that `take` compares of a stream.
MEASURES = 7


@dataclass(frozen=True)
class Outlook:
    """N detections and M tracks of one stream's frame before anything is propagated.

    Attributes:
        scores: ``(N,)`` of the detections.
        prompts: ``(N,)`` and ``(M,)`` index of the prompt of each, or of the one that stands for its group.
        iou: ``(N, M)`` mask IoU with the tracks' last masks.
        found, last: ``(N, 4)`` and ``(M, 4)`` boxes of the masks, see `boxes`.
    """

    scores: Floats
    prompts: tuple[Ints, Ints]
    iou: Floats
    found: Floats
    last: Floats


def boxes(rows: Bools, columns: Bools) -> Floats:
    """Boxes around masks of which is known in which rows and columns they have pixels.

    Args:
        rows: ``(N, h)``.
        columns: ``(N, w)``.

    Returns:
        ``(N, 4)`` left, top, right and bottom edge in mask pixels; of empty masks, boxes that are near nothing.
    """
    result = np.full((len(rows), 4), np.nan, np.float32)
    for index in np.flatnonzero(rows.any(axis=1)).tolist():
        x, y = np.flatnonzero(columns[index]), np.flatnonzero(rows[index])
        result[index] = x[0], y[0], x[-1] + 1, y[-1] + 1
    return result


def near(one: Floats, other: Floats) -> Bools:
    """Which of ``(N, 4)`` boxes, widened by `NEAR`, meet which of ``(M, 4)``, widened as well: ``(N, M)``."""
    first, second = _widened(one), _widened(other)
    meet = (first[:, None, :2] < second[None, :, 2:]) & (second[None, :, :2] < first[:, None, 2:])
    return np.asarray(meet.all(axis=2))


def _widened(box: Floats) -> Floats:
    margin = NEAR * (box[:, 2:] - box[:, :2])
    return np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)


def taken(outlook: Outlook, due: Bools, rules: Rules) -> Ints:
    """The detection that each of M tracks takes its mask from.

    Args:
        outlook: of the frame.
        due: ``(M,)`` bool, the track is to be propagated whatever was found.
        rules: of the tracker.

    Returns:
        ``(M,)`` int64 index of a detection; -1 for tracks that are propagated.
    """
    detections, tracks = outlook.iou.shape
    by = np.full(tracks, -1, np.int64)
    if not detections or not tracks:
        return by
    found_prompts, prompts = outlook.prompts
    same = found_prompts[:, None] == prompts[None]
    fits = same & (outlook.iou >= TAKING_IOU) & (outlook.scores >= rules.high_conf_thresh)[:, None]
    # Of its prompt exactly one detection and no other track may be near.
    candidates = (same & (near(outlook.found, outlook.last) | (outlook.iou > 0))).sum(axis=0)
    rivals = (prompts[:, None] == prompts[None]) & near(outlook.last, outlook.last)
    alone = (candidates == 1) & (rivals.sum(axis=0) <= 1)  # itself
    plain = fits.any(axis=0) & alone & ~due
    by[plain] = fits[:, plain].argmax(axis=0)  # the one that there is
    return by


def take(batch: Sequence[BatchedStream], detections: Sequence[Detections], rules: Rules) -> None:
    """Decide whose mask the tracks of all streams take, `BatchedStream.taken_by`; waits for the device once."""
    asked = [
        (stream, found)
        for stream, found in zip(batch, detections, strict=True)
        if stream.state.last_masks is not None and len(stream.rows) and len(found)
    ]
    if not asked:
        return
    measured: list[Tensor] = []
    for stream, found in asked:
        last, masks = stream.state.last_masks, found.logits > 0
        assert last is not None
        measured += [found.scores, found.prompt, mask_iou(masks, last.masks)]
        measured += [masks.any(2), masks.any(1), last.masks.any(2), last.masks.any(1)]
    values = iter(fetched(measured))
    for stream, _ in asked:
        scores, prompts, iou, *sides = (next(values) for _ in range(MEASURES))
        rows, columns, last_rows, last_columns = (side > 0 for side in sides)
        last = stream.state.last_masks
        assert last is not None
        ids = stream.state.table.ids[stream.rows]
        known = np.isin(last.ids, ids)  # tracks may have ended since, with their prompt
        place = np.flatnonzero(np.isin(ids, last.ids))
        outlook = Outlook(
            scores,
            (stream.state.wanted.kinds[prompts.astype(np.int64)], stream.prompts[place]),
            iou[:, known],
            boxes(rows, columns),
            boxes(last_rows, last_columns)[known],
        )
        due = (stream.state.step + ids[place]) % PROPAGATE_EVERY == 0
        stream.taken_by[place] = taken(outlook, due, rules)


def with_taken(
    propagated: Propagated,
    propagation: Propagation,
    seen: TrackerFeatures,
    batch: Sequence[BatchedStream],
    found: Tensor,
) -> Propagated:
    """All tracks of all streams in their order.

    Args:
        propagated: those that were.
        propagation: makes the object pointers of the others.
        seen: the frames.
        batch: of the streams.
        found: ``(N, h, w)`` mask logits of the detections of all streams.
    """
    by = np.concatenate([stream.taken_by for stream in batch])
    others = by >= 0
    if not others.any():
        return propagated
    device = found.device
    counts = [len(stream.rows) for stream in batch]
    first = np.repeat(np.array([stream.detections.start for stream in batch], np.int64), counts)
    logits, frames = found[upload((first + by)[others], device)], upload(places(batch, counts)[others], device)
    parts = [propagated]
    for part in passes(len(logits)):
        started = propagation.from_masks(seen, frames[part], logits[part] >= MASK_PROMPT_LOGIT)
        # Present and well seen, as `from_masks` says of any mask; its logits are the masks at full resolution.
        parts.append(Propagated(logits[part], started.scores, started.pointers, started.quality))
    order = np.empty(len(by), np.int64)
    order[~others] = np.arange(len(propagated.logits))
    order[others] = np.arange(len(propagated.logits), len(by))
    return Propagated.join(parts).rows(upload(order, device))


def keep_masks(batch: Sequence[BatchedStream], device: torch.device) -> None:
    """Note, on `device`, where the tracks are in this frame, once they have been remembered."""
    for stream in batch:
        alive = np.flatnonzero(stream.alive).tolist()
        masks = np.zeros((len(alive) + len(stream.plan.new), *stream.masks.shape[1:]), np.bool_)
        for place, track in enumerate(alive):
            logits = stream.published(track)
            masks[place] = False if logits is None else logits > 0
        masks[len(alive) :] = stream.found[stream.plan.new] > 0
        table = stream.state.table
        stream.state.last_masks = LastMasks(table.ids[table.rows()], upload(masks, device))
