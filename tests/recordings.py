"""A stream that is recorded: small pictures at the times that a test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskcast.picture import Planes
from maskcast.result import Result
from sinks.video.recording_settings import RecordingSettings
from tests.sinks_media import frame, grey, info, tracks

LIVE = info(64, 48, live=True)


NOISE = np.random.default_rng(0).integers(0, 256, (400, 48, 64), np.uint8)


def settings(folder: Path, **other: Any) -> RecordingSettings:
    """Below the limits of what a user may choose, so that a few pictures are enough."""
    return RecordingSettings.model_construct(folder=folder, **{"codec": "libx264", "min_free_bytes": 0, **other})


def still(index: int) -> Planes:
    return grey(48, 64)


def noisy(index: int) -> Planes:
    """A picture that takes some kilobytes."""
    return grey(48, 64)._replace(y=NOISE[index % len(NOISE)])


def at(times: Iterable[float], planes: Callable[[int], Planes] = still) -> Iterator[Result]:
    for index, pts in enumerate(times):
        yield Result(frame(index, planes(index), pts), tracks((48, 64), index, 1))
