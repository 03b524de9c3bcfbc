"""Video files against FFmpeg's own tools as the reference."""

import struct
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from maskcast.picture import Colour
from sources import open_source
from tests import media
from tests.patience import patient


@pytest.mark.parametrize(("name", "frames"), [("19_cyclist.mp4", 241), ("bedroom.mp4", None)])
def test_real_clips_are_what_ffmpeg_says(name, frames):
    path = media.clip(name)
    expected = media.times(path)
    source = open_source(str(path))
    info = source.info
    found = [(frame.index, frame.pts) for frame in source]
    source.close()
    assert [index for index, _ in found] == list(range(frames or len(expected)))
    assert [pts for _, pts in found] == pytest.approx(expected, abs=1e-5)
    assert info.frame_count == len(expected)
    assert (info.stream, info.live) == (path.stem, False)
    told = media.probe(path, "-show_entries", "stream=width,height,avg_frame_rate,duration")["streams"][0]
    assert (info.width, info.height) == (told["width"], told["height"])
    assert info.frame_rate == Fraction(told["avg_frame_rate"])
    assert info.duration == pytest.approx(float(told["duration"]), abs=1e-3)


@pytest.mark.parametrize("extension", ["mp4", "mkv", "avi", "ts", "flv", "mov", "webm"])
def test_every_container(tmp_path, extension):
    codec = "libvpx-vp9" if extension == "webm" else "libx264"
    path = media.make(tmp_path / f"clip.{extension}", codec=codec, audio=extension in {"mkv", "mp4", "ts"})
    info, frames, error = media.read(path)
    assert error is None
    assert len(frames) == 20
    assert media.stamps(frames) == pytest.approx(media.times(path), abs=2e-3)
    assert (info.width, info.height, info.stream, info.frame_rate) == (96, 64, "clip", 10)
    assert info.duration == pytest.approx(2, abs=0.15)
    assert info.frame_count == pytest.approx(20, abs=1)
    assert all(frame.stream == "clip" for frame in frames)


@pytest.mark.parametrize(
    ("codec", "pixels", "exact"),
    [
        ("libx264", "yuv420p", True),
        ("libx264", "yuvj420p", True),
        ("libx264", "yuv444p", False),
        ("libx264", "yuv420p10le", False),
        ("libx265", "yuv420p10le", False),
        ("libx265", "yuv420p", True),
        ("mpeg2video", "yuv420p", True),
        ("ffv1", "yuv422p", False),
        ("ffv1", "bgr0", False),
        ("mjpeg", "yuvj422p", False),
    ],
)
def test_pixels_are_ffmpegs(tmp_path, codec, pixels, exact):
    path = media.make(tmp_path / "clip.mkv", codec=codec, pixels=pixels, seconds=0.5)
    _, frames, error = media.read(path)
    assert error is None
    planes = list(media.decode(path, "yuvj420p" if pixels.startswith("yuvj") else "yuv420p", 96, 64))
    colours = list(media.decode(path, "rgb24", 96, 64, "-sws_flags", "bilinear"))
    assert len(frames) == len(planes) == len(colours) == 5
    for frame, expected, rgb in zip(frames, planes, colours, strict=True):
        found = media.flat(frame.picture.yuv420p())
        if exact:
            assert np.array_equal(found, expected)
        # Versions of FFmpeg differ in where they put the chroma samples, which shows at edges.
        difference = np.abs(found.astype(int) - expected)
        assert difference[: 96 * 64].mean() < 1
        assert difference.mean() < 3
        assert np.median(np.abs(frame.picture.rgb().astype(int) - rgb)) <= 2
        assert frame.picture.rgb().flags.c_contiguous


def test_planes_of_ordinary_video_are_views_and_read_only(tmp_path):
    _, frames, _ = media.read(media.make(tmp_path / "clip.mp4"))
    planes = frames[0].picture.yuv420p()
    for plane in planes:
        assert plane.base is not None
        assert not plane.flags.writeable
    assert not frames[0].picture.rgb().flags.writeable
    assert frames[0].picture.yuv420p() is planes
    assert frames[0].picture.rgb() is frames[0].picture.rgb()


