"""A stream that is recorded, small pictures at the times that a test sets; and what is in the files of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import numpy as np

from maskcast.picture import Planes
from maskcast.result import Result
from sinks.video.recording import RecordingSink
from sinks.video.recording_settings import RecordingSettings
from sinks.video.retention import recordings
from tests.frames import START
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


def seconds(count: float, rate: int = 25, start: float = 0) -> list[float]:
    return [start + index / rate for index in range(round(count * rate))]


def files(folder: Path, stream: str = "test") -> list[Path]:
    return [one.path for one in recordings(folder / stream)]


def read(path: Path) -> list[float]:
    """Times of the pictures, each decoded."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert next(packet for packet in container.demux(video) if packet.size).is_keyframe
        container.seek(0)
        return [one.time for one in container.decode(video)]


def starts(folder: Path) -> list[float]:
    """When each file begins, in seconds of the stream, out of its name."""
    names = [path.name.removesuffix(".mp4") for path in files(folder)]
    return [(datetime.strptime(name, "%Y-%m-%dT%H%M%S.%f%z") - START).total_seconds() for name in names]


async def record(folder: Path, times: list[float], stream: str = "door", **other: Any) -> RecordingSink:
    """Record pictures at these times after `START`; the last file is left open."""
    sink = RecordingSink(settings(folder, when="always", keep_files=100, **other), stream)
    await sink.start(LIVE)
    for result in at(times):
        await sink.note(result)
        await sink.write(result)
    return sink
