"""The worker in this process: no Ray, and no model."""

import asyncio
import gc
import pickle

import pytest

from maskcast.errors import SinkError, UsageError
from streaming.cluster.cameras import camera_worker, hosted_stream
from streaming.cluster.cameras.camera_worker import CameraWorker
from streaming.cluster.cameras.messages import Tracked, Wish
from tests.patience import eventually_async
from tests.pipelines import Frames, Model
from tests.streaming.cluster.cameras.heads import OPTIONS, PROMPTS, Head, facts, wanted
from trackers.detection.location import NotFetchedError
from trackers.options import EngineOptions


class Called:
    """As a method of an actor is called, in this process."""

    def __init__(self, method):
        self.remote = method


class Here:
    """A worker without Ray and without a model."""

    def __init__(self, worker):
        self.worker = worker

    def __getattr__(self, name):
        return Called(getattr(self.worker, name))


class Loaded(Model):
    """What an engine says of itself."""

    description = "a test's"

    def require_track_state(self):
        raise UsageError("none")


@pytest.fixture
async def here(monkeypatch):
    """A worker in this process that reads what `opened` gives."""
    opened = []
    monkeypatch.setattr(hosted_stream, "open_source", lambda *_, **__: opened.pop(0))
    monkeypatch.setattr(camera_worker, "configure_logs", lambda *_: None)
    monkeypatch.setattr(camera_worker, "engine_loader", lambda _: Loaded)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    workers = []

    async def begin():
        worker = CameraWorker(EngineOptions("nano", "cpu"), **OPTIONS, lease=100.0)
        workers.append(worker)
        facts(await worker.start())
        return Head(Here(worker))

    yield begin, opened
    for worker in workers:
        await worker.close()
        assert not worker._folder.exists()


async def test_without_a_head_streams_end(here):
    begin, opened = here
    head = await begin()
    opened += [Frames(None, interval=0.01), Frames(None, interval=0.01)]
    await head.worker.assign.remote(wanted(1, "a", "one", ends=True, save_seconds=None))
    await head.worker.assign.remote(wanted(2, "b", "two", ends=True, save_seconds=None))
    await head.until(lambda: head.all(1, Tracked) and head.all(2, Tracked))
    head.worker.worker._lease = 0.1
    await eventually_async(lambda: not head.worker.worker._running)
    for attempt in (1, 2):
        assert (await head.ended(attempt)).report.interrupted
    for attempt in (1, 2):
        indices = [result.frame.index for result in head.results(attempt)]
        assert indices == list(range(len(indices)))


async def test_what_is_large_of_a_stream_that_is_gone_is_let_go(here, monkeypatch):
    begin, opened = here
    head = await begin()
    opened += [Frames(3)]
    await head.worker.assign.remote(wanted(1, "a", ends=True, save_seconds=None))
    await head.ended(1)
    hosted = head.worker.worker._hosted[1]
    hosted.state.file.write_bytes(b"state")
    hosted.state.saved()
    assert await head.worker.read_state.remote(1, 1, 0) == b"state"
    monkeypatch.setattr(camera_worker, "KEEP_SECONDS", 0.0)
    await eventually_async(lambda: hosted.state._saved is None)
    assert await head.worker.read_state.remote(1, 1, 0) is None

    # And much later nothing of it is left, or memory would grow with each stream that was ever here.
    monkeypatch.setattr(camera_worker, "FORGET_SECONDS", 0.0)
    await eventually_async(lambda: not head.worker.worker._hosted)
    assert await head.worker.picture.remote(1, 0) is None


async def test_another_attempt_takes_the_place_of_the_one_before(here):
    begin, opened = here
    head = await begin()
    opened += [Frames(None, interval=0.01), Frames(5)]
    await head.worker.assign.remote(wanted(1, "a", ends=True, save_seconds=None))
    await head.until(lambda: head.all(1, Tracked))
    await head.worker.assign.remote(wanted(2, "a", ends=True, save_seconds=None))
    assert (await head.ended(1)).report.interrupted
    assert (await head.ended(2)).report.frames == 5
    await head.worker.wish.remote(Wish(77, 1, PROMPTS, paused=True))  # of an attempt that nobody knows
    await head.worker.end.remote(77)
    assert await head.worker.picture.remote(77, 0) is None
    assert await head.worker.read_state.remote(77, 1, 0) is None


async def test_a_model_that_is_not_on_the_node_is_said_with_the_node(monkeypatch):
    monkeypatch.setattr(camera_worker, "configure_logs", lambda *_: None)
    answer = await CameraWorker(EngineOptions("nobody/nothing", "cpu"), **OPTIONS).start()
    assert isinstance(answer, NotFetchedError)
    assert answer.where.startswith("node ")
    assert "maskcast fetch" in answer.advice
    assert str(pickle.loads(pickle.dumps(answer))) == str(answer)


async def test_what_hangs_is_answered_all_the_same(here, monkeypatch):
    begin, opened = here
    head = await begin()
    opened += [Frames(3)]
    await head.worker.assign.remote(wanted(1, "a", ends=True, save_seconds=None))
    await head.ended(1)

    async def hangs(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(camera_worker, "PICTURE_SECONDS", 0.01)
    monkeypatch.setattr(camera_worker, "DISK_SECONDS", 0.01)
    monkeypatch.setattr(hosted_stream.HostedStream, "picture", hangs)
    monkeypatch.setattr(camera_worker.TrackStateParts, "read", hangs)
    monkeypatch.setattr(camera_worker.TrackStateParts, "give", hangs)
    assert await head.worker.picture.remote(1, 2) is None
    assert isinstance(await head.worker.read_state.remote(1, 1, 0), SinkError)
    assert isinstance(await head.worker.give_state.remote(2, 0, b"state"), SinkError)
