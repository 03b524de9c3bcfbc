"""An attempt at the head, with a worker in this process that has no Ray and no model: what its sinks get counts."""

import asyncio
import gc
import pickle
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from maskcast.errors import MaskcastError, SourceError, TrackStateError, UsageError, WorkerLeftError
from maskcast.notices import Problem, SourceStatus, StreamBegan, TrackedFrame
from streaming.cluster.cameras import camera_worker, hosted_stream, remote_attempt
from streaming.cluster.cameras import fleet as fleets
from streaming.cluster.cameras.camera_worker import CameraWorker
from streaming.cluster.cameras.fleet import Fleet
from streaming.cluster.cameras.placement import Move, Reason
from streaming.cluster.cameras.remote_attempt import RemoteAttempt
from streaming.pipeline.controls import Controls
from streaming.pipeline.saving import TrackStateFile
from tests.patience import eventually_async, patient
from tests.pipelines import Model, Record, job
from tests.settings_files import load
from tests.streaming.cluster.cameras.grey import Grey
from tests.streaming.cluster.cameras.heads import OPTIONS
from trackers.options import EngineOptions


class Here:
    """A worker in this process, as an actor is called: what it is told and tells is pickled."""

    def __init__(self):
        self.worker, self.dead, self.deaf = CameraWorker(EngineOptions("nano", "cpu"), **OPTIONS), False, False

    async def call(self, method, *arguments, seconds):
        if self.dead:
            raise WorkerLeftError("its process has died")
        if self.deaf and method != "poll":
            raise TimeoutError
        answer = await getattr(self.worker, method)(*pickle.loads(pickle.dumps(arguments)))
        if self.dead:
            raise WorkerLeftError("its process has died")
        return pickle.loads(pickle.dumps(answer))

    async def kill(self):
        self.dead = True
        await self.worker.close()


class Stateful(Model):
    """One that says that it can be saved, and what it was given to go on with."""

    description = "a test's"
    resumed = None

    def require_track_state(self):
        pass

    def save_stream(self, stream, *, final):
        return Saved(b"whole" * 2_000_000)

    def resume_stream(self, file, prompts, known):
        Stateful.resumed = file.read_bytes()
        if Stateful.resumed == b"damaged":
            raise TrackStateError("is damaged", where=f"track state {file}")
        return self.open_stream(prompts), []


class Saved:
    def __init__(self, data):
        self.data = data

    def write(self, file):
        file.write_bytes(self.data)


@pytest.fixture
async def head(monkeypatch, tmp_path):
    """Begins a fleet of such workers that read what `opened` gives, and runs attempts."""
    opened = []
    monkeypatch.setattr(hosted_stream, "open_source", lambda *_, **__: opened.pop(0))
    monkeypatch.setattr(hosted_stream, "open_reconnecting", lambda *_, **__: opened.pop(0))
    monkeypatch.setattr(camera_worker, "configure_logs", lambda *_: None)
    monkeypatch.setattr(camera_worker, "engine_loader", lambda _: Stateful)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(fleets, "FIRST_PAUSE_SECONDS", 0.01)
    fleets_made = []

    @asynccontextmanager
    async def begin(count=1):
        workers = []

        async def one():
            workers.append(Here())
            return workers[-1]

        fleet = Fleet(one, count)
        fleets_made.append(fleet)
        await fleet.start()
        await eventually_async(lambda: len(fleet.links()) == count)
        yield Head(fleet, workers, tmp_path), opened

    yield begin
    for fleet in fleets_made:
        await fleet.close()


