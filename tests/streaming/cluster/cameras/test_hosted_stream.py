"""A stream on its worker, as the head sees it. The model and the source are the test's, Ray is not there."""

import asyncio
import pickle
from contextlib import asynccontextmanager, suppress

import pytest

from maskcast.errors import SourceError, UsageError
from maskcast.notices import FramesDropped, SourceStatus, StreamBegan
from maskcast.prompts import Prompt
from sources.settings import SourceSettings
from streaming.cluster.cameras import hosted_stream
from streaming.cluster.cameras.hosted_stream import HostedStream
from streaming.cluster.cameras.load import LoadCounter
from streaming.cluster.cameras.messages import MOST_RESULTS, Assignment, Ended, Held, Notified, Saved, Tracked, Wish
from streaming.cluster.cameras.remote_picture import RemotePicture, encoded
from streaming.cluster.cameras.track_state_parts import TrackStateParts
from streaming.cluster.cameras.uplink import Uplink
from streaming.pipeline.worker import Worker
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model
from tests.streaming.cluster.cameras.grey import GREY, Grey


class Head:
    """One that polls; of one attempt."""

    def __init__(self, hosted, uplink):
        self.hosted, self.uplink = hosted, uplink
        self.messages, self.received, self.delivering = [], 0, True

    def poll(self):
        answer = self.uplink.batch(self.received)
        if answer.number:
            self.received = answer.number
            self.messages += pickle.loads(pickle.dumps(answer.messages))
        if self.delivering:
            self.hosted.delivered(sum(isinstance(one, Tracked | Held) for one in self.messages))

    def all(self, kind):
        return [one for one in self.messages if isinstance(one, kind)]

    @property
    def indices(self):
        seen = [one for one in self.messages if isinstance(one, Tracked | Held)]
        return [result.frame.index for one in seen for result in one.results]

    async def until(self, happened):
        async with asyncio.timeout(patient(20)):
            while not happened():
                await asyncio.sleep(0.002)
                self.poll()

    async def to_the_end(self):
        await self.until(lambda: self.all(Ended))
        return self.all(Ended)[0]


@asynccontextmanager
async def hosted(monkeypatch, tmp_path, source, model=None, **options):
    """An attempt that runs, and its head."""

    def opened(*_arguments, **_options):
        if isinstance(source, Exception):
            raise source
        return source

    monkeypatch.setattr(hosted_stream, "open_source", opened)
    worker = Worker(lambda: model or Model())
    await worker.start()
    uplink = Uplink()
    wanted = {"settings": SourceSettings(), "ends": True, "prompts": (Prompt("cat"),)} | options
    assignment = Assignment(5, "test", "rtsp://me:secret@there/live", **wanted)
    stream = HostedStream(assignment, worker, uplink.open(5), LoadCounter(), TrackStateParts(tmp_path, 5))
    running = asyncio.create_task(stream.run())
    try:
        yield Head(stream, uplink)
    finally:
        stream.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(running, patient(20))
        worker.close()


async def test_every_result_goes_up_in_order_and_the_end_is_the_last(monkeypatch, tmp_path):
    async with hosted(monkeypatch, tmp_path, Frames(100)) as head:
        ended = await head.to_the_end()
    assert head.indices == list(range(100))
    assert isinstance(head.messages[0].notice, StreamBegan)
    assert head.messages[-1] is ended
    assert (ended.error, ended.report.frames, ended.report.errors) == (None, 100, [])


async def test_what_the_tracker_held_back_comes_too(monkeypatch, tmp_path):
    async with hosted(monkeypatch, tmp_path, Frames(30), Model(held=15)) as head:
        await head.to_the_end()
    assert head.indices == list(range(30))
    assert [one.frame.index for one in head.all(Tracked)] == list(range(30))
    assert len(head.all(Held)) == 15
    assert [len(one.results) for one in head.all(Tracked)] == [0] * 15 + [1] * 15


async def test_no_frame_is_taken_while_the_head_does_not_deliver_and_none_is_lost(monkeypatch, tmp_path):
    source, model = Frames(100), Model()
    async with hosted(monkeypatch, tmp_path, source, model) as head:
        head.delivering = False
        await head.until(lambda: len(head.indices) >= MOST_RESULTS)
        await asyncio.sleep(0.1)
        head.poll()
        under_way = 3  # one in each stage of the model, and one that waits for its pass
        assert len(head.indices) <= MOST_RESULTS + under_way
        assert sum(model.batches) <= MOST_RESULTS + under_way
        head.delivering = True
        await head.to_the_end()
    assert head.indices == list(range(100))


async def test_a_live_stream_drops_frames_before_the_model_while_the_head_is_silent(monkeypatch, tmp_path):
    source = Frames(None, live=True, interval=0.001)
    async with hosted(monkeypatch, tmp_path, source) as head:
        head.delivering = False
        await head.until(lambda: sum(one.notice.count for one in dropped(head)) > 20)
        seen = len(head.indices)
        head.delivering = True
        await head.until(lambda: len(head.indices) > seen + 50)
        head.hosted.stop()
        ended = await head.to_the_end()
    assert head.indices == sorted(set(head.indices))
    assert ended.report.frames == len(head.indices)
    assert ended.report.interrupted


def dropped(head):
    return [one for one in head.all(Notified) if isinstance(one.notice, FramesDropped)]


