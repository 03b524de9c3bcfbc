"""Audio that is broken, odd or repeated costs at most itself, never the annotated video."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from sinks import open_sink
from sinks.audio import AudioTracks
from sources import audio
from streaming.types import Result
from tests.sinks_media import clip, decode, ffmpeg, hashes, probe, results, run, times

pytestmark = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="no ffmpeg on this machine (apt install ffmpeg)"
)
AAC = ("-c:a", "aac", "-b:a", "64k")


def steady(source: Path) -> tuple[Any, Iterator[Result]]:
    """What a source makes of a file whose times jump: frames at a steady rate."""
    about, frames = decode(source)
    return about, results(replace(one, pts=one.index / 25) for one in frames)


def plays(path: Path) -> bool:
    command = ["ffmpeg", "-v", "error", "-xerror", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, check=False).returncode == 0


def test_a_track_that_cannot_be_read_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = clip(tmp_path / "odd.mp4", seconds=1, audio=AAC)
    source.write_bytes(source.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    about, frames = decode(source)
    run(open_sink(str(tmp_path / "out.mp4"), preset="ultrafast"), about, results(frames))
    assert [stream["codec_type"] for stream in probe(tmp_path / "out.mp4", "-show_streams")["streams"]] == ["video"]
    assert len(times(tmp_path / "out.mp4")) == 25
    assert "left out" in caplog.text


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_jump_back_is_a_new_beginning(tmp_path: Path, suffix: str) -> None:
    one, source = tmp_path / "one.ts", tmp_path / "both.ts"
    clip(one, audio=AAC)
    source.write_bytes(one.read_bytes() * 2)
    about, frames = steady(source)
    target = tmp_path / f"out.{suffix}"
    run(open_sink(str(target), preset=None if suffix == "webm" else "ultrafast"), about, frames)
    assert len(times(target)) == 100
    sound = times(target, "a")
    steps = [after - before for before, after in itertools.pairwise(sound)]
    assert 0 < min(steps) <= max(steps) < 0.1
    assert sound[-1] == pytest.approx(4, abs=0.15)
    assert plays(target)


def test_packets_out_of_order_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half begins half a second before the end of the first."""
    monkeypatch.setattr(audio, "NEW_BEGINNING", 10)
    one, source = tmp_path / "one.ts", tmp_path / "both.ts"
    clip(one, audio=AAC)
    late = tmp_path / "late.ts"
    ffmpeg("-i", str(one), "-c", "copy", "-output_ts_offset", "1.5", str(late))
    source.write_bytes(one.read_bytes() + late.read_bytes())
    for suffix in ("mp4", "webm"):
        about, frames = steady(source)
        target = tmp_path / f"out.{suffix}"
        run(open_sink(str(target), preset=None if suffix == "webm" else "ultrafast"), about, frames)
        sound = times(target, "a")
        assert sound == sorted(set(sound))
        assert sound[-1] == pytest.approx(3.5, abs=0.15)
        assert plays(target)


def test_errors_are_logged_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(5, "Input/output error", "http://cam:hunter2@host/x.ts")

    about, frames = decode(clip(tmp_path / "in.mp4", seconds=1, audio=AAC))
    frames.close()  # type: ignore[attr-defined]
    monkeypatch.setattr(AudioTracks, "_add", fail)
    with av.open(str(tmp_path / "out.mp4"), "w") as output:
        AudioTracks(about.audio, output, ".mp4")
    assert "left out" in caplog.text
    assert "http://host" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("suffixes", [("mp4", "mov"), ("webm", "webm")])
def test_several_videos_get_the_audio_of_one_reading(tmp_path: Path, suffixes: tuple[str, str]) -> None:
    """Copied and transcoded ones; the second is a frame behind, as outputs of different speed are."""
    about, frames = decode(clip(tmp_path / "in.mp4", seconds=1, audio=AAC))
    targets = [tmp_path / f"{number}.{suffix}" for number, suffix in enumerate(suffixes)]
    sinks = [open_sink(str(target)) for target in targets]
    alone = tmp_path / f"alone.{suffixes[0]}"
    kept = list(results(frames))

    async def both() -> None:
        for sink in sinks:
            await sink.start(about)
        for before, after in zip([None, *kept], [*kept, None], strict=True):
            for sink, result in zip(sinks, (after, before), strict=True):
                if result is not None:
                    await sink.write(result)
        for sink in sinks:
            await sink.finish(None)

    asyncio.run(both())
    again, frames = decode(tmp_path / "in.mp4")
    run(open_sink(str(alone)), again, results(frames))
    for target in targets:
        assert times(target, "a") == times(alone, "a")
        assert hashes(target) == hashes(alone)


def test_audio_without_pictures_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audio, "MOST_WAITING_BYTES", 5000)
    clip(tmp_path / "short.mp4", seconds=0.2)
    ffmpeg(
        *["-i", str(tmp_path / "short.mp4"), "-f", "lavfi", "-i", "sine=d=5", "-map", "0:v", "-map", "1:a"],
        *["-c:v", "copy", *AAC, str(tmp_path / "in.mp4")],
    )
    about, frames = decode(tmp_path / "in.mp4")
    kept = list(frames)
    assert [one.last for one in kept] == [False] * 4 + [True]
    assert 0 < max(sum(packet.coded().size for packet in one.audio) for one in kept) <= 5000
    assert caplog.text.count("too much of it") == 1
    run(open_sink(str(tmp_path / "out.mp4"), preset="ultrafast"), about, results(kept))
    assert plays(tmp_path / "out.mp4")
