"""What a medium may open, where HTTP may lead, and what is said of what is no video."""

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from maskcast.errors import SourceError
from sources import open_source, redirect
from sources.opening import what_it_is
from tests import media, rtsp

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n"


class Site:
    """Pages by path: their bytes, or where they redirect to."""

    def __init__(self, port: int) -> None:
        self.pages: dict[str, bytes | str] = {}
        self.asked: list[str] = []
        self.port = port

    def url(self, path: str, host: str = "127.0.0.1", user: str = "") -> str:
        return f"http://{user}{host}:{self.port}{path}"


@contextlib.contextmanager
def serve() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked.append(self.path)
            page = site.pages.get(self.path)
            self.send_response(404 if page is None else 302 if isinstance(page, str) else 200)
            if isinstance(page, str):
                self.send_header("Location", page)
            data = page if isinstance(page, bytes) else b""
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

    with media.answering(Handler) as url:
        site = Site(int(url.rpartition(":")[2]))
        yield site


@pytest.fixture
def site():
    with serve() as one:
        yield one


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return media.make(tmp_path_factory.mktemp("opening") / "clip.ts", seconds=1)


def playlist(segment, *, key=""):
    return f"{HEAD}{key}#EXTINF:1,\n{segment}\n#EXT-X-ENDLIST\n".encode()


def test_a_playlist_from_the_network_opens_no_file(site, clip):
    site.pages["/index.m3u8"] = playlist(f"file://{clip}")
    site.pages["/plain.m3u8"] = playlist(str(clip))
    for path in ("/index.m3u8", "/plain.m3u8"):
        with pytest.raises(SourceError, match="names no stream"):
            open_source(site.url(path))


def test_a_key_from_a_file_is_not_read(site, clip, tmp_path):
    (tmp_path / "key").write_bytes(b"0123456789abcdef")
    site.pages["/clip.ts"] = clip.read_bytes()
    key = f'#EXT-X-KEY:METHOD=AES-128,URI="file://{tmp_path}/key"\n'
    site.pages["/index.m3u8"] = playlist("clip.ts", key=key)
    with pytest.raises(SourceError):
        open_source(site.url("/index.m3u8"))


def test_a_playlist_that_is_a_file_opens_files_and_asks_nobody(site, clip, tmp_path):
    site.pages["/clip.ts"] = clip.read_bytes()
    (tmp_path / "index.m3u8").write_bytes(playlist(site.url("/clip.ts")))
    with pytest.raises(SourceError, match="names no stream"):
        open_source(str(tmp_path / "index.m3u8"))
    assert site.asked == []
    (tmp_path / "clip.ts").write_bytes(clip.read_bytes())
    (tmp_path / "index.m3u8").write_bytes(playlist("clip.ts"))
    _, frames, error = media.read(tmp_path / "index.m3u8")
    assert (len(frames), error) == (10, None)


def test_a_redirection_within_the_host_is_followed(site, clip):
    site.pages |= {"/a": "/b?token=x", "/b?token=x": site.url("/clip.ts"), "/clip.ts": clip.read_bytes()}
    _, frames, error = media.read(site.url("/a"), live=False)
    assert (len(frames), error) == (10, None)


def test_a_redirection_to_another_private_host_needs_a_setting(site, clip):
    with serve() as inner:
        inner.pages["/clip.ts"] = clip.read_bytes()
        site.pages["/a"] = inner.url("/clip.ts", host="localhost")
        with pytest.raises(SourceError, match=r"private network.*private_redirects") as raised:
            open_source(site.url("/a", user="me:Sup3rSecret@"))
        assert "localhost" in str(raised.value)
        assert "clip" not in str(raised.value)
        assert "Sup3r" not in str(raised.value)
        assert inner.asked == []
        _, frames, error = media.read(site.url("/a"), live=False, private_redirects=True)
        assert (len(frames), error) == (10, None)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("file:///etc/passwd", "no place on the web"),
        ("ftp://127.0.0.1/x", "no place on the web"),
        ("/a", "redirects more than 8 times"),
        ("http://[bad/x", "no URL"),
        ("http://example.com\\@127.0.0.1/x", "no place on the web"),
        ("http://" + "a" * 999 + "/x", "no place on the web"),
        ("http://" + "a" * 99 + "/x", "private network"),
        ("http://127.1:9/x", "private network"),
        ("http://2130706434:9/x", "private network"),
        ("http://[::1]:9/x", "private network"),
        ("http://[::ffff:127.0.0.1]:9/x", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("http://192.168.1.1/x", "private network"),
    ],
)
def test_redirections_that_lead_nowhere(site, target, says):
    site.pages["/a"] = target
    with pytest.raises(SourceError, match=says):
        open_source(site.url("/a"))


def test_a_redirection_does_not_leave_encryption(monkeypatch):
    monkeypatch.setattr(redirect, "_location", lambda *_: "http://example.com/x")
    with pytest.raises(SourceError, match="unencrypted"):
        redirect.redirection("https://example.com/x", seconds=1, ca_file=None, private=True)
    assert (
        redirect.redirection("http://example.com/x", seconds=1, ca_file=None, private=False) == "http://example.com/x"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html>\n<html><body><form action=login></form></body></html>", "is a web page"),
        (b"\xef\xbb\xbf\n  <HTML><title>Caf\xe9</title>" + b"x" * 9999, "is a web page"),
        (json.dumps({"error": "camera offline"}).encode(), "is a message in JSON"),
        (b'<?xml version="1.0"?>\n<error>denied</error>', "is an XML document"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "is a DASH manifest"),
        (b"#EXTM3U\n#EXT-X-ENDLIST\n", "is a playlist that names no stream"),
        (HEAD.encode() + b"#EXT-X-ENDLIST\n", "names no stream"),
        (b"no such camera\n", "is a text"),
    ],
)
def test_what_is_no_video_is_called_by_its_name(site, tmp_path, content, says):
    site.pages["/live"] = content
    (tmp_path / "file.mp4").write_bytes(content)
    for source in (site.url("/live"), str(tmp_path / "file.mp4")):
        with pytest.raises(SourceError, match=says) as raised:
            open_source(source)
        assert "\n" not in str(raised.value)


def test_what_may_be_a_damaged_video_is_not_called_a_text():
    assert what_it_is(bytes(range(256))) is None
    assert what_it_is(b"") is None
    assert what_it_is(None) is None


def test_sound_without_a_picture_over_rtsp(clip):
    with rtsp.camera(media.make(clip.parent / "clip.mp4", seconds=1), "--sound") as server:
        with pytest.raises(SourceError, match="holds no video, only audio"):
            open_source(server.url(path="sound"))
        with contextlib.closing(open_source(server.url())) as source:
            assert next(iter(source)).picture.width == 96
