"""Make the memories of a frame, of old and of new tracks, and store them. Nothing here waits for the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from trackers.memory.batch import BatchedStream, places
from trackers.memory.encoder import MemoryEncoder, hard_masks, soft_masks
from trackers.memory.memory_bank import Bools, Ints
from trackers.memory.planning import MASK_PROMPT_LOGIT
from trackers.memory.propagation import Propagated, Propagation, TrackerFeatures, in_passes, passes
from trackers.overlap import SUPPRESSED_LOGIT, without_overtaken
from trackers.rules import Rules
from trackers.transfer import upload_together


class Remembering:
    """What follows once a frame is decided about."""

    def __init__(self, propagation: Propagation, encoder: MemoryEncoder, rules: Rules) -> None:
        self._propagation, self._encoder, self._rules = propagation, encoder, rules
        self._device = propagation.device

    def __call__(
        self, batch: Sequence[BatchedStream], seen: TrackerFeatures, tracks: Propagated, logits: Tensor, found: Tensor
    ) -> None:
        """Remember a frame of each stream.

        Args:
            batch: the streams, their plans made.
            seen: the frames.
            tracks: what was found out about the M tracks of all streams.
            logits: ``(M, h, w)`` their mask logits, small holes closed.
            found: ``(N, h, w)`` mask logits of the detections of all streams.
        """
        self._store(batch, *in_passes(partial(self._made, batch, seen, tracks, logits, found)))

    def _made(
        self,
        batch: Sequence[BatchedStream],
        seen: TrackerFeatures,
        tracks: Propagated,
        logits: Tensor,
        found: Tensor,
        most: int,
    ) -> tuple[Tensor, Tensor]:
        """Memories and pointers of all tracks, then of those that begin, at most `most` in a pass."""
        raw = np.zeros(len(logits), np.bool_)
        if self._rules.binary_memory_on_start:
            raw = np.concatenate([~stream.plan.reconditioned & (len(stream.plan.new) > 0) for stream in batch])
        raw_rows = [np.flatnonzero(raw[part]) for part in passes(len(logits), most)]
        groups = _groups(batch)
        suppressed, reconditioned, reconditioned_by, starts, frames, start_frames, *others = upload_together(
            [
                np.concatenate([stream.suppressed for stream in batch]),
                np.concatenate([stream.reconditioned for stream in batch]),
                np.concatenate([stream.reconditioned_by for stream in batch]),
                np.concatenate([stream.starts for stream in batch]),
                places(batch, [len(stream.rows) for stream in batch]),
                places(batch, [len(stream.plan.starts) for stream in batch]),
                *groups,
                *raw_rows,
            ],
            self._device,
        )
        logits = torch.where(suppressed[:, None, None], SUPPRESSED_LOGIT, logits)
        if not self._rules.recondition_on_trk_masks:
            logits[reconditioned] = (found[reconditioned_by] >= MASK_PROMPT_LOGIT).to(logits.dtype)
        logits = without_overtaken(logits, others[: len(groups)])
        first_memories, first_pointers = self._first(seen, start_frames, found[starts], most)
        continued = self._continued(seen, frames, tracks, logits, others[len(groups) :], most)
        # A memory that is no number would make none of all that is seen with it, masked or not.
        memories = torch.cat([*continued, *first_memories]).nan_to_num(0, 0, 0)
        pointers = torch.cat([tracks.pointers, *first_pointers]).nan_to_num(0, 0, 0)
        return memories, pointers

    def _continued(
        self,
        seen: TrackerFeatures,
        frames: Tensor,
        tracks: Propagated,
        logits: Tensor,
        raw: Sequence[Tensor],
        most: int,
    ) -> Iterator[Tensor]:
        """Memories of this frame of all tracks, pass by pass; in each of those of `raw` rows from their raw masks."""
        present = (logits > 0).flatten(1).any(1)
        for part, rows in zip(passes(len(logits), most), raw, strict=True):
            masks = soft_masks(logits[part], self._encoder.size)
            if len(rows):
                masks[rows] = hard_masks(self._encoder.full(tracks.logits[part][rows]), self._encoder.size)
                present[part][rows] = tracks.scores[part][rows] > 0
            yield self._encoder.encode(seen, frames[part], masks, present[part])

    def _first(
        self, seen: TrackerFeatures, frames: Tensor, new: Tensor, most: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Memories and pointers of tracks that begin, pass by pass."""
        memories, pointers = [], []
        for part in passes(len(new), most):
            started = self._propagation.from_masks(seen, frames[part], new[part] >= MASK_PROMPT_LOGIT)
            masks = hard_masks(started.logits, self._encoder.size)
            memories.append(self._encoder.encode(seen, frames[part], masks, started.scores > 0))
            pointers.append(started.pointers)
        return memories, pointers

    def _store(self, batch: Sequence[BatchedStream], memories: Tensor, pointers: Tensor) -> None:
        """Put memories of tracks, then of those that begin, where the slots of each stream want them."""
        first = batch[-1].tracks.stop
        tables: list[Ints] = []
        for stream in batch:
            tables += self._seat(stream, first)
            first += len(stream.plan.starts)
        sent = iter(upload_together(tables, self._device))
        for stream in batch:
            source, spatial, pointer = (next(sent) for _ in range(3))
            stream.state.table.spatial.flat[spatial] = memories[source]
            stream.state.table.pointers.flat[pointer] = pointers[source]

    def _seat(self, stream: BatchedStream, first: int) -> tuple[Ints, Ints, Ints]:
        """Give the tracks of a stream their entries.

        Args:
            stream: the one.
            first: where the memories of those that begin are, among all that were made.

        Returns:
            ``(K,)`` which memories it keeps, and where to put frames and pointers.
        """
        state, table, new_count = stream.state, stream.state.table, len(stream.plan.new)
        table.keep(life.id for life in state.lifecycle)
        # `Lifecycle.start` will hand out these ids, in this order.
        ids = state.lifecycle.next_id + np.arange(new_count)
        # What did not find the object leads astray: beside it, the new memory would soon follow what had hidden it.
        table.forget(stream.rows[stream.plan.reidentified])
        new_rows = table.add(ids, state.step, self._rules.init_trk_keep_alive)
        table.appearance[new_rows] = stream.appearance[stream.plan.new]
        rows = np.concatenate([stream.rows[stream.alive], new_rows])
        begun: Bools = np.ones(new_count, np.bool_)
        conditioning = np.concatenate([stream.plan.reconditioned[stream.alive], begun])
        shown = np.concatenate([stream.seen[stream.alive], begun])
        old = np.arange(stream.tracks.start, stream.tracks.stop)
        old[stream.plan.reidentified] = np.arange(first + new_count, first + len(stream.plan.starts))
        source = np.concatenate([old[stream.alive], np.arange(first, first + new_count)])
        spatial, pointers = (
            bank.claim(rows, state.step, conditioning, shown) for bank in (table.spatial, table.pointers)
        )
        return source, spatial, pointers


def _groups(batch: Sequence[BatchedStream]) -> list[Ints]:
    """Tracks that must not overlap: those of one prompt of one stream."""
    return [
        np.flatnonzero(stream.prompts == prompt) + stream.tracks.start
        for stream in batch
        for prompt in np.unique(stream.prompts)
    ]