class Head:
    """Runs attempts at one stream, and keeps what is told of it."""

    def __init__(self, fleet, workers, folder):
        self.fleet, self.workers, self.folder = fleet, workers, folder
        self.stop, self.told, self.controls = asyncio.Event(), [], Controls(["cat"])

    def attempt(self, *sinks, ends=False, **options):
        source = 'source = "file.mp4"\nout = ["all.mp4"]' if ends else 'source = "rtsp://127.0.0.1/x"'
        table = f'[streams.door]\nprompts = ["cat"]\n{source}\n'
        settings = load(self.folder, table).streams["door"]
        wanted = replace(job(None, *sinks, controls=self.controls, notify=self.told.append), **options)
        return RemoteAttempt(self.fleet, "door", settings, wanted, self.stop).run()

    def run(self, *sinks, **options):
        return asyncio.create_task(self.attempt(*sinks, **options))

    def all(self, kind):
        return [one for one in self.told if isinstance(one, kind)]


async def test_a_file_goes_through_a_worker_frame_by_frame_and_its_pictures_can_be_had(head):
    class Looking(Record):
        async def write(self, result):
            self.sums = [*getattr(self, "sums", []), (await asyncio.to_thread(result.frame.picture.rgb)).shape]
            await super().write(result)

    async with head() as (one, opened):
        opened.append(Grey(40))
        sink = Looking(seconds=0.005)
        async with asyncio.timeout(patient(30)):
            report = await one.attempt(sink, ends=True)
        assert (sink.indices, report.errors) == (list(range(40)), [])
        assert set(sink.sums) == {(96, 160, 3)}
        assert (report.frames, report.errors, report.interrupted) == (40, [], False)
        assert (sink.finished, sink.reason) == (1, None)
        assert [notice.frame.index for notice in one.all(TrackedFrame)] == list(range(40))
        assert len(one.all(StreamBegan)) == 1
        ages = [notice.done - notice.frame.decoded_at for notice in one.all(TrackedFrame)]
        assert all(notice.taken <= notice.done for notice in one.all(TrackedFrame))
        assert max(ages) < patient(30)


async def test_a_camera_is_stopped_paused_and_its_prompts_change(head):
    async with head() as (one, opened):
        opened.append(Grey(None, live=True, interval=0.01))
        sink, acts = Record(), []

        async def act():
            acts.append(len(sink.indices))

        running = one.run(sink)
        await eventually_async(lambda: len(sink.indices) > 5)
        one.controls.set_prompts(["dog"])
        one.controls.between_frames(act)
        engine = one.workers[0].worker._worker.thread.engine
        await eventually_async(lambda: engine.changes and acts)
        assert engine.changes[-1][0].name == "dog"
        one.controls.pause(True)
        hosted = next(iter(one.workers[0].worker._hosted.values()))
        await eventually_async(lambda: hosted._controls.paused)
        one.controls.pause(False)
        count = len(sink.indices)
        await eventually_async(lambda: len(sink.indices) > count + 5)
        one.stop.set()
        async with asyncio.timeout(patient(30)):
            report = await running
        assert report.interrupted
        assert sink.reason == "interrupted"
        assert sink.indices == sorted(set(sink.indices))
        assert not one.workers[0].worker._running


async def test_the_death_of_a_worker_ends_the_attempt_and_the_next_goes_on_with_its_state(head, tmp_path):
    state = TrackStateFile(tmp_path / "tracks" / "door.safetensors", 0.2)
    async with head(2) as (one, opened):
        opened += [Grey(None, live=True, interval=0.01), Grey(None, live=True, interval=0.01)]
        sink = Record()
        running = one.run(sink, track_state=state)
        await eventually_async(lambda: state.file.exists() and len(sink.indices) > 5)
        assert Stateful.resumed is None
        link = one.fleet.seat("door").link
        one.workers[int(link.name[-1]) - 1].dead = True
        with pytest.raises(WorkerLeftError, match="its worker is gone"):
            await running
        assert (sink.finished, sink.reason) == (1, "its worker is gone")
        again = Record()
        running = one.run(again, track_state=state)
        await eventually_async(lambda: len(again.indices) > 5)
        assert Stateful.resumed == b"whole" * 2_000_000
        one.stop.set()
        await running
    Stateful.resumed = None


