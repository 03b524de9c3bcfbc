"""What the engine asks of a tracker: the association tracker and the memory tracker are interchangeable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from maskcast.frame import Frame
from maskcast.prompts import Prompt
from maskcast.result import Event, Result
from trackers.detection.detector import Detections
from trackers.detection.image_encoder import ImageFeatures

State = TypeVar("State")


class Tracker(Protocol[State]):
    """Follows objects from frame to frame; all it remembers of a stream is in the stream's `State`."""

    def new_state(self, prompts: Sequence[str | Prompt]) -> State:
        """The state of a stream that begins."""

    def set_prompts(self, state: State, prompts: Sequence[str | Prompt]) -> list[Event]:
        """Change what a stream looks for; tracks of prompts that stay keep their ids, others end."""

    def follow(
        self,
        states: Sequence[State],
        frames: Sequence[Frame],
        detections: Sequence[Detections],
        features: ImageFeatures,
    ) -> list[list[Result]]:
        """Advance each of N streams by one frame, in place.

        Args:
            states: of N different streams.
            frames: one of each stream.
            detections: of each frame; their prompt indices refer to the stream's prompts.
            features: of the N frames, in the same order.

        Returns:
            For each stream the results that are now certain, in order of frames: one, or none or several where a
            tracker holds results back to correct them.
        """

    def flush(self, state: State) -> list[Result]:
        """The results still held back when a stream ends."""
