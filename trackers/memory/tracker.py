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

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.result import Event, Result, Track, TrackState
from trackers.detection.detector import Detections, ImageFeatures
from trackers.hot_start import HotStart
from trackers.lifecycle import Lifecycle, Sighting
from trackers.masks import upscale
from trackers.memory.components import fill_holes
from trackers.memory.encoder import MemoryEncoder, hard_masks, soft_masks
from trackers.memory.planning import Evidence, hot_start_removals, keep_alive, occlusions, plan, remember_looks, rivals
from trackers.memory.propagation import MAX_TRACKS_A_PASS, Memories, Propagated, Propagation, TrackerFeatures, passes
from trackers.memory.slots import History, Ints, SlotTable, recall_together
from trackers.memory.state import MemoryState
from trackers.memory.step import MEASURES, Turn, divide, measure, take_turns
from trackers.overlap import SUPPRESSED_LOGIT, without_overtaken
from trackers.rules import Rules

# Detections start tracks where their logits reach this: the reference's `_tracker_add_new_objects` compares logits
# with a threshold for probabilities.
GIVEN_LOGIT = 0.5
# What a frame must be worth to be remembered: `mf_threshold` in SAM 3's own code.
MIN_MEMORY_SCORE = 0.01


class MemoryTracker:
    """Follows the objects of any number of streams; all it remembers is in their states."""

    def __init__(self, video: Any, device: torch.device, dtype: torch.dtype, rules: Rules | None = None) -> None:
        """Move the tracker part of a `Sam3VideoModel` to a device.

        Args:
            video: the model; its detector stays where it is.
            device: where to run.
            dtype: of weights and activations.
            rules: None for those of the model's config.
        """
        self.rules = rules or Rules.from_config(video.config)
        self.propagation = Propagation(video, device, dtype)
        self.encoder = MemoryEncoder(self.propagation)
        self.device = device
        self._dtype = dtype

    def new_table(self) -> SlotTable:
        """Empty slots that fit the model."""
        config = self.propagation.config
        return SlotTable(
            # One of the `num_maskmem` temporal encodings is the conditioning memories'.
            History(
                self.propagation.memory_shape,
                recent=int(config.num_maskmem) - 1,
                # -1 means all of them, which would grow for ever.
                conditioning=int(config.max_cond_frame_num) if config.max_cond_frame_num > 0 else 4,
                selective=self.rules.select_memories,
                dtype=torch.bfloat16,
                device=self.device,
            ),
            History(
                (self.propagation.hidden,),
                recent=int(config.max_object_pointers_in_encoder) - 1,
                conditioning=self.rules.conditioning_pointers,
                selective=self.rules.select_memories,
                dtype=self._dtype,
                device=self.device,
            ),
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
        gone = [life.id for life in state.lifecycle if life.prompt not in state.prompts]
        events = [event for track_id in gone for event in state.lifecycle.end(track_id)]
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
        turns = take_turns(states, frames, detections)
        if not turns:
            return []
        found = torch.cat([part.logits for part in detections])
        if turns[-1].tracks.stop == 0 and len(found) == 0:  # nothing seen, nothing remembered: no need to look closer
            masks = np.zeros((0, 1, 1), np.float32)
            return [self._report(turn, masks, masks) for turn in turns]

        seen = self.propagation.see(features)
        tracks = self._propagate(seen, turns)
        logits = fill_holes(tracks.logits, self.rules.fill_hole_area)
        self._decide(turns, detections, logits, tracks, seen)

        suppressed = self._upload(np.concatenate([turn.suppressed for turn in turns]))
        logits = torch.where(suppressed[:, None, None], SUPPRESSED_LOGIT, logits)
        renewed = self._upload(
            np.concatenate([np.flatnonzero(turn.plan.renewed) + turn.tracks.start for turn in turns])
        )
        renewed_by = self._upload(
            np.concatenate([turn.plan.renewed_by[turn.plan.renewed] + turn.detections.start for turn in turns])
        )
        published = logits.clone()
        published[renewed] = found[renewed_by]
        if not self.rules.recondition_on_trk_masks:
            logits[renewed] = (found[renewed_by] >= GIVEN_LOGIT).to(logits.dtype)
        new = found[self._upload(np.concatenate([turn.plan.starts + turn.detections.start for turn in turns]))]

        self._remember(turns, seen, tracks, logits, new)
        # Waited for last: the device is then already at work on the memories.
        old_masks = published.cpu().numpy()
        new_masks = fill_holes(new, self.rules.fill_hole_area).cpu().numpy()
        results = []
        first = 0
        for turn in turns:
            results.append(self._report(turn, old_masks[turn.tracks], new_masks[first : first + len(turn.plan.new)]))
            first += len(turn.plan.starts)
        return results

    def _upload(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)

    def _frames(self, turns: Sequence[Turn], counts: Sequence[int]) -> Tensor:
        """Each turn's place among the frames, as often as `counts` says."""
        return self._upload(np.repeat(np.array([turn.place for turn in turns], np.int64), counts))

    def _propagate(self, seen: TrackerFeatures, turns: Sequence[Turn]) -> Propagated:
        """Find all tracks of all streams in their new frames."""
        height, width = self.propagation.model.prompt_encoder.mask_input_size
        if turns[-1].tracks.stop == 0:
            return Propagated(
                torch.zeros(0, height, width, device=self.device),
                torch.zeros(0, device=self.device),
                torch.zeros(0, self.propagation.hidden, device=self.device, dtype=self._dtype),
                torch.zeros(0, device=self.device),
            )
        return Propagated.join([self._look(seen, part) for part in divide(turns, MAX_TRACKS_A_PASS)])

    def _look(self, seen: TrackerFeatures, part: Sequence[tuple[Turn, Ints]]) -> Propagated:
        """Find some tracks of some streams: one pass through the model."""
        turns = [turn for turn, _ in part]
        tables = [turn.state.table for turn in turns]
        recalls = [(rows, turn.state.step) for turn, rows in part]
        spatial, places = recall_together([table.spatial for table in tables], recalls)
        pointers, ages = recall_together([table.pointers for table in tables], recalls)
        config = self.propagation.config
        last = int(config.num_maskmem) - 1
        # Offsets are relative to the longest that the stream can have by now.
        spans = [min(turn.state.step, int(config.max_object_pointers_in_encoder) - 1) for turn in turns]
        counts = [len(rows) for _, rows in part]
        span = np.repeat(np.maximum(np.array(spans), 1), counts)
        memories = Memories(
            spatial=spatial,
            place=self._upload(np.where(places.conditioning, last, np.clip(places.age - 1, 0, last))),
            spatial_used=self._upload(places.used),
            pointers=pointers,
            offset=self._upload((ages.age / span[:, None]).astype(np.float32)),
            pointers_used=self._upload(ages.used),
            padded=not (places.used.all() and ages.used.all()),
        )
        return self.propagation.propagate(seen, self._frames(turns, counts), memories)

    def _decide(
        self,
        turns: Sequence[Turn],
        detections: Sequence[Detections],
        logits: Tensor,
        tracks: Propagated,
        seen: TrackerFeatures,
    ) -> None:
        """Compare masks on the device, decide on the CPU; one transfer for all streams."""
        measured = [
            part
            for turn, found in zip(turns, detections, strict=True)
            for part in measure(turn, found, logits, tracks, seen.coarse[turn.place])
        ]
        numbers = torch.cat([part.flatten().float() for part in measured]).cpu().numpy()
        arrays = iter(np.split(numbers, np.cumsum([part.numel() for part in measured])[:-1]))
        shapes = iter([tuple(part.shape) for part in measured])
        for turn in turns:
            scores, prompts, iou, overlap, visible, track_logits, worth, turn.looks = (
                next(arrays).reshape(next(shapes)) for _ in range(MEASURES)
            )
            state, table, rows = turn.state, turn.state.table, turn.rows
            prompt = prompts.astype(np.int64)
            same = prompt[:, None] == turn.prompts[None]
            lost = [state.lifecycle[track_id].state is TrackState.LOST for track_id in table.ids[rows].tolist()]
            likeness = np.where(same & np.array(lost, np.bool_), turn.looks @ table.looks[rows].T, 0)
            evidence = Evidence(scores, prompt, np.where(same, iou, 0), visible > 0, track_logits, likeness)
            turn.evidence = evidence
            turn.plan = plan(evidence, self.rules, state.step)
            keep_alive(evidence, self.rules, table, rows)
            table.keep_alive[rows[turn.plan.returned]] = self.rules.init_trk_keep_alive
            remember_looks(turn.looks, turn.plan, table, rows)
            rival = rivals(overlap, turn.prompts, self.rules)
            turn.suppressed = occlusions(rival, evidence.visible, table, rows, state.step)
            turn.seen = (evidence.visible & ~turn.suppressed & (worth > MIN_MEMORY_SCORE)) | turn.plan.renewed
            self._make_room(turn)

    def _make_room(self, turn: Turn) -> None:
        """End tracks that a hot start removes or that must give way to new ones; bound the new ones."""
        state, lifecycle = turn.state, turn.state.lifecycle
        wrong = hot_start_removals(turn.evidence, self.rules, state.table, turn.rows, state.step)
        for track_id in state.table.ids[turn.rows[wrong]].tolist():
            lifecycle.end(track_id)  # its events are taken back with it
            state.hot_start.take_back(track_id)
        turn.events += lifecycle.make_room(len(turn.plan.new))
        room = lifecycle.max_tracks - len(lifecycle)
        if len(turn.plan.new) > room:
            best = np.argsort(-turn.evidence.scores[turn.plan.new], kind="stable")[:room]
            turn.plan = replace(turn.plan, new=turn.plan.new[np.sort(best)])
        ids = state.table.ids[turn.rows].tolist()
        turn.alive = np.array([track_id in lifecycle for track_id in ids], np.bool_)

    def _remember(
        self, turns: Sequence[Turn], seen: TrackerFeatures, tracks: Propagated, logits: Tensor, new: Tensor
    ) -> None:
        """Make the memories of this frame, of old and of new tracks, and store them."""
        begun, given = self._begin(seen, self._frames(turns, [len(turn.plan.starts) for turn in turns]), new)
        # A memory that is no number would make none of all that is seen with it, for ever and masked or not.
        memories = torch.cat([*self._go_on(turns, seen, tracks, logits), *begun]).nan_to_num(0, 0, 0)
        pointers = torch.cat([tracks.pointers, *given]).nan_to_num(0, 0, 0)

        first = len(tracks.logits)
        for turn in turns:
            state, table, new_count = turn.state, turn.state.table, len(turn.plan.new)
            table.keep(life.id for life in state.lifecycle)
            # `Lifecycle.start` will hand out these ids, in this order.
            ids = state.lifecycle.next_id + np.arange(new_count)
            # What did not find the object leads astray: beside it, the new memory would soon follow what had hidden it.
            table.forget(turn.rows[turn.plan.returned])
            begun_rows = table.add(ids, state.step, self.rules.init_trk_keep_alive)
            table.looks[begun_rows] = turn.looks[turn.plan.new]
            rows = np.concatenate([turn.rows[turn.alive], begun_rows])
            sure = np.concatenate([turn.plan.renewed[turn.alive], np.ones(new_count, np.bool_)])
            shown = np.concatenate([turn.seen[turn.alive], np.ones(new_count, np.bool_)])
            old = np.arange(turn.tracks.start, turn.tracks.stop)
            old[turn.plan.returned] = np.arange(first + new_count, first + len(turn.plan.starts))
            sources = np.concatenate([old[turn.alive], np.arange(first, first + new_count)])
            first += len(turn.plan.starts)
            source = self._upload(sources)
            table.spatial.flat[self._upload(table.spatial.claim(rows, state.step, sure, shown))] = memories[source]
            table.pointers.flat[self._upload(table.pointers.claim(rows, state.step, sure, shown))] = pointers[source]

    def _go_on(
        self, turns: Sequence[Turn], seen: TrackerFeatures, tracks: Propagated, logits: Tensor
    ) -> Iterator[Tensor]:
        """Memories of this frame of all tracks, pass by pass."""
        frames = self._frames(turns, [len(turn.rows) for turn in turns])
        logits = without_overtaken(logits, self._groups(turns))
        there = (logits > 0).flatten(1).any(1)
        raw = np.zeros(len(logits), np.bool_)
        if self.rules.binary_memory_on_start:
            raw = np.concatenate([~turn.plan.renewed & (len(turn.plan.new) > 0) for turn in turns])
        for part in passes(len(logits)):
            masks = soft_masks(logits[part], self.encoder.size)
            if raw[part].any():
                rows = self._upload(np.flatnonzero(raw[part]))
                masks[rows] = hard_masks(self.encoder.full(tracks.logits[part][rows]), self.encoder.size)
                there[part][rows] = tracks.scores[part][rows] > 0
            yield self.encoder.encode(seen, frames[part], masks, there[part])

    def _begin(self, seen: TrackerFeatures, frames: Tensor, new: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Memories and pointers of tracks that begin, pass by pass."""
        memories, pointers = [], []
        for part in passes(len(new)):
            given = self.propagation.given(seen, frames[part], new[part] >= GIVEN_LOGIT)
            masks = hard_masks(given.logits, self.encoder.size)
            memories.append(self.encoder.encode(seen, frames[part], masks, given.scores > 0))
            pointers.append(given.pointers)
        return memories, pointers

    def _groups(self, turns: Sequence[Turn]) -> list[Tensor]:
        """Tracks that must not overlap: those of one prompt of one stream."""
        return [
            self._upload(np.flatnonzero(turn.prompts == prompt) + turn.tracks.start)
            for turn in turns
            for prompt in np.unique(turn.prompts)
        ]

    def _report(self, turn: Turn, old: NDArray[np.float32], new: NDArray[np.float32]) -> list[Result]:
        """Move the tracks through their lives and publish those that are seen.

        Args:
            turn: of the stream.
            old: ``(M, h, w)`` mask logits of its tracks.
            new: ``(K, h, w)`` mask logits of the tracks that start.
        """
        state, lifecycle = turn.state, turn.state.lifecycle
        size = (turn.frame.picture.height, turn.frame.picture.width)
        masks: dict[int, Mask] = {}
        sightings: dict[int, Sighting] = {}
        for index in np.flatnonzero(turn.alive).tolist():
            row = turn.rows[index]
            life = lifecycle[int(state.table.ids[row])]
            supported = bool(turn.plan.supported[index])
            if self.rules.hide_unmatched and state.table.keep_alive[row] <= 0:
                continue
            if life.state is TrackState.TENTATIVE and not supported:
                continue
            mask = upscale(old[index], size)
            if mask.area:
                masks[life.id] = mask
                score = float(turn.plan.score[index]) if supported else life.score
                sightings[life.id] = Sighting(score, mask.bbox)
        turn.events += lifecycle.update(sightings, turn.frame.pts)
        for detection, logits in zip(turn.plan.new.tolist(), new, strict=True):
            mask = upscale(logits, size)
            sighting = Sighting(float(turn.evidence.scores[detection]), mask.bbox)
            prompt = state.prompts[int(turn.evidence.prompts[detection])]
            started = lifecycle.start(prompt, sighting, turn.frame.pts)
            assert started is not None, "`_make_room` has made room"
            masks[started[0]] = mask
            turn.events += started[1]
        state.table.keep(life.id for life in lifecycle)
        state.step += 1
        state.pts = turn.frame.pts
        tracks = tuple(
            Track(track_id, lifecycle[track_id].prompt, lifecycle[track_id].state, lifecycle[track_id].score, mask)
            for track_id, mask in sorted(masks.items())
            if mask.area
        )
        return state.hot_start.push(Result(turn.frame, tracks, tuple(turn.events)))
