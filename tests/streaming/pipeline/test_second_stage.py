"""Two stages at work at once do what one after the other would do, and show it when one of them stands still."""

import asyncio
import random
import threading
import time
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcast.errors import ModelError, TooLargeError
from maskcast.result import Result
from streaming.pipeline import model_thread
from streaming.pipeline.controls import Controls
from streaming.pipeline.jobs import run_jobs
from streaming.pipeline.saving import TrackStateFile
from streaming.pipeline.worker import Worker, engine_loader
from tests.frames import frame
from tests.lockstep import scene
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model, Record, job, ready, tracked
from trackers.engine import Engine
from trackers.options import EngineOptions


class Watched(Model):
    """Sees to it that nothing happens at once that must not, and remembers what happened to each stream.

    Args:
        bad: frames in which it fails, by stream, and in which half.
        alone: whether it takes one frame at a time.
    """

    def __init__(self, bad=(), *, alone=False, held=0, seed=0):
        super().__init__(held=held)
        self.bad, self.alone = dict(bad), alone
        self.at_work, self.lock, self.random = set(), threading.Lock(), random.Random(seed)

    @contextmanager
    def doing(self, what, *beside):
        with self.lock:
            assert self.at_work <= set(beside), f"{what} beside {self.at_work}"
            self.at_work.add(what)
        time.sleep(self.random.choice([0, 0, 0.001, 0.002]))
        yield
        with self.lock:
            self.at_work.remove(what)

    def open_stream(self, prompts):
        with self.doing("a call"):
            stream = super().open_stream(prompts)
            stream.history = []
            return stream

    def _look(self, half, streams, frames):
        if self.alone and len(frames) > 1:
            raise TooLargeError("out of memory")
        for one in frames:
            if self.bad.get(one.stream) == (half, one.index):
                raise RuntimeError("a bad day")

    def see(self, streams, frames):
        with self.doing("see", "follow"):
            pass
        self._look("see", streams, frames)
        return streams, frames, [stream.prompts for stream in streams]

    def follow(self, seen):
        streams, frames, prompts = seen
        with self.doing("follow", "see"):
            pass
        for stream, one, looked_for in zip(streams, frames, prompts, strict=True):
            assert looked_for == stream.prompts, "prompts have changed between the stages"
            stream.history.append(one.index)
        self._look("follow", streams, frames)
        for stream, one in zip(streams, frames, strict=True):
            self.waiting[stream].append(Result(one))
        ready = [self.waiting[stream][: max(len(self.waiting[stream]) - self.held, 0)] for stream in streams]
        for stream, results in zip(streams, ready, strict=True):
            del self.waiting[stream][: len(results)]
        return ready

    def step(self, streams, frames):
        assert not self.at_work, "the model is to have nothing else to do"
        return self.follow(self.see(streams, frames))

    def set_prompts(self, stream, prompts):
        with self.doing("a call"):
            stream.history.append(tuple(prompts))
            return super().set_prompts(stream, prompts)

    def require_track_state(self):
        pass

    def resume_stream(self, file, prompts, known):
        raise FileNotFoundError(file)

    def save_stream(self, stream, *, final):
        with self.doing("a call"):
            stream.history.append("saved")
            return self

    def write(self, file):
        pass

    def close_stream(self, stream):
        with self.doing("a call"):
            return super().close_stream(stream)


@st.composite
def plans(draw):
    """Streams of some frames each, of which one may fail, and how the model takes them."""
    streams = []
    for number in range(draw(st.integers(1, 4))):
        count = draw(st.integers(0, 8))
        bad = draw(st.none() | st.tuples(st.sampled_from(["see", "follow"]), st.integers(0, 8)))
        streams.append((f"s{number}", count, bad, draw(st.booleans()), draw(st.sets(st.integers(0, 8)))))
    together = not any(bad for _, _, bad, _, _ in streams)
    return streams, draw(st.integers(1, 4)) if together else 1, draw(st.booleans()), draw(st.integers(0, 3))


class Told(Record):
    """Changes the prompts when it has certain frames."""

    def __init__(self, controls, moments):
        super().__init__()
        self.controls, self.moments, self.told = controls, moments, {}

    async def write(self, result):
        await super().write(result)
        for event in result.events:
            self.told.setdefault(result.frame.index, []).append(event)
        if result.frame.index in self.moments:
            self.controls.set_prompts([f"prompt {result.frame.index}"])


