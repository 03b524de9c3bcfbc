"""Starts the RTSP server of `rtsp_server.py`, breaks it as real ones break, and ends it, by its own process id."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests import processes
from tests.ports import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = "gi.require_version('GstRtspServer', '1.0')"


class Camera:
    """A server: running, unless it was killed.

    Attributes:
        process: the server's present process.
        port: the same for all its life.
    """

    def __init__(self, file: Path, arguments: tuple[str, ...]) -> None:
        self._file, self._arguments = file, arguments
        self.port = free_port()
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        script = Path(__file__).with_name("rtsp_server.py")
        command = [SYSTEM_PYTHON, str(script), str(self._file), "--port", str(self.port), *self._arguments]
        process = processes.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout.readline(), "the RTSP server does not start"
        except BaseException:
            processes.end(process)
            raise
        return process

    def url(self, *, user: str = "", path: str = "camera", scheme: str = "rtsp") -> str:
        return f"{scheme}://{user + '@' if user else ''}127.0.0.1:{self.port}/{path}"

    def kill(self) -> None:
        """SIGKILL: connections break, the port is free."""
        processes.end(self.process)

    def restart(self, file: Path | None = None) -> None:
        """Kill it if it runs, and start it anew on the same port; returns when it listens.

        Args:
            file: what it serves from now on; None for the same as before.
        """
        self.kill()
        self._file = file or self._file
        self.process = self._start()

    def pause(self) -> None:
        """SIGSTOP: it stops answering without closing a connection."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


@cache
def has_server() -> bool:
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", f"import gi; {NEEDED}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextmanager
def camera(file: Path, *arguments: str) -> Iterator[Camera]:
    """Serve a file, with the arguments of `rtsp_server.py`; skips the test where GStreamer's server is missing."""
    if not has_server():
        pytest.skip("no GStreamer RTSP server (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi and the plugins)")
    server = Camera(file, arguments)
    try:
        yield server
    finally:
        server.kill()
