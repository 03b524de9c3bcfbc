"""Recordings: segments, events, full disks, killed processes; with the real encoder and real files."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from maskcast.errors import UsageError
from maskcast.mask import Box
from maskcast.picture import Colour, Look
from maskcast.result import Event, EventKind, Result
from sinks.video import codec, recording
from sinks.video.recording import RecordingSink
from tests import processes
from tests.paths import ROOT
from tests.patience import eventually, eventually_async, patient, slowness
from tests.recordings import LIVE, at, files, noisy, read, seconds, settings, starts, still
from tests.sinks_media import PlanePicture, feed, frame, grey

needs_ffprobe = pytest.mark.skipif(
    not shutil.which("ffprobe"), reason="no ffprobe on this machine (apt install ffmpeg)"
)
needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")


def event(kind: EventKind = EventKind.STARTED) -> tuple[Event, ...]:
    return (Event(kind, 1, "person", 0.9, Box(1, 2, 3, 4)),)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@needs_ffprobe
async def test_segments_by_duration_begin_with_a_key_frame_at_zero_and_keep_the_spacing(tmp_path: Path) -> None:
    steps = [0.04, 0.07, 0.033, 0.2, 0.04]
    fed = list(itertools.accumulate([0.0, *steps * 20]))  # 7.66 s at a varying rate
    sink = RecordingSink(settings(tmp_path, segment_seconds=3), "test")
    await feed(sink, LIVE, at(fed))
    found = files(tmp_path)
    assert len(found) == sink.segments == 3
    assert sorted(entry.name for entry in (tmp_path / "test").iterdir()) == [path.name for path in found]
    read_back = []
    for path, start in zip(found, starts(tmp_path), strict=True):
        inside = read(path)
        assert inside[0] == 0
        read_back += [start + moment for moment in inside]
        command = ["ffprobe", "-v", "error", "-show_entries", "stream=nb_frames", "-of", "csv=p=0", str(path)]
        probed = subprocess.run(command, check=True, capture_output=True, text=True)
        assert probed.stderr == ""
        assert int(probed.stdout) == len(inside)  # an ordinary index
    assert read_back == pytest.approx(fed, abs=0.0015)  # names count milliseconds
    assert [end - start for start, end in itertools.pairwise(starts(tmp_path))] == pytest.approx([3, 3], abs=0.3)
    assert sink.bytes_written > 0
    assert not sink.recording
    assert not sink.failures


@pytest.mark.parametrize("ticks_a_second", [25, 1000, 90_000])
async def test_a_recording_lasts_as_long_as_the_stream_did_however_coarse_its_clock(
    tmp_path: Path, ticks_a_second: int
) -> None:
    """RTMP counts milliseconds, and MP4's muxer counts finer than it is told."""
    about = replace(LIVE, time_base=Fraction(1, ticks_a_second))
    await feed(RecordingSink(settings(tmp_path), "test"), about, at(seconds(2)))
    (path,) = files(tmp_path)
    assert read(path) == pytest.approx(seconds(2), abs=1e-3)


async def test_a_recording_is_shown_as_the_medium_wants_it(tmp_path: Path) -> None:
    about = replace(LIVE, look=Look(matrix=5, primaries=5, transfer=6, pixel_aspect=Fraction(4, 3)))
    await feed(
        RecordingSink(settings(tmp_path), "test"), about, (shown_as(one, Colour("bt601")) for one in at(seconds(1)))
    )
    with av.open(str(files(tmp_path)[0])) as container:
        coded = container.streams.video[0].codec_context
        assert coded.sample_aspect_ratio == Fraction(4, 3)
        assert (coded.colorspace, coded.color_primaries, coded.color_trc, coded.color_range) == (5, 5, 6, 1)


def shown_as(result: Result, colour: Colour) -> Result:
    picture = PlanePicture(result.frame.picture.yuv420p(), colour)
    return replace(result, frame=replace(result.frame, picture=picture))


async def test_segments_by_size(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, segment_bytes=100_000, segment_seconds=60), "test")
    await feed(sink, LIVE, at(seconds(20), noisy))
    sizes = [path.stat().st_size for path in files(tmp_path)]
    assert len(sizes) > 2
    assert all(100_000 <= size < 220_000 for size in sizes[:-1])
    assert sum(len(read(path)) for path in files(tmp_path)) == 500


async def test_a_camera_that_was_away_begins_a_new_file(tmp_path: Path) -> None:
    await feed(
        RecordingSink(settings(tmp_path), "test"), LIVE, at([*seconds(1), *seconds(1, start=4), *seconds(1, start=60)])
    )
    assert starts(tmp_path) == [0, 60]
    first, second = map(read, files(tmp_path))
    assert first == pytest.approx([*seconds(1), *seconds(1, start=4)], abs=1e-3)
    assert second == pytest.approx(seconds(1), abs=1e-3)