@pytest.mark.parametrize("size", ["97x65", "33x17", "1281x3"])
def test_odd_sizes(tmp_path, size):
    width, height = map(int, size.split("x"))
    path = media.make(tmp_path / "odd.mkv", codec="ffv1", seconds=0.2, options=["-vf", f"scale={width}:{height}"])
    info, frames, error = media.read(path)
    assert error is None
    assert (info.width, info.height) == (width, height)
    planes = frames[0].picture.yuv420p()
    assert planes.y.shape == (height, width)
    assert planes.u.shape == planes.v.shape == ((height + 1) // 2, (width + 1) // 2)
    assert frames[0].picture.rgb().shape == (height, width, 3)
    assert np.array_equal(media.flat(planes), next(iter(media.decode(path, "yuv420p", width, height))))


@pytest.mark.parametrize(
    ("matrix", "full", "colour"),
    [
        ("bt709", "tv", Colour("bt709")),
        ("bt709", "pc", Colour("bt709", full_range=True)),
        ("smpte170m", "tv", Colour("bt601")),
        ("bt470bg", "pc", Colour("bt601", full_range=True)),
        ("bt2020nc", "tv", Colour("bt2020")),
    ],
)
def test_colours_follow_the_mediums_matrix_and_range(tmp_path, matrix, full, colour):
    """The reference is the textbook's formula."""
    path = media.make(
        tmp_path / "clip.mp4", options=["-colorspace", matrix, "-color_range", full, "-qp", "0"], seconds=0.2
    )
    _, frames, _ = media.read(path)
    picture = frames[0].picture
    assert picture.colour == colour
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}[colour.matrix]
    y, u, v = (plane.astype(float) for plane in picture.yuv420p())
    u, v = (np.repeat(np.repeat(plane, 2, 0), 2, 1) - 128 for plane in (u, v))
    y, chroma = (y / 255, 255) if colour.full_range else ((y - 16) / 219, 224)
    r = y + 2 * (1 - red) * v / chroma
    b = y + 2 * (1 - blue) * u / chroma
    g = (y - red * r - blue * b) / (1 - red - blue)
    expected = np.clip(np.stack([r, g, b], -1) * 255, 0, 255)
    assert np.median(np.abs(expected - picture.rgb())) < 2  # chroma is interpolated at edges


def test_unmarked_video_is_bt601_when_small_and_bt709_when_large(tmp_path):
    for size, matrix in [("96x64", "bt601"), ("1280x720", "bt709")]:
        _, frames, _ = media.read(media.make(tmp_path / "clip.mp4", size=size, seconds=0.1))
        assert frames[0].picture.colour == Colour(matrix)


