"""Whole files are not called cut, however their containers count; files that are cut are, where anyone can tell."""

import contextlib
from http.server import BaseHTTPRequestHandler

import pytest

from sources import open_source
from tests import media


def copied(folder, name, *options, source=None):
    """A file made by copying packets, with FFmpeg's `options` for the output."""
    source = source or media.make(folder / "source.mp4", options=["-g", "5", "-bf", "2"])
    media.ffmpeg("-i", source, "-c", "copy", *options, folder / name)
    return folder / name


def slow(folder, name):
    """Two frames a second, of which each refers to one that is shown a second later."""
    return copied(
        folder, name, source=media.make(folder / "slow.mp4", rate=2, seconds=6, options=["-preset", "medium"])
    )


def segment(folder):
    """Of a recorder that keeps the clock of its camera."""
    copied(folder, "%d.mkv", "-f", "segment", "-segment_time", "1")
    return folder / "1.mkv"


def trimmed(folder):
    """Its edit list hides the first frames, and its end was cut by a player that keeps the samples."""
    media.ffmpeg("-ss", "0.73", "-i", media.make(folder / "source.mp4"), "-c", "copy", "-t", "0.5", folder / "t.mp4")
    return folder / "t.mp4"


def late(folder):
    """The picture comes three seconds after the sound."""
    source = media.make(folder / "source.mp4", audio=True)
    media.ffmpeg(
        *["-i", source, "-itsoffset", "3", "-i", source, "-map", "1:v", "-map", "0:a", "-c", "copy"],
        folder / "late.mp4",
    )
    return folder / "late.mp4"


def still_at_its_end(folder, name):
    """A screen recording in which nothing moves at last: its last frame is shown for seconds."""
    rare = ["-vf", "select='lt(n,8)+eq(n,39)'", "-fps_mode", "vfr"]
    source = media.make(folder / "screen.mkv", seconds=4, options=[*rare, "-bf", "0"])
    return copied(folder, name, source=source)


def with_chapters(folder):
    """Chapters are a text track of their own in MP4, which nobody reads as a stream."""
    marks = folder / "chapters.txt"
    marks.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=one\n")
    source = media.make(folder / "source.mp4")
    media.ffmpeg("-i", source, "-i", marks, "-map_metadata", "1", "-c", "copy", folder / "chapters.mp4")
    return folder / "chapters.mp4"


def with_subtitles(folder):
    """Their last line outlasts the video."""
    lines = folder / "lines.srt"
    lines.write_text("1\n00:00:00,000 --> 00:00:09,000\nstill here\n")
    source = media.make(folder / "source.mp4")
    media.ffmpeg("-i", source, "-i", lines, "-c:v", "copy", "-c:s", "srt", folder / "lines.mkv")
    return folder / "lines.mkv"


def rounded_playlist(folder):
    """Lengths in whole seconds, as the first version of HLS had them."""
    copied(folder, "index.m3u8", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0")
    text = (folder / "index.m3u8").read_text()
    (folder / "index.m3u8").write_text(text.replace("#EXTINF:1.000000", "#EXTINF:1.08"))
    return folder / "index.m3u8"


@pytest.mark.parametrize("name", ["x.wmv", "x.mp4", "x.mkv"])
def test_a_late_clock_does_not_make_the_last_frame_last(tmp_path, name):
    path = media.make(tmp_path / name, codec="mpeg4", options=["-output_ts_offset", "100"])
    with contextlib.closing(open_source(str(path))) as source:
        assert source.info.end is None or float(source.info.end) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("make", "frames"),
    [
        *[(lambda folder, kind=kind: slow(folder, f"x.{kind}"), 12) for kind in ("mp4", "mkv", "flv", "avi", "ts")],
        (segment, 10),
        (trimmed, None),
        (late, 20),
        *[(lambda folder, kind=kind: still_at_its_end(folder, f"x.{kind}"), 9) for kind in ("mp4", "mkv")],
        (lambda folder: copied(folder, "x.mp4", "-movflags", "frag_keyframe+empty_moov"), 20),
        (lambda folder: copied(folder, "x.mp4", "-movflags", "dash+global_sidx"), 20),
        (lambda folder: copied(folder, "x.ogv", source=media.make(folder / "x.ogg", codec="libtheora")), 20),
        (with_chapters, 20),
        (with_subtitles, 20),
        (rounded_playlist, 20),
    ],
)
def test_a_whole_file_is_whole(tmp_path, make, frames):
    path = make(tmp_path)
    _, found, error = media.read(path)
    assert error is None
    assert len(found) == frames or frames is None
    assert found[-1].last
    assert not any(frame.last for frame in found[:-1])


def test_a_segment_is_as_long_as_it_is(tmp_path):
    info = media.read(segment(tmp_path))[0]
    assert info.duration == pytest.approx(1, abs=0.1)
    assert info.frame_count == pytest.approx(10, abs=1)


def cut(path, share=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: copied(folder, "x.mp4", "-movflags", "frag_keyframe+empty_moov"),
        lambda folder: copied(folder, "x.mp4", "-movflags", "dash+global_sidx"),
        lambda folder: slow(folder, "x.mkv"),
        segment,
    ],
)
def test_a_cut_one_is_cut(tmp_path, make):
    path = cut(make(tmp_path))
    _, frames, error = media.read(path)
    assert str(error) == f"{path}: truncated: {len(frames)} frames decoded"
    assert not any(frame.last for frame in frames)


def test_a_playlist_whose_segments_are_gone(tmp_path):
    path = rounded_playlist(tmp_path)
    (tmp_path / "index1.ts").unlink()
    _, frames, error = media.read(path)
    assert 0 < len(frames) < 20
    assert "truncated" in str(error)


@contextlib.contextmanager
def plain_server(data, *, length):
    """Serves `data` to whoever asks, whole, and does not know of ranges."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            if length:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

    with media.answering(Handler) as url:
        yield f"{url}/clip"


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("name", ["x.ts", "x.mkv", "x.mpg"])
def test_a_whole_file_from_a_plain_server(tmp_path, name, length):
    codec = "mpeg2video" if name == "x.mpg" else "libx264"
    path = media.make(tmp_path / name, rate=25, codec=codec, audio=name != "x.mpg")
    with plain_server(path.read_bytes(), length=length) as url:
        _, frames, error = media.read(url, live=False)
    assert error is None
    assert len(frames) == 50