async def test_the_newest_wish_counts(monkeypatch, tmp_path):
    model = Model()
    async with hosted(monkeypatch, tmp_path, Frames(None, live=True, interval=0.001), model) as head:
        await head.until(lambda: head.indices)
        head.hosted.wish(Wish(5, 3, (Prompt("dog"),), paused=True))
        head.hosted.wish(Wish(5, 2, (Prompt("cow"),), paused=False))  # overtaken
        await head.until(lambda: model.changes)
        await asyncio.sleep(0.05)
        head.poll()
        seen = len(head.indices)
        await asyncio.sleep(0.05)
        head.poll()
        assert len(head.indices) == seen, "paused, however much is delivered"
        head.hosted.wish(Wish(5, 4, (Prompt("dog"),), paused=False))
        await head.until(lambda: len(head.indices) > seen)
    assert model.changes == [(Prompt("dog"),)]
    events = [event for one in head.all(Tracked) for result in one.results for event in result.events]
    assert len(events) == 1, "what happened between two frames goes up with the next"


@pytest.mark.parametrize("failure", [SourceError("no route", where="rtsp://me:secret@there/live"), UsageError("never")])
async def test_one_that_cannot_begin_says_why(monkeypatch, tmp_path, failure):
    async with hosted(monkeypatch, tmp_path, failure) as head:
        ended = await head.to_the_end()
    assert str(ended.error) == str(failure)
    assert ended.report is None
    assert "secret" not in str(ended)


async def test_a_failure_of_the_model_is_in_the_report(monkeypatch, tmp_path):
    async with hosted(monkeypatch, tmp_path, Frames(30), Model(fail_at=7)) as head:
        ended = await head.to_the_end()
    assert head.indices == list(range(7))
    assert "a bad day" in str(ended.report.errors[0])
    assert head.all(Notified)[-1].notice.error.what == ended.report.errors[0].what


async def test_an_unforeseen_failure_is_an_error_too(monkeypatch, tmp_path):
    monkeypatch.setattr(hosted_stream, "run_stream", None)
    async with hosted(monkeypatch, tmp_path, Frames(3)) as head:
        ended = await head.to_the_end()
    assert "TypeError" in str(ended.error)


async def test_pictures_go_along_where_they_are_wanted(monkeypatch, tmp_path):
    async with hosted(monkeypatch, tmp_path, Grey(40), pictures=True) as head:
        await head.to_the_end()
    assert head.indices == list(range(40))
    for one in head.all(Tracked):
        remote = RemotePicture(one.frame, lambda: pytest.fail("fetched"))
        assert remote.yuv420p().y.shape == (96, 160)


async def test_pictures_are_had_on_request_and_the_last_one_after_the_end(monkeypatch, tmp_path):
    async with hosted(monkeypatch, tmp_path, Grey(40)) as head:
        await head.until(lambda: head.indices)
        assert await head.hosted.picture(head.indices[-1]) == encoded(GREY)
        await head.to_the_end()
        assert await head.hosted.picture(39) == encoded(GREY)
        assert await head.hosted.picture(0) is None
    assert all(one.frame.jpeg is None for one in head.all(Tracked))


async def test_one_that_cannot_be_encoded_costs_no_result(monkeypatch, tmp_path):
    def fails(_):
        raise ValueError("too wide")

    monkeypatch.setattr("streaming.cluster.cameras.pictures.encoded", fails)
    async with hosted(monkeypatch, tmp_path, Grey(5), pictures=True) as head:
        await head.to_the_end()
    assert head.indices == list(range(5))
    problems = [str(one.notice.error) for one in head.all(Notified) if not isinstance(one.notice, StreamBegan)]
    assert problems == ["a picture cannot be sent along: ValueError: too wide"]


class StatefulModel(Model):
    """Its state is the number of passes."""

    def require_track_state(self):
        pass

    def save_stream(self, _stream, *, final):
        return self

    def write(self, file):
        file.write_text(str(len(self.batches)))

    def resume_stream(self, file, prompts, _known):
        self.batches += [1] * int(file.read_text())
        return self.open_stream(prompts), []


async def test_track_states_go_up_and_down(monkeypatch, tmp_path):
    async with hosted(monkeypatch, tmp_path, Frames(20), StatefulModel(), save_seconds=1000.0) as head:
        await head.to_the_end()
        assert [one.number for one in head.all(Saved)] == [1, 2], "the first at once, the last at the end"
        last = head.all(Saved)[-1]
        assert head.messages.index(last) < len(head.messages) - 1
        data = await head.hosted.state.read(last.number, 0)
        assert (data, last.size) == (b"20", 2)
        assert not list(tmp_path.iterdir())
    (tmp_path / "5.safetensors").write_bytes(data)
    model = StatefulModel()
    async with hosted(monkeypatch, tmp_path, Frames(3), model, save_seconds=1000.0, resume=True) as head:
        await head.to_the_end()
        data = await head.hosted.state.read(2, 0)
    assert data == b"23"


async def test_a_camera_reports_its_status(monkeypatch, tmp_path):
    told = []

    def reconnecting(source, notify, settings, *, stream, stop):
        told.append((source, settings.ca_file.read_bytes(), stream))
        notify(SourceStatus(online=True))
        return Frames(None, live=True, interval=0.01)

    monkeypatch.setattr(hosted_stream, "open_reconnecting", reconnecting)
    async with hosted(monkeypatch, tmp_path, None, ends=False, ca=b"PEM") as head:
        await head.until(lambda: head.indices)
        await eventually_async(lambda: told)
    assert told == [("rtsp://me:secret@there/live", b"PEM", "test")]
    assert SourceStatus(online=True) in [one.notice for one in head.all(Notified)]