@pytest.mark.parametrize(
    "matrix",
    [(1, 0, 0, -1), (-1, 0, 0, 1), (-1, 0, 0, -1), (0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0), (0, -1, -1, 0)],
)
def test_rotation_and_mirroring_are_applied(tmp_path, matrix):
    path = media.make(tmp_path / "clip.mp4", seconds=0.3)
    data = path.read_bytes()
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    place = data.index(identity, data.index(b"tkhd"))
    a, b, c, d = (value * 65536 for value in matrix)
    path.write_bytes(data[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[place + 36 :])
    info, frames, error = media.read(path)
    assert error is None
    assert (info.width, info.height) == ((96, 64) if a else (64, 96))
    expected = list(media.decode(path, "yuv420p", info.width, info.height))
    assert len(frames) == len(expected) == 3
    for frame, planes in zip(frames, expected, strict=True):
        assert np.array_equal(media.flat(frame.picture.yuv420p()), planes)
        assert frame.picture.rgb().shape == (info.height, info.width, 3)


def test_interlaced_video_is_deinterlaced_and_only_that(tmp_path):
    woven = ["-vf", "interlace", "-flags", "+ilme+ildct", "-b:v", "2M"]
    path = media.make(tmp_path / "i.mpg", codec="mpeg2video", size="96x64", rate=25, seconds=1, options=woven)
    _, frames, error = media.read(path)
    assert error is None
    assert media.stamps(frames) == pytest.approx(media.times(path), abs=1e-3)
    kept = list(media.decode(path, "yuv420p", 96, 64))
    done = list(media.decode(path, "yuv420p", 96, 64, "-vf", "bwdif=mode=send_frame"))
    for frame, before, after in list(zip(frames, kept, done, strict=True))[1:-1]:
        found = media.flat(frame.picture.yuv420p()).astype(int)
        assert np.abs(found - after).mean() < 0.5
        assert not np.array_equal(found, before)


def test_variable_frame_rate_keeps_its_times(tmp_path):
    path = media.make(
        tmp_path / "vfr.mkv", options=["-vf", "select='not(mod(n,3))+lt(n,6)'", "-fps_mode", "vfr"], seconds=3
    )
    _, frames, error = media.read(path)
    assert error is None
    expected = media.times(path)
    assert media.stamps(frames) == pytest.approx(expected, abs=1e-3)
    assert len({round(step, 2) for step in np.diff(media.stamps(frames))}) > 1


def test_the_clock_starts_where_the_container_does(tmp_path):
    """A video that begins after its audio keeps its distance, as in FFmpeg."""
    path = media.make(tmp_path / "late.mkv", audio=True)
    media.ffmpeg(
        *["-i", path, "-itsoffset", "0.7", "-i", path, "-map", "1:v", "-map", "0:a", "-c", "copy"],
        tmp_path / "shifted.mkv",
    )
    _, frames, error = media.read(tmp_path / "shifted.mkv")
    assert error is None
    assert media.stamps(frames) == pytest.approx(media.times(tmp_path / "shifted.mkv"), abs=1e-3)
    assert frames[0].pts == pytest.approx(0.7, abs=0.05)


def test_a_stream_without_times_gets_them(tmp_path):
    info, frames, error = media.read(media.make(tmp_path / "bare.h264"))
    assert error is None
    assert len(frames) == 20
    step = float(1 / info.frame_rate)
    assert media.stamps(frames) == pytest.approx([index * step for index in range(20)], abs=1e-6)


def test_hidden_frames_of_an_edit_list_are_no_damage(tmp_path):
    path = media.make(tmp_path / "whole.mp4", options=["-g", "10"])
    media.ffmpeg("-ss", "0.73", "-i", path, "-c", "copy", tmp_path / "cut.mp4")
    _, frames, error = media.read(tmp_path / "cut.mp4")
    assert error is None
    assert len(frames) == len(media.times(tmp_path / "cut.mp4")) < 20


def test_video_shorter_than_its_audio_is_no_damage(tmp_path):
    path = media.make(tmp_path / "long.mkv", audio=True, seconds=3)
    short = media.make(tmp_path / "short.mkv")
    media.ffmpeg("-i", short, "-i", path, "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "both.mkv")
    _, frames, error = media.read(tmp_path / "both.mkv")
    assert error is None
    assert len(frames) == 20


def test_offline_frames_are_timed_from_the_start_of_the_run(tmp_path):
    path = media.make(tmp_path / "clip.mp4")
    before = datetime.now(UTC)
    _, frames, _ = media.read(path)
    assert before <= frames[0].captured_at <= datetime.now(UTC)
    assert (frames[-1].captured_at - frames[0].captured_at).total_seconds() == pytest.approx(1.9, abs=1e-3)


def test_a_file_may_play_as_if_live(tmp_path):
    path = media.make(tmp_path / "clip.mp4", seconds=0.5)
    started = time.monotonic()
    info, frames, error = media.read(path, live=True)
    assert error is None
    assert info.live
    assert info.audio == ()
    assert len(frames) == 5
    assert time.monotonic() - started >= 0.4
    assert 0.3 < (frames[-1].captured_at - frames[0].captured_at).total_seconds() < 5


def test_nothing_of_ffmpegs_own_reaches_stderr(tmp_path):
    path = media.make(tmp_path / "x.mp4", options=["-g", "5", "-movflags", "+faststart"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :: 7] = bytes(len(data[len(data) // 2 :: 7]))
    path.write_bytes(bytes(data))
    code = (
        "import sys\nfrom sources import open_source\n"
        "try:\n    print(len(list(open_source(sys.argv[1]))))\nexcept Exception as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == ""


def test_colons_and_signs_in_file_names(tmp_path):
    for name in ("a:b.mp4", "50%03d.mp4", "what?.mp4", "ünï [1].mp4"):
        _, frames, error = media.read(media.make(tmp_path / "x.mp4", seconds=0.2).rename(tmp_path / name))
        assert error is None, name
        assert len(frames) == 2


def test_metadata_in_another_encoding_is_no_obstacle(tmp_path):
    path = media.make(tmp_path / "x.mkv", seconds=0.2, options=["-metadata", "title=ABCDEFGH"])
    path.write_bytes(path.read_bytes().replace(b"ABCDEFGH", b"\xe4\xf6\xfc\xff\xfeFGH"))
    assert len(media.read(path)[1]) == 2


def test_closing_ends_an_iteration_and_leaves_the_frames_valid(tmp_path):
    source = open_source(str(media.make(tmp_path / "x.mp4")))
    iterator = iter(source)
    first = next(iterator)
    source.close()
    assert list(iterator) == []
    source.close()
    assert first.picture.rgb().shape == (64, 96, 3)


def test_closing_while_another_thread_decodes(tmp_path):
    path = media.make(tmp_path / "x.mp4", size="640x360", rate=25, seconds=4)
    for delay in (0, 0.01, 0.05):
        source = open_source(str(path))
        reader = threading.Thread(target=lambda source=source: list(source))
        reader.start()
        time.sleep(delay)
        source.close()
        reader.join(5)
        assert not reader.is_alive()


def test_pictures_convert_on_many_threads(tmp_path):
    _, frames, _ = media.read(media.make(tmp_path / "x.mkv", codec="ffv1", pixels="yuv422p10le", seconds=0.5))
    expected = [(frame.picture.rgb().copy(), media.flat(frame.picture.yuv420p())) for frame in frames]
    _, again, _ = media.read(tmp_path / "x.mkv")
    wrong = []

    def convert():
        for frame, (rgb, planes) in zip(again, expected, strict=True):
            if not np.array_equal(media.flat(frame.picture.yuv420p()), planes):
                wrong.append("planes")
            if not np.array_equal(frame.picture.rgb(), rgb):
                wrong.append("rgb")

    threads = [threading.Thread(target=convert) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_opencv_sees_the_same(tmp_path):
    """A second decoder, not FFmpeg's command line."""
    path = media.make(tmp_path / "x.mp4", size="128x96", options=["-colorspace", "smpte170m"])
    _, frames, _ = media.read(path)
    capture = cv2.VideoCapture(str(path))
    for frame in frames:
        good, expected = capture.read()
        assert good
        assert np.abs(frame.picture.rgb()[:, :, ::-1].astype(int) - expected).mean() < 2
    capture.release()


def test_a_change_of_size_in_mid_stream_is_followed(tmp_path):
    media.make(tmp_path / "a.ts", seconds=0.5)
    media.make(tmp_path / "b.ts", size="64x48", seconds=0.5)
    (tmp_path / "both.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    _, frames, _ = media.read(tmp_path / "both.ts")
    assert {(frame.picture.width, frame.picture.height) for frame in frames} == {(96, 64), (64, 48)}
    assert media.stamps(frames) == sorted(set(media.stamps(frames)))


def test_pyav_is_quiet_unless_asked():
    assert av.logging.get_level() is None


def test_closing_waits_for_no_decoder_at_work_which_then_releases_everything(tmp_path):
    """The decoder is inside a frame, as on a slow disk, while the source is closed from elsewhere."""
    source = open_source(str(media.make(tmp_path / "clip.mp4")))
    released = []
    source._release = lambda: released.append(threading.current_thread())
    inside, go = threading.Event(), threading.Event()

    def frames():
        inside.set()
        go.wait(patient(60))
        yield None

    source._first, source._frames = None, frames()
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    assert inside.wait(patient(60))
    source.close()
    assert not released, "it would be freed under the decoder"
    go.set()
    reader.join(60)
    assert reader in released
