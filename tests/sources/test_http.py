"""Recordings and HLS over HTTP: played as if live, and from servers that hang up."""

import contextlib
import re
import time
from http.server import BaseHTTPRequestHandler

import pytest

from maskcast.errors import SourceError
from sources import network, open_source
from sources.network import open_network
from sources.settings import SourceSettings
from tests import media
from tests.patience import patient


@contextlib.contextmanager
def server_that_hangs_up(data, *answers):
    """Serves `data` with ranges; the first answers hold so many bytes only. Yields its URL and where reading began."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
            asked.append(start)
            self.send_response(206)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:][: answers[len(asked) - 1]] if len(asked) <= len(answers) else data[start:])

    with media.answering(Handler) as url:
        yield f"{url}/clip.mp4", asked


@pytest.fixture
def recording(tmp_path):
    return media.make(tmp_path / "clip.mp4", size="320x240", options=["-movflags", "+faststart"])


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_server_that_hangs_up_is_asked_for_the_rest(recording, refusals):
    data = recording.read_bytes()
    with server_that_hangs_up(data, len(data) // 3, *[0] * refusals) as (url, asked):
        _, frames, error = media.read(url)
    assert error is None
    assert media.stamps(frames) == pytest.approx(media.times(recording), abs=1e-4)
    assert asked == [0, *[len(data) // 3] * (refusals + 1)]


def test_a_server_that_keeps_hanging_up_is_given_up(recording):
    data = recording.read_bytes()
    with server_that_hangs_up(data, len(data) // 2, *[0] * 99) as (url, asked):
        _, frames, error = media.read(url)
    assert 0 < len(frames) < 20
    assert f"truncated: {len(frames)} of 20 frames decoded" in str(error)
    assert len(asked) < 10, "one request more after each of few waits"


def test_an_index_at_the_end_needs_a_server_that_knows_ranges(tmp_path):
    media.make(tmp_path / "clip.mp4", size="640x480", options=["-qp", "0"])  # more than FFmpeg keeps to go back
    with media.http_server(tmp_path) as root, pytest.raises(SourceError, match=r"\+faststart"):
        open_source(f"{root}/clip.mp4")


def test_a_recording_may_play_as_if_live(recording):
    with media.http_server(recording.parent) as root:
        started = time.monotonic()
        info, frames, error = media.read(f"{root}/clip.mp4", live=True)
    assert error is None
    assert len(frames) == 20
    assert 1.8 < time.monotonic() - started < patient(10)
    assert (info.live, info.audio) == (True, ())


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("http://h/live/Index.M3U8?token=a", None, 30),
        ("https://h/a.mp4", None, 10),
        ("rtsp://h/a", None, 10),
        ("http://h/index.m3u8", 1.5, 1.5),
    ],
)
def test_hls_may_be_silent_for_a_segment(monkeypatch, url, given, expected):
    openings = []
    monkeypatch.setattr(network, "DetachedSource", lambda opens, name: opens())
    monkeypatch.setattr(network, "ContainerSource", lambda opening, stream, live: openings.append(opening))
    open_network(url, "x", SourceSettings(silence_seconds=given))
    assert openings[0].timeout[1] == expected