@settings(max_examples=40, deadline=None)
@given(plans())
async def test_any_interleaving_gives_what_one_after_the_other_gives(tmp_path_factory, plan):
    streams, max_batch, alone, held = plan
    model = Watched({name: bad for name, _, bad, _, _ in streams if bad}, alone=alone, held=held)
    opened, jobs, sinks = {}, [], {}
    open_stream = model.open_stream
    for name, count, _, saves, moments in streams:
        controls = Controls((name,))
        sinks[name] = Told(controls, moments)
        state = TrackStateFile(tmp_path_factory.getbasetemp() / name, 0.0) if saves else None
        jobs.append(job(Frames(count, stream=name), sinks[name], controls=controls, track_state=state))

    def remember(prompts):
        opened[prompts[0].name] = stream = open_stream(prompts)
        return stream

    model.open_stream = remember

    worker = Worker(lambda: model, max_batch=max_batch, batch_wait=0.002)
    await worker.start()
    async with asyncio.timeout(patient(60)):
        reports = await run_jobs(worker, [], jobs, asyncio.Event())
    assert worker.thread.death is None
    worker.close()
    for (name, count, bad, saves, _), report in zip(streams, reports, strict=True):
        fails = bad is not None and bad[1] < count
        good = bad[1] if fails else count
        assert [type(error) for error in report.errors] == [ModelError] * fails, report.errors
        assert sinks[name].indices == list(range(good)), "what came before, and nothing after it"
        frames = [entry for entry in opened[name].history if isinstance(entry, int)]
        assert frames == list(range(good + (fails and bad[0] == "follow"))), "no frame is followed after a failure"
        if saves:
            entries = [entry for entry in opened[name].history if not isinstance(entry, tuple)]
            assert entries[0] == "saved"
            assert fails or entries[-1] == "saved"
            # It is due before each frame, and waits until the one before is followed.
            assert not any(isinstance(a, int) and isinstance(b, int) for a, b in pairwise(entries))


async def test_the_next_frame_of_one_file_is_seen_while_the_last_is_followed(started):
    class Meeting(Model):
        def __init__(self):
            super().__init__()
            self.meet = threading.Barrier(2)

        def see(self, streams, frames):
            if frames[0].index > 0:
                self.meet.wait(patient(60))
            return streams, frames

        def follow(self, seen):
            if seen[1][0].index < 5:
                self.meet.wait(patient(60))
            return super().follow(seen)

    worker, sink = await started(Meeting), Record()
    (report,) = await run_jobs(worker, [], [job(Frames(6), sink)], asyncio.Event())
    assert (sink.indices, report.errors) == (list(range(6)), [])


