"""Network streams from real servers on loopback, and what happens when they misbehave."""

import contextlib
import itertools
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from datetime import UTC, datetime

import av
import pytest

from maskcast.errors import SourceError, UsageError
from sources import container, open_source
from sources.failure import explain
from sources.network import open_network
from sources.settings import CONNECT_SECONDS, SILENCE_SECONDS, SourceSettings
from tests import media, processes, rtsp
from tests.patience import eventually, patient, slowness
from tests.ports import free_port

SECRET = "Sup3rS/ecret"
QUOTED = "Sup3rS%2Fecret"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Two seconds of H.264."""
    path = tmp_path_factory.mktemp("rtsp") / "short.mp4"
    return media.make(path, size="160x120", rate=25, options=["-g", "10", "-bf", "0"])


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """Longer than any test watches."""
    path = tmp_path_factory.mktemp("rtsp") / "endless.mp4"
    return media.make(path, size="160x120", rate=25, seconds=30, options=["-g", "10", "-bf", "0"])


@pytest.fixture(scope="module")
def camera(endless):
    with rtsp.camera(endless) as server:
        yield server


@contextlib.contextmanager
def silent_server():
    """Accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def free_udp_port():
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp(camera, transport):
    source = open_source(camera.url(), SourceSettings(transport=transport))
    info = source.info
    assert (info.width, info.height, info.live, info.audio) == (160, 120, True, ())
    assert re.fullmatch(f"127.0.0.1-{camera.port}-[0-9a-f]{{8}}", info.stream)
    frames = list(itertools.islice(source, 70))
    source.close()
    times = [frame.pts for frame in frames]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(69 / 25, abs=0.5)
    assert [frame.index for frame in frames] == list(range(70))
    assert abs((datetime.now(UTC) - frames[-1].captured_at).total_seconds()) < patient(2)
    assert frames[-1].picture.rgb().shape == (120, 160, 3)


def test_a_live_stream_may_be_read_without_loss(camera):
    source = open_source(camera.url(), SourceSettings(live=False))
    assert not source.info.live
    assert len(list(itertools.islice(source, 5))) == 5
    source.close()


def test_wrong_path(camera):
    with pytest.raises(SourceError, match="404") as raised:
        open_source(camera.url(path="nowhere"), stream="door")
    assert str(raised.value).startswith(f"rtsp://127.0.0.1:{camera.port} (door): ")
    assert raised.value.exit_code == 3


def test_refused_and_accepted_credentials_are_never_shown(endless):
    with rtsp.camera(endless, "--user", "me", "--password", SECRET) as server:
        for wrong in (server.url(), server.url(user=f"me:not{QUOTED}"), server.url(user="me:x")):
            with pytest.raises(SourceError, match="401") as raised:
                open_source(wrong)
            assert "ecret" not in str(raised.value)
            assert "//me" not in str(raised.value)
            assert "ecret" not in "".join(traceback.format_exception(raised.value))
            assert f"127.0.0.1:{server.port}" in str(raised.value)
        source = open_source(server.url(user=f"me:{QUOTED}"))
        assert "ecret" not in repr(source.info)
        assert source.info.stream.startswith(f"127.0.0.1-{server.port}-")
        source.close()


