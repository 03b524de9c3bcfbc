"""Files that are cut off, damaged or no video at all."""

import os
import re

import pytest

from maskcast.errors import SourceError
from sources import open_source
from tests import media


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "avi", "flv"])
def test_a_truncated_file_gives_what_it_has_and_says_so(tmp_path, extension):
    codec = "libvpx-vp9" if extension == "webm" else "libx264"
    index_first = ["-movflags", "+faststart"] if extension in {"mp4", "mov"} else []
    whole = media.make(
        tmp_path / f"w.{extension}", size="320x240", codec=codec, options=["-g", "5", *index_first]
    ).read_bytes()
    path = tmp_path / f"cut.{extension}"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    _, frames, error = media.read(path)
    assert 8 <= len(frames) <= 14
    known = " of 20" if extension in {"mp4", "mov", "avi"} else ""
    assert str(error) == f"{path}: truncated: {len(frames)}{known} frames decoded"
    assert error.exit_code == 3


def test_a_real_clip_cut_in_half(tmp_path):
    path = tmp_path / "cut.mp4"
    media.ffmpeg("-i", media.clip("19_cyclist.mp4"), "-c", "copy", "-movflags", "+faststart", tmp_path / "whole.mp4")
    data = (tmp_path / "whole.mp4").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    _, frames, error = media.read(path)
    assert str(error) == f"{path}: truncated: {len(frames)} of 241 frames decoded"
    assert 60 < len(frames) < 200


def test_damage_in_the_middle_costs_only_what_it_hits(tmp_path):
    path = media.make(tmp_path / "x.mp4", size="320x240", options=["-g", "5", "-movflags", "+faststart"])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 900] = bytes((byte * 7 + 13) & 255 for byte in data[middle : middle + 900])
    path.write_bytes(bytes(data))
    _, frames, error = media.read(path)
    assert 12 <= len(frames) < 20
    assert frames[-1].pts == pytest.approx(1.9, abs=1e-3)
    assert media.stamps(frames) == sorted(set(media.stamps(frames)))
    assert "damaged" in str(error)
    assert f"{len(frames)} of 20 frames decoded" in str(error)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "x.mkv"), ("mpeg2video", "x.ts"), ("mpeg4", "x.avi")])
def test_frames_with_filled_gaps_are_counted(tmp_path, codec, name):
    path = media.make(tmp_path / name, size="320x240", rate=25, codec=codec, options=["-g", "10"])
    data = bytearray(path.read_bytes())
    for share in (0.3, 0.4, 0.5, 0.6, 0.7):
        at = int(len(data) * share)
        data[at : at + 150] = bytes((byte * 7 + 13) & 255 for byte in data[at : at + 150])
    path.write_bytes(bytes(data))
    _, frames, error = media.read(path)
    assert re.search(r"damaged: .*\d frames are incomplete", str(error))
    assert len(frames) >= 30


def test_a_recording_that_begins_within_a_group_of_pictures_is_whole(tmp_path):
    path = media.make(tmp_path / "x.ts", size="320x240", rate=25, codec="mpeg2video", options=["-g", "10"])
    path.write_bytes(path.read_bytes()[188 * 40 :])
    _, frames, error = media.read(path)
    assert error is None
    assert len(frames) >= 30


def no_index(folder):
    path = media.make(folder / "no-index.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def empty(folder):
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder):
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    return folder / "text.mp4"


def plain_text(folder):
    (folder / "notes.txt").write_text("this is no video\n" * 100)
    return folder / "notes.txt"


def only_audio(folder):
    media.ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", folder / "audio.mp4")
    return folder / "audio.mp4"


def song_with_cover(folder):
    cover = ["-f", "lavfi", "-i", "testsrc=duration=0.1:rate=10", "-frames:v", "1", "-c:v", "mjpeg"]
    media.ffmpeg(
        *["-f", "lavfi", "-i", "sine=duration=1", *cover, "-map", "0", "-map", "1", "-pix_fmt", "yuvj420p"],
        *["-disposition:v", "attached_pic", "-c:a", "aac", folder / "song.m4a"],
    )
    return folder / "song.m4a"


def unknown_codec(folder):
    path = media.make(folder / "odd.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    return path


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda folder: folder / "missing.mp4", "no such file"),
        (lambda folder: folder / ("x" * 5000), "too long"),
        (empty, "empty"),
        (text, "is a text, not a video"),
        (plain_text, "text file"),
        (no_index, "index may be missing"),
        (only_audio, "holds no video, only audio"),
        (song_with_cover, "holds no video, only audio"),
        (unknown_codec, "no decoder"),
    ],
)
def test_bad_files_are_one_line_with_exit_code_3(tmp_path, bad, says):
    path = bad(tmp_path)
    with pytest.raises(SourceError, match=says) as raised:
        open_source(str(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 3


def test_a_file_that_may_not_be_read(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = media.make(tmp_path / "secret.mp4")
    path.chmod(0)
    with pytest.raises(SourceError, match="permission denied"):
        open_source(str(path))
