"""Audio that is broken, odd or repeated costs at most itself, never the annotated video."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition

from maskcast.result import Result
from sinks import open_sink
from sinks.sink import BlockingSink
from sinks.video import audio as sinks_audio
from sinks.video import audio_track
from sinks.video.audio import AudioTracks
from sinks.video.container import CONTAINERS
from sources import audio
from tests.sinks_media import clip, decode, feed, ffmpeg, hashes, probe, results, times

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


async def test_a_track_that_cannot_be_read_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = clip(tmp_path / "odd.mp4", seconds=1, audio=AAC)
    source.write_bytes(source.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    about, frames = decode(source)
    await feed(open_sink(str(tmp_path / "out.mp4"), preset="ultrafast"), about, results(frames))
    assert [stream["codec_type"] for stream in probe(tmp_path / "out.mp4", "-show_streams")["streams"]] == ["video"]
    assert len(times(tmp_path / "out.mp4")) == 25
    assert "left out" in caplog.text


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
async def test_a_jump_back_is_a_new_beginning(tmp_path: Path, suffix: str) -> None:
    one, source = tmp_path / "one.ts", tmp_path / "both.ts"
    clip(one, audio=AAC)
    source.write_bytes(one.read_bytes() * 2)
    about, frames = steady(source)
    target = tmp_path / f"out.{suffix}"
    await feed(open_sink(str(target), preset=None if suffix == "webm" else "ultrafast"), about, frames)
    assert len(times(target)) == 100
    sound = times(target, "a")
    steps = [after - before for before, after in itertools.pairwise(sound)]
    assert 0 < min(steps) <= max(steps) < 0.1
    assert sound[-1] == pytest.approx(4, abs=0.15)
    assert plays(target)


async def test_packets_out_of_order_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half begins half a second before the end of the first."""
    monkeypatch.setattr(audio, "NEW_BEGINNING_SECONDS", 10)
    one, source = tmp_path / "one.ts", tmp_path / "both.ts"
    clip(one, audio=AAC)
    late = tmp_path / "late.ts"
    ffmpeg("-i", str(one), "-c", "copy", "-output_ts_offset", "1.5", str(late))
    source.write_bytes(one.read_bytes() + late.read_bytes())
    for suffix in ("mp4", "webm"):
        about, frames = steady(source)
        target = tmp_path / f"out.{suffix}"
        await feed(open_sink(str(target), preset=None if suffix == "webm" else "ultrafast"), about, frames)
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
    monkeypatch.setattr(audio_track, "_Copied", fail)
    with av.open(str(tmp_path / "out.mp4"), "w") as output:
        AudioTracks(about.audio, output, CONTAINERS[".mp4"])
    assert "left out" in caplog.text
    assert "http://host" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("suffixes", [("mp4", "mov"), ("webm", "webm")])
async def test_several_videos_get_the_audio_of_one_reading(tmp_path: Path, suffixes: tuple[str, str]) -> None:
    """Copied and transcoded ones; the second is a frame behind, as outputs of different speed are."""
    about, frames = decode(clip(tmp_path / "in.mp4", seconds=1, audio=AAC))
    targets = [tmp_path / f"{number}.{suffix}" for number, suffix in enumerate(suffixes)]
    sinks = [open_sink(str(target)) for target in targets]
    alone = tmp_path / f"alone.{suffixes[0]}"
    kept = list(results(frames))

    for sink in sinks:
        await sink.start(about)
    for before, after in zip([None, *kept], [*kept, None], strict=True):
        for sink, result in zip(sinks, (after, before), strict=True):
            if result is not None:
                await sink.write(result)
    for sink in sinks:
        await sink.finish(None)
    again, frames = decode(tmp_path / "in.mp4")
    await feed(open_sink(str(alone)), again, results(frames))
    for target in targets:
        assert times(target, "a") == times(alone, "a")
        assert hashes(target) == hashes(alone)


async def test_audio_without_pictures_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audio, "MOST_WAITING_BYTES", 20_000)
    clip(tmp_path / "short.mp4", seconds=0.2)
    ffmpeg(
        *["-i", str(tmp_path / "short.mp4"), "-f", "lavfi", "-i", "sine=d=5", "-map", "0:v", "-map", "1:a"],
        *["-c:v", "copy", *AAC, str(tmp_path / "in.mp4")],
    )
    about, frames = decode(tmp_path / "in.mp4")
    kept = list(frames)
    assert [one.last for one in kept] == [False] * 4 + [True]
    assert 0 < max(sum(packet.coded().size for packet in one.audio) for one in kept) <= 20_000
    assert caplog.text.count("too much of it") == 1
    await feed(open_sink(str(tmp_path / "out.mp4"), preset="ultrafast"), about, results(kept))
    assert plays(tmp_path / "out.mp4")


