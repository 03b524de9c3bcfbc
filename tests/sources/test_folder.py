"""What folders and globs stand for: videos, pictures, mixtures, and all that lies beside them."""

import os
import random
import shutil
from pathlib import Path

import pytest
from PIL import Image

from maskcast.errors import SourceError
from sources import expand, open_source
from tests import media

# What AppleDouble files begin with.
APPLE = b"\0\5\26\7\0\2\0\0Mac OS X        "


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two frames each; the suffix of some is in no list of FFmpeg's."""
    folder = tmp_path_factory.mktemp("clips")
    for name, codec in {"a.asf": "wmv2", "b.h264": "libx264", "d.mkv": "libx264", "e.mpg": "mpeg2video"}.items():
        media.make(folder / name, seconds=0.2, codec=codec)
    media.make(folder / "c.gif", seconds=0.2, codec="gif", pixels="bgr8")
    media.make(folder / "h.mjpeg", seconds=0.2, codec="mjpeg", pixels="yuvj420p")
    shutil.copy(folder / "e.mpg", folder / "f.vob")
    shutil.copy(folder / "d.mkv", folder / "g")
    return folder


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "rec"
    made.mkdir()
    return made


def picture(path, level=100):
    Image.new("L", (16, 8), level).save(path)
    return path


def expanded(spec):
    return [Path(one).name for one in expand(str(spec))]


def test_a_folder_of_videos_is_its_videos_in_natural_order(folder):
    for name in ("b10.mp4", "b2.MKV", "readme.txt"):
        (folder / name).touch()
    assert expanded(folder) == ["b2.MKV", "b10.mp4"]
    assert expanded(folder / "*.mp4") == ["b10.mp4"]
    assert expand("rtsp://host/x") == ["rtsp://host/x"]


def test_what_ffmpeg_reads_is_a_video_whatever_its_suffix(clips):
    assert expanded(clips) == ["a.asf", "b.h264", "c.gif", "d.mkv", "e.mpg", "f.vob", "g", "h.mjpeg"]
    for one in expand(str(clips)):
        _, frames, error = media.read(one)
        assert (len(frames), error) == (2, None), one


def test_videos_win_over_the_pictures_beside_them_and_the_log_says_so(folder, clips, caplog):
    shutil.copy(clips / "d.mkv", folder / "clip1.mkv")
    shutil.copy(clips / "a.asf", folder / "clip2.asf")
    for number in range(1, 6):
        picture(folder / f"clip{number}.jpg")
    assert expanded(folder) == ["clip1.mkv", "clip2.asf"]
    [line] = caplog.messages
    left = "clip1.jpg, clip2.jpg, clip3.jpg and 2 more"
    assert line == f"{folder}: the pictures beside its videos are left out: {left}; a glob names them"


def test_what_is_no_video_is_passed_over(folder, clips):
    picture(folder / "1.png")
    for name, data in {
        "1.txt": b"0 0.5 0.5 0.1 0.1\n",
        "classes.names": b"person\nparcel\n",
        "1.json": b"{}",
        "movie.srt": b"1\n00:00:00,000 --> 00:00:02,000\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nHi\n",
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000),
        "desktop.ini": b"[.ShellClassInfo]\n",
        ".DS_Store": b"\0\0\0\1Bud1",
        "._1.png": APPLE,
        "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nclip\n#EXT-X-ENDLIST\n",
        "empty": b"",
        "icon.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "x.h263": bytes(range(256)) * 20,
    }.items():
        (folder / name).write_bytes(data)
    for name in ("a.mp4.part", "b.mkv.crdownload", "out.partial.mkv", "c.mkv~", ".hidden.mkv"):
        shutil.copy(clips / "d.mkv", folder / name)
    media.ffmpeg("-f", "lavfi", "-i", "sine=d=0.1", folder / "sound.wav")
    Image.new("L", (16, 8)).save(folder / "icon.ico")
    (folder / "sub.mp4").mkdir()
    os.mkfifo(folder / "pipe")
    assert expand(str(folder)) == [str(folder)]
    assert len(list(open_source(str(folder)))) == 1


def test_noise_is_not_taken_for_raw_video(folder):
    (folder / "weights.bin").write_bytes(random.Random(82).randbytes(100_000))  # H.263, says FFmpeg
    picture(folder / "1.png")
    assert expand(str(folder)) == [str(folder)]


def test_companions_of_macos_are_passed_over(folder, clips):
    for number in range(2):
        (folder / f"._{picture(folder / f'{number}.jpg').name}").write_bytes(APPLE)
    _, frames, error = media.read(folder)
    assert (len(frames), error) == (2, None)
    shutil.copy(clips / "d.mkv", folder / "clip.mp4")
    (folder / "._clip.mp4").write_bytes(APPLE)
    assert expanded(folder) == ["clip.mp4"]


def test_a_glob_is_believed(folder, clips):
    shutil.copy(clips / "a.asf", folder / "a.asf")
    (folder / "notes.txt").write_text("no video")
    for number in range(2):
        picture(folder / f"{number}.png", number)
    assert expanded(folder / "*.asf") == ["a.asf"]
    assert expanded(folder / "*") == ["a.asf", "notes.txt", "*"]
    # The pictures are one stream, and what cannot be opened fails alone.
    _, frames, error = media.read(folder / "*")
    assert ([frame.file_name for frame in frames], error) == (["0.png", "1.png"], None)
    with pytest.raises(SourceError, match=r"notes\.txt: "):
        open_source(str(folder / "notes.txt"))


def test_links_that_lead_nowhere_are_told(folder):
    picture(folder / "1.png")
    (folder / "2.png").symlink_to("gone.png")
    (folder / "notes").symlink_to("gone")
    _, frames, error = media.read(folder)
    assert len(frames) == 1
    assert "1 of 2 images cannot be read" in str(error)
    assert "2.png: no such file" in str(error)


def test_one_stream_of_a_folder_with_one_video_is_that(folder, clips):
    shutil.copy(clips / "d.mkv", folder / "clip.mkv")
    picture(folder / "clip.jpg")
    info, frames, error = media.read(folder)
    assert (info.stream, len(frames), error) == ("rec", 2, None)
    assert info.width == 96


def test_one_stream_of_several_videos_is_refused(folder, clips):
    for name in ("1.mkv", "2.mkv"):
        shutil.copy(clips / "d.mkv", folder / name)
    for spec in (folder, folder / "*.mkv"):
        with pytest.raises(SourceError, match="holds 2 videos, and a stream is one of them; name it"):
            open_source(str(spec))


def test_nothing_there(folder):
    with pytest.raises(SourceError, match=r"rec: no images or videos in it$"):
        open_source(str(folder))
    with pytest.raises(SourceError, match="it names no file"):
        open_source(str(folder / "*.mkv"))
    assert expand(str(folder / "*.mkv")) == [str(folder / "*.mkv")]
    (folder / "monday").mkdir()
    with pytest.raises(SourceError, match=r"it holds 1 folders: name one, or write '.*/rec/\*\*/\*'"):
        open_source(str(folder))
