from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from maskcast.errors import SinkError, UsageError
from maskcast.result import Result
from sinks import open_sink
from sinks.video import codec, render
from tests import processes
from tests.full_disk import largest_file
from tests.paths import ROOT
from tests.patience import eventually
from tests.sinks_media import clip, decode, feed, ffmpeg, frame, grey, hashes, info, probe, results, times

pytestmark = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="no ffmpeg on this machine (apt install ffmpeg)"
)
AAC = ("-c:a", "aac", "-b:a", "64k")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 25 frames/s with AAC audio."""
    return clip(tmp_path_factory.mktemp("clips") / "plain.mp4", audio=AAC)


async def annotate(source: Path, target: Path, **settings: Any) -> None:
    about, frames = decode(source)
    await feed(open_sink(str(target), **{"preset": "ultrafast", **settings}), about, results(frames))


def streams(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = probe(path, "-show_streams")["streams"]
    return found


def duration(path: Path) -> float:
    return float(probe(path, "-show_format")["format"]["duration"])


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
async def test_times_duration_and_audio_are_the_sources(plain: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out.{suffix}"
    await annotate(plain, target, preset="medium")
    assert [entry.name for entry in tmp_path.iterdir()] == [target.name]
    assert times(target) == times(plain)
    assert times(target, "a") == times(plain, "a")
    assert hashes(target) == hashes(plain)
    video, audio = streams(target)
    assert (video["codec_name"], video["pix_fmt"], video["width"], video["height"]) == ("h264", "yuv420p", 320, 180)
    assert audio["codec_name"] == "aac"
    assert video["duration"] == streams(plain)[0]["duration"]
    assert video["nb_frames"] == "50"  # an ordinary index, not only fragments: players can seek


async def test_matroska_keeps_times_to_its_millisecond(plain: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    await annotate(plain, target)
    assert times(target) == pytest.approx(times(plain), abs=0.00051)
    # Matroska knows no time before zero: the packet that only primes the decoder stays behind.
    assert hashes(target) == hashes(plain)[1:]
    assert duration(target) == pytest.approx(2, abs=0.04)


async def test_webm_has_vp9_and_opus(plain: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.webm"
    await annotate(plain, target, preset=None)
    assert [stream["codec_name"] for stream in streams(target)] == ["vp9", "opus"]
    assert times(target) == pytest.approx(times(plain), abs=0.00051)
    assert duration(target) == pytest.approx(2, abs=0.1)


async def test_variable_frame_rate(tmp_path: Path) -> None:
    source = clip(
        tmp_path / "vfr.mp4", more=("-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-fps_mode", "vfr", "-bf", "2")
    )
    steps = {round(b - a, 3) for a, b in zip(times(source), times(source)[1:], strict=False)}
    assert len(steps) > 1
    await annotate(source, tmp_path / "out.mp4", preset="medium")
    assert times(tmp_path / "out.mp4") == times(source)
    assert streams(tmp_path / "out.mp4")[0]["duration"] == streams(source)[0]["duration"]


async def test_a_medium_whose_clock_does_not_start_at_zero(plain: Path, tmp_path: Path) -> None:
    source = tmp_path / "late.ts"
    ffmpeg("-i", str(plain), "-c", "copy", "-output_ts_offset", "100", str(source))
    assert times(source)[0] > 100
    await annotate(source, tmp_path / "out.mp4")
    start = float(probe(source, "-show_format")["format"]["start_time"])
    assert times(tmp_path / "out.mp4") == pytest.approx([at - start for at in times(source)], abs=1e-4)
    assert times(tmp_path / "out.mp4", "a") == pytest.approx([at - start for at in times(source, "a")], abs=1e-4)
    subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", str(tmp_path / "out.mp4"), "-f", "null", "-"], check=True)


async def test_audio_that_the_container_cannot_hold_is_transcoded(tmp_path: Path) -> None:
    source = clip(tmp_path / "pcm.mov", audio=("-c:a", "pcm_s16le"))
    await annotate(source, tmp_path / "copied.mov")
    assert hashes(tmp_path / "copied.mov") == hashes(source)
    await annotate(source, tmp_path / "out.mp4")
    assert streams(tmp_path / "out.mp4")[1]["codec_name"] == "aac"
    assert float(streams(tmp_path / "out.mp4")[1]["duration"]) == pytest.approx(2, abs=0.05)


async def test_all_audio_streams_are_kept(plain: Path, tmp_path: Path) -> None:
    source = tmp_path / "two.mp4"
    ffmpeg("-i", str(plain), "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", str(source))
    await annotate(source, tmp_path / "out.mp4")
    assert [stream["codec_type"] for stream in streams(tmp_path / "out.mp4")] == ["video", "audio", "audio"]


@pytest.mark.parametrize("reason", [None, "interrupted"])
async def test_audio_ends_with_a_video_that_ends_early(plain: Path, tmp_path: Path, reason: str | None) -> None:
    about, frames = decode(plain)
    taken = (one for one, _ in zip(results(frames), range(25), strict=False))
    await feed(open_sink(str(tmp_path / "out.mp4"), preset="ultrafast"), about, taken, reason)
    assert len(times(tmp_path / "out.mp4")) == 25
    assert duration(tmp_path / "out.mp4") == pytest.approx(1, abs=0.05)


async def test_odd_size_is_padded_by_its_own_edge(tmp_path: Path) -> None:
    planes = grey(45, 63)
    await feed(
        open_sink(str(tmp_path / "out.mp4"), quality=10),
        info(63, 45),
        (Result(frame(index, planes)) for index in range(5)),
    )
    (video,) = streams(tmp_path / "out.mp4")
    assert (video["width"], video["height"]) == (64, 46)
    _, frames = decode(tmp_path / "out.mp4")
    decoded = next(frames).picture.yuv420p().y.astype(int)
    frames.close()  # type: ignore[attr-defined]
    assert np.abs(decoded - 90).max() <= 3


async def test_a_change_of_size_is_letterboxed(tmp_path: Path) -> None:
    small, tall = grey(180, 320, 200), grey(360, 180, 200)
    frames = [Result(frame(0, small)), Result(frame(1, tall)), Result(frame(2, small))]
    await feed(open_sink(str(tmp_path / "out.mp4"), quality=5), info(320, 180), frames)
    _, decoded = decode(tmp_path / "out.mp4")
    first, second, third = (one.picture.yuv420p().y.copy() for one in decoded)
    assert first.shape == second.shape == third.shape == (180, 320)
    assert np.abs(second[90, 116:204].astype(int) - 200).max() < 8
    assert second[:, :110].max() < 30
    assert second[:, 210:].max() < 30
    assert np.abs(third.astype(int) - 200).max() < 8


async def test_the_decoders_picture_is_left_alone(tmp_path: Path) -> None:
    planes = grey(180, 320)
    for plane in planes:
        plane.flags.writeable = False
    await feed(open_sink(str(tmp_path / "out.mp4")), info(), results(frame(index, planes) for index in range(3)))
    assert (planes.y == 90).all()


async def test_colour_and_shape_of_pixels_are_carried_over(tmp_path: Path) -> None:
    colour = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-vf", "setsar=4/3")
    source = clip(tmp_path / "colour.mp4", seconds=0.4, more=colour)
    await annotate(source, tmp_path / "out.mp4")
    (video,) = streams(tmp_path / "out.mp4")
    assert [video[name] for name in ("color_space", "color_primaries", "color_transfer")] == ["bt709"] * 3
    assert video["color_range"] == "tv"
    assert video["sample_aspect_ratio"] == "4:3"


async def test_times_that_coincide_move_on(tmp_path: Path) -> None:
    planes = grey(90, 160)
    frames = [Result(frame(index, planes, pts)) for index, pts in enumerate((0, 0.01, 0.02, 0.5))]
    await feed(open_sink(str(tmp_path / "out.mp4")), info(160, 90, time_base=Fraction(1, 25)), frames)
    assert len(set(times(tmp_path / "out.mp4"))) == 4


@pytest.mark.parametrize("live", [False, True])
def test_killed_process_leaves_a_playable_file(plain: Path, tmp_path: Path, live: bool) -> None:
    partial = tmp_path / "out.partial.mp4"
    code = f"""
