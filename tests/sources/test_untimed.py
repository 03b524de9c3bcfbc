"""Pictures that come as they are made and have no time stamps take real time."""

import contextlib
import os
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from threading import Event

import numpy as np
import pytest
from PIL import Image

from maskcast.notices import ignore
from sources import open_reconnecting, open_source
from sources.settings import SourceSettings
from tests import media, processes

INTERVAL = 0.1  # seconds between two pictures of a camera


@contextlib.contextmanager
def camera(parts, kind):
    """An HTTP server that sends one of `parts` after the other, each `INTERVAL` seconds after the one before."""
    gone = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            with contextlib.suppress(OSError):
                for part in parts:
                    self.wfile.write(part)
                    if gone.wait(INTERVAL):
                        return

    with media.answering(Handler) as url:
        try:
            yield f"{url}/video"
        finally:
            gone.set()


def pictures(folder):
    media.make(folder / "%d.jpg", codec="mjpeg", pixels="yuvj420p", seconds=1.5)
    return [(folder / f"{number}.jpg").read_bytes() for number in range(1, 13)]


def multipart(folder):
    head = "--edge\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n"
    return [head.format(len(data)).encode() + data + b"\r\n" for data in pictures(folder)], (
        "multipart/x-mixed-replace; boundary=edge"
    )


def check(frames, interval):
    """The media clock goes as fast as the pictures came."""
    media_time = frames[-1].pts - frames[0].pts
    real_time = frames[-1].decoded_at - frames[0].decoded_at
    assert media_time == pytest.approx(real_time, abs=0.02)
    assert real_time > 0.7 * interval * (len(frames) - 1)
    assert media.stamps(frames) == sorted(set(media.stamps(frames)))


@pytest.mark.parametrize("live", [None, False])
def test_pictures_over_http(tmp_path, live):
    with camera(*multipart(tmp_path)) as url, contextlib.closing(open_source(url, SourceSettings(live=live))) as source:
        assert source.info.frame_rate is None
        assert source.info.time_base <= Fraction(1, 1000)
        check([frame for _, frame in zip(range(7), source, strict=False)], INTERVAL)


def test_a_camera_that_comes_back_goes_on_in_real_time(tmp_path):
    parts, kind = multipart(tmp_path)
    with camera(parts[:3], kind) as url:
        source = open_reconnecting(url, ignore)
        with contextlib.closing(source):
            frames = [frame for _, frame in zip(range(7), source, strict=False)]
    assert source.reconnects >= 1
    check(frames[3:], INTERVAL)


def test_a_pipe_that_is_live(tmp_path):
    """What FFmpeg needs to know the stream comes at once, what follows takes its time."""
    path = media.make(tmp_path / "bare.h264", rate=25, seconds=5, options=["-g", "1", "-bf", "0"])
    fifo = tmp_path / "fifo.h264"
    os.mkfifo(fifo)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-r", "40", "-i", str(path), "-c", "copy", "-f", "h264"]
    with (
        processes.running([*command, "-flush_packets", "1", "-y", fifo]),
        contextlib.closing(open_source(str(fifo), SourceSettings(live=True))) as source,
    ):
        frames = list(source)
    assert len(frames) == 125
    check(frames[-30:], 1 / 40)


def test_a_recording_that_plays_as_if_live_has_the_rate_that_ffmpeg_supposes(tmp_path):
    path = media.make(tmp_path / "bare.h264", options=["-g", "1", "-bf", "0"])
    _, frames, _ = media.read(path, live=True)
    assert frames[-1].pts == pytest.approx(19 / 25, abs=0.01)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_jpegs_with_exif_data_in_a_row_are_shown_upright(tmp_path, orientation):
    exif, picture = Image.Exif(), Image.new("RGB", (64, 48))
    exif[0x010F], exif[0x0112] = "a camera", orientation
    picture.paste((255, 0, 0), (0, 0, 16, 16))
    picture.save(tmp_path / "one.jpg", exif=exif)
    (tmp_path / "x.mjpeg").write_bytes((tmp_path / "one.jpg").read_bytes() * 3)
    _, [still], _ = media.read(tmp_path / "one.jpg")
    _, frames, error = media.read(tmp_path / "x.mjpeg")
    assert (len(frames), error) == (3, None)
    for frame in frames:
        assert np.abs(frame.picture.rgb().astype(int) - still.picture.rgb()).mean() < 2
