"""Runs `maskcast run` as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests import processes
from tests.forked import Maskcast
from tests.paths import ROOT
from tests.patience import eventually, patient
from tests.ports import free_port


def still_life(file: Path, seconds: float = 4.0, rate: int = 10) -> None:
    """Write a clip in which the objects of the demo stand still, so that they are where they were after any gap."""
    demo = cv2.VideoCapture(str(ROOT / "streaming" / "commands" / "demo.mp4"))
    picture = next(image for index in range(100) for _, image in [demo.read()] if index == 30)
    demo.release()
    height, width = picture.shape[:2]
    command = ["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}"]
    command += ["-r", str(rate), "-i", "-", "-c:v", "libx264", "-preset", "ultrafast", "-g", str(rate)]
    command += ["-bf", "0", "-pix_fmt", "yuv420p", str(file)]
    noise = np.random.default_rng(1)
    with processes.running(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for _ in range(round(seconds * rate)):
            grain = noise.integers(-2, 3, picture.shape)
            encoder.stdin.write(np.clip(picture.astype(np.int16) + grain, 0, 255).astype(np.uint8).tobytes())
        encoder.stdin.close()
        assert encoder.wait(patient(60)) == 0


class Service:
    """A running `maskcast run`."""

    def __init__(self, folder: Path, settings: str, *, fresh: bool = False, http: str = "") -> None:
        """Prepare.

        Args:
            folder: for its files.
            settings: without ``[http]``.
            fresh: let the process begin with its imports, for tests of its first moments.
            http: lines of ``[http]`` besides the address.
        """
        self.file = folder / "cameras.toml"
        self.log = folder / "service.log"
        self.port = free_port()
        self._fresh, self._http = fresh, http
        self.configure(settings)
        self.process: Maskcast | subprocess.Popen[bytes]

    def configure(self, settings: str) -> None:
        shared = f'[http]\nlisten = "127.0.0.1:{self.port}"\n{self._http}\n[log]\nformat = "json"\n'
        model = "" if "[model]" in settings else f'[model]\nname = "nano"\nlost_after = {patient(30.0)}\n'
        self.file.write_text(shared + model + settings, encoding="utf-8")

    def start(self) -> None:
        if not self._fresh:
            self.process = Maskcast("run", self.file, folder=self.file.parent, log=self.log)
            return
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "maskcast", "run", str(self.file)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self.process = processes.start(command, cwd=self.file.parent, stderr=log, stdout=log, env=environment)

    def wait_until_ready(self) -> None:
        eventually(self.ready, 120, "ready")

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}: {self.text()[-2000:]}")
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=patient(5)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def post(self, path: str, message: dict[str, Any]) -> tuple[int, str]:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(message).encode())
        try:
            with urllib.request.urlopen(asked, timeout=patient(10)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series of a metric that have these labels."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            if match := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line):
                found = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if match[1] == name and labels.items() <= found.items():
                    total += float(match[3])
        return total

    def reload(self, settings: str) -> None:
        self.configure(settings)
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(patient(60))

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""


@contextmanager
def service(folder: Path, settings: str, **options: Any) -> Iterator[Service]:
    """A service that runs and is ready; ended at the end, by its own process id."""
    running = Service(folder, settings, **options)
    running.start()
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.kill()
