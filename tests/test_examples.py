"""The examples run as they are."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import broker, sinks_media
from tests.test_track_command import command

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


def test_count(tmp_path, tiny_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=0.4)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "count.py"), str(clip), "cat", str(tiny_checkpoint)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"\d+ × cat\n", done.stdout)  # noqa: RUF001


def test_subscribe(tmp_path, tiny_checkpoint):
    clip = sinks_media.clip(tmp_path / "clip.mp4", seconds=2)
    with broker.running(tmp_path / "broker") as server:
        listen = [sys.executable, str(EXAMPLES / "subscribe.py"), "127.0.0.1", str(server.port)]
        with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as subscriber:
            try:
                time.sleep(1.5)  # it says nothing before the first message
                out = f"mqtt://127.0.0.1:{server.port}/maskcast"
                subprocess.run(command(clip, "--prompt", "cat", "--out", out, model=tiny_checkpoint), check=True)
                assert re.fullmatch(r"clip \d+ \d+ cat \d+\n", subscriber.stdout.readline())
            finally:
                subscriber.kill()


def test_the_readme_shows_commands_that_exist():
    text = (EXAMPLES.parent / "README.md").read_text()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    shown = subprocess.run(
        [sys.executable, "-m", "streaming", "track", "--help"], capture_output=True, text=True, check=True
    ).stdout
    unknown = {option for option in options if option not in shown}
    assert not unknown
