"""What is read once: standard input, FIFOs."""

import contextlib
import os
import subprocess
import sys
import threading
import time

import pytest

from maskcast.errors import SourceError, UsageError
from sinks import open_sink
from sources import open_source
from streaming.commands.outputs import Outputs
from streaming.commands.track import run_track
from tests import media, processes, sinks_media
from tests.paths import ROOT
from trackers.options import EngineOptions

READ = """
import sys
from sources import open_source
from maskcast.errors import SourceError
try:
    source = open_source("-")
    print(source.info.stream, len(list(source)), len(source.info.audio))
except SourceError as error:
    print(error)
"""


@contextlib.contextmanager
def fifo(folder, *writes, pause=0.0):
    """A FIFO and somebody who writes into it."""
    path = folder / "pipe"
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError), path.open("wb") as pipe:
            for data in writes:
                pipe.write(data)
                pipe.flush()
                time.sleep(pause)

    writer = threading.Thread(target=write)
    writer.start()
    yield path
    writer.join()


def read_standard_input(**options):
    command = [sys.executable, "-c", READ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, **options).stdout.strip()


def test_standard_input_may_be_a_pipe_or_a_file(tmp_path):
    """The file is one whose index is at its end, which has to be sought."""
    clip = media.make(tmp_path / "clip.ts", audio=True)
    with processes.running(["cat", clip], stdout=subprocess.PIPE) as pipe:
        assert read_standard_input(stdin=pipe.stdout) == "stdin 20 1"
    video = media.make(tmp_path / "video.mp4", size="640x480", options=["-qp", "0"])
    with video.open("rb") as file:
        assert read_standard_input(stdin=file) == "stdin 20 0"


def test_what_comes_through_a_pipe_and_is_no_video(tmp_path):
    assert "standard input: nothing that is a video came" in read_standard_input(stdin=subprocess.DEVNULL)
    with (tmp_path / "empty").open("wb+") as file:
        assert read_standard_input(stdin=file) == "standard input: the file is empty"
    with fifo(tmp_path, b"no video\n" * 9999) as path, pytest.raises(SourceError, match="nothing that is a video"):
        open_source(str(path))


def test_an_mp4_whose_index_comes_last_cannot_come_through_a_pipe(tmp_path):
    clip = media.make(tmp_path / "clip.mp4", size="640x480", options=["-qp", "0"])  # more than FFmpeg keeps to go back
    with fifo(tmp_path, clip.read_bytes()) as path, pytest.raises(SourceError, match="movflags"):
        open_source(str(path))


def after_the_picture(path):
    """Times of the sound, from the first picture on."""
    start = sinks_media.times(path)[0]
    return [at - start for at in sinks_media.times(path, "a")]


@pytest.mark.parametrize("name", ["in.ts", "in.mkv"])
async def test_a_pipe_keeps_its_sound_and_all_its_frames(tmp_path, name):
    clip = media.make(tmp_path / name, audio=True)
    target = tmp_path / "out.mp4"
    with fifo(tmp_path, clip.read_bytes()) as path:
        about, frames = sinks_media.decode(path)
        await sinks_media.feed(open_sink(str(target), preset="ultrafast"), about, sinks_media.results(frames))
    assert sinks_media.times(target) == pytest.approx(media.times(clip), abs=2e-3)
    if name == "in.ts":  # whose clock has a start, so that the reference is not shifted by the encoder's delay
        heard, expected = (after_the_picture(path) for path in (target, clip))
        assert heard == pytest.approx(expected, abs=2e-3)
    assert len(sinks_media.hashes(target)) == len(sinks_media.hashes(clip))


def test_the_first_frames_do_not_wait_for_the_last(tmp_path):
    noise = ["-vf", "noise=alls=60:allf=t", "-qp", "0", "-g", "5"]
    data = media.make(tmp_path / "clip.ts", size="320x240", seconds=8, options=noise).read_bytes()
    half = len(data) // 2
    assert half > 4 << 20  # more than a pipe and the probing of a stream take in
    with (
        fifo(tmp_path, data[:half], data[half:], pause=1.0) as path,
        contextlib.closing(open_source(str(path))) as source,
    ):
        times = [(frame.decoded_at, frame.pts) for frame in source]
    assert len(times) == 80
    assert times[-1][0] - times[0][0] > 0.9


def test_standard_input_is_read_once():
    with pytest.raises(UsageError, match="standard input, which can be read once"):
        run_track(["-", "-"], ["person"], Outputs(["-"]), EngineOptions())
