"""Follow objects through memory, as SAM 3 does: detect, propagate, associate, remember.

The order of operations within a frame is that of `transformers.Sam3VideoModel`; see docs/tracking.md for what differs.
The tracks of all streams that are handed in together share the passes through the model. What the decisions need is
brought to the CPU in one transfer, what is published in a second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskcast.errors import TooLargeError
from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.result import Event, Result, Track, TrackState
from trackers.detection.detector import Detections
from trackers.detection.image_encoder import ImageFeatures
from trackers.device_errors import device_error, out_of_memory
from trackers.lifecycle import Lifecycle, Sighting
from trackers.masks import upscale
from trackers.memory.adaptive import keep_masks, take, with_taken
from trackers.memory.batch import MEASURES, BatchedStream, batched, chunked, fetched, measure
from trackers.memory.components import fill_holes
from trackers.memory.encoder import MemoryEncoder, hard_masks, soft_masks
from trackers.memory.hot_start import HotStart
from trackers.memory.memory_bank import Ints, MemoryBank, SlotTable, recall_together
from trackers.memory.planning import (
    MASK_PROMPT_LOGIT,
    Evidence,
    hot_start_removals,
    keep_alive,
    occlusions,
    plan,
    remember_appearance,
    rivals,
)
from trackers.memory.propagation import MAX_TRACKS_A_PASS, Memories, Propagated, Propagation, TrackerFeatures, passes
from trackers.memory.state import MemoryState
from trackers.memory.widths import widened
from trackers.overlap import SUPPRESSED_LOGIT, without_overtaken
from trackers.rules import Rules
from trackers.stage_times import measured
from trackers.upload import upload

# What a frame must be worth to be remembered: `mf_threshold` in SAM 3's own code.
MIN_MEMORY_SCORE = 0.01


class MemoryTracker:
    """Follows the objects of any number of streams; all it remembers is in their states."""

    def __init__(self, video: Any, device: torch.device, dtype: torch.dtype, rules: Rules | None = None) -> None:
        """Move the tracker part of a model to a device.

        Args:
            video: a `Sam3VideoModel`, whose detector stays where it is, or `TrackerWeights`.
            device: where to run.
            dtype: of matrix products, see `trackers.precision`.
            rules: None for those of the model's config.
        """
        self.rules = rules or Rules.from_config(video.config)
        self.propagation = Propagation(video, device, dtype)
        self.encoder = MemoryEncoder(self.propagation)
        self.device = device
        self._reidentifies = self.rules.reidentify_appearance is not None

    def new_table(self) -> SlotTable:
        """Empty slots that fit the model."""
        config = self.propagation.config
        return SlotTable(
            # One of the `num_maskmem` temporal encodings is the conditioning memories'.
            MemoryBank(
                self.propagation.memory_shape,
                max_recent=int(config.num_maskmem) - 1,
                # -1 means all of them, which would grow without end.
                max_conditioning=int(config.max_cond_frame_num) if config.max_cond_frame_num > 0 else 4,
                selective=self.rules.select_memories,
                dtype=self.propagation.memory_dtype,
                device=self.device,
            ),
            MemoryBank(
                (self.propagation.hidden,),
                max_recent=int(config.max_object_pointers_in_encoder) - 1,
                max_conditioning=self.rules.conditioning_pointers,
                selective=self.rules.select_memories,
                dtype=torch.float32,
                device=self.device,
            ),
            self.propagation.hidden if self._reidentifies else 0,
        )

    def new_state(self, prompts: Sequence[str]) -> MemoryState:
        """The state of a stream that begins."""
        rules = self.rules
        lifecycle = Lifecycle(
            # In a hot start it is the rules' task to remove what is wrong.
            confirm_after=1 if rules.hot_start > 0 else rules.confirm_after,
            lost_after=rules.lost_after,
            max_tracks=rules.max_tracks,
        )
        return MemoryState(tuple(prompts), lifecycle, self.new_table(), HotStart(rules.hot_start))

    def set_prompts(self, state: MemoryState, prompts: Sequence[str]) -> list[Event]:
        """Change what a stream looks for; tracks of prompts that stay keep their ids and memories, others end."""
        state.prompts = tuple(prompts)
        events = state.lifecycle.keep_prompts(state.prompts)
        state.table.keep(life.id for life in state.lifecycle)
        # In a hot start these tracks may not even have started for anyone outside.
        return [] if state.hot_start.follow_up(events) else events

    def flush(self, state: MemoryState) -> list[Result]:
        """See `Tracker.flush`: what a hot start holds back."""
        return state.hot_start.flush()

    @torch.inference_mode()
    def follow(
        self,
        states: Sequence[MemoryState],
        frames: Sequence[Frame],
        detections: Sequence[Detections],
        features: ImageFeatures,
    ) -> list[list[Result]]:
        """See `Tracker.follow`: a result a frame at once, or held back for `Rules.hot_start` frames."""
        detections = [part.resized(self.propagation.mask_size) for part in detections]
        batch = batched(states, frames, detections)
        if not batch:
            return []
        found = torch.cat([part.logits for part in detections])
        if batch[-1].tracks.stop == 0 and len(found) == 0:  # nothing seen, nothing remembered: no need to look closer
            masks = np.zeros((0, 1, 1), np.float32)
            return [self._report(stream, masks, masks) for stream in batch]

        followed = batch[-1].tracks.stop
        # The detector's pass has counted the frames.
        with measured("encode", 0):
            seen = self._look(features, frames)
        with measured("propagate", followed):
            if self.rules.adaptive:
                take(batch, detections, self.rules)
            tracks = with_taken(self._propagate(seen, batch), self.propagation, seen, batch, found)
            logits = fill_holes(tracks.logits, self.rules.fill_hole_area)
        with measured("associate", len(batch)):
            self._decide(batch, detections, logits, tracks, seen)

        suppressed = self._upload(*(stream.suppressed for stream in batch))
        logits = torch.where(suppressed[:, None, None], SUPPRESSED_LOGIT, logits)
        reconditioned = self._upload(*(stream.reconditioned for stream in batch))
        reconditioned_by = self._upload(*(stream.reconditioned_by for stream in batch))
        published = logits.clone()
        published[reconditioned] = found[reconditioned_by]
        if not self.rules.recondition_on_trk_masks:
            logits[reconditioned] = (found[reconditioned_by] >= MASK_PROMPT_LOGIT).to(logits.dtype)
        new = found[self._upload(*(stream.starts for stream in batch))]

        with measured("remember", followed + len(new)):
            self._remember(batch, seen, tracks, logits, new)
        if self.rules.adaptive:
            keep_masks(batch, published, new)
        with measured("publish", followed + len(new)):
            return self._reports(batch, published, new)

    def _reports(self, batch: Sequence[BatchedStream], published: Tensor, new: Tensor) -> list[list[Result]]:
        """Results of all streams, from the mask logits of old and of new tracks on the device."""
        # Waited for last: the device is then already at work on the memories.
        old_masks = published.cpu().numpy()
        new_masks = fill_holes(new, self.rules.fill_hole_area).cpu().numpy()
        results = []
        first = 0
        for stream in batch:
            results.append(
                self._report(stream, old_masks[stream.tracks], new_masks[first : first + len(stream.plan.new)])
            )
            first += len(stream.plan.starts)
        return results

    def _look(self, features: ImageFeatures, frames: Sequence[Frame]) -> TrackerFeatures:
        """The frames as the tracker sees them."""
        try:
            return self.propagation.tracker_features(features, [frame.picture for frame in frames])
        except RuntimeError as error:
            if out_of_memory(error):  # the states are as they were: fewer frames can be tried
                raise device_error(self.device, self.propagation.precision, error, TooLargeError) from error
            raise

    def _upload(self, *arrays: NDArray[Any]) -> Tensor:
        """Arrays, one after the other, on the device."""
        return upload(np.concatenate(arrays), self.device)

    def _frames(self, batch: Sequence[BatchedStream], counts: Sequence[int]) -> Tensor:
        """Each stream's place in the batch, as often as `counts` says."""
        return self._upload(np.repeat(np.array([stream.place for stream in batch], np.int64), counts))

    def _propagate(self, seen: TrackerFeatures, batch: Sequence[BatchedStream]) -> Propagated:
        """Find all tracks of all streams in their new frames."""
        parts = [self._pass(seen, chunk) for chunk in chunked(batch, MAX_TRACKS_A_PASS)]
        if not parts:
            return Propagated(
                torch.zeros(0, *self.propagation.mask_size, device=self.device),
                torch.zeros(0, device=self.device),
                torch.zeros(0, self.propagation.hidden, device=self.device),
                torch.zeros(0, device=self.device),
            )
        return Propagated.join(parts)

    def _pass(self, seen: TrackerFeatures, chunk: Sequence[tuple[BatchedStream, Ints]]) -> Propagated:
        """Find some tracks of some streams: one pass through the model."""
        batch = [stream for stream, _ in chunk]
        tables = [stream.state.table for stream in batch]
        recalls = [(rows, stream.state.step) for stream, rows in chunk]
        spatial, places = recall_together([table.spatial for table in tables], recalls)
        pointers, ages = recall_together([table.pointers for table in tables], recalls)
        config = self.propagation.config
        last = int(config.num_maskmem) - 1
        spans = [self.propagation.pointer_span(stream.state.step) for stream in batch]
        counts = [len(rows) for _, rows in chunk]
        span = np.repeat(np.array(spans), counts)
        used = np.concatenate([places.used, ages.used], axis=1)
        memories = Memories(
            spatial=spatial,
            place=self._upload(np.where(places.conditioning, last, np.clip(places.age - 1, 0, last))),
            pointers=pointers,
            offset=self._upload((ages.age / span[:, None]).astype(np.float32)),
            used=None if used.all() else self._upload(used),
        )
        return self.propagation.propagate(seen, self._frames(batch, counts), widened(memories, self.propagation.widths))

    def _decide(
        self,
        batch: Sequence[BatchedStream],
        detections: Sequence[Detections],
        logits: Tensor,
        tracks: Propagated,
        seen: TrackerFeatures,
    ) -> None:
        """Compare masks on the device, decide on the CPU; one transfer for all streams."""
        measured: list[Tensor] = []
        for stream, found in zip(batch, detections, strict=True):
            pixels = seen.coarse[stream.place] if self._reidentifies else None
            measured += measure(stream, found, logits, tracks, pixels)
        values = iter(fetched(measured))
        for stream in batch:
            scores, prompts, iou, overlap, visible, track_logits, memory_scores, stream.appearance = (
                next(values) for _ in range(MEASURES)
            )
            state, table, rows = stream.state, stream.state.table, stream.rows
            prompt = prompts.astype(np.int64)
            same = prompt[:, None] == stream.prompts[None]
            lost = [state.lifecycle[track_id].state is TrackState.LOST for track_id in table.ids[rows].tolist()]
            similarity = np.where(same & np.array(lost, np.bool_), stream.appearance @ table.appearance[rows].T, 0)
            evidence = Evidence(scores, prompt, np.where(same, iou, 0), visible > 0, track_logits, similarity)
            stream.evidence = evidence
            if stream.looked:  # else that nothing was found says nothing
                stream.plan = plan(evidence, self.rules, state.step, state.looked)
                keep_alive(evidence, self.rules, table, rows)
                state.looked = state.step
            table.keep_alive[rows[stream.plan.reidentified]] = self.rules.init_trk_keep_alive
            if self._reidentifies:
                remember_appearance(stream.appearance, stream.plan, table, rows)
            rival = rivals(overlap, stream.prompts, self.rules)
            stream.suppressed = occlusions(rival, evidence.visible, table, rows, state.step)
            stream.seen = (
                evidence.visible & ~stream.suppressed & (memory_scores > MIN_MEMORY_SCORE)
            ) | stream.plan.reconditioned
            self._make_room(stream)

    def _make_room(self, stream: BatchedStream) -> None:
        """End tracks that a hot start removes or that must give way to new ones; bound the new ones."""
        state, lifecycle = stream.state, stream.state.lifecycle
        wrong = hot_start_removals(stream.evidence, self.rules, state.table, stream.rows, state.step)
        for track_id in state.table.ids[stream.rows[wrong]].tolist():
            lifecycle.end(track_id)  # its events are taken back with it
            state.hot_start.take_back(track_id)
        stream.events += lifecycle.make_room(len(stream.plan.new))
        room = lifecycle.max_tracks - len(lifecycle)
        if len(stream.plan.new) > room:
            best = np.argsort(-stream.evidence.scores[stream.plan.new], kind="stable")[:room]
            stream.plan = replace(stream.plan, new=stream.plan.new[np.sort(best)])
        ids = state.table.ids[stream.rows].tolist()
        stream.alive = np.array([track_id in lifecycle for track_id in ids], np.bool_)

    def _remember(
        self, batch: Sequence[BatchedStream], seen: TrackerFeatures, tracks: Propagated, logits: Tensor, new: Tensor
    ) -> None:
        """Make the memories of this frame, of old and of new tracks, and store them."""
        first_memories, first_pointers = self._first_memories(
            seen, self._frames(batch, [len(stream.plan.starts) for stream in batch]), new
        )
        # A memory that is no number would make none of all that is seen with it, masked or not.
        memories = torch.cat([*self._continued_memories(batch, seen, tracks, logits), *first_memories]).nan_to_num(
            0, 0, 0
        )
        pointers = torch.cat([tracks.pointers, *first_pointers]).nan_to_num(0, 0, 0)

        first = len(tracks.logits)
        for stream in batch:
            state, table, new_count = stream.state, stream.state.table, len(stream.plan.new)
            table.keep(life.id for life in state.lifecycle)
            # `Lifecycle.start` will hand out these ids, in this order.
            ids = state.lifecycle.next_id + np.arange(new_count)
            # What did not find the object leads astray: beside it, the new memory would soon follow what had hidden it.
            table.forget(stream.rows[stream.plan.reidentified])
            new_rows = table.add(ids, state.step, self.rules.init_trk_keep_alive)
            table.appearance[new_rows] = stream.appearance[stream.plan.new]
            rows = np.concatenate([stream.rows[stream.alive], new_rows])
            conditioning = np.concatenate([stream.plan.reconditioned[stream.alive], np.ones(new_count, np.bool_)])
            shown = np.concatenate([stream.seen[stream.alive], np.ones(new_count, np.bool_)])
            old = np.arange(stream.tracks.start, stream.tracks.stop)
            old[stream.plan.reidentified] = np.arange(first + new_count, first + len(stream.plan.starts))
            sources = np.concatenate([old[stream.alive], np.arange(first, first + new_count)])
            first += len(stream.plan.starts)
            source = self._upload(sources)
            for bank, made in ((table.spatial, memories), (table.pointers, pointers)):
                bank.flat[self._upload(bank.claim(rows, state.step, conditioning, shown))] = made[source]

    def _continued_memories(
        self, batch: Sequence[BatchedStream], seen: TrackerFeatures, tracks: Propagated, logits: Tensor
    ) -> Iterator[Tensor]:
        """Memories of this frame of all tracks, pass by pass."""
        frames = self._frames(batch, [len(stream.rows) for stream in batch])
        logits = without_overtaken(logits, self._groups(batch))
        present = (logits > 0).flatten(1).any(1)
        raw = np.zeros(len(logits), np.bool_)
        if self.rules.binary_memory_on_start:
            raw = np.concatenate([~stream.plan.reconditioned & (len(stream.plan.new) > 0) for stream in batch])
        for part in passes(len(logits)):
            masks = soft_masks(logits[part], self.encoder.size)
            if raw[part].any():
                rows = self._upload(np.flatnonzero(raw[part]))
                masks[rows] = hard_masks(self.encoder.full(tracks.logits[part][rows]), self.encoder.size)
                present[part][rows] = tracks.scores[part][rows] > 0
            yield self.encoder.encode(seen, frames[part], masks, present[part])

    def _first_memories(self, seen: TrackerFeatures, frames: Tensor, new: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Memories and pointers of tracks that begin, pass by pass."""
        memories, pointers = [], []
        for part in passes(len(new)):
            started = self.propagation.from_masks(seen, frames[part], new[part] >= MASK_PROMPT_LOGIT)
            masks = hard_masks(started.logits, self.encoder.size)
            memories.append(self.encoder.encode(seen, frames[part], masks, started.scores > 0))
            pointers.append(started.pointers)
        return memories, pointers

    def _groups(self, batch: Sequence[BatchedStream]) -> list[Tensor]:
        """Tracks that must not overlap: those of one prompt of one stream."""
        return [
            self._upload(np.flatnonzero(stream.prompts == prompt) + stream.tracks.start)
            for stream in batch
            for prompt in np.unique(stream.prompts)
        ]

    def _report(self, stream: BatchedStream, old: NDArray[np.float32], new: NDArray[np.float32]) -> list[Result]:
        """Move the tracks through their lives and publish those that are seen.

        Args:
            stream: the one.
            old: ``(M, h, w)`` mask logits of its tracks.
            new: ``(K, h, w)`` mask logits of the tracks that start.
        """
        state, lifecycle = stream.state, stream.state.lifecycle
        size = (stream.frame.picture.height, stream.frame.picture.width)
        masks: dict[int, Mask] = {}
        sightings: dict[int, Sighting] = {}
        for index in np.flatnonzero(stream.alive).tolist():
            row = stream.rows[index]
            life = lifecycle[int(state.table.ids[row])]
            supported = bool(stream.plan.supported[index])
            if self.rules.hide_unmatched and state.table.keep_alive[row] <= 0:
                continue
            if life.state is TrackState.TENTATIVE and stream.looked and not supported:
                continue
            mask = upscale(old[index], size)
            if mask.area:
                masks[life.id] = mask
                score = float(stream.plan.score[index]) if supported else life.score
                sightings[life.id] = Sighting(score, mask.bbox)
        stream.events += lifecycle.update(sightings, stream.frame.pts, looked=stream.looked)
        for detection, logits in zip(stream.plan.new.tolist(), new, strict=True):
            mask = upscale(logits, size)
            sighting = Sighting(float(stream.evidence.scores[detection]), mask.bbox)
            prompt = state.prompts[int(stream.evidence.prompts[detection])]
            started = lifecycle.start(prompt, sighting, stream.frame.pts)
            assert started is not None, "`_make_room` has made room"
            masks[started[0]] = mask
            stream.events += started[1]
        state.table.keep(life.id for life in lifecycle)
        state.step += 1
        state.pts = stream.frame.pts
        tracks = tuple(
            Track(track_id, lifecycle[track_id].prompt, lifecycle[track_id].state, lifecycle[track_id].score, mask)
            for track_id, mask in sorted(masks.items())
            if mask.area
        )
        return state.hot_start.push(Result(stream.frame, tracks, tuple(stream.events)))