async def test_a_slow_stream_is_not_cut_into_single_frames(tmp_path: Path) -> None:
    await feed(RecordingSink(settings(tmp_path), "test"), LIVE, at(range(0, 80, 8)))
    assert [len(read(path)) for path in files(tmp_path)] == [1, 9]  # only the first step is a surprise


async def test_a_change_of_size_begins_a_new_file_of_that_size(tmp_path: Path) -> None:
    frames = [frame(index, grey(48, 64) if index < 10 else grey(33, 47), index / 25) for index in range(20)]
    await feed(RecordingSink(settings(tmp_path), "test"), LIVE, (Result(one) for one in frames))
    sizes = []
    for path in files(tmp_path):
        assert len(read(path)) == 10
        with av.open(str(path)) as container:
            sizes.append((container.streams.video[0].width, container.streams.video[0].height))
    assert sizes == [(64, 48), (48, 34)]


async def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    for _ in range(3):
        await feed(RecordingSink(settings(tmp_path), "test"), LIVE, at(seconds(0.2)))
    name = "2026-01-01T000000.000Z"
    assert [path.name for path in files(tmp_path)] == [f"{name}.mp4", f"{name}-1.mp4", f"{name}-2.mp4"]


@pytest.mark.parametrize("stream", ["", ".", "..", "../door", "a/b", "a\\b", "a\0b", "a\nb"])
def test_a_stream_cannot_leave_its_folder(tmp_path: Path, stream: str) -> None:
    with pytest.raises(UsageError, match="cannot name a file"):
        RecordingSink(settings(tmp_path), stream)


def with_events(moments: dict[float, EventKind], count: float, rate: int = 25) -> Iterator[Result]:
    for one in at(seconds(count, rate)):
        kinds = [kind for moment, kind in moments.items() if abs(moment - one.frame.pts) < 0.5 / rate]
        yield replace(one, events=event(kinds[0])) if kinds else one


def spans(folder: Path) -> list[tuple[float, float]]:
    return [(start, start + read(path)[-1]) for start, path in zip(starts(folder), files(folder), strict=True)]


async def test_events_record_the_seconds_before_and_after_them(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, when="events", before=3, after=2), "test")
    await feed(sink, LIVE, with_events({10: EventKind.STARTED, 30: EventKind.RECOVERED}, 40))
    (first, first_end), (second, second_end) = spans(tmp_path)
    assert 7 - recording.KEY_SECONDS <= first <= 7
    assert first_end == pytest.approx(12, abs=0.05)
    assert 27 - recording.KEY_SECONDS <= second <= 27
    assert second_end == pytest.approx(32, abs=0.05)


async def test_without_an_event_or_for_its_end_nothing_is_written(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, when="events"), "test")
    await feed(sink, LIVE, with_events({2: EventKind.LOST, 4: EventKind.ENDED}, 20))
    assert list((tmp_path / "test").iterdir()) == []
    assert sink.segments == sink.bytes_written == 0


async def test_events_whose_seconds_overlap_become_one_recording_without_a_hole(tmp_path: Path) -> None:
    moments = {
        10: EventKind.STARTED,
        11.6: EventKind.STARTED,
        16.2: EventKind.RECOVERED,
    }  # 7 to 12, 8.6 to 13.6, 13.2 to 18.2
    sink = RecordingSink(settings(tmp_path, when="events", before=3, after=2), "test")
    await feed(sink, LIVE, with_events(moments, 30))
    ((start, end),) = spans(tmp_path)
    assert 5 <= start <= 7
    assert end == pytest.approx(18.2, abs=0.05)
    inside = read(files(tmp_path)[0])
    assert inside == pytest.approx([index / 25 for index in range(len(inside))], abs=1e-3)


async def test_a_long_event_is_split_by_the_limits_of_a_segment(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, when="events", before=2, after=12, segment_seconds=4), "test")
    await feed(sink, LIVE, with_events({6: EventKind.STARTED}, 30))
    found = spans(tmp_path)
    assert [round(start) for start, _ in found] == [4, 8, 12, 16]
    assert found[-1][1] == pytest.approx(18, abs=0.05)
    assert all(
        next_start - end == pytest.approx(0.04, abs=1e-3) for (_, end), (next_start, _) in itertools.pairwise(found)
    )


