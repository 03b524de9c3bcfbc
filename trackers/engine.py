"""One model on one device, shared by all streams: frames in, tracks out, one batched pass over whatever is ready.

A pass has two halves: `Engine.see` encodes the frames and finds what matches the prompts, `Engine.follow` finds the
tracks again and decides. The first knows nothing of tracks, so the next frames can be seen while these are followed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskcast.errors import TooLargeError, UsageError
from maskcast.frame import Frame
from maskcast.prompts import Prompt, avoided, clean_prompts
from maskcast.result import Event, KnownTracks, Result
from trackers.association import AssociationTracker
from trackers.attention_kernels import few_kernels
from trackers.choice import Choice, choose, how_to_remember
from trackers.conditions import Conditions, conditioned
from trackers.detection.detector import MAX_PAIRS, Detections, Detector
from trackers.detection.image_encoder import ImageFeatures
from trackers.detection.text import TextEmbedding, TextEncoder
from trackers.detection.turns import Turns
from trackers.device import describe, free_bytes, resolve_device
from trackers.device_errors import device_error, out_of_memory
from trackers.half_queues import HalfQueues
from trackers.layer_beats import beat_between_layers
from trackers.memory import midway, track_state
from trackers.memory.propagation import MAX_TRACKS_A_PASS
from trackers.memory.tracker import MemoryTracker
from trackers.memory_need import pass_bytes, tracking_bytes, tracks_that_fit
from trackers.options import EngineOptions
from trackers.precision import resolve_precision
from trackers.rules import Rules
from trackers.stage_times import StageTimes
from trackers.tracker import Tracker

# To rehearse with; all prompts are padded to one length.
ANY_PROMPT = "object"

logger = logging.getLogger(__name__)


@dataclass
class TrackedStream:
    """What the engine keeps of a stream between frames."""

    prompts: tuple[Prompt, ...]
    embeddings: tuple[TextEmbedding, ...]  # of the prompts, then of what they avoid
    conditions: Conditions | None
    state: Any
    turns: Turns


@dataclass(frozen=True)
class Seen:
    """Frames between the two halves of a pass.

    Attributes:
        streams: N different streams.
        frames: one of each.
        detections: of each frame; their prompt indices refer to the stream's prompts, which stay until it is followed.
        features: of the N frames.
        made: when the device has made them, see `HalfQueues.behind`.
    """

    streams: Sequence[TrackedStream]
    frames: Sequence[Frame]
    detections: Sequence[Detections]
    features: ImageFeatures
    made: Any = None


class Engine:
    """Detects and follows. One thread may `see` while another follows; all else is called while neither does.

    Attributes:
        device: where it runs.
        precision: what it computes in.
        revision: of the checkpoint.
        description: model, device, precision and tracker in one line.
        stage_times: where its time goes.
    """

    _detector_class = Detector

    def __init__(
        self,
        options: EngineOptions,
        *,
        beat: Callable[[], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Load a checkpoint.

        Args:
            options: which model, where, and how it follows.
            beat: called whenever a pass has got on, so that one that takes minutes on a CPU can be told from one that
                hangs. Not on a GPU, which takes a fraction of a second and only queues its layers.
            say: told how far it has got with what takes minutes; by default the log is.

        Raises:
            UsageError: the device, its precision or the tracker does not exist, or the checkpoint has no weights for
                it.
            ModelError: the checkpoint or the device cannot be used.
        """
        self.device = resolve_device(options.device)
        self.precision = dtype = resolve_precision(options.precision, self.device)
        self._detect_every = options.detect_every
        self._phases: set[int] = set()
        choice = self._choose(options)
        checkpoint, rules = choice.checkpoint, choice.rules
        self._checkpoint = checkpoint
        # Association has no rules of a checkpoint's own.
        own = rules.new_det_thresh if choice.tracker == "memory" else Rules.new_det_thresh
        self._new_score = own if options.threshold is None else options.threshold
        self.revision = checkpoint.revision
        self.stage_times = StageTimes(self.device)
        self._queues = HalfQueues(self.device)
        self._text = TextEncoder(checkpoint, self.device, torch.float32)
        compiled = self.device.type == "cuda" if options.compile is None else options.compile
        if beat is not None and self.device.type == "cpu" and not compiled:  # between its layers nobody comes in
            beat_between_layers(checkpoint, beat)
        where = describe(self.device)  # before the model takes its share
        try:
            with self._queues.alone():
                self._detector = self._detector_class(
                    checkpoint,
                    self.device,
                    dtype,
                    score_threshold=rules.score_threshold_detection,
                    nms_iou=rules.det_nms_thresh,
                    box_margin=rules.box_margin,
                )
                self._tracker: Tracker[Any] = (
                    MemoryTracker(checkpoint.video, self.device, dtype, rules)
                    if choice.tracker == "memory"
                    else AssociationTracker(rules.lost_after, self._new_score)
                )
                if compiled:
                    self._compile(say or logger.info)
        except RuntimeError as error:
            raise device_error(self.device, dtype, error) from error
        name = str(dtype).removeprefix("torch.")
        origin = ", tracker from ".join(checkpoint.origins)
        self.description = f"model {origin}, {where}, {name}, {choice.tracker} tracker{self._room()}"
        logger.info(self.description)

    def _compile(self, say: Callable[[str], None]) -> None:
        """See `trackers.compilation`."""
        from trackers.compilation.warm_up import compile_model

        tracker = self._tracker if isinstance(self._tracker, MemoryTracker) else None
        with few_kernels():
            compile_model(self._detector, tracker, self._text.embed(ANY_PROMPT), say=say)

    def _room(self) -> str:
        """What fits beside the model, for a person; nothing on a CPU, whose memory is everybody's.

        Raises:
            ModelError: the device cannot be used.
        """
        if self.device.type == "cpu" or not isinstance(self._tracker, MemoryTracker):
            return ""
        table, seen = self._tracker.new_table(), self._tracker.propagation
        track = (table.spatial.values.nbytes + table.pointers.values.nbytes) // table.capacity
        # The two stages work at the same time.
        passing = pass_bytes(MAX_PAIRS, seen.hidden, seen.mask_size[0])
        passing += tracking_bytes(MAX_TRACKS_A_PASS, seen.config, self._tracker.rules)
        return f", room for about {tracks_that_fit(free_bytes(self.device), passing, track)} tracks of all streams"

    def _choose(self, options: EngineOptions) -> Choice:
        """The model, and the rules by which it follows."""
        return choose(options)

    def check_prompts(self, prompts: Sequence[str | Prompt]) -> tuple[Prompt, ...]:
        """Clean prompts, see `maskcast.prompts`, and see that the model can read them.

        Raises:
            UsageError: there is none, or one cannot be read by the model.
        """
        try:
            cleaned = clean_prompts(prompts)
        except ValueError as error:
            raise UsageError(str(error)) from None
        for prompt in cleaned:
            for phrase in (prompt.text, *prompt.avoid):
                self._checkpoint.check_prompt(phrase)
        return cleaned

    def open_stream(self, prompts: Sequence[str | Prompt]) -> TrackedStream:
        """Begin a stream.

        Raises:
            UsageError: see `check_prompts`.
        """
        checked = self.check_prompts(prompts)
        with self._queues.alone():
            return self._stream(checked, self._tracker.new_state(checked))

    def _stream(self, checked: tuple[Prompt, ...], state: Any) -> TrackedStream:
        # The first that no open stream has, so that what is found does not depend on streams that have ended.
        turns = Turns(self._detect_every, next(phase for phase in count() if phase not in self._phases))
        stream = TrackedStream(checked, self._embedded(checked), Conditions.of(checked), state, turns)
        self._phases.add(turns.phase)
        return stream

    def _embedded(self, checked: tuple[Prompt, ...]) -> tuple[TextEmbedding, ...]:
        """What is looked for: the prompts, then what they avoid."""
        wanted = [replace(self._text.embed(prompt.text), threshold=prompt.threshold) for prompt in checked]
        return (*wanted, *(self._text.embed(phrase) for phrase in avoided(checked)))

    def reopen_stream(self, prompts: Sequence[str | Prompt], known: KnownTracks) -> tuple[TrackedStream, list[Event]]:
        """Begin a stream anew of which subscribers know tracks: all of them end, and no id is used again.

        Returns:
            The stream, and the events of the tracks that end.

        Raises:
            UsageError: see `check_prompts`.
        """
        stream = self.open_stream(prompts)
        events = stream.state.lifecycle.align(known)
        if known.highest:  # tentative tracks, which have no events, had ids too
            stream.state.lifecycle.next_id += track_state.RESERVED_IDS
        return stream, events

    def set_prompts(self, stream: TrackedStream, prompts: Sequence[str | Prompt]) -> list[Event]:
        """Change the prompts between two frames; tracks of prompts that stay are kept.

        Returns:
            The events of the tracks that end.

        Raises:
            UsageError: see `check_prompts`; the stream is unchanged.
        """
        checked = self.check_prompts(prompts)
        with self._queues.alone():
            stream.embeddings, stream.conditions = self._embedded(checked), Conditions.of(checked)
            stream.prompts = checked
            stream.turns.renew()
            return self._tracker.set_prompts(stream.state, checked)

    def step(self, streams: Sequence[TrackedStream], frames: Sequence[Frame]) -> list[list[Result]]:
        """Advance each stream by one frame, all in the same passes.

        Args:
            streams: N different streams.
            frames: the next frame of each.

        Returns:
            For each stream the results that are now certain; see `Tracker.follow`.

        Raises:
            TooLargeError: there is not enough memory for all frames at once; no stream has been advanced.
            ModelError: the model failed.
        """
        return self.follow(self.see(streams, frames))

    def see(self, streams: Sequence[TrackedStream], frames: Sequence[Frame]) -> Seen:
        """The first half of `step`: find what matches the streams' prompts. Their tracks are not looked at.

        Raises:
            TooLargeError, ModelError: see `step`.
        """
        with self._half(), self._queues.seeing():
            try:
                features = self._detector.encode([frame.picture.rgb() for frame in frames])
                looked = [stream.turns.due(frame.index) for stream, frame in zip(streams, frames, strict=True)]
                detections = self._detect(features, streams, looked)
                return Seen(streams, frames, detections, features, self._queues.behind())
            except RuntimeError as error:
                if out_of_memory(error):
                    raise device_error(self.device, self.precision, error, TooLargeError) from error
                raise

    def follow(self, seen: Seen) -> list[list[Result]]:
        """The second half of `step`. What was seen of a stream is followed in the order of its frames.

        Raises:
            TooLargeError, ModelError: see `step`.
        """
        with self._half(), self._queues.following():
            self._queues.take(seen.made, seen.detections, seen.features)
            states = [stream.state for stream in seen.streams]
            return self._tracker.follow(states, seen.frames, seen.detections, seen.features)

    @contextmanager
    def _half(self) -> Iterator[None]:
        """Half of a pass: timed, and with what torch raises, for want of memory too, as a `ModelError`."""
        try:
            with self.stage_times.running(), few_kernels():
                yield
        except RuntimeError as error:
            raise device_error(self.device, self.precision, error) from error

    def _detect(
        self, features: ImageFeatures, streams: Sequence[TrackedStream], looked: Sequence[bool]
    ) -> list[Detections]:
        """What the detector finds in each stream's frame, of those that it looks at."""
        wanted = [stream.embeddings if look else () for stream, look in zip(streams, looked, strict=True)]
        found = self._detector.detect(features, wanted)
        if any(stream.conditions for stream in streams):
            found = conditioned(found, [stream.conditions for stream in streams], self._new_score)
        return [replace(part, looked=look) for part, look in zip(found, looked, strict=True)]

    def save_stream(self, stream: TrackedStream, *, final: bool) -> track_state.SavedState:
        """Copy a stream's track state between two frames, to be written; see `trackers.memory.track_state`.

        Raises:
            UsageError: the tracker has no track states.
        """
        self.require_track_state()
        with self._queues.alone():
            return track_state.take(stream.state, self.revision, final=final)

    def resume_stream(
        self, file: Path, prompts: Sequence[str | Prompt], known: KnownTracks | None = None
    ) -> tuple[TrackedStream, list[Event]]:
        """Go on with a stream where `save_stream` left it: tracks keep their ids, and no id is used again.

        Args:
            file: the track state.
            prompts: what to look for from now on; tracks of other prompts end.
            known: what subscribers know, which may be newer than the track state; None for the same.

        Returns:
            The stream, and the events of the tracks that end.

        Raises:
            FileNotFoundError: there is no track state.
            TrackStateError: it is damaged or belongs to another model.
            UsageError: see `check_prompts`; or the tracker has no track states.
        """
        tracker = self.require_track_state()
        checked = self.check_prompts(prompts)
        with self._queues.alone():
            state = track_state.load(tracker, file, self.revision)
            events = state.lifecycle.align(known) if known else []
            # What has been told of cannot be taken back as if it had never been: its hot start is over.
            told = state.table.ids if known is None else np.array(sorted(known.alive), np.int64)
            state.table.end_hot_start(told, state.step - tracker.rules.hot_start)
            events += tracker.set_prompts(state, checked)
            return self._stream(checked, state), events

    @property
    def goes_on_midway(self) -> bool:
        """Whether streams can be saved and resumed in the middle of a medium, see `trackers.memory.midway`."""
        return isinstance(self._tracker, MemoryTracker) and self._tracker.rules.hot_start == 0

    def save_midway(self, stream: TrackedStream) -> track_state.SavedState:
        """Copy a stream's state, after its first frame and between two, where the engine `goes_on_midway`."""
        with self._queues.alone():
            return midway.take(stream.state, self.revision, stream.turns.next)

    def resume_midway(self, file: Path, prompts: Sequence[str | Prompt], frames: int) -> TrackedStream:
        """Go on with the very next frame after `save_midway`: what is found is what would have been without the break.

        Args:
            file: of the state.
            prompts: what was looked for.
            frames: how many the stream has had.

        Raises:
            FileNotFoundError, TrackStateError, ModelError: see `trackers.memory.midway.load`.
            UsageError: see `check_prompts`; or the tracker has no track states.
        """
        tracker, checked = self.require_track_state(), self.check_prompts(prompts)
        with self._queues.alone():
            state, turn = midway.load(tracker, file, self.revision, checked, frames, self._detect_every)
            stream = self._stream(checked, state)
            stream.turns.go_on(turn)
            return stream

    def require_track_state(self) -> MemoryTracker:
        """The tracker, if its state can be saved.

        Raises:
            UsageError: only the memory tracker has track states.
        """
        if not isinstance(self._tracker, MemoryTracker):
            raise UsageError("track states need the memory tracker", advice=how_to_remember(self._checkpoint))
        return self._tracker

    def close_stream(self, stream: TrackedStream) -> list[Result]:
        """The results still held back when a stream ends."""
        self._phases.discard(stream.turns.phase)
        return self._tracker.flush(stream.state)
