"""A video that is taken up in its middle: its outputs are those of a run without a break, whatever ended it."""

import asyncio
import random
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from maskcast.notices import TrackedFrame
from streaming.commands.demo import CLIP
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker, engine_loader
from tests.forked import Maskcast
from tests.media import ffmpeg
from tests.patience import patient
from tests.shared import once
from tests.sinks_media import hashes, times
from tests.streaming.pipeline.spooled_run import job
from trackers.options import EngineOptions

SCRIPT = Path(__file__).parent / "spooled_run.py"
FRAMES, RATE = 24, 15


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Objects that come, go and hide each other, with sound."""

    def make(folder):
        sound = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={FRAMES / RATE}"]
        shown = ["-ss", "3", "-t", str(FRAMES / RATE), "-i", CLIP]
        ffmpeg(*shown, *sound, "-vf", "scale=320:-2", "-c:v", "libx264", "-c:a", "aac", folder / "clip.mp4")

    return once(tmp_path_factory, "spooled clip", make) / "clip.mp4"


class Runs:
    """Runs of one video in one folder, each in a process."""

    def __init__(self, clip, folder, seconds):
        self.clip, self.folder, self.seconds = clip, folder, seconds
        folder.mkdir()

    def run(self, number, kill=None):
        """To its end, or until `kill` of what is printed is true; what was printed."""
        out, log = self.folder / f"{number}.out", self.folder / f"{number}.log"
        process = Maskcast(
            self.clip, self.folder, str(self.seconds), folder=self.folder, log=log, out=out, script=SCRIPT
        )
        try:
            until = time.monotonic() + patient(120)
            while process.returncode is None and time.monotonic() < until:
                if kill and kill(out.read_text().splitlines()):
                    process.kill()
                    process.wait(patient(10))
                    break
                time.sleep(0.002)
            if kill is None:
                assert process.returncode == 0, log.read_text()
        finally:
            process.end()
        return out.read_text().splitlines()


def outputs(folder):
    """What is in each output, without the time of the run; of pictures when they are shown.

    Of the same pictures the encoder does not always make the same bytes.
    """
    lines = re.sub(r'"time":"[^"]*"', "", (folder / "a.jsonl").read_text())
    coco = re.sub(r'"date_[a-z]+": ?"[^"]*"', "", (folder / "a.json").read_text())
    return lines, coco, times(folder / "a.mp4"), hashes(folder / "a.mp4", "a")


@pytest.fixture(scope="module")
def unharmed(clip, tmp_path_factory):
    runs = Runs(clip, tmp_path_factory.mktemp("unharmed") / "run", 0.01)
    printed = runs.run(0)
    assert [line.split() for line in printed[:-1]] == [[str(index), "model"] for index in range(FRAMES)]
    lines, coco, pictures, sound = outputs(runs.folder)
    assert len(lines.splitlines()) == len(pictures) == FRAMES
    assert len(sound) > 60
    assert '"counts"' in coco
    return outputs(runs.folder), printed[-1]


def test_killed_while_the_model_works_and_while_what_it_found_is_given_again(clip, unharmed, tmp_path):
    runs = Runs(clip, tmp_path / "run", 0.01)
    runs.run(0, lambda printed: len(printed) > FRAMES // 3)
    again = runs.run(1, lambda printed: any("again" in line for line in printed))
    assert again[0] == "0 again"
    runs.run(2, lambda printed: len(printed) > FRAMES * 2 // 3)
    printed = runs.run(3)
    assert (outputs(runs.folder), printed[-1]) == unharmed
    taken_up = [line.split()[1] for line in printed[:-1]].index("model")
    assert taken_up > FRAMES // 3, "what was found before is found again"
    assert [line.split()[0] for line in printed[:-1]] == [str(index) for index in range(FRAMES)], "each frame once"
    # The files stay until somebody says that the outputs are where they belong: then all is given again.
    assert all("again" in line for line in runs.run(4)[:-1])
    assert outputs(runs.folder) == unharmed[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_random_moments(clip, unharmed, tmp_path, seed):
    chance = random.Random(seed)
    runs = Runs(clip, tmp_path / "run", chance.choice([0.0001, 0.2, 1.0]))
    for number in range(4):
        moment = time.monotonic() + chance.uniform(0.2, 8.0)
        runs.run(number, lambda _, moment=moment: time.monotonic() > moment)
    printed = runs.run(9)
    assert (outputs(runs.folder), printed[-1]) == unharmed


class Folder:
    """Runs in this process, on one model."""

    def __init__(self, clip, folder, worker):
        self.clip, self.folder, self.worker = clip, folder, worker
        self.kinds, self.begun = [], asyncio.Event()

    async def run(self, *, stop_at=None, about=None, spool=True, **options):
        """Until the end, or until the model has had so many frames; the report. `kinds` says who had each frame."""
        self.stop, self.kinds, self.begun = asyncio.Event(), [], asyncio.Event()

        def notify(notice):
            if isinstance(notice, TrackedFrame):
                self.kinds.append("model" if notice.pace else "again")
                self.begun.set()
                if len(self.kinds) == stop_at:
                    self.stop.set()

        made, spooled, _ = job(self.clip, self.folder, 0.0001, notify, **options)
        if about:
            spooled = replace(spooled, about=about)
        self.spool = spooled
        return await run_stream(replace(made, spool=spooled if spool else None), self.worker, self.stop)


@pytest.fixture(scope="module")
def engine():
    return engine_loader(EngineOptions("nano", "cpu"))()


@pytest.fixture
async def folder(clip, tmp_path, engine):
    worker = Worker(lambda: engine)
    await worker.start()
    yield Folder(clip, tmp_path, worker)
    worker.close()


async def test_one_that_was_interrupted_goes_on_and_its_files_can_be_removed(folder, unharmed):
    report = await folder.run(stop_at=8)
    assert report.interrupted
    assert 8 <= report.frames < FRAMES
    found = report.frames
    # Told to stop before the model has anything to do: nothing is lost.
    again = await folder.run(stop_at=3)
    assert again.interrupted
    assert again.frames < found
    report = await folder.run()
    assert not report.errors
    assert folder.kinds == ["again"] * found + ["model"] * (FRAMES - found)
    assert outputs(folder.folder) == unharmed[0]
    folder.spool.remove()
    assert not folder.spool.state.exists()
    assert not folder.spool.results.exists()
    folder.spool.remove()


def damaged(file):
    found = bytearray(file.read_bytes())
    found[len(found) // 2] ^= 1
    file.write_bytes(found)


HARM = {
    "results of which a bit is wrong": lambda spool: damaged(spool.results),
    "results that are cut off": lambda spool: spool.results.write_bytes(spool.results.read_bytes()[:-1]),
    "no results": lambda spool: spool.results.unlink(),
    "a state that is cut off": lambda spool: spool.state.write_bytes(spool.state.read_bytes()[:-1]),
    "a state that is none": lambda spool: spool.state.write_bytes(b"x" * 100),
    "no state": lambda spool: spool.state.unlink(),
}


@pytest.mark.parametrize("harm", HARM)
async def test_what_is_damaged_is_begun_anew(folder, harm, caplog):
    await folder.run(stop_at=3)
    HARM[harm](folder.spool)
    await folder.run(stop_at=6)
    assert set(folder.kinds) == {"model"}
    told = [record for record in caplog.records if "begins anew" in record.message]
    assert len(told) == (harm != "no state")
    # And is sound again.
    await folder.run(stop_at=1)
    assert folder.kinds[0] == "again"


async def test_another_video_or_question_is_begun_anew(folder, caplog):
    await folder.run(stop_at=3)
    await folder.run(stop_at=3, about="something else")
    assert set(folder.kinds) == {"model"}
    assert "of another video, or tracked otherwise" in caplog.text


async def test_results_of_other_frames_are_never_given(folder, clip, tmp_path):
    await folder.run(stop_at=3)
    folder.clip = tmp_path / "other.mp4"
    ffmpeg("-i", clip, "-vf", "scale=160:-2", "-an", folder.clip)
    report = await folder.run()
    assert "is not the one that was tracked before" in str(report.errors[0])
    assert not folder.spool.state.exists()
    report = await folder.run(stop_at=3)
    assert not report.errors
    assert set(folder.kinds) == {"model"}


async def test_what_two_runs_would_write_one_writes(folder, engine, clip):
    other = Folder(clip, folder.folder / "other", folder.worker)
    running = asyncio.create_task(folder.run())
    await asyncio.sleep(0)
    await folder.begun.wait()
    made, _, _ = job(clip, other.folder, 1.0, lambda _: None)
    with pytest.raises(Exception, match="another run is writing it"):
        await run_stream(replace(made, spool=folder.spool), folder.worker, asyncio.Event())
    folder.stop.set()
    report = await running
    assert not report.errors


async def test_a_disk_that_is_full_costs_the_spool_alone(folder, unharmed, monkeypatch, caplog):
    from streaming.pipeline.spool_file import SpoolFile

    added = SpoolFile.add

    def full(self, line):
        if self.end.results == 12:
            raise OSError(28, "No space left on device")
        added(self, line)

    monkeypatch.setattr(SpoolFile, "add", full)
    report = await folder.run()
    assert (report.frames, report.errors) == (FRAMES, [])
    assert caplog.text.count("No space left on device") == 1
    assert outputs(folder.folder) == unharmed[0]
    monkeypatch.undo()
    await folder.run()
    given = folder.kinds.count("again")
    assert 6 < given <= 12, "what was kept before the disk was full is of use"
    assert outputs(folder.folder) == unharmed[0]


async def test_without_track_states_a_video_begins_anew(clip, tmp_path, caplog):
    caplog.set_level("INFO")
    worker = Worker(engine_loader(EngineOptions("nano", "cpu", tracker="association")))
    await worker.start()
    folder = Folder(clip, tmp_path, worker)
    report = await folder.run(stop_at=3)
    assert not report.errors
    assert not folder.spool.results.exists()
    assert "no spool" in caplog.text
    worker.close()
