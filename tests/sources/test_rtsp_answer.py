"""Servers that speak anything but RTSP, on loopback, and one that does."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import socket

import pytest

from maskcast.errors import SourceError
from sources import open_source
from sources.rtsp_answer import speaks_rtsp
from sources.settings import SourceSettings
from tests import media, rtsp
from tests.ports import free_port

Talk = Callable[[socket], None]


@contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """A server that speaks with each client so; its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                talk(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def http(client: socket) -> None:
    client.recv(4096)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nhello")


def echo(client: socket) -> None:
    while heard := client.recv(4096):
        client.sendall(heard)


def ssh(client: socket) -> None:
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    client.recv(4096)


def hangs_up(client: socket) -> None:
    client.recv(4096)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
@pytest.mark.parametrize("talk", [http, echo, ssh, hangs_up])
def test_what_is_no_rtsp_is_not_called_a_broken_file(talk: Talk, scheme: str) -> None:
    with serving(talk) as port, pytest.raises(SourceError) as failure:
        open_source(f"{scheme}://me:secret@127.0.0.1:{port}/x", stream="door")
    over = " over TLS" if scheme == "rtsps" else ""
    line = rf"{scheme}://127.0.0.1:{port} \(door\): did not answer as RTSP{over}; check host, port and path"
    assert re.fullmatch(line, str(failure.value))


def test_silence_is_no_answer_in_time() -> None:
    over = threading.Event()
    settings = SourceSettings(connect_seconds=1.0, silence_seconds=1.0)
    with serving(lambda _: over.wait() and None) as port:
        with pytest.raises(SourceError, match="no answer in time"):
            open_source(f"rtsp://127.0.0.1:{port}/x", settings, stream="door")
        over.set()


def test_a_real_server_is_recognized_without_its_password(tmp_path: Path) -> None:
    clip = media.make(tmp_path / "a.mp4", size="160x120", rate=5, options=["-g", "5", "-bf", "0"])
    with rtsp.camera(clip, "--user", "me", "--password", "secret") as server:
        assert speaks_rtsp(server.url()) is True
    assert speaks_rtsp(f"rtsp://127.0.0.1:{free_port()}/x") is None, "nobody is there"
