"""What is hidden is hidden in what is encoded: in files, segments and stills, in every frame, in every size."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from maskcast.errors import SinkError
from maskcast.mask import Mask
from maskcast.picture import Image, Planes
from maskcast.result import Event, EventKind, Result, Track, TrackState
from maskcast.stream_info import StreamInfo
from sinks import open_sink
from sinks.sink import Sink
from sinks.video.recording import RecordingSink
from sinks.video.still import StillSink
from sinks.video.style import Style, Styles
from streaming.lost_tracks import LostTracks
from tests.recordings import files, settings
from tests.sinks_media import ellipse, feed, frame, info

SIZE = (180, 320)
HIDING: tuple[Style, ...] = ("blur", "pixelate", "fill")
# The means of some cells are a little like what they are the means of: at most so much, where the scene itself is 0.9.
MEANS_ALONE = 0.35
BLUR = Styles("blur")


def scene(height: int, width: int) -> Planes:
    """Blots of some pixels, which an encoder keeps."""
    random = np.random.default_rng(0)
    blots = random.integers(40, 216, (max(2, height // 4), max(2, width // 4)), np.uint8)
    half = ((height + 1) // 2, (width + 1) // 2)
    luma = cv2.resize(blots, (width, height), interpolation=cv2.INTER_LINEAR)
    return Planes(luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8))


def walk(index: int, state: TrackState = TrackState.CONFIRMED, size: tuple[int, int] = SIZE) -> Track:
    """A person at an odd place."""
    height, width = size
    return Track(1, "person", state, 0.9, ellipse(size, (width // 3 + 3 * index, height // 2 + 1), (25, 41)))


def shown(picture: Image, mask: Mask) -> float:
    """How like the scene a part of a picture is, from -1 to 1."""
    height, width = mask.size
    full = mask.full()
    before, after = scene(height, width).y[full].astype(float), picture[:height, :width][full].astype(float)
    return float(np.corrcoef(before, after)[0, 1]) if after.std() else 0.0


def decoded(path: Path) -> Iterator[Image]:
    with av.open(str(path)) as container:
        for one in container.decode(video=0):
            yield one.to_ndarray(format="gray")


async def written(
    path: Path, results: list[Result], style: Style = "blur", about: StreamInfo | None = None
) -> list[Image]:
    sink = open_sink(str(path), quality=8, preset="ultrafast", styles=Styles(style))
    await feed(sink, about or info(320, 180), results)
    return list(decoded(path))


@pytest.mark.parametrize("style", HIDING)
async def test_a_walker_is_unreadable_in_every_decoded_frame_and_the_rest_is_there(
    tmp_path: Path, style: Style
) -> None:
    results = [Result(frame(index, scene(*SIZE)), (walk(index),)) for index in range(8)]
    outlined = await written(tmp_path / "outline.mp4", results, "outline")
    hidden = await written(tmp_path / "hidden.mp4", results, style)
    away = ellipse(SIZE, (270, 130), (30, 30))
    assert len(hidden) == 8
    for index, (plain, picture) in enumerate(zip(outlined, hidden, strict=True)):
        inner = ellipse(SIZE, (106 + 3 * index, 91), (20, 36))  # within the contour
        assert shown(plain, inner) > 0.9
        assert abs(shown(picture, walk(index).mask)) < MEANS_ALONE
        assert shown(picture, away) > 0.9


async def test_a_lost_and_a_tentative_object_are_hidden_until_they_end(tmp_path: Path) -> None:
    stage = LostTracks(lost_after=0.2)  # five frames
    tracks = {0: (walk(0, TrackState.TENTATIVE),), 1: (walk(0),)}
    results = [stage.apply(Result(frame(index, scene(*SIZE)), tracks.get(index, ()))) for index in range(9)]
    pictures = await written(tmp_path / "out.mp4", results)
    seen = [shown(picture, walk(0).mask) for picture in pictures]
    assert all(abs(one) < MEANS_ALONE for one in seen[:7])
    assert all(one > 0.9 for one in seen[7:])


async def test_a_frame_of_another_size_is_hidden_before_it_is_scaled(tmp_path: Path) -> None:
    odd = (181, 101)  # upright, beside bars
    frames = [frame(0, scene(*SIZE)), frame(1, scene(*odd))]
    results = [Result(frames[0], (walk(0),)), Result(frames[1], (walk(0, size=odd),))]
    outlined = (await written(tmp_path / "outline.mp4", results, "outline"))[1]
    hidden = (await written(tmp_path / "hidden.mp4", results))[1]
    left = (320 - 100) // 2
    parts = [cv2.resize(picture[:, left : left + 100], odd[::-1]) for picture in (outlined, hidden)]
    inner = ellipse(odd, (33, 91), (16, 32))
    assert shown(parts[0], inner) > 0.6
    assert abs(shown(parts[1], walk(0, size=odd).mask)) < MEANS_ALONE


async def test_a_mask_of_another_size_ends_the_sink_before_its_frame_is_written(tmp_path: Path) -> None:
    wrong = ellipse((90, 160), (50, 40), (9, 9))
    results = [Result(frame(index, scene(*SIZE)), (walk(index),)) for index in range(3)]
    bad = replace(results[1], tracks=(replace(walk(1), mask=wrong),))
    with pytest.raises(SinkError, match="the mask of track 1 is of"):
        await written(tmp_path / "out.mp4", [results[0], bad, results[2]])
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.skipif(not shutil.which("ffprobe"), reason="no ffprobe on this machine (apt install ffmpeg)")
async def test_the_seconds_that_a_recording_keeps_before_an_event_are_hidden(tmp_path: Path) -> None:
    started = (Event(EventKind.STARTED, 1, "person", 0.9, walk(0).mask.bbox),)
    results = [
        Result(
            frame(index, scene(*SIZE)),
            (walk(index % 5, TrackState.TENTATIVE if index < 10 else TrackState.CONFIRMED),),
            started if index == 10 else (),
        )
        for index in range(20)
    ]
    sink: Sink = RecordingSink(settings(tmp_path, when="events", before=5, after=5, quality=8), "test", BLUR)
    await feed(sink, info(320, 180, live=True), results)
    pictures = [picture for path in files(tmp_path) for picture in decoded(path)]
    assert len(pictures) == 20
    for index, picture in enumerate(pictures):
        assert abs(shown(picture, walk(index % 5).mask)) < MEANS_ALONE


async def test_a_still_is_hidden_also_when_it_is_repeated() -> None:
    taken: list[bytes] = []

    async def publish(jpeg: bytes) -> None:
        taken.append(jpeg)

    sink = StillSink(publish, on_events=False, styles=BLUR)
    await sink.start(info(320, 180))
    sink.ask()
    await sink.write(Result(frame(0, scene(*SIZE)), (), (), (replace(walk(0), state=TrackState.LOST),)))
    assert await sink.repeat()
    for jpeg in taken:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert abs(shown(picture, walk(0).mask)) < MEANS_ALONE
        assert shown(picture, ellipse(SIZE, (270, 130), (30, 30))) > 0.9
    assert len(taken) == 2