async def test_a_stream_that_is_moved_ends_whole_and_goes_on_elsewhere(head):
    async with head(2) as (one, opened):
        opened += [Grey(None, live=True, interval=0.01), Grey(None, live=True, interval=0.01)]
        sink = Record()
        running = one.run(sink)
        await eventually_async(lambda: len(sink.indices) > 5)
        seat = one.fleet.seat("door")
        other = next(link.name for link in one.fleet.links() if link is not seat.link)
        move = Move("door", other, seat.link.name, Reason.OVERLOADED)
        one.fleet._placement.decide = lambda _, moves=[(move,)]: moves.pop() if moves else ()
        one.fleet._decide()
        with pytest.raises(WorkerLeftError, match=f"moves to {other}"):
            await running
        assert sink.finished == 1
        running = one.run(Record())
        await eventually_async(lambda: len(one.all(StreamBegan)) == 2)
        one.stop.set()
        await running


async def test_a_damaged_state_is_named_as_the_head_knows_it(head, tmp_path):
    state = TrackStateFile(tmp_path / "door.safetensors", 10.0)
    state.file.write_bytes(b"damaged")
    async with head() as (one, opened):
        opened.append(Grey(None, live=True, interval=0.01))
        with pytest.raises(TrackStateError, match="is damaged") as caught:
            await one.attempt(track_state=state)
        assert caught.value.where == f"track state {state.file}"
    Stateful.resumed = None


async def test_a_source_that_is_not_there_says_on_which_machine(head, monkeypatch):
    def refuse(*_, **__):
        raise SourceError("no such file", where="file.mp4")

    async with head() as (one, _):
        monkeypatch.setattr(hosted_stream, "open_source", refuse)
        with pytest.raises(SourceError, match=r"file\.mp4: no such file; its worker is on .*, where it has to be"):
            await one.attempt(ends=True)


async def test_a_broken_stage_ends_the_attempt_and_what_came_before_is_delivered(head):
    class Broken:
        def apply(self, result):
            if result.frame.index == 3:
                raise ZeroDivisionError
            return result

    async with head() as (one, opened):
        opened.append(Grey(None, interval=0.01))
        sink = Record()
        async with asyncio.timeout(patient(30)):
            report = await one.attempt(sink, ends=True, stages=[Broken()])
        assert sink.indices == [0, 1, 2]
        assert "frame 3: Broken failed" in str(report.errors[0])
        assert len(one.all(Problem)) == 1


async def test_a_sink_that_cannot_be_made_ends_the_stream_on_its_worker_too(head):
    async with head() as (one, opened):
        opened.append(Grey(None, live=True, interval=0.01))

        def refuse(_):
            raise UsageError("no such encoder")

        with pytest.raises(UsageError, match="no such encoder"):
            await one.attempt(open_sinks=refuse)
        await eventually_async(lambda: not one.workers[0].worker._running)


async def test_a_worker_that_does_not_end_a_stream_is_not_waited_for(head, monkeypatch):
    monkeypatch.setattr(remote_attempt, "END_SECONDS", 0.2)
    async with head() as (one, opened):
        opened.append(Grey(None, live=True, interval=0.01))
        sink = Record()
        running = one.run(sink)
        await eventually_async(lambda: sink.indices)
        one.workers[0].deaf = True
        one.stop.set()
        with pytest.raises(MaskcastError):
            await asyncio.wait_for(running, patient(10))
        assert sink.finished == 1


async def test_without_a_worker_a_stream_waits_and_says_so(head):
    async with head() as (one, opened):
        one.fleet.seat("door").link = None
        running = one.run()
        await eventually_async(lambda: one.all(SourceStatus))
        assert one.all(SourceStatus) == [SourceStatus(False, "waiting for a worker")]
        one.stop.set()
        assert (await running).interrupted
        assert opened == []