async def test_an_event_in_a_frame_that_was_dropped_records_too(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, when="events", before=1, after=1), "test")

    await sink.start(LIVE)
    for one in at(seconds(10)):
        if one.frame.pts == 5:
            await sink.note(replace(one, events=event()))
        else:
            await sink.write(one)
    await sink.note(replace(one, events=event()))  # at the very end, with no frame after it
    await sink.finish(None)
    (first, first_end), (second, second_end) = spans(tmp_path)
    assert first <= 4
    assert first_end == pytest.approx(6, abs=0.05)
    assert second <= 9
    assert second_end == pytest.approx(9.96, abs=0.01)


async def test_an_event_after_a_gap_does_not_record_what_was_before_it(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, when="events", before=3, after=2), "test")
    fed = at([*seconds(7), *seconds(7, start=100)])
    await feed(sink, LIVE, (replace(one, events=event() if one.frame.pts == 101 else ()) for one in fed))
    assert spans(tmp_path) == [(100, pytest.approx(103, abs=0.05))]


async def test_a_stream_that_comes_back_before_its_old_sink_is_done_leaves_its_file_alone(tmp_path: Path) -> None:
    """As after a reload of the settings."""

    old, new = (RecordingSink(settings(tmp_path), "test") for _ in range(2))
    await old.start(LIVE)
    for one in at(seconds(3), noisy):
        await old.write(one)
    await new.start(LIVE)
    for one in at(seconds(2, start=3), noisy):
        await old.write(one)
        await new.write(one)
    await old.finish("changed")
    await new.finish(None)
    assert not old.failures + new.failures
    assert [len(read(path)) for path in files(tmp_path)] == [125, 50]


async def test_a_silent_camera_leaves_a_finished_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "GAP_SECONDS", 0.3 * slowness())
    sink = RecordingSink(settings(tmp_path), "test")

    await sink.start(LIVE)
    for one in at(seconds(1)):
        await sink.write(one)
    assert sink.recording
    await eventually_async(lambda: not sink.recording and files(tmp_path))
    assert len(read(files(tmp_path)[0])) == 25
    for one in at(seconds(1, start=3)):
        await sink.write(one)
    await sink.finish(None)
    assert starts(tmp_path) == [0, 3]
    assert not sink.failures


