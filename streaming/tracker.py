"""Frames of the caller's own, pushed one by one: for those who have pictures and no file or stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Unpack

import numpy as np

from maskcast.errors import UsageError
from maskcast.frame import Frame
from maskcast.picture import Image
from maskcast.prompts import listed
from maskcast.result import Event, Result
from streaming.pipeline.stage import Stage, staged
from trackers.options import EngineKeywords, options_of

if TYPE_CHECKING:
    from trackers.engine import Engine

FRAMES_PER_SECOND = 25.0


class Tracker:
    """Follows what matches the prompts through one sequence of pictures, in the caller's thread.

    Several trackers share one model when each but the first is made by `another`.
    """

    def __init__(
        self, prompts: str | Sequence[str], *, stream: str = "frames", **options: Unpack[EngineKeywords]
    ) -> None:
        """Load a model and begin.

        Args:
            prompts: one phrase or several; an object belongs to one of them.
            stream: id of the sequence, for `Frame.stream`.
            options: `model`, `device` and the others of `trackers.options.EngineOptions`.

        Raises:
            UsageError: an argument cannot be served.
            ModelError: the model cannot be loaded.
        """
        from trackers.engine import Engine

        self._begin(Engine(options_of(options)), prompts, stream)

    def another(self, prompts: str | Sequence[str], *, stream: str = "frames") -> Tracker:
        """Begin another sequence with the same model.

        Raises:
            UsageError: the model cannot read the prompts.
        """
        tracker = object.__new__(Tracker)
        tracker._begin(self._engine, prompts, stream)
        return tracker

    def _begin(self, engine: Engine, prompts: str | Sequence[str], stream: str) -> None:
        self._engine = engine
        self._tracked = engine.open_stream(listed(prompts))
        self._stages: Sequence[Stage] = ()  # as `Job.stages`
        self._stream = stream
        self._frames, self._pts = 0, -1 / FRAMES_PER_SECOND

    def update(self, image: Image, pts: float | None = None) -> list[Result]:
        """Track in the next picture.

        Args:
            image: ``(H, W, 3)`` uint8 RGB; it is copied. OpenCV's pictures are BGR: ``image[..., ::-1]``.
            pts: when it was taken, in seconds from any origin, later than the one before. None for 1/25 s later. How
                long an object may be lost is measured by it.

        Returns:
            The results that are now certain: the one of this picture, or with a `hot_start` that of an earlier one, or
            none yet.

        Raises:
            UsageError: it is no such picture, or its time is not finite, or not later.
            ModelError: the model failed.
        """
        from sources.picture import ArrayPicture

        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype != np.uint8:
            shape = "×".join(map(str, image.shape))  # noqa: RUF001
            raise UsageError(f"a picture is (H, W, 3) uint8 RGB, not {shape} {image.dtype}")
        pts = self._pts + 1 / FRAMES_PER_SECOND if pts is None else pts
        if self._frames and not pts > self._pts:
            raise UsageError(f"pts must increase: {pts} comes after {self._pts}")
        if not isfinite(pts):  # after which no other time would be later
            raise UsageError(f"pts is a finite number of seconds, not {pts}")
        picture = ArrayPicture(np.array(image, order="C"))
        frame = Frame(self._stream, self._frames, pts, datetime.now(UTC), picture)
        self._frames, self._pts = self._frames + 1, pts
        return self._staged(self._engine.step([self._tracked], [frame])[0])

    def set_prompts(self, prompts: str | Sequence[str]) -> list[Event]:
        """Look for something else from the next picture on; tracks of prompts that stay go on.

        Returns:
            The events of the tracks that end.

        Raises:
            UsageError: the model cannot read them; nothing is changed.
        """
        return self._engine.set_prompts(self._tracked, listed(prompts))

    def finish(self) -> list[Result]:
        """The results that a `hot_start` still holds back, after the last picture."""
        return self._staged(self._engine.close_stream(self._tracked))

    def _staged(self, results: Iterable[Result]) -> list[Result]:
        return list(staged(list(results), self._stages))