async def test_a_live_frame_is_not_taken_to_wait_between_the_stages(started):
    """While one is followed, for as long as eight frames of the camera take, the next is taken at the last moment."""
    source, newer = Frames(120, live=True, interval=0.01), []

    class Slow(Model):
        def follow(self, seen):
            newer.append(source.read - 1 - seen[1][0].index)
            return super().follow(seen)

    worker = await started(lambda: Slow(seconds=0.08))
    await run_jobs(worker, [job(source, Record())], [], asyncio.Event())
    assert len(newer) >= 6
    assert sorted(newer)[len(newer) // 2] <= 3, "not about eight"


@pytest.mark.parametrize("half", ["see", "follow"])
async def test_a_frame_that_fits_but_not_beside_the_other_stage_is_tracked(started, half):
    class Narrow(Model):
        """Has too little memory for a half of one pass while the other one holds its own."""

        too_large = 0

        def _fit(self, this, index):
            if (this, index) == (half, 3):
                self.too_large += 1
                raise TooLargeError("out of memory")

        def see(self, streams, frames):
            self._fit("see", frames[0].index)
            return streams, frames

        def follow(self, seen):
            self._fit("follow", seen[1][0].index)
            return self.step(*seen)

    model, sink = Narrow(), Record()
    worker = await started(lambda: model)
    (report,) = await run_jobs(worker, [], [job(Frames(6), sink)], asyncio.Event())
    assert (sink.indices, report.errors) == (list(range(6)), [])
    assert model.too_large == 1
    assert worker.thread.failures == 0


async def test_a_failure_is_told_though_no_other_frame_comes(started):
    class Failing(Model):
        def follow(self, seen):
            raise RuntimeError("a bad day")

    class Once(Frames):
        def __iter__(self):
            yield frame(0)
            self.closed.wait(patient(60))

    worker, source = await started(Failing), Once(live=True)
    async with asyncio.timeout(patient(30)):
        (report,) = await run_jobs(worker, [job(source, Record())], [], asyncio.Event())
    assert [str(error) for error in report.errors] == ["the model failed: RuntimeError: a bad day"]


async def test_what_was_seen_meanwhile_is_not_followed_after_a_failure(started):
    next_seen, followed = threading.Event(), []

    class Failing(Model):
        def see(self, streams, frames):
            if frames[0].index == 1:
                next_seen.set()
            return streams, frames

        def follow(self, seen):
            followed.append(seen[1][0].index)
            assert next_seen.wait(patient(60))
            raise RuntimeError("a bad day")

    worker = await started(Failing)
    (report,) = await run_jobs(worker, [], [job(Frames(3), Record())], asyncio.Event())
    assert [str(error) for error in report.errors] == ["the model failed: RuntimeError: a bad day"]
    assert followed == [0]


@pytest.mark.parametrize("half", ["see", "follow"])
async def test_a_stage_that_hangs_is_not_hidden_by_the_other_one(started, monkeypatch, half):
    monkeypatch.setattr(model_thread, "BEAT_SECONDS", 0.01)
    go, hangs, beats = threading.Event(), threading.Event(), []

    class Hanging(Model):
        def check_prompts(self, prompts):
            return prompts

        def hang(self, seen):
            hangs.set()
            go.wait(patient(60))
            return seen

        def see(self, streams, frames):
            seen = streams, frames
            return self.hang(seen) if half == "see" else seen

        def follow(self, seen):
            return super().follow(self.hang(seen) if half == "follow" else seen)

    worker = await started(Hanging, beat=lambda: beats.append(1))
    lane, _ = await worker.open_stream(["cat"])
    await eventually_async(lambda: len(beats) > 5)
    waiting = asyncio.create_task(tracked(worker, lane, lambda: ready(frame(0))))
    await asyncio.to_thread(hangs.wait, patient(60))
    await asyncio.sleep(0.1)  # the first stage beats once more when it has handed over
    before = len(beats)
    calling = asyncio.create_task(worker.check_prompts(["dog"])) if half == "follow" else None
    await asyncio.sleep(0.1)
    assert len(beats) == before
    assert calling is None or not calling.done(), "it waits until no pass is under way"
    go.set()
    await waiting
    if calling:
        assert await calling == ["dog"]
    await eventually_async(lambda: len(beats) > before + 5)


async def test_failures_in_a_row_are_counted_in_the_order_of_the_passes(started):
    worker = await started(lambda: Watched({"a": ("see", 0), "b": ("follow", 0)}), max_batch=1)
    lanes = [(await worker.open_stream([name]))[0] for name in "abc"]
    for name, lane in zip("ab", lanes, strict=False):
        with pytest.raises(ModelError):
            await tracked(worker, lane, partial(ready, frame(0, stream=name)))
    assert worker.thread.failures == 2
    await tracked(worker, lanes[2], partial(ready, frame(0, stream="c")))
    assert worker.thread.failures == 0


async def test_the_end_lets_the_passes_under_way_come_to_theirs(started):
    others = set(threading.enumerate())  # of other tests, whose models are not at an end
    worker = await started(lambda: Model(seconds=0.1))
    lane, _ = await worker.open_stream(["cat"])
    following = await worker.take(lane, lambda: ready(frame(0)))
    worker.close()
    assert (await asyncio.wrap_future(following)).frame.index == 0
    own = {thread for thread in threading.enumerate() if thread.name == "model follows"} - others
    await eventually_async(lambda: own.isdisjoint(threading.enumerate()))


async def test_a_real_model_gives_the_same_tracks_in_two_stages(started, video_checkpoint):
    options = EngineOptions(str(video_checkpoint), "cpu")
    prompts, others = ("person", "a car"), ("a car", "dog")
    pictures = {name: scene(6, seed) for seed, name in enumerate("ab")}
    frames = {name: [frame(i, image, stream=name) for i, image in enumerate(pictures[name])] for name in "ab"}

    engine = Engine(options)
    expected = {}
    for name in "ab":
        stream = engine.open_stream(prompts)
        before = [engine.step([stream], [one])[0][0] for one in frames[name][:3]]
        ended = engine.set_prompts(stream, others)
        expected[name] = before, ended, [engine.step([stream], [one])[0][0] for one in frames[name][3:]]

    worker = await started(engine_loader(options), max_batch=1)

    async def through(lane, listed):
        under_way, results = None, []
        for one in listed:
            following = await worker.take(lane, partial(ready, one))
            if under_way is not None:
                results += (await asyncio.wrap_future(under_way)).results
            under_way = following
        return results + (await asyncio.wrap_future(under_way)).results

    async def whole(name):
        lane, _ = await worker.open_stream(prompts)
        before = await through(lane, frames[name][:3])
        return before, await worker.set_prompts(lane, others), await through(lane, frames[name][3:])

    actual = dict(zip("ab", await asyncio.gather(*map(whole, "ab")), strict=True))
    assert any(result.tracks for result in expected["a"][2])
    for name in "ab":
        assert actual[name][1] == expected[name][1]
        for part in (0, 2):
            for want, got in zip(expected[name][part], actual[name][part], strict=True):
                assert [(t.id, t.prompt, t.state) for t in got.tracks] == [
                    (t.id, t.prompt, t.state) for t in want.tracks
                ]
                assert all((a.mask.full() == b.mask.full()).all() for a, b in zip(got.tracks, want.tracks, strict=True))
                assert got.events == want.events