FORK_SERVER = """
import asyncio, os, sys, itertools
from pathlib import Path
from sinks.video.recording import RecordingSink
from tests.sinks_media import feed
from tests.recordings import LIVE, at, noisy, settings
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sink = RecordingSink(settings(Path(line.strip()), segment_seconds=2), "test")
        asyncio.run(feed(sink, LIVE, at((index / 25 for index in itertools.count()), noisy)))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


async def test_ten_kills_at_random_points_leave_no_unreadable_file(tmp_path: Path) -> None:
    folder, chance = tmp_path / "test", random.Random(5)
    partial_seen = 0
    command, pipes = [sys.executable, "-c", FORK_SERVER], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with processes.running(command, cwd=ROOT, text=True, **pipes) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for _ in range(10):
            before = len(list(folder.glob("*"))) if folder.exists() else 0
            print(tmp_path, file=server.stdin, flush=True)
            child = int(server.stdout.readline())
            try:
                eventually(lambda before=before: folder.exists() and len(list(folder.glob("*"))) > before)
                time.sleep(chance.uniform(0, 0.4))
            finally:
                os.kill(child, signal.SIGKILL)
            assert server.stdout.readline() == "dead\n"
            for part in folder.glob("*.partial.mp4"):
                if b"mdat" in part.read_bytes():  # its first fragment is there
                    partial_seen += 1
                    with av.open(str(part)) as container:
                        assert next(container.decode(video=0)).width == 64
    await feed(RecordingSink(settings(tmp_path), "test"), LIVE, iter(()))
    assert partial_seen
    assert not list(folder.glob("*.partial.mp4"))
    found = list(folder.iterdir())
    assert len(found) >= 10
    for path in found:
        inside = read(path)
        assert inside == pytest.approx([index / 25 for index in range(len(inside))], abs=1e-3)
        assert inside


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        gc.collect()
        subprocess.run(["umount", str(folder)], check=True)


@needs_mount
@pytest.mark.parametrize("when", ["always", "events"])
async def test_a_full_disk_stops_recording_not_the_stream_and_recording_resumes(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.5 * slowness())  # longer than the last bytes of the disk last
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1_800_000))
    sink = RecordingSink(settings(small_disk, when=when, segment_seconds=4, after=1000), "test")
    fed = 0

    async def endless() -> None:
        nonlocal fed
        await sink.start(LIVE)
        results = at((index / 25 for index in itertools.count()), noisy)
        deadline = time.monotonic() + patient(60)

        async def until(condition: Callable[[], Any]) -> None:
            nonlocal fed
            while not condition():
                assert time.monotonic() < deadline
                await sink.write(replace(next(results), events=event() if fed == 10 else ()))
                fed += 1
                await asyncio.sleep(0.001)

        await until(lambda: sink.failures >= 3)
        assert all(read(path) for path in files(small_disk))
        assert [record.levelname for record in caplog.records if "recording has stopped" in record.message] == ["ERROR"]
        filler.unlink()
        before = sink.segments
        await until(lambda: sink.segments >= before + 2 and "recording again" in caplog.text)
        await sink.finish(None)

    descriptors = open_files()
    await endless()
    gc.collect()
    assert open_files() <= descriptors + 1
    assert "No space left on device" in caplog.text
    assert "recording again" in caplog.text
    assert not list(small_disk.glob("test/*.partial.mp4"))
    for path in files(small_disk):
        assert read(path)


@needs_mount
async def test_room_is_made_or_recording_stops_before_the_disk_is_full(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.0)
    own = {"segment_seconds": 2, "min_free_bytes": 1_000_000}
    sink = RecordingSink(settings(small_disk, keep_files=1000, **own), "test")
    await feed(sink, LIVE, at(seconds(100), noisy))  # some 3 MB
    assert not sink.failures
    assert sink.segments == 50
    assert shutil.disk_usage(small_disk).free > 900_000
    assert starts(small_disk)[-1] == 98
    keeping_all = RecordingSink(settings(small_disk, **own), "test")
    monkeypatch.setattr(recording, "RETRY_SECONDS", 1000.0)
    kept = len(files(small_disk))
    await feed(keeping_all, LIVE, at(seconds(100, start=1000), noisy))
    assert keeping_all.failures == 1
    assert "the disk is full (" in caplog.text
    assert shutil.disk_usage(small_disk).free > 850_000
    assert kept <= len(files(small_disk)) < kept + 10


async def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.0)
    (tmp_path / "disk").write_bytes(b"not mounted yet")
    sink = RecordingSink(settings(tmp_path / "disk"), "test")

    def mounted_later() -> Iterator[Result]:
        for one in at(seconds(2)):
            if one.frame.pts == 1:
                assert sink.failures > 1
                (tmp_path / "disk").unlink()
            yield one

    await feed(sink, LIVE, mounted_later())
    (path,) = files(tmp_path / "disk")
    assert len(read(path)) in {25, 26}


@pytest.mark.skipif(codec.works("h264_nvenc", 320, 180), reason="the hardware encoder opens on this machine")
@pytest.mark.skipif("h264_nvenc" not in av.codecs_available, reason="FFmpeg is built without NVENC")
async def test_a_hardware_encoder_that_is_lost_gives_way_to_software(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(codec, "works", lambda name, *_: name == "h264_nvenc")
    sink = RecordingSink(settings(tmp_path, codec="h264"), "test")
    await feed(sink, LIVE, at(seconds(1)))
    assert "h264_nvenc failed" in caplog.text
    assert [len(read(path)) for path in files(tmp_path)] == [25]
    assert not sink.failures


async def test_anything_that_fails_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.0)
    real = recording.render

    def fail(result: Result, *size: int) -> av.VideoFrame:
        if 50 <= result.frame.index < 60:
            raise KeyError("unforeseen")
        return real(result, *size)

    monkeypatch.setattr(recording, "render", fail)
    sink = RecordingSink(settings(tmp_path), "test")
    await feed(sink, LIVE, at(seconds(4)))
    assert [len(read(path)) for path in files(tmp_path)] == [49, 40]  # the encoder held one when it was given up
    assert sink.failures == 10
    assert caplog.text.count("recording has stopped: 'unforeseen'") == 1


async def test_an_unknown_codec_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no video encoder is called 'mpeg-99'"):
        await feed(RecordingSink(settings(tmp_path, codec="mpeg-99"), "test"), LIVE, iter(()))


def native_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
async def test_memory_files_and_threads_stay_flat_over_hundreds_of_segments_and_encoders(tmp_path: Path) -> None:
    sink = RecordingSink(settings(tmp_path, segment_seconds=0.2, keep_files=3), "test")
    measured = []

    await sink.start(LIVE)
    now, index = 0.0, 0
    while sink.segments < 300:
        now += 0.04 if index % 25 else 10  # every 25th frame a new encoder
        index += 1
        await sink.write(Result(frame(index, still(index), now)))
        if sink.segments in {100, 300} and len(measured) < sink.segments / 150:
            gc.collect()
            measured.append((resident(), open_files(), threading.active_count(), native_threads()))
    await sink.finish(None)
    (memory, *others), (memory_later, *others_later) = measured
    assert others_later == others
    assert memory_later - memory < 3_000_000
    assert len(files(tmp_path)) == 3
    assert not sink.failures
