"""A worker in this process, with a foreman that is no actor: each video is a row, whatever becomes of it."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import ray

from maskcast.errors import SourceError, UsageError
from maskcast.lock import open_locked
from maskcast.places import Places
from maskcast.prompts import Prompt
from sources import SourceSettings
from streaming.cluster.origin import Origin
from streaming.cluster.videos import video_tracker as module
from streaming.cluster.videos.ledger import Identity, Ledger
from streaming.cluster.videos.plan import Video, VideosPlan
from streaming.cluster.videos.remote_outputs import Uploaded
from streaming.cluster.videos.video_tracker import COLUMN, VideoTracker
from streaming.commands import track_videos, tracking_plan
from streaming.commands.outputs import Outputs
from streaming.commands.tracking_plan import TrackingPlan
from tests.paths import ROOT
from tests.patience import eventually
from trackers.options import EngineOptions

DEMO = ROOT / "streaming" / "commands" / "demo.mp4"


class Foreman:
    """Says `answer` to all who want to begin, and hears beats."""

    def __init__(self):
        self.answer, self.stopped, self.beats, self.failures = "go on", False, [], []
        self.begin, self.beat, self.failed = self, Method(self._beat), Method(self.failures.append)

    async def remote(self, stream):
        return self.answer

    async def _beat(self, beat):
        self.beats.append(beat)
        return "stop" if self.stopped else "go on"


class Method:
    def __init__(self, answer):
        self.remote = answer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


def plan_in(place):
    for folder in ("state", "out"):  # as the command makes them
        (place / folder).mkdir(exist_ok=True)
    (place / "state" / "token").touch()
    outputs = Outputs([str(place / "out" / "{stream}.jsonl")])
    tracking = TrackingPlan(
        (Prompt("star"),), outputs, EngineOptions("nano", "cpu"), SourceSettings(), Places(), max_frames=20
    )
    return VideosPlan(tracking, tracking.asked, Origin.here(), place / "state", "token")


@pytest.fixture(scope="module")
def worker(place):
    foreman = Foreman()
    return VideoTracker(plan_in(place), foreman), foreman


def video(place, name, source=DEMO):
    file = place / f"{name}.mp4"
    if source is not None:
        shutil.copy(source, file)
    return Video(name, str(file), Identity(str(file), file.stat().st_size if file.exists() else None, "1"))


def tracked(tracker, one):
    rows = np.empty(1, dtype=object)
    rows[0] = one
    return tracker({COLUMN: rows})[COLUMN][0]


def left(place, name):
    """What stands where the outputs of a stream belong, and beside."""
    return [path.name for path in (place / "out").glob(f"*{name}*")] if (place / "out").exists() else []


def test_a_video_is_a_row_a_record_and_its_outputs(place, worker):
    tracker, foreman = worker
    outcome = tracked(tracker, video(place, "good"))
    assert outcome.error is None
    assert (outcome.frames, outcome.outputs) == (20, (str(place / "out" / "good.jsonl"),))
    assert len((place / "out" / "good.jsonl").read_text().splitlines()) == 20
    record = Ledger(place / "state").read("good")
    assert (record.frames, record.outputs) == (20, outcome.outputs)
    assert left(place, "good") == ["good.jsonl"]
    eventually(lambda: foreman.beats[-1].frames == 20)
    assert foreman.beats[-1].phase == "ready"
    assert "cpu" in foreman.beats[-1].description

    # Handed out again, because a worker died before it could say so: it is not tracked twice.
    (place / "out" / "good.jsonl").unlink()
    assert tracked(tracker, video(place, "good")) == outcome
    assert left(place, "good") == []


def test_an_error_is_a_row_and_leaves_no_output(place, worker):
    tracker, _ = worker
    (place / "bad.mp4").write_bytes(b"no video" * 1000)
    (place / "folder.mp4").mkdir()
    for name in ("bad", "missing", "folder"):
        outcome = tracked(tracker, video(place, name, None))
        assert f"{name}" in outcome.error
        assert "\n" not in outcome.error
        assert left(place, name) == []
        assert Ledger(place / "state").read(name) is None


def test_what_a_foreman_forbids_is_not_begun(place, worker):
    tracker, foreman = worker
    try:
        foreman.answer = "too often"
        assert "the worker that tracked it died each time" in tracked(tracker, video(place, "killer")).error
        foreman.answer = "stop"
        assert tracked(tracker, video(place, "late")).interrupted
    finally:
        foreman.answer = "go on"
    assert left(place, "late") == []


def test_a_video_from_which_nothing_comes_is_given_up(place, worker, monkeypatch):
    tracker, _ = worker
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(module, "LEAVE_SECONDS", 0.5)
    over = threading.Event()

    def hangs(*_, **__):
        over.wait(60)
        raise SourceError("at last")

    monkeypatch.setattr(tracking_plan, "open_source", hangs)
    try:
        assert "no frame came of it for" in tracked(tracker, video(place, "silent")).error
    finally:
        over.set()


def test_one_that_another_worker_is_at_still_is_waited_for(place, worker, monkeypatch):
    tracker, _ = worker
    monkeypatch.setattr(module, "EARLIER_SECONDS", 0.5)
    (place / "state" / "tracks").mkdir(exist_ok=True)
    lock = open_locked(place / "state" / "tracks" / "shared.lock", os.O_RDWR | os.O_CREAT)
    try:
        assert "another worker is still at it" in tracked(tracker, video(place, "shared")).error
    finally:
        os.close(lock)
    assert tracked(tracker, video(place, "shared")).error is None


def test_when_it_is_to_stop_a_video_ends_at_its_next_frame_and_publishes_nothing(place, worker, monkeypatch):
    tracker, foreman = worker
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)  # so that few frames are enough
    long = replace(tracker._plan.tracking, max_frames=40, save_seconds=0.1)
    monkeypatch.setattr(tracker, "_plan", replace(tracker._plan, tracking=long))
    whole = tracked(tracker, video(place, "whole"))
    outcomes = []
    one = video(place, "stopped")
    at_work = threading.Thread(target=lambda: outcomes.append(tracked(tracker, one)))
    at_work.start()
    try:
        eventually(lambda: any(doing.stream == "stopped" and doing.frames for doing in foreman.beats[-1].doing))
        foreman.stopped = True
        began = time.monotonic()
        at_work.join(60)
        assert outcomes[0].interrupted
        assert 0 < outcomes[0].frames < 40, time.monotonic() - began
    finally:
        foreman.stopped = False
        at_work.join(60)
    assert left(place, "stopped") == []

    # The next one takes it up: what is spooled is not tracked again, and the output is that of one that had no break.
    eventually(lambda: not tracker._stopped)
    seen = tracker._worker.thread.engine.stage_times.totals()["encode"].units
    again = tracked(tracker, one)
    assert tracker._worker.thread.engine.stage_times.totals()["encode"].units - seen < whole.frames
    assert (again.error, again.frames) == (None, whole.frames)
    assert lines(place, "stopped") == lines(place, "whole")
    assert not list((place / "state" / "spool").iterdir())


def test_what_a_worker_gave_its_name_before_it_died_is_replaced_by_the_next(place, worker, monkeypatch):
    tracker, _ = worker
    one, publish = video(place, "named"), module.Staged.publish

    def die(staged, moved):
        publish(staged, moved)
        raise SourceError("the worker dies now")

    monkeypatch.setattr(module.Staged, "publish", die)
    assert "dies now" in tracked(tracker, one).error
    monkeypatch.undo()
    assert left(place, "named") == ["named.jsonl"]
    make_room(place, tracker, one)  # no --force is asked for
    assert tracked(tracker, one).error is None
    with pytest.raises(UsageError, match="exists already"):
        make_room(place, tracker, one)


def make_room(place, tracker, one):
    """What the same command does when it is given again, and the video is not done."""
    plan = tracker._plan
    there = Uploaded((), [one.stream], plan.tracking.published)
    track_videos._make_room([one], Ledger(place / "state"), plan.tracking, plan.asked, there)


def test_another_version_does_not_go_on_in_the_middle(place, worker, monkeypatch):
    tracker, _ = worker
    one, before = video(place, "updated"), tracker._spool(video(place, "updated")).about
    monkeypatch.setattr(tracker, "_plan", replace(tracker._plan, origin=Origin("2", "abc")))
    assert tracker._spool(one).about != before


def test_outputs_that_are_gone_are_made_again(place, worker):
    tracker, _ = worker
    one = video(place, "gone")
    first = tracked(tracker, one)
    assert left(place, "gone") == ["gone.jsonl"]
    (place / "out" / "gone.jsonl").unlink()
    make_room(place, tracker, one)
    assert replace(tracked(tracker, one), seconds=0.0) == replace(first, seconds=0.0)
    assert left(place, "gone") == ["gone.jsonl"]


def test_a_folder_of_outputs_that_is_not_shared_is_told_of(place, worker, monkeypatch):
    tracker, _ = worker
    outputs = Outputs([str(place / "out" / "{stream}.jsonl"), str(place / "elsewhere" / "{stream}.txt")])
    tracking = replace(tracker._plan.tracking, outputs=outputs)
    monkeypatch.setattr(tracker, "_plan", replace(tracker._plan, tracking=tracking))
    assert "all nodes must share it" in tracked(tracker, video(place, "unshared")).error
    assert not (place / "elsewhere").exists()
    assert left(place, "unshared") == []


def lines(place, name):
    """What is told of each frame, without whose it is, and when it was opened."""
    told = (json.loads(line) for line in (place / "out" / f"{name}.jsonl").read_text().splitlines())
    return [{**frame, "stream": None, "time": None} for frame in told]


def test_a_worker_that_cannot_begin_tells_why(place, monkeypatch):
    plan, told = plan_in(place), []
    monkeypatch.setattr(ray, "get", lambda *_, **__: None)
    for wrong, said in (
        (replace(plan, token="other"), "is not the folder that the command sees"),
        (replace(plan, origin=Origin("0.0.1", "abc")), "the command is of Maskcast 0.0.1"),
    ):
        foreman = Foreman()
        foreman.failed = Method(told.append)
        with pytest.raises(UsageError, match=said):
            VideoTracker(wrong, foreman)
        assert said in str(told[-1])
