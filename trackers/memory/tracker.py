"""Follow objects through memory, as SAM 3 does: detect, propagate, associate, remember.

The order of operations within a frame is that of `transformers.Sam3VideoModel`; see docs/tracking.md for what differs.
The tracks of all streams that are handed in together share the passes through the model. What the decisions need and
what may be published is brought to the CPU in one transfer, the only time that it waits for the device, but for once
more before it where tracks may take detections (`trackers.memory.adaptive`); memories are made after that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskcast.errors import TooLargeError
from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.prompts import Prompt
from maskcast.result import Event, Result, Track, TrackState
from trackers.detection.detector import Detections
from trackers.detection.image_encoder import ImageFeatures
from trackers.device_errors import device_error, out_of_memory
from trackers.lifecycle import Lifecycle, Sighting
from trackers.masks import upscale
from trackers.memory.adaptive import keep_masks, take, with_taken
from trackers.memory.batch import MEASURES, BatchedStream, batched, measure
from trackers.memory.components import fill_holes
from trackers.memory.encoder import MemoryEncoder
from trackers.memory.hot_start import HotStart
from trackers.memory.memory_bank import MemoryBank, SlotTable
from trackers.memory.planning import (
    Evidence,
    hot_start_removals,
    keep_alive,
    occlusions,
    plan,
    remember_appearance,
    rivals,
)
from trackers.memory.propagation import Propagated, Propagation, TrackerFeatures, in_passes
from trackers.memory.recollection import recollections
from trackers.memory.remembering import Remembering
from trackers.memory.state import MemoryState
from trackers.memory.widths import widened
from trackers.rules import Rules
from trackers.stage_times import measured
from trackers.transfer import fetched, upload_together
from trackers.wanted import Wanted

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
        self._remember = Remembering(self.propagation, self.encoder, self.rules)
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

    def new_state(self, prompts: Sequence[str | Prompt]) -> MemoryState:
        """The state of a stream that begins."""
        rules = self.rules
        lifecycle = Lifecycle(
            # In a hot start it is the rules' task to remove what is wrong.
            confirm_after=1 if rules.hot_start > 0 else rules.confirm_after,
            lost_after=rules.lost_after,
            max_tracks=rules.max_tracks,
        )
        return MemoryState(Wanted.of(prompts), lifecycle, self.new_table(), HotStart(rules.hot_start))

    def set_prompts(self, state: MemoryState, prompts: Sequence[str | Prompt]) -> list[Event]:
        """Change what a stream looks for; tracks of prompts that stay keep their ids and memories, others end."""
        events = state.look_for(prompts)
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
            return [self._report(stream) for stream in batch]

        followed = batch[-1].tracks.stop
        # The detector's pass has counted the frames.
        with measured("encode", 0):
            seen = self._look(features, frames)
        with measured("propagate", followed):
            if self.rules.adaptive:
                take(batch, detections, self.rules)
            tracks, filled = self._find(seen, batch, found)
        with measured("associate", len(batch)):
            self._decide(batch, detections, (filled, found), tracks, seen)
        started = sum(len(stream.plan.starts) for stream in batch)
        with measured("remember", followed + started):
            self._remember(batch, seen, tracks, filled[:followed], found)
        if self.rules.adaptive:
            keep_masks(batch, self.device)
        # The device is at work on the memories meanwhile.
        with measured("publish", followed + started):
            return [self._report(stream) for stream in batch]

    def _look(self, features: ImageFeatures, frames: Sequence[Frame]) -> TrackerFeatures:
        """The frames as the tracker sees them."""
        with self._undecided():
            return self.propagation.tracker_features(features, [frame.picture for frame in frames])

    def _find(self, seen: TrackerFeatures, batch: Sequence[BatchedStream], found: Tensor) -> tuple[Propagated, Tensor]:
        """All tracks of all streams in their new frames, and the masks of these and of `found`, small holes closed."""
        with self._undecided():
            tracks = in_passes(partial(self._propagate, seen, batch))
            tracks = with_taken(tracks, self.propagation, seen, batch, found)
            return tracks, fill_holes(torch.cat([tracks.logits, found]), self.rules.fill_hole_area)

    @contextmanager
    def _undecided(self) -> Iterator[None]:
        """While the states are as they were: where memory is wanting, fewer frames can be tried."""
        try:
            yield
        except RuntimeError as error:
            if out_of_memory(error):
                raise device_error(self.device, self.propagation.precision, error, TooLargeError) from error
            raise

    def _propagate(self, seen: TrackerFeatures, batch: Sequence[BatchedStream], most: int) -> Propagated:
        """Find the tracks of all streams that do not take a detection, at most `most` in a pass."""
        passes = recollections(batch, self.propagation, most)
        if not passes:
            return Propagated(
                torch.zeros(0, *self.propagation.mask_size, device=self.device),
                torch.zeros(0, device=self.device),
                torch.zeros(0, self.propagation.hidden, device=self.device),
                torch.zeros(0, device=self.device),
            )
        order = np.concatenate([part.tracks for part in passes])
        tables = [table for part in passes for table in part.tables]
        sent = iter(upload_together([np.argsort(order), *tables], self.device))
        back = next(sent)
        found = []
        for part in passes:
            frames, memories = part.memories(sent)
            found.append(self.propagation.propagate(seen, frames, widened(memories, self.propagation.widths)))
        tracks = Propagated.join(found)
        return tracks if len(passes) == 1 else tracks.rows(back)

    def _decide(
        self,
        batch: Sequence[BatchedStream],
        detections: Sequence[Detections],
        masks: tuple[Tensor, Tensor],
        tracks: Propagated,
        seen: TrackerFeatures,
    ) -> None:
        """Compare masks on the device, decide on the CPU.

        One transfer for all streams: what decisions rest on, and all masks that may be published.

        Args:
            batch: the streams.
            detections: of each.
            masks: mask logits of tracks, then of detections, small holes closed; those of detections as they were.
            tracks: what else was found out about them.
            seen: the frames.
        """
        filled, found_logits = masks
        count = len(tracks.scores)
        measured: list[Tensor] = []
        for stream, found in zip(batch, detections, strict=True):
            pixels = seen.coarse[stream.place] if self._reidentifies else None
            measured += measure(stream, found, filled[:count], tracks, pixels)
        together, unfilled, *numbers = fetched([filled, found_logits, *measured])
        values = iter(numbers)
        for stream, found in zip(batch, detections, strict=True):
            stream.masks, stream.filled = together[:count][stream.tracks], together[count:][stream.detections]
            stream.found = unfilled[stream.detections]
            scores, prompts, iou, overlap, visible, track_logits, memory_scores, stream.appearance = (
                next(values) for _ in range(MEASURES)
            )
            state, table, rows = stream.state, stream.state.table, stream.rows
            prompt = prompts.astype(np.int64)
            same = state.wanted.kinds[prompt][:, None] == stream.prompts[None]
            lost = [state.lifecycle[track_id].state is TrackState.LOST for track_id in table.ids[rows].tolist()]
            similarity = np.where(same & np.array(lost, np.bool_), stream.appearance @ table.appearance[rows].T, 0)
            evidence = Evidence(
                scores, prompt, np.where(same, iou, 0), visible > 0, track_logits, similarity, found.starts_at
            )
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

    def _report(self, stream: BatchedStream) -> list[Result]:
        """Move the tracks through their lives and publish those that are seen."""
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
            logits = stream.published(index)
            if logits is None:
                continue
            mask = upscale(logits, size)
            if mask.area:
                masks[life.id] = mask
                score = float(stream.plan.score[index]) if supported else life.score
                sightings[life.id] = Sighting(score, mask.bbox)
                if supported and stream.claims is not None:
                    state.naming.see(life, stream.claims[stream.plan.supported_by[index]])
        stream.events += lifecycle.update(sightings, stream.frame.pts, looked=stream.looked)
        for detection in stream.plan.new.tolist():
            mask = upscale(stream.filled[detection], size)
            sighting = Sighting(float(stream.evidence.scores[detection]), mask.bbox)
            prompt = state.prompts[int(stream.evidence.prompts[detection])]
            started = lifecycle.start(prompt, sighting, stream.frame.pts)
            assert started is not None, "`_make_room` has made room"
            if stream.claims is not None:
                state.naming.see(lifecycle[started[0]], stream.claims[detection])
            masks[started[0]] = mask
            stream.events += started[1]
        state.table.keep(life.id for life in lifecycle)
        state.naming.keep(life.id for life in lifecycle)
        state.step += 1
        state.pts = stream.frame.pts
        tracks = tuple(
            Track(track_id, lifecycle[track_id].prompt, lifecycle[track_id].state, lifecycle[track_id].score, mask)
            for track_id, mask in sorted(masks.items())
            if mask.area
        )
        result = Result(stream.frame, tracks, tuple(stream.events), prompts=state.wanted.names)
        return state.hot_start.push(result)