import asyncio, itertools, time
from dataclasses import replace
from pathlib import Path
from sinks import open_sink
from tests.sinks_media import decode, feed, frame, results
about, frames = decode(Path({str(plain)!r}))
pictures = [one.picture for one in frames]
def endless():
    for index in itertools.count():
        time.sleep(0.002)
        yield replace(frame(index, pictures[0].yuv420p()), picture=pictures[index % len(pictures)])
about = replace(about, live={live}, audio=())
asyncio.run(feed(open_sink({str(tmp_path / "out.mp4")!r}, preset="ultrafast"), about, results(endless())))
"""
    with processes.running([sys.executable, "-c", code], cwd=ROOT):
        eventually(lambda: partial.exists() and partial.stat().st_size >= 200_000)
    played = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(partial), "-f", "null", "-"], check=True, capture_output=True
    )
    assert b"moov" not in played.stderr
    found = times(partial)
    assert len(found) >= 25
    assert found == pytest.approx([index / 25 for index in range(len(found))], abs=1e-3)


async def test_full_disk_is_one_line_and_keeps_the_beginning(plain: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    about, frames = decode(plain)
    limit = 60_000
    with largest_file(limit), pytest.raises(SinkError, match="cannot write") as caught:
        await feed(open_sink(str(target), preset="ultrafast"), about, results(frames))
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert times(tmp_path / "out.partial.mp4")


async def test_no_frame_no_file(tmp_path: Path) -> None:
    await feed(open_sink(str(tmp_path / "out.mp4")), info(), iter(()), "the source failed")
    assert not list(tmp_path.iterdir())


async def test_codecs_that_do_not_exist_or_fit(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no video encoder is called 'mpeg-99'; choose h264"):
        await annotate(plain, tmp_path / "out.mp4", codec="mpeg-99")
    with pytest.raises(SinkError, match="try another codec") as caught:
        await annotate(plain, tmp_path / "out.webm", codec="libx264")
    assert "\n" not in str(caught.value)
    with pytest.raises(SinkError, match="try another codec"):
        await annotate(plain, tmp_path / "out.mp4", codec="libx264", preset="warp-speed")


@pytest.mark.parametrize(("codec", "name"), [("hevc", "hevc"), ("av1", "av1"), ("vp9", "vp9")])
async def test_other_codecs(codec: str, name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    planes = grey(90, 160)
    await feed(
        open_sink(str(tmp_path / "out.mp4"), codec=codec), info(160, 90), results(frame(n, planes) for n in range(5))
    )
    assert capfd.readouterr().err == "", "some encoders write by themselves"
    assert streams(tmp_path / "out.mp4")[0]["codec_name"] == name
    assert len(times(tmp_path / "out.mp4")) == 5


async def test_quality_is_the_rate_factor(plain: Path, tmp_path: Path) -> None:
    await annotate(plain, tmp_path / "good.mp4", quality=15)
    await annotate(plain, tmp_path / "poor.mp4", quality=40)
    assert (tmp_path / "good.mp4").stat().st_size > 2 * (tmp_path / "poor.mp4").stat().st_size


async def test_a_medium_that_is_gone_has_given_its_audio(plain: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    shutil.copy(plain, source)
    about, frames = decode(source)
    source.unlink()
    await feed(open_sink(str(tmp_path / "out.mp4"), preset="ultrafast"), about, results(frames))
    assert times(tmp_path / "out.mp4") == times(plain)
    assert hashes(tmp_path / "out.mp4") == hashes(plain)


async def test_any_error_closes_the_file_and_keeps_the_beginning(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = render.draw

    def fail(*arguments: Any) -> None:
        draw(*arguments)
        if next(calls) == 40:
            raise KeyError("unforeseen")

    calls = itertools.count()
    monkeypatch.setattr(render, "draw", fail)
    with pytest.raises(KeyError, match="unforeseen"):
        await annotate(plain, tmp_path / "out.mp4")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.partial.mp4"]
    assert times(tmp_path / "out.partial.mp4")


async def test_a_live_file_has_no_list_of_fragments_at_its_end_and_plays(plain: Path, tmp_path: Path) -> None:
    about, frames = decode(plain, audio=False)
    target = tmp_path / "out.mp4"
    await feed(open_sink(str(target), preset="ultrafast"), replace(about, live=True), results(frames))
    assert b"mfra" not in target.read_bytes()  # FFmpeg gathers it in memory, for as long as the stream runs
    assert times(target) == times(plain)
    subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", str(target), "-f", "null", "-"], check=True)


@pytest.mark.skipif(codec.works("h264_nvenc", 320, 180), reason="the hardware encoder opens on this machine")
@pytest.mark.skipif("h264_nvenc" not in av.codecs_available, reason="FFmpeg is built without NVENC")
async def test_hardware_that_does_not_open_any_more_gives_way_to_software(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It worked when it was tried, but all of its sessions are taken by now."""
    monkeypatch.setattr(codec, "works", lambda name, *_: name == "h264_nvenc")
    target = tmp_path / "out.mp4"
    await annotate(plain, target)
    assert "h264_nvenc cannot be opened" in caplog.text
    assert times(target) == times(plain)
    assert hashes(target) == hashes(plain)