def sound(path: Path, *, rate: int = 48000, seconds: float = 0.4, options: tuple[str, ...], channels: int = 1) -> Path:
    """A tiny video with so many channels that have no layout of their own."""
    tone = "|".join(["0.1*sin(2764*t)"] * channels)
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=25:duration={seconds}"),
        *("-f", "lavfi", "-i", f"aevalsrc=exprs={tone}:s={rate}:d={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-strict", "-2", *options, str(path)),
    )
    return path


async def annotated(source: Path, suffix: str) -> dict[str, Any]:
    """The one audio stream of the annotated video, which has all of the pictures."""
    target = source.with_name(f"out.{suffix}")
    about, frames = decode(source)
    pictures = list(results(frames, 1))
    await feed(open_sink(str(target), preset=None if suffix == "webm" else "ultrafast"), about, pictures)
    assert len(times(target)) == len(pictures) >= 10
    streams: list[dict[str, Any]] = probe(target, "-show_streams")["streams"]
    (found,) = [stream for stream in streams if stream["codec_type"] == "audio"] or [{}]
    return found


@pytest.mark.parametrize(
    ("name", "options", "given", "targets"),
    [
        ("g711.mkv", ("-c:a", "pcm_mulaw"), {"rate": 8000}, {"mp4": "aac/8000/1", "webm": "opus/48000/1"}),
        ("g711.avi", ("-c:a", "pcm_alaw"), {"rate": 8000}, {"mov": "aac/8000/1", "mkv": "aac/8000/1"}),
        ("adpcm.avi", ("-c:a", "adpcm_ima_wav"), {"rate": 11025}, {"mp4": "aac/11025/1", "webm": "opus/48000/1"}),
        ("high.mkv", ("-c:a", "pcm_s16le"), {"rate": 192000}, {"mp4": "aac/96000/1", "mov": "pcm_s16le/192000/1"}),
        ("low.mkv", ("-c:a", "pcm_s16le"), {"rate": 4000}, {"mp4": "aac/7350/1"}),
        ("dts.mkv", ("-c:a", "dca"), {"channels": 2}, {"mp4": "aac/48000/2"}),
        ("ac3.ts", ("-c:a", "ac3"), {"channels": 2}, {"mp4": "aac/48000/2", "mkv": "ac3/48000/2"}),
        ("six.mkv", ("-c:a", "pcm_s16le"), {"channels": 6}, {"mp4": "aac/48000/6", "webm": "opus/48000/6"}),
        ("four.mkv", ("-c:a", "pcm_s16le"), {"channels": 4}, {"mp4": "aac/48000/4", "webm": "opus/48000/4"}),
        ("sixteen.mkv", ("-c:a", "pcm_s16le"), {"channels": 16}, {"mp4": "aac/48000/8", "mkv": "pcm_s16le/48000/16"}),
    ],
)
async def test_audio_is_brought_to_what_the_target_has(
    tmp_path: Path, name: str, options: tuple[str, ...], given: dict[str, Any], targets: dict[str, str]
) -> None:
    source = sound(tmp_path / name, options=options, **given)
    for suffix, wanted in targets.items():
        found = await annotated(source, suffix)
        assert plays(tmp_path / f"out.{suffix}")
        assert f"{found['codec_name']}/{found['sample_rate']}/{found['channels']}" == wanted, suffix


async def test_audio_that_nothing_can_be_made_of_is_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """FFmpeg knows no layout of nine channels, so it cannot say which of them to mix to what."""
    language = ("-metadata:s:a:0", "language=deu")
    source = sound(tmp_path / "nine.mkv", options=("-c:a", "pcm_s16le", *language), channels=9)
    assert await annotated(source, "mp4") == {}
    assert "audio stream 1 (pcm_s16le, language deu) is left out of the video: its 9 channels" in caplog.text


