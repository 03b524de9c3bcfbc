"""`maskcast track --workers` where processes and machines die: every video once, complete, and as without a fault."""

import json
import os
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import sinks_media
from tests.forked import Maskcast
from tests.paths import ROOT
from tests.patience import eventually, patient
from tests.ray_cluster import ray_nodes
from tests.tracking import command, run

pytest.importorskip("ray")

DEMO = ROOT / "streaming" / "commands" / "demo.mp4"
SECONDS = {"long": 4.0, "middle": 1.0, "short": 0.6}
ASKED = ("--prompt", "star", "--prompt", "red circle")
OUTS = ("--out", "{stream}.jsonl", "--out", "coco:{stream}.json", "--out", "{stream}.mp4")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of videos with sound, and the outputs of each without Ray."""
    folder = tmp_path_factory.mktemp("videos")
    for number, (name, seconds) in enumerate(SECONDS.items()):
        sound = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]
        shown = ["-ss", str(number / 2), "-t", str(seconds), "-i", str(DEMO)]
        sinks_media.ffmpeg(*shown, *sound, "-vf", "scale=320:-2", "-c:a", "aac", str(folder / f"{name}.mp4"))
    alone = folder / "alone"
    alone.mkdir()
    for name in SECONDS:
        outs = [part.replace("{stream}", str(alone / "{stream}")) for part in OUTS]
        plain = run(folder / f"{name}.mp4", *ASKED, *outs, model="nano")
        assert plain.exit_code == 0, plain.stderr
    return folder


def outputs(folder, name):
    """What is in each output of a video, without the moment at which it was opened; of pictures when they are shown.

    Of the same pictures the encoder does not always make the same bytes.
    """
    lines = re.sub(r'"time":"[^"]*"', "", (folder / f"{name}.jsonl").read_text())
    film = folder / f"{name}.mp4"
    return lines, (folder / f"{name}.json").read_text(), sinks_media.times(film), sinks_media.hashes(film)


def descendants(pid):
    """The processes below one, by id: their command lines."""
    parents, lines = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    below, grown = {pid}, 0
    while grown != len(below):
        grown = len(below)
        below |= {child for child, parent in parents.items() if parent in below}
    return {one: lines[one] for one in below if one in lines and one != pid}


class Command:
    """One command over the folder in a place of its own, begun again as often as it takes."""

    def __init__(self, videos, place, *more):
        self.videos, self.place, self.more, self.number = videos, place, more, 0
        self.process = None

    def start(self):
        self.number += 1
        self.log = self.place / f"{self.number}.log"
        sources = [self.videos / f"{name}.mp4" for name in SECONDS]
        arguments = command(*sources, *ASKED, *OUTS, "--save-seconds", "0.1", *self.more, model="nano")
        self.process = Maskcast(*arguments, folder=self.place, log=self.log)

    @property
    def running(self):
        return self.process.returncode is None

    def workers(self, below=None):
        """Process ids of those that track."""
        return [pid for pid, line in descendants(below or self.process.pid).items() if "VideoTracker" in line]

    def state(self, name):
        return self.place / ".maskcast" / "tracks" / f"{name}.safetensors"

    def done(self):
        return {
            path.stem for path in (self.place / ".maskcast" / "done").glob("*.json") if '"done"' in path.read_text()
        }

    def end(self, code=0):
        """Wait for its end, and see that all is there, once."""
        eventually(lambda: not self.running, 400, "the end of the command")
        told = self.log.read_text()
        assert self.process.returncode == code, told
        return told

    def whole(self):
        """Every video is there, complete, and as without Ray; nothing else is left."""
        for name in SECONDS:
            assert outputs(self.place, name) == outputs(self.videos / "alone", name), name
        kinds = ("jsonl", "json", "mp4")
        left = {path.name for path in self.place.iterdir() if path.suffix != ".log"} - {"report.jsonl"}
        assert left == {".maskcast", *(f"{name}.{kind}" for name in SECONDS for kind in kinds)}
        assert self.done() == set(SECONDS)
        assert not list((self.place / ".maskcast" / "spool").iterdir())


@pytest.fixture
def begin(videos, tmp_path):
    """Makes commands, which end with the test."""
    made = []

    place = tmp_path / "place"
    place.mkdir()

    def new(*more):
        made.append(Command(videos, place, *more))
        return made[-1]

    yield new
    for one in made:
        if one.process is None:
            continue
        below = list(descendants(one.process.pid))
        one.process.end()
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_workers_and_then_the_command_itself_are_killed(begin):
    one = begin("--workers", 2)
    one.start()
    eventually(one.state("long").exists, 200, "the long video is under way")
    for pid in one.workers():
        kill(pid)
    eventually(one.done, 200, "a video that is done")
    before = {path: path.stat().st_mtime_ns for name in one.done() for path in one.place.glob(f"{name}.*")}
    below = list(descendants(one.process.pid))
    one.process.kill()
    one.process.wait(patient(20))
    one.start()
    told = one.end()
    assert "videos are done already" in told
    one.whole()
    assert before == {path: path.stat().st_mtime_ns for path in before}, "what is done is not done again"
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below), 120, "nothing of the first is left")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_worker_is_killed_at_a_random_moment(begin, seed):
    chance = random.Random(seed)
    one = begin("--workers", 2, "--report", "report.jsonl")
    one.start()
    for _ in range(2):
        eventually(lambda: one.workers() or not one.running, 200)
        time.sleep(chance.uniform(0.0, 6.0))
        if pids := one.workers():
            kill(chance.choice(pids))
    one.end()
    one.whole()
    rows = [json.loads(line) for line in (one.place / "report.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_command_is_killed_at_random_moments(begin, seed):
    chance = random.Random(100 + seed)
    one = begin("--workers", 2)
    for _ in range(3):
        one.start()
        eventually(lambda: one.workers() or not one.running, 200)
        time.sleep(chance.uniform(0.0, 8.0))
        if not one.running:
            break
        one.process.kill()
        one.process.wait(patient(20))
    one.start()
    one.end()
    one.whole()


@pytest.mark.slow
def test_a_machine_stops_and_another_joins(begin):
    with ray_nodes(0, 1) as nodes:
        one = begin("--workers", 2, "--ray", nodes.address)
        second = nodes.add(1)
        one.start()
        eventually(one.state("long").exists, 200, "the long video is under way")
        nodes.remove(second)
        nodes.add(1)
        one.end()
        one.whole()


@pytest.mark.slow
def test_the_disk_of_one_worker_is_full(begin):
    import resource

    one = begin("--workers", 2)
    one.start()
    first = eventually(one.workers, 200, "a worker")[0]
    resource.prlimit(first, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    told = one.end(3)
    failed = set(SECONDS) - one.done()
    assert failed
    for name in SECONDS:
        there = {path.name for path in one.place.glob(f"{name}.*") if path.suffix != ".log"}
        assert len(there) == (0 if name in failed else 3), told
    one.start()
    one.end()
    one.whole()
