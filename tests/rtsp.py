"""Starts the RTSP server of `rtsp_server.py` and ends it, by its own process id."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = "gi.require_version('GstRtspServer', '1.0')"


class Camera:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def url(self, *, user: str = "", path: str = "camera") -> str:
        return f"rtsp://{user + '@' if user else ''}127.0.0.1:{self.port}/{path}"


@contextmanager
def camera(file: Path, *arguments: str) -> Iterator[Camera]:
    """Serve a file; the test that asks is skipped where GStreamer's server is missing."""
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", f"import gi; {NEEDED}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no GStreamer RTSP server (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi and the plugins)")
    script = Path(__file__).with_name("rtsp_server.py")
    command = [SYSTEM_PYTHON, str(script), str(file), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield Camera(process, int(process.stdout.readline()))
        finally:
            process.kill()