async def test_language_title_and_flags_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    tone = ("-f", "lavfi", "-i", "sine=sample_rate=48000:duration=0.4")
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.4", *tone, *tone),
        *("-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264", "-c:a:0", "aac", "-c:a:1", "mp2"),
        *("-metadata:s:a:0", "language=ger", "-metadata:s:a:0", "title=Kommentar", "-disposition:a:0", "comment"),
        *("-metadata:s:a:1", "language=fre", "-disposition:a:1", "default+forced", str(source)),
    )
    for suffix, languages in {"mp4": ["ger", "fre"], "mov": ["ger", "fra"], "mkv": ["ger", "fre"]}.items():
        target = tmp_path / f"out.{suffix}"
        about, frames = decode(source)
        await feed(open_sink(str(target), preset="ultrafast"), about, results(frames, 1))
        with av.open(str(target)) as found:
            one, two = found.streams.audio
            assert [one.language, two.language] == languages
            assert (one.metadata.get("title") or one.metadata.get("name")) == "Kommentar"
            assert not one.disposition & Disposition.default
            assert two.disposition & Disposition.default
            if suffix != "mov":  # which has no word for the others
                assert one.disposition & Disposition.comment
                assert two.disposition & Disposition.forced


def rewritten(source: Path, target: Path, change: Callable[[float, bytes], bytes | None]) -> Path:
    """The same file with other bytes in its audio packets, or without some of them."""
    with av.open(str(source)) as medium, av.open(str(target), "w") as output:
        copies = {stream.index: output.add_stream_from_template(stream) for stream in medium.streams}
        for packet in medium.demux():
            if packet.dts is None or packet.pts is None:
                continue
            kept: bytes | None = bytes(packet)
            if packet.stream.type == "audio":
                kept = change(float(packet.pts * packet.time_base), bytes(packet))
            if kept is not None:
                copy: Any = av.Packet(kept)
                copy.stream, copy.time_base, copy.is_keyframe = copies[packet.stream.index], packet.time_base, True
                copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                output.mux(copy)
    return target


@pytest.mark.parametrize("codec", ["ac3", "aac"])
async def test_damaged_audio_costs_itself_alone(tmp_path: Path, codec: str, caplog: pytest.LogCaptureFixture) -> None:
    whole = sound(tmp_path / "whole.mkv", options=("-c:a", codec), channels=2)
    chance = random.Random(1)
    for suffix in ("mp4", "webm"):
        caplog.clear()
        source = rewritten(whole, tmp_path / "all.mkv", lambda _, data: chance.randbytes(len(data)))
        await annotated(source, suffix)
        if codec == "ac3" or suffix == "webm":
            assert "packets are damaged: left out" in caplog.text
        source = rewritten(whole, tmp_path / "none.mkv", lambda *_: None)
        await annotated(source, suffix)


@pytest.mark.parametrize(("codec", "suffix"), [("pcm_s16le", "mov"), ("pcm_s16le", "mp4"), ("aac", "mp4")])
async def test_a_gap_in_the_audio_stays_a_gap(tmp_path: Path, codec: str, suffix: str) -> None:
    whole = sound(tmp_path / "whole.mkv", seconds=2, options=("-c:a", codec))
    source = rewritten(whole, tmp_path / "gap.mkv", lambda at, data: None if 0.5 < at < 1.5 else data)
    await annotated(source, suffix)
    assert times(source.with_name(f"out.{suffix}"), "a")[-1] == pytest.approx(2, abs=0.06)


@pytest.mark.parametrize("codec", ["libmp3lame", "ac3"])
def test_a_video_does_not_wait_in_memory_for_audio_that_does_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    """FFmpeg itself waits for ten seconds more, so that packets lie in the order of their times."""
    monkeypatch.setattr(sinks_audio, "LATE_SECONDS", 0.5)
    whole = sound(tmp_path / "whole.mkv", seconds=16, options=("-c:a", codec), channels=2)
    source = rewritten(whole, tmp_path / "late.mkv", lambda at, data: None if at < 15 else data)
    sink = open_sink(str(tmp_path / "out.mp4"), preset="ultrafast")
    assert isinstance(sink, BlockingSink)
    about, frames = decode(source)
    sink.start_blocking(about)
    for result in results(itertools.islice(frames, 370), 1):
        sink.write_blocking(result)
    assert (tmp_path / "out.partial.mp4").stat().st_size > 10_000
    sink.finish_blocking("interrupted")
    assert plays(tmp_path / "out.mp4")


async def test_late_audio_stays_as_it_is_where_nothing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks_audio, "LATE_SECONDS", 0.5)
    whole = sound(tmp_path / "whole.mkv", seconds=2, options=("-c:a", "libvorbis"))
    source = rewritten(whole, tmp_path / "late.mkv", lambda at, data: None if at < 1.5 else data)
    await annotated(source, "mkv")
    assert times(tmp_path / "out.mkv", "a") == pytest.approx(times(source, "a"), abs=0.005)
