"""One model on one device, shared by all streams: frames in, tracks out, one batched pass over whatever is ready."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from streaming.errors import ModelError, UsageError
from streaming.types import Event, Frame, Result
from trackers.association import AssociationTracker
from trackers.checkpoint import DEFAULT_MODEL, Checkpoint, load_checkpoint, resolve_device
from trackers.detector import Detector
from trackers.text import TextEmbedding, TextEncoder
from trackers.tracker import Tracker


@dataclass
class TrackedStream:
    """What the engine keeps of a stream between frames."""

    prompts: tuple[str, ...]
    embeddings: tuple[TextEmbedding, ...]
    state: Any


class Engine:
    """Detects and follows. Not thread-safe: one thread calls it."""

    def __init__(self, model: str = DEFAULT_MODEL, device: str = "auto", tracker: str | None = None) -> None:
        """Load a checkpoint.

        Args:
            model: see `load_checkpoint`.
            device: `auto`, `cpu` or `cuda:N`. On CUDA the model runs in bfloat16, on a CPU in float32.
            tracker: `memory` or `association`; None for the best that the checkpoint allows.

        Raises:
            UsageError: the device or the tracker does not exist, or the checkpoint has no weights for it.
            ModelError: the checkpoint cannot be used.
        """
        self.device = resolve_device(device)
        self.model = model
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        checkpoint = load_checkpoint(model)
        self._text = TextEncoder(checkpoint, self.device, dtype)
        self._detector = Detector(checkpoint, self.device, dtype)
        self._tracker: Tracker[Any] = _make_tracker(tracker, checkpoint)

    def check_prompts(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """Strip prompts, drop repeats, keep their order.

        Raises:
            UsageError: there is none, or one cannot be read by the model.
        """
        cleaned = tuple(dict.fromkeys(prompt.strip() for prompt in prompts))
        if not cleaned:
            raise UsageError("no prompt: say what to look for, for example --prompt person")
        for prompt in cleaned:
            self._text.check(prompt)
        return cleaned

    def open_stream(self, prompts: Sequence[str]) -> TrackedStream:
        """Begin a stream.

        Raises:
            UsageError: see `check_prompts`.
        """
        checked = self.check_prompts(prompts)
        embeddings = tuple(self._text.embed(prompt) for prompt in checked)
        return TrackedStream(checked, embeddings, self._tracker.new_state(checked))

    def set_prompts(self, stream: TrackedStream, prompts: Sequence[str]) -> list[Event]:
        """Change the prompts between two frames; tracks of prompts that stay are kept.

        Returns:
            The events of the tracks that end.

        Raises:
            UsageError: see `check_prompts`; the stream is unchanged.
        """
        checked = self.check_prompts(prompts)
        stream.embeddings = tuple(self._text.embed(prompt) for prompt in checked)
        stream.prompts = checked
        return self._tracker.set_prompts(stream.state, checked)

    def step(self, streams: Sequence[TrackedStream], frames: Sequence[Frame]) -> list[list[Result]]:
        """Advance each stream by one frame, all in the same passes.

        Args:
            streams: N different streams.
            frames: the next frame of each.

        Returns:
            For each stream the results that are now certain; see `Tracker.follow`.

        Raises:
            ModelError: the model failed, for example for want of memory.
        """
        try:
            features = self._detector.encode([frame.picture.rgb() for frame in frames])
            detections = self._detector.detect(features, [stream.embeddings for stream in streams])
            return self._tracker.follow([stream.state for stream in streams], frames, detections, features)
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{self.device} is out of memory: use fewer prompts or streams, or another GPU") from error

    def close_stream(self, stream: TrackedStream) -> list[Result]:
        """The results still held back when a stream ends."""
        return self._tracker.flush(stream.state)


def _make_tracker(name: str | None, checkpoint: Checkpoint) -> Tracker[Any]:
    if name not in (None, "memory", "association"):
        raise UsageError(f"unknown tracker {name!r}: use memory or association")
    if name == "memory":
        raise UsageError(
            f"model {checkpoint.name} has no memory tracker weights: use --tracker association or a sam3_video model"
        )
    return AssociationTracker()
