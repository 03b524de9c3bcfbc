"""Decoded frames, moving masks and small real clips for the tests of the sinks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from maskcast.frame import Frame
from maskcast.mask import Box, Mask
from maskcast.picture import Colour, Image, Planes
from maskcast.result import Event, EventKind, Result, Track, TrackState
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from sources import open_source
from tests.frames import START


class PlanePicture:
    """A picture that is its 4:2:0 planes."""

    def __init__(self, planes: Planes, colour: Colour | None = None) -> None:
        self._planes = planes
        self.colour = colour or Colour()
        self.height, self.width = planes.y.shape

    def rgb(self) -> Image:
        raise NotImplementedError

    def yuv420p(self) -> Planes:
        return self._planes


def grey(height: int, width: int, level: int = 90) -> Planes:
    half = ((height + 1) // 2, (width + 1) // 2)
    return Planes(np.full((height, width), level, np.uint8), np.full(half, 110, np.uint8), np.full(half, 140, np.uint8))


def frame(index: int, planes: Planes, pts: float | None = None, stream: str = "test") -> Frame:
    pts = index / 25 if pts is None else pts
    return Frame(stream, index, pts, START + timedelta(seconds=pts), PlanePicture(planes))


def info(width: int = 320, height: int = 180, **other: Any) -> StreamInfo:
    fields = {"stream": "test", "time_base": Fraction(1, 12800), "frame_rate": Fraction(25)} | other
    return StreamInfo(width=width, height=height, **fields)


def decode(path: Path, *, audio: bool = True) -> tuple[StreamInfo, Iterator[Frame]]:
    """A video file as its source gives it, with or without its audio tracks."""
    source = open_source(str(path), stream="test")

    def frames() -> Iterator[Frame]:
        with closing(source):
            yield from source

    return source.info if audio else replace(source.info, audio=()), frames()


def ellipse(size: tuple[int, int], centre: tuple[int, int], axes: tuple[int, int], angle: float = 0) -> Mask:
    array = np.zeros(size, np.uint8)
    cv2.ellipse(array, centre, axes, angle, 0, 360, 1, -1)
    return Mask.from_array(array.astype(np.bool_), size)


def tracks(size: tuple[int, int], index: int, count: int = 3) -> tuple[Track, ...]:
    """Masks that move; the last one is tentative."""
    height, width = size
    axes = (max(1, width // 12), max(1, height // 6))
    return tuple(
        Track(
            number + 1,
            "person" if number % 2 == 0 else "red car",
            TrackState.TENTATIVE if number == count - 1 else TrackState.CONFIRMED,
            0.5 + 0.4 * number / count,
            ellipse(size, ((width * number // count + 7 * index) % width, height // 2), axes, 20 * number),
        )
        for number in range(count)
    )


def results(frames: Iterable[Frame], count: int = 3) -> Iterator[Result]:
    for one in frames:
        size = (one.picture.height, one.picture.width)
        events = (Event(EventKind.STARTED, 1, "person", 0.9, Box(1, 2, 3, 4)),) if one.index == 0 else ()
        yield Result(one, tracks(size, one.index, count), events)


def stream(count: int = 5) -> Iterator[Result]:
    """The results of a short stream."""
    return results(frame(index, grey(180, 320)) for index in range(count))


async def feed(sink: Sink, about: StreamInfo, frames: Iterable[Result], reason: str | None = None) -> None:
    """Drive a sink as the pipeline does."""
    try:
        await sink.start(about)
        for result in frames:
            await sink.write(result)
    except Exception as error:
        await sink.finish(str(error))
        raise
    await sink.finish(reason)


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-nostdin", *arguments], check=True)


def probe(path: Path, *show: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", *show, str(path)]
    return cast("dict[str, Any]", json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def times(path: Path, kind: str = "v") -> list[float]:
    """Presentation times of the packets of the first stream of a kind, in order."""
    packets = probe(path, "-select_streams", f"{kind}:0", "-show_entries", "packet=pts_time")["packets"]
    return sorted(float(packet["pts_time"]) for packet in packets)


def hashes(path: Path, kind: str = "a") -> list[str]:
    """Hashes of the packets' bytes."""
    packets = probe(
        path, "-select_streams", f"{kind}:0", "-show_data_hash", "md5", "-show_entries", "packet=data_hash"
    )["packets"]
    return [packet["data_hash"] for packet in packets]


def clip(
    path: Path, *, seconds: float = 2, size: str = "320x180", audio: Sequence[str] = (), more: Sequence[str] = ()
) -> Path:
    """A small real video by FFmpeg; `audio` are the options of its audio encoder, none for a silent one."""
    video = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}"]
    sound = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}", *audio] if audio else []
    ffmpeg(*video, *sound, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *more, str(path))
    return path
