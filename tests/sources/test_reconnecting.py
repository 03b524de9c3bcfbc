"""Live sources that come back: real servers killed, paused, replaced and cut off, and scripted ones for the rules."""

import contextlib
import itertools
import socket
import threading
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from maskcast.backoff import Backoff
from maskcast.errors import SourceError, UsageError
from maskcast.frame import Frame
from maskcast.notices import ignore
from maskcast.stream_info import StreamInfo
from sources import SourceSettings, open_reconnecting
from sources.failure import AccessDeniedError
from sources.picture import ArrayPicture
from sources.reconnecting import GOOD_SECONDS, ReconnectingSource
from tests import media, rtsp, tcp_proxy
from tests.patience import eventually, patient, slowness

# What a camera may take to be back after its server is.
BACK_SECONDS = patient(5)
PICTURE = ArrayPicture(np.zeros((2, 2, 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reconnecting")


@pytest.fixture(scope="module")
def clip(folder):
    return media.make(folder / "clip.mp4", size="160x120", rate=25, options=["-g", "10", "-bf", "0"])


@pytest.fixture
def impatient(monkeypatch):
    """Hardly any wait between attempts, where how long it takes is not the question."""
    monkeypatch.setattr(Backoff, "wait", lambda self: 0.1)


def until(condition):
    """Wait for it; how long it took."""
    started = time.monotonic()
    eventually(condition)
    return time.monotonic() - started


class Viewer:
    """Opens a source and reads it on a thread, as the pipeline does, and notes what comes."""

    def __init__(self, opens):
        self.stop = threading.Event()
        self.source, self.error = None, None
        self.frames, self.changes = [], []
        self._opens = opens
        self._thread = threading.Thread(target=self._view)
        self._thread.start()

    def changed(self, notice):
        self.changes.append((notice.online, notice.reason))

    def _view(self):
        try:
            self.source = self._opens(self.changed, self.stop)
            self.frames.extend(self.source)
        except Exception as error:  # noqa: BLE001
            self.error = error

    @property
    def online(self):
        return bool(self.changes) and self.changes[-1][0]

    def lost(self):
        return bool(self.changes) and not self.changes[-1][0]

    def sees_more(self, count=5):
        """Wait for more frames; how long it took."""
        wanted = len(self.frames) + count
        return until(lambda: len(self.frames) >= wanted)

    def ends(self):
        self.stop.set()
        self._thread.join(patient(10))
        assert not self._thread.is_alive()


@contextlib.contextmanager
def viewing(url, stream="door", **options):
    waits = {"connect_seconds": 2 * slowness(), "silence_seconds": 1.5 * slowness()}
    settings = SourceSettings(**waits | options)
    viewer = Viewer(lambda changed, stop: open_reconnecting(url, changed, settings, stream=stream, stop=stop))
    try:
        yield viewer
    finally:
        viewer.ends()


def check_continuity(frames):
    """Numbers without gaps, and a clock that goes as fast as real time does, across every gap."""
    assert [frame.index for frame in frames] == list(range(len(frames)))
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))
    assert times[0] == 0
    # Pictures are late at times, on a loaded machine more so: how far the clock is ahead of the most punctual ones.
    ahead = [frame.pts - (frame.decoded_at - frames[0].decoded_at) for frame in frames]
    assert max(ahead[-25:]) == pytest.approx(max(ahead[:25]), abs=2.5), ahead


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_killed_server_is_back_soon_after_it_starts_again(clip, transport):
    with rtsp.camera(clip, "--loop") as server, viewing(server.url(), transport=transport) as viewer:
        viewer.sees_more(30)
        server.kill()
        until(viewer.lost)
        time.sleep(1.5)
        before = len(viewer.frames)
        server.restart()
        assert viewer.sees_more(1) < BACK_SECONDS
        viewer.sees_more(30)
        assert viewer.source.reconnects == 1
    check_continuity(viewer.frames)
    last, first = viewer.frames[before - 1 : before + 1]
    gap = first.decoded_at - last.decoded_at
    assert gap > 1.5
    assert first.pts - last.pts == pytest.approx(gap, abs=2)
    assert viewer.changes[0] == viewer.changes[-1] == (True, None)
    assert all(not online and reason for online, reason in viewer.changes[1:-1])
    assert len(set(viewer.changes[1:-1])) == len(viewer.changes[1:-1]), "each reason is told once"
    assert viewer.source.info.live


def test_a_paused_server_is_noticed_and_found_again(clip):
    with rtsp.camera(clip, "--loop") as server, viewing(server.url(), silence_seconds=slowness()) as viewer:
        viewer.sees_more()
        server.pause()
        assert until(viewer.lost) < patient(5)
        assert "no answer in time" in viewer.changes[-1][1]
        server.resume()
        assert viewer.sees_more(1) < BACK_SECONDS
    check_continuity(viewer.frames)


def test_a_connection_that_swallows_everything_is_given_up(impatient, clip):
    with (
        rtsp.camera(clip, "--loop") as server,
        tcp_proxy.proxy(server.port) as proxy,
        viewing(f"rtsp://127.0.0.1:{proxy.port}/camera", silence_seconds=slowness()) as viewer,
    ):
        viewer.sees_more()
        proxy.stalled = True
        assert until(viewer.lost) < patient(5)
        proxy.stalled = False
        assert viewer.sees_more(1) < BACK_SECONDS
        check_continuity(viewer.frames)


def test_a_stall_shorter_than_the_silence_loses_nothing(clip):
    with (
        rtsp.camera(clip, "--loop") as server,
        tcp_proxy.proxy(server.port) as proxy,
        viewing(f"rtsp://127.0.0.1:{proxy.port}/camera", silence_seconds=5 * slowness()) as viewer,
    ):
        viewer.sees_more()
        proxy.stalled = True
        time.sleep(1)
        proxy.stalled = False
        viewer.sees_more(30)
        assert viewer.changes == [(True, None)]
        check_continuity(viewer.frames)
        steps = [later.pts - earlier.pts for earlier, later in itertools.pairwise(viewer.frames)]
        assert max(steps) == pytest.approx(0.04, abs=0.01)


def test_a_network_that_cuts_and_refuses(impatient, clip):
    with (
        rtsp.camera(clip, "--loop") as server,
        tcp_proxy.proxy(server.port) as proxy,
        viewing(f"rtsp://127.0.0.1:{proxy.port}/camera") as viewer,
    ):
        viewer.sees_more()
        proxy.refuse()
        until(lambda: "refused" in str(viewer.changes[-1][1]))
        proxy.accept()
        assert viewer.sees_more(1) < BACK_SECONDS
        proxy.cut()
        until(lambda: viewer.source.reconnects == 2)
        viewer.sees_more()
        check_continuity(viewer.frames)


def test_damaged_bytes_cost_pictures_or_a_connection_but_never_the_stream(impatient, clip):
    with (
        rtsp.camera(clip, "--loop") as server,
        tcp_proxy.proxy(server.port) as proxy,
        viewing(f"rtsp://127.0.0.1:{proxy.port}/camera") as viewer,
    ):
        viewer.sees_more()
        proxy.corrupt = 997
        time.sleep(1.5)
        proxy.corrupt = 0
        viewer.sees_more(50)
        check_continuity(viewer.frames)


@pytest.mark.parametrize(
    ("codec", "pixels", "options"),
    [
        ("libx264", "yuv420p", ["-g", "10"]),
        ("libx265", "yuv420p", ["-x265-params", "keyint=10:log-level=none"]),
        ("mjpeg", "yuvj420p", []),
    ],
)
def test_another_size_or_codec_after_a_restart(impatient, clip, folder, codec, pixels, options):
    other = media.make(
        folder / f"{codec}.mp4", size="320x240", rate=25, codec=codec, pixels=pixels, options=options, seconds=1
    )
    with rtsp.camera(clip, "--loop") as server, viewing(server.url()) as viewer:
        viewer.sees_more()
        server.restart(other)
        assert until(lambda: viewer.frames[-1].picture.width == 320) < BACK_SECONDS
        viewer.sees_more()
        assert viewer.frames[-1].picture.rgb().shape == (240, 320, 3)
        assert (viewer.source.info.width, viewer.source.info.height) == (160, 120)
        check_continuity(viewer.frames)


def test_a_stream_that_the_server_ends_begins_again(impatient, clip):
    with rtsp.camera(clip) as server, viewing(server.url()) as viewer:
        until(lambda: viewer.source is not None and viewer.source.reconnects == 1)
        viewer.sees_more()
        assert any("the stream ended after" in str(reason) for _, reason in viewer.changes)


def test_a_server_that_is_absent_at_the_start(clip):
    with rtsp.camera(clip, "--loop") as server:
        server.kill()
        with viewing(server.url()) as viewer:
            until(viewer.lost)
            assert "refused" in viewer.changes[-1][1]
            assert viewer.source is None
            server.restart()
            assert viewer.sees_more(1) < BACK_SECONDS
            assert viewer.source.reconnects == 0


def test_refused_credentials_are_tried_slowly_and_never_shown(clip):
    with (
        rtsp.camera(clip, "--loop", "--user", "me", "--password", "right") as server,
        tcp_proxy.proxy(server.port) as proxy,
        viewing(f"rtsp://me:wr0ng@127.0.0.1:{proxy.port}/camera") as viewer,
    ):
        until(viewer.lost)
        attempts = proxy.accepted
        time.sleep(2.5)
        assert proxy.accepted == attempts
        assert "401" in viewer.changes[-1][1]
        assert "wr0ng" not in str(viewer.changes)


def test_an_unknown_path_may_appear_later(clip):
    with rtsp.camera(clip, "--loop") as server, viewing(server.url(path="nowhere")) as viewer:
        until(viewer.lost)
        assert "404" in viewer.changes[-1][1]
    assert isinstance(viewer.error, SourceError)
    assert "door: closed before" in str(viewer.error)


def test_closing_while_a_server_says_nothing():
    seconds = 3 * slowness()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(patient(30))
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        settings = SourceSettings(connect_seconds=seconds, silence_seconds=seconds)
        viewer = Viewer(lambda changed, stop: open_reconnecting(url, changed, settings, stream="mute", stop=stop))
        with silent.accept()[0]:
            viewer.ends()
            assert "mute" in names_of_threads(), "who waits for an answer is left behind"
            until(lambda: "mute" not in names_of_threads())
        assert viewer.changes == []


def test_closing_while_a_paused_server_is_waited_for(clip):
    with (
        rtsp.camera(clip, "--loop") as server,
        viewing(server.url(), stream="mute", silence_seconds=3 * slowness()) as viewer,
    ):
        viewer.sees_more()
        server.pause()
        time.sleep(0.3)  # for what is on its way
        viewer.source.close()
        viewer.ends()
        assert "mute" in names_of_threads(), "who waits for an answer is left behind"
        until(lambda: "mute" not in names_of_threads())
        assert viewer.changes == [(True, None)]


def names_of_threads():
    return [thread.name for thread in threading.enumerate()]


@pytest.mark.long
def test_reconnections_leak_neither_threads_nor_files(impatient, clip):
    with (
        rtsp.camera(clip, "--loop") as server,
        tcp_proxy.proxy(server.port) as proxy,
        viewing(f"rtsp://127.0.0.1:{proxy.port}/camera") as viewer,
    ):
        viewer.sees_more()

        def settled():
            return [len(list(Path("/proc/self", kind).iterdir())) for kind in ("task", "fd")]

        before = None
        for cut in range(1, 9):
            proxy.cut()
            until(lambda cut=cut: viewer.source.reconnects == cut)
            viewer.sees_more()
            before = before or settled()  # after the first, by which libraries have the threads that they keep
        until(lambda: all(now <= then for now, then in zip(settled(), before, strict=True)))


# The rules, with scripted connections.


class Scripted:
    """A connection that gives some frames and then fails or ends."""

    info = StreamInfo("door", 2, 2, Fraction(1, 1000), live=True)

    def __init__(self, count=0, error=None, *, decoded=None, times=None):
        self.decoded = decoded or [time.monotonic() + index / 100 for index in range(count)]
        self.times = times or [index / 100 for index in range(len(self.decoded))]
        self.error = error
        self.closed = False

    def __iter__(self):
        for index, (pts, decoded) in enumerate(zip(self.times, self.decoded, strict=True)):
            yield Frame("door", index, pts, datetime.now(UTC), PICTURE, decoded)
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed = True


class Quick(Backoff):
    """Hardly waits, and remembers that it was asked."""

    def __init__(self, good=GOOD_SECONDS):
        super().__init__(first=0.01, longest=0.01, good=good)
        self.asked, self.resets = 0, 0

    def wait(self):
        self.asked += 1
        return super().wait()

    def reset(self):
        self.resets += 1


def scripted(script, **options):
    """A viewer of what the script's items give or raise, one an attempt; then it waits to be closed."""
    items = iter(script)

    def opens():
        item = next(items, None)
        if item is None:
            time.sleep(0.01)
            raise SourceError("door: the script is over")
        if isinstance(item, Exception):
            raise item
        return item

    options = {"backoff": Quick()} | options
    return Viewer(lambda changed, stop: ReconnectingSource(opens, "door", changed, stop=stop, **options))


def over(viewer):
    return viewer.changes[-1:] == [(False, "door: the script is over")]


def test_every_connection_is_closed_and_every_reason_told_once_in_a_row():
    refused = SourceError("rtsp://door: refused")
    connections = [Scripted(2, SourceError("door: lost")), Scripted(3), Scripted(1, ValueError("rtsp://u:pw@door\nx"))]
    first, second, third = connections
    viewer = scripted([refused, refused, refused, first, second, refused, SourceError("mute"), refused, third])
    until(lambda: over(viewer))
    viewer.ends()
    assert all(connection.closed for connection in connections)
    assert viewer.changes == [
        (False, "rtsp://door: refused"),
        (True, None),
        (False, "door: lost"),
        (True, None),
        (False, "door: the other side ended the stream"),
        (False, "rtsp://door: refused"),
        (False, "mute"),
        (False, "rtsp://door: refused"),
        (True, None),
        (False, "ValueError: rtsp://door"),
        (False, "door: the script is over"),
    ]
    assert viewer.source.reconnects == 2
    assert [frame.index for frame in viewer.frames] == list(range(6))


@pytest.mark.parametrize(
    ("decoded", "times", "expected"),
    [
        ([[50, 50.1, 50.2], [53.2, 53.3]], [[0, 0.1, 0.2], [0, 0.1]], [0, 0.1, 0.2, 3.2, 3.3]),
        # Each first frame is 0.5 s late, the others are punctual: the clock does not get ahead of itself.
        ([[50, 50.1, 50.2], [53, 53]], [[0, 0.6, 0.7], [0, 0.6]], [0, 0.6, 0.7, 3.0, 3.6]),
        # The camera's clock is no part of it.
        ([[50, 50.1], [51.1, 51.2]], [[0, 0.1], [7000, 7000.1]], [0, 0.1, 1.1, 1.2]),
        # Times that the new connection makes up never run backwards.
        ([[50, 50.1], [50.1, 50.1]], [[0, 0.1], [9, 9]], [0, 0.1, 0.101, 0.102]),
    ],
)
def test_the_clock_goes_on_by_the_real_time_of_a_gap(decoded, times, expected):
    connections = [Scripted(decoded=at, times=pts) for at, pts in zip(decoded, times, strict=True)]
    viewer = scripted(connections)
    until(lambda: over(viewer))
    viewer.ends()
    assert [frame.pts for frame in viewer.frames] == pytest.approx(expected)
    assert [frame.index for frame in viewer.frames] == list(range(len(expected)))


def test_what_can_never_be_right_is_raised():
    viewer = scripted([SourceError("not yet"), UsageError("never")])
    until(lambda: viewer.error is not None)
    viewer.ends()
    assert isinstance(viewer.error, UsageError)
    viewer = scripted([Scripted(1), UsageError("no more")])
    until(lambda: viewer.error is not None)
    viewer.ends()
    assert isinstance(viewer.error, UsageError)


def test_refused_credentials_have_a_wait_of_their_own():
    denied = [AccessDeniedError("401")] * 3
    backoff = Quick()
    started = time.monotonic()
    viewer = scripted([*denied, Scripted(1)], backoff=backoff, denied=0.2)
    until(lambda: viewer.online or len(viewer.changes) > 1)
    assert time.monotonic() - started > 0.5
    viewer.ends()
    assert viewer.changes[:2] == [(False, "401"), (True, None)]


def test_closing_ends_a_long_wait_at_once():
    viewer = scripted([AccessDeniedError("401")] * 9, denied=3600)
    until(viewer.lost)
    viewer.ends()
    until(lambda: "door" not in names_of_threads())


def test_connections_that_break_at_once_are_not_hammered():
    backoff = Quick()
    viewer = scripted([Scripted(1) for _ in range(5)], backoff=backoff)
    until(lambda: over(viewer))
    viewer.ends()
    assert backoff.resets == 0
    backoff = Quick(good=-1.0)
    viewer = scripted([Scripted(1) for _ in range(5)], backoff=backoff)
    until(lambda: over(viewer))
    viewer.ends()
    assert backoff.resets == 5


def test_only_what_lives_can_be_connected_again(tmp_path):
    with pytest.raises(UsageError, match="only a URL or a camera"):
        open_reconnecting(str(tmp_path / "x.mp4"), ignore)
    media.make(tmp_path / "clip.mp4", options=["-movflags", "+faststart"])
    with media.http_server(tmp_path) as root, pytest.raises(UsageError, match="is a recording"):
        open_reconnecting(f"{root}/clip.mp4", ignore)
