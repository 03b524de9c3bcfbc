"""Small real media for tests, made by FFmpeg's command line, and what FFmpeg itself says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, cast

import numpy as np
import pytest

from maskcast.errors import SourceError
from maskcast.frame import Frame
from maskcast.picture import Image, Planes
from maskcast.stream_info import StreamInfo
from sources import SourceSettings, open_source

CLIPS = Path(__file__).parents[2] / "shared" / "media"


def need_ffmpeg() -> None:
    """Skip the test where the command line tools are missing."""
    for tool in ("ffmpeg", "ffprobe"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine (Debian: apt install ffmpeg)")


def clip(name: str) -> Path:
    """A real clip beside the checkout; skips the test where it is missing."""
    path = CLIPS / name
    if not path.exists():
        pytest.skip(f"no {path.name} in shared/media beside this checkout")
    return path


@cache
def has_encoder(name: str) -> bool:
    command = ["ffmpeg", "-hide_banner", "-encoders"]
    return f" {name} " in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ffmpeg(*arguments: str | Path) -> None:
    need_ffmpeg()
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-nostdin", *map(str, arguments)], check=True)


def make(
    path: Path,
    *,
    size: str = "96x64",
    rate: int = 10,
    seconds: float = 2,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    audio: bool = False,
    options: Sequence[str] = (),
) -> Path:
    """A moving test picture, `seconds * rate` frames; `options` are FFmpeg's for the output."""
    need_ffmpeg()
    if not has_encoder(codec):
        pytest.skip(f"this ffmpeg has no {codec}")
    speed = ["-preset", "ultrafast"] if codec in {"libx264", "libx265"} else []
    quiet = ["-x265-params", "log-level=none"] if codec == "libx265" else []
    sound = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}", "-c:a", "aac"] if audio else []
    picture = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    ffmpeg(*picture, *sound, "-c:v", codec, *speed, *quiet, "-pix_fmt", pixels, *options, path)
    return path


def probe(path: Path | str, *show: str) -> dict[str, Any]:
    need_ffmpeg()
    command = ["ffprobe", "-v", "error", "-of", "json", "-select_streams", "v:0", *show, str(path)]
    return cast("dict[str, Any]", json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def times(path: Path) -> list[float]:
    """Presentation times of the decoded frames less the start of the container."""
    told = probe(path, "-show_entries", "frame=best_effort_timestamp_time:format=start_time")
    start = float(told["format"].get("start_time", 0))
    return [float(frame["best_effort_timestamp_time"]) - start for frame in told["frames"]]


def decode(path: Path | str, pixels: str, width: int, height: int, *options: str) -> Iterator[Image]:
    """FFmpeg's own frames, rotation applied: ``(H, W, 3)`` for rgb24, the concatenated planes for yuv420p."""
    need_ffmpeg()
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), *options, "-pix_fmt", pixels]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    if pixels == "rgb24":
        yield from np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
    else:
        chroma = ((height + 1) // 2) * ((width + 1) // 2)
        yield from np.frombuffer(data, np.uint8).reshape(-1, height * width + 2 * chroma)


def flat(planes: Planes) -> Image:
    """Planes as FFmpeg writes them one after the other."""
    return np.concatenate([plane.reshape(-1) for plane in planes])


def read(spec: Path | str, **settings: Any) -> tuple[StreamInfo, list[Frame], SourceError | None]:
    """All frames of a source, and the error that ended it."""
    source = open_source(str(spec), SourceSettings(**settings))
    frames: list[Frame] = []
    error: SourceError | None = None
    try:
        frames.extend(source)
    except SourceError as raised:
        error = raised
    finally:
        source.close()
    return source.info, frames, error


def stamps(frames: Sequence[Frame]) -> list[float]:
    return [frame.pts for frame in frames]


@contextmanager
def http_server(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; yields the URL without a slash at its end."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

    with answering(Handler) as url:
        yield url


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve what `handler` answers on loopback, without its log; yields the URL without a slash at its end."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), quiet) as server:
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def mjpeg_camera(picture: Callable[[], bytes], seconds: float) -> Iterator[str]:
    """Send a JPEG each so many seconds to whoever asks, over HTTP, for as long as this is entered; yields the URL."""
    over = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            with suppress(OSError):
                while not over.wait(seconds):
                    jpeg = picture()
                    head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")

    with answering(Handler) as url:
        try:
            yield f"{url}/"
        finally:
            over.set()
