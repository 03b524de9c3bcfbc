"""No picture above `max_pixels` is decoded: videos, cameras and what FFmpeg itself decodes to find out what it has."""

import contextlib
import re
import threading

import cv2
import numpy as np
import pytest

from maskcast.backoff import Backoff
from maskcast.errors import SourceError
from sources import open_reconnecting, open_source
from sources.pixels import HIGHEST_MAX_PIXELS, MAX_PIXELS, oversize
from sources.settings import SourceSettings
from streaming.api import track
from streaming.commands.outputs import Outputs
from streaming.commands.probes import probe_source
from streaming.commands.track import run_track
from streaming.settings.tables import StreamSettings
from tests import media
from tests.huge import MEGABYTES, huge_jpeg, peak
from tests.patience import patient
from trackers.options import EngineOptions

SMALL, LARGE = "96x64", "320x240"
BOUND = 50_000  # between the two


def test_the_bound_itself():
    assert oversize(8000, 8000, MAX_PIXELS) is None
    assert str(oversize(8001, 8000, MAX_PIXELS)) == (
        "a picture of 8001 x 8000 pixels; raise max_pixels, now 64,000,000, if it is wanted"
    )


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("libx264", "x.mp4"),
        ("libx264", "x.ts"),
        ("libx264", "x.flv"),
        ("libx265", "x.mkv"),
        ("libvpx-vp9", "x.webm"),
        ("libaom-av1", "x.mkv"),
        ("mjpeg", "x.avi"),
        ("gif", "x.gif"),
        ("mpeg2video", "x.mpg"),
    ],
)
def test_no_video_above_the_bound(tmp_path, codec, name):
    pixels = {"gif": "bgr8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    quick = ["-cpu-used", "8"] if codec == "libaom-av1" else []
    clip = media.make(tmp_path / name, size=LARGE, seconds=0.2, codec=codec, pixels=pixels, options=quick)
    with pytest.raises(SourceError, match=r"x\.\w+: a picture of (320 x 240|more than 50,000) pixels; raise max_pix"):
        open_source(str(clip), SourceSettings(max_pixels=BOUND))
    with contextlib.closing(open_source(str(clip), SourceSettings(max_pixels=320 * 240))) as source:
        assert (source.info.width, source.info.height) == (320, 240)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_a_size_that_grows_in_the_middle_costs_the_large_pictures_alone(tmp_path, codec):
    parts = [
        media.make(tmp_path / f"{number}.ts", size=size, seconds=0.5, codec=codec)
        for number, size in enumerate((SMALL, LARGE))
    ]
    clip = tmp_path / "clip.ts"
    clip.write_bytes(b"".join(part.read_bytes() for part in (*parts, parts[0])))
    info, frames, error = media.read(clip, max_pixels=BOUND)
    assert (info.width, info.height) == (96, 64)
    assert {(frame.picture.width, frame.picture.height) for frame in frames} == {(96, 64)}
    assert 8 <= len(frames) <= 10
    assert re.search("a picture of .* pixels; raise max_pixels, now 50,000, if it is wanted; ", str(error))


def test_a_camera_is_connected_again_with_the_reason(monkeypatch):
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.05)
    small, large = (
        cv2.imencode(".jpg", np.zeros((*size, 3), np.uint8))[1].tobytes() for size in ((64, 96), (240, 320))
    )
    told = []
    refused = threading.Event()

    def changed(status):
        told.append((status.online, status.reason))
        if status.reason:
            refused.set()

    pictures = [small]
    with media.mjpeg_camera(lambda: pictures[0], 0.05) as url:  # the list may change
        source = open_reconnecting(url, changed, SourceSettings(max_pixels=BOUND), stream="door")
        frames = iter(source)
        next(frames)
        pictures[:] = [large]
        reader = threading.Thread(target=lambda: [None for _ in frames], daemon=True)
        reader.start()
        assert refused.wait(patient(60))
        source.close()
        reader.join(patient(60))
    assert re.search("a picture of (320 x 240|more than 50,000) pixels; raise max_pixels, now 50,000", told[1][1])


def test_nothing_large_is_allocated(tmp_path):
    need = {"huge.mjpeg": huge_jpeg() * 3, "huge.gif": huge_gif()}
    for name, data in need.items():
        (tmp_path / name).write_bytes(data)
        assert peak(tmp_path / name) < MEGABYTES, name


def huge_gif():
    size = (40_000).to_bytes(2, "little") * 2
    return b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0" + size + b"\0\x02\x02\x4c\x01\0\x3b"


def test_the_highest_bound_is_one_that_ffmpeg_takes(tmp_path):
    clip = media.make(tmp_path / "clip.mp4", seconds=0.2)
    _, frames, error = media.read(clip, max_pixels=HIGHEST_MAX_PIXELS)
    assert (len(frames), error) == (2, None)


def test_the_bound_reaches_every_way_in(tmp_path):
    path = tmp_path / "x.png"
    cv2.imwrite(str(path), np.zeros((64, 96, 3), np.uint8))
    refused = "a picture of 96 x 64 pixels; raise max_pixels, now 6,000, if it is wanted"
    with pytest.raises(SourceError, match=refused):
        next(track(path, "person", max_pixels=6000))
    stream = StreamSettings(source=str(path), prompts=["person"], max_pixels=6000)
    [finding] = probe_source("door", stream)
    assert refused in finding.detail
    said = []
    outputs = Outputs([str(tmp_path / "x.jsonl")])
    _, code = run_track([str(path)], ["person"], outputs, EngineOptions("nano"), max_pixels=6000, problem=said.append)
    assert code == 3
    assert refused in str(said[0])