def certificate(folder, name, host):
    """A self-made certificate for a host, and the file that the server needs: with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl (Debian: apt install openssl)")
    own, key, both = (folder / f"{name}.{kind}.pem" for kind in ("own", "key", "both"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"]
    command += ["-addext", f"subjectAltName={host}", "-keyout", str(key), "-out", str(own)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(own.read_bytes() + key.read_bytes())
    return own, both


def test_rtsp_over_tls_verifies_the_server_where_an_authority_is_named(endless, tmp_path):
    own, both = certificate(tmp_path, "right", "IP:127.0.0.1")
    another, _ = certificate(tmp_path, "another", "IP:127.0.0.1")
    with rtsp.camera(endless, "--certificate", str(both)) as server:
        url = server.url(scheme="rtsps")
        for trusted in (own, None):
            with contextlib.closing(open_source(url, SourceSettings(ca_file=trusted))) as source:
                assert len(list(itertools.islice(source, 5))) == 5
        with pytest.raises(SourceError, match="certificate") as raised:
            open_source(url, SourceSettings(ca_file=another))
        assert str(another) in str(raised.value)
        with pytest.raises(UsageError, match="no such file"):
            open_source(url, SourceSettings(ca_file=tmp_path / "missing.pem"))
        with pytest.raises(SourceError):
            open_source(server.url(), SourceSettings(connect_seconds=2, silence_seconds=2))


def test_rtsp_over_tls_refuses_a_certificate_for_another_host(endless, tmp_path):
    own, both = certificate(tmp_path, "elsewhere", "DNS:elsewhere.example")
    with (
        rtsp.camera(endless, "--certificate", str(both)) as server,
        pytest.raises(SourceError, match="certificate"),
    ):
        open_source(server.url(scheme="rtsps"), SourceSettings(ca_file=own))


def test_an_endless_camera_goes_on_past_the_end_of_its_file(short):
    with rtsp.camera(short, "--loop") as server, contextlib.closing(open_source(server.url())) as source:
        times = [frame.pts for frame in itertools.islice(source, 110)]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.04] * 109, abs=1e-3)


def test_a_stream_that_the_server_ends(short):
    with rtsp.camera(short) as server:
        count = 0
        with contextlib.closing(open_source(server.url())) as source, pytest.raises(SourceError) as raised:  # noqa: PT012
            for _ in source:
                count += 1
    assert 40 <= count <= 50
    assert f"ended after {count} frames" in str(raised.value)


def test_a_server_that_dies(endless):
    with rtsp.camera(endless) as server, contextlib.closing(open_source(server.url())) as source:
        frames = iter(source)
        next(frames)
        server.kill()
        with pytest.raises(SourceError, match="the stream ended after") as raised:
            list(frames)
        assert "no answer in time" not in str(raised.value)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_server_that_falls_silent(endless, transport):
    asked = 1.5 * slowness()
    with rtsp.camera(endless) as server:
        source = open_network(server.url(), "door", SourceSettings(transport=transport, silence_seconds=asked))
        frames = iter(source)
        next(frames)
        server.pause()
        started = time.monotonic()
        with pytest.raises(SourceError, match=r"the stream ended after \d+ frames: no answer in time"):
            list(frames)
        # For what is asked of a free machine the limit is below the usual silence.
        assert 0.5 < time.monotonic() - started < asked + 0.8 * SILENCE_SECONDS, "what was asked for, not the usual"
        source.close()


def test_closing_ends_a_wait_for_a_silent_camera(endless):
    with rtsp.camera(endless) as server:
        source = open_source(server.url())
        seen, done = [], threading.Event()

        def read():
            seen.extend(source)
            done.set()

        def stands_still():
            before = len(seen)
            time.sleep(0.5)
            return len(seen) == before

        threading.Thread(target=read).start()
        eventually(lambda: seen)
        server.pause()
        eventually(stands_still)
        source.close()
        assert done.wait(patient(5))
        names = [thread.name for thread in threading.enumerate()]
        assert f"receive {source.info.stream}" in names, "who waits for an answer is left behind"
        server.kill()  # which also ends the wait of the thread that was left behind


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp"])
def test_a_server_that_says_nothing_at_all(scheme):
    with silent_server() as port:
        started = time.monotonic()
        with pytest.raises(SourceError, match="no answer in time"):
            open_network(f"{scheme}://127.0.0.1:{port}/x", "x", SourceSettings(connect_seconds=1, silence_seconds=1))
        assert time.monotonic() - started < CONNECT_SECONDS, "what was asked for, not the usual"


def test_interrupt_while_a_camera_does_not_answer():
    """Ctrl-C neither waits for the time-out nor breaks the process."""
    code = (
        "import sys\nfrom sources import open_source\n"
        "try:\n    print('opening', flush=True)\n    open_source(sys.argv[1])\n"
        "except KeyboardInterrupt:\n    sys.exit(130)"
    )
    with silent_server() as port:
        command = [sys.executable, "-c", code, f"rtsp://127.0.0.1:{port}/x"]
        with processes.running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "opening\n"
            time.sleep(1)
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=patient(60))[1]
            assert time.monotonic() - started < CONNECT_SECONDS - 1
            assert process.returncode == 130
            assert errors == ""


@pytest.mark.parametrize("scheme", ["rtsp", "http", "rtmp"])
def test_nobody_listens(scheme):
    with pytest.raises(SourceError, match="refused") as raised:
        open_source(f"{scheme}://user:{QUOTED}@127.0.0.1:{free_port()}/x")
    assert "ecret" not in "".join(traceback.format_exception(raised.value))


def test_an_unknown_host():
    with pytest.raises(SourceError, match="cannot be reached"):
        open_source("rtsp://camera.invalid/x")


def test_data_without_pictures_does_not_hold_a_live_stream_for_ever(tmp_path, monkeypatch):
    """A camera may go on to send what nobody can decode."""
    monkeypatch.setattr(container, "PICTURELESS_SECONDS", 1.0)
    path = media.make(tmp_path / "x.mpg", codec="mpeg2video", seconds=1)
    source = container.ContainerSource(container.Opening(str(path), "x", timeout=(0.5, 0.5)), "x", live=True)
    monkeypatch.setattr(source, "_attempt", lambda decode, count: ())
    packet = next(source._packets())
    monkeypatch.setattr(source, "_packets", lambda: itertools.repeat(packet))
    started = time.monotonic()
    source._failure = None
    assert list(source._decode()) == []
    assert 0.9 < time.monotonic() - started < patient(5)
    assert "no picture" in str(source._failure)
    source.close()


def test_a_device_that_has_nothing_to_say_any_more(tmp_path, monkeypatch):
    """Such as a local camera, which FFmpeg asks without waiting for an answer."""
    path = media.make(tmp_path / "x.mp4", seconds=1)
    source = container.ContainerSource(container.Opening(str(path), "camera:0", timeout=(0.5, 0.5)), "x", live=True)

    class Silent:
        def demux(self, *streams):
            raise av.BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(source, "_container", Silent())
        started = time.monotonic()
        assert list(source._packets()) == []
        assert 0.4 < time.monotonic() - started < patient(5)
    assert "no answer in time" in str(explain(source._failure))
    source.close()


def test_http_file_is_offline_and_lossless(tmp_path):
    path = media.make(tmp_path / "clip.mp4", audio=True, options=["-movflags", "+faststart"])
    with media.http_server(tmp_path) as root:
        source = open_source(f"{root}/clip.mp4")
        frames = list(source)
        source.close()
        assert not source.info.live
        assert [track.template.codec_context.name for track in source.info.audio] == ["aac"]
        assert [frame.pts for frame in frames] == pytest.approx(media.times(path), abs=1e-4)
        with pytest.raises(SourceError, match="404"):
            open_source(f"{root}/missing.mp4")
        (tmp_path / "page.html").write_text("<html>no video here</html>" * 50)
        with pytest.raises(SourceError, match="not a video"):
            open_source(f"{root}/page.html")


def test_hls(tmp_path):
    media.make(
        tmp_path / "index.m3u8", seconds=4, options=["-g", "10", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0"]
    )
    with media.http_server(tmp_path) as root:
        source = open_source(f"{root}/index.m3u8", stream="tv")
        frames = list(source)
        source.close()
    assert len(frames) == 40
    assert (source.info.live, source.info.stream) == (False, "tv")
    assert source.info.duration == pytest.approx(4, abs=0.2)


def test_udp(short):
    port = free_udp_port()
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(short), "-c", "copy"]
    command += ["-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"]
    with processes.running(command):
        source = open_source(f"udp://127.0.0.1:{port}")
        frames = list(itertools.islice(source, 30))
        source.close()
    assert len(frames) == 30
    assert source.info.live
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))
    assert times[0] == 0


@pytest.mark.parametrize("url", ["ftp://host/x", "rtsp://", "rtsp://[broken/x", "rtsp://host:99999999/x", "://x"])
def test_urls_that_can_never_be_right(url):
    with pytest.raises(UsageError) as raised:
        open_source(url)
    assert raised.value.exit_code == 2
