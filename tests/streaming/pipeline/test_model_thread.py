"""The model's thread: nobody waits for ever, whatever is raised on it, and no stream holds up another."""

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from typing import ClassVar

import pytest

from maskcast.errors import ModelError, SourceError
from streaming.pipeline.conversion import Converter
from streaming.pipeline.jobs import run_jobs
from streaming.service.watchdog import Heartbeat
from tests.frames import frame
from tests.patience import patient
from tests.pipelines import Frames, Model, Record, job, ready, tracked
from trackers.engine import Engine
from trackers.options import EngineOptions


class PanicException(BaseException):
    """As PyO3 raises it where Rust code panics."""


RAISED = [PanicException("index out of bounds"), SystemExit(3), KeyboardInterrupt(), StopIteration()]


class Panicking(Model):
    """Panics over some prompts, and over frame 3 of a stream of the other kind."""

    def __init__(self, raised):
        super().__init__()
        self.raised = raised

    def check_prompts(self, prompts):
        if "boo" in prompts:
            raise self.raised
        return tuple(prompts)

    def step(self, streams, frames):
        if any(one.index == 3 and one.stream == "bad" for one in frames):
            raise self.raised
        return super().step(streams, frames)


@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: type(raised).__name__)
async def test_whatever_a_call_raises_is_an_error_of_the_one_who_asked(started, raised):
    worker = await started(lambda: Panicking(raised))
    with pytest.raises(ModelError, match=f"the model failed: {type(raised).__name__}"):
        await worker.check_prompts(["boo"])
    assert await worker.check_prompts(["cat"]) == ("cat",)
    assert worker.thread.failures == 0, "a request that cannot be read is no failure of the model"


@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: type(raised).__name__)
async def test_whatever_a_pass_raises_ends_only_its_streams(started, raised):
    worker = await started(lambda: Panicking(raised), max_batch=1)
    good, bad = Record(), Record()
    reports = await run_jobs(worker, [job(Frames(9), good), job(Frames(9, stream="bad"), bad)], [], asyncio.Event())
    assert good.indices == list(range(9))
    assert bad.indices == [0, 1, 2]
    assert [type(error) for report in reports for error in report.errors] == [ModelError]
    assert worker.thread.death is None


async def test_an_answer_that_makes_no_sense_leaves_nobody_waiting(started):
    class Short(Model):
        def step(self, streams, frames):
            return [*super().step(streams, frames), []]

    worker = await started(Short)
    (report,) = await run_jobs(worker, [job(Frames(3), Record())], [], asyncio.Event())
    assert isinstance(report.errors[0], ModelError)
    assert await worker.thread.call(lambda: "goes on") == "goes on"


async def test_a_thread_that_dies_all_the_same_tells_all_who_wait_and_all_who_come(started):
    dying, go = threading.Event(), threading.Event()

    def beat():
        if dying.is_set():
            raise SystemExit(1)

    class Slow(Model):
        def step(self, streams, frames):
            go.wait(patient(60))
            return super().step(streams, frames)

    worker = await started(Slow, beat=beat, max_batch=1, batch_wait=0.0)
    lanes = [(await worker.open_stream([name]))[0] for name in "ab"]
    steps = [asyncio.create_task(tracked(worker, lane, lambda: ready(frame(0)))) for lane in lanes]
    await asyncio.sleep(0)
    dying.set()
    go.set()
    async with asyncio.timeout(patient(60)):
        outcomes = await asyncio.gather(*steps, return_exceptions=True)
        await worker.thread.died.wait()
    assert isinstance(outcomes[1], ModelError)
    assert str(worker.thread.death) == "the model's thread has ended (SystemExit: 1); start again"
    for later in (worker.check_prompts(["cat"]), tracked(worker, lanes[0], lambda: ready(frame(1)))):
        with pytest.raises(ModelError, match="thread has ended"):
            await later


async def test_a_picture_that_takes_long_to_convert_is_late_and_holds_up_nobody(started, monkeypatch):
    monkeypatch.setattr("streaming.pipeline.model_thread.CONVERSION_WAIT_SECONDS", 0.05)
    go = threading.Event()

    class Huge(Frames):
        def __iter__(self):
            for one in super().__iter__():
                one.picture.rgb = lambda: go.wait(patient(60))
                yield one

    worker, good, huge = await started(Model), Record(), Record()
    waiting = asyncio.create_task(run_jobs(worker, [job(Huge(1, live=True), huge)], [], asyncio.Event()))
    await run_jobs(worker, [job(Frames(20, live=True, interval=0.01), good)], [], asyncio.Event())
    assert len(good.indices) >= 5
    assert not huge.indices
    go.set()
    await waiting
    assert huge.indices == [0]


@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: type(raised).__name__)
async def test_a_picture_that_cannot_be_converted_is_an_error_of_its_source(raised):
    def fail():
        raise raised

    one, converter = frame(7), Converter("door")
    one.picture.rgb = fail
    converted: Future = converter.begin(lambda: one)
    with pytest.raises(SourceError, match=f"frame 7 cannot be converted: {type(raised).__name__}"):
        converted.result(60)
    converter.close()


async def test_a_huge_picture_has_a_pass_of_its_own_and_pays_for_it(started):
    class Seen(Model):
        passes: ClassVar = []

        def step(self, streams, frames):
            self.passes.append([one.picture.width for one in frames])
            return super().step(streams, frames)

    worker = await started(Seen, batch_wait=60.0)
    lanes = [(await worker.open_stream([name]))[0] for name in "abc"]
    frames = [frame(0), frame(0), frame(0)]
    frames[1].picture.width = 200_000
    await asyncio.gather(*(tracked(worker, lane, partial(ready, one)) for lane, one in zip(lanes, frames, strict=True)))
    assert Seen.passes == [[160, 160], [200_000]]


async def test_a_turn_is_charged_to_its_streams_by_the_prompts_that_they_have_now(started):
    worker = await started(lambda: Model(seconds=0.01))
    lane, _ = await worker.open_stream(["a", "b", "c"])
    assert lane.prompts == 3
    await worker.set_prompts(lane, ["a"])
    assert lane.prompts == 1
    await tracked(worker, lane, lambda: ready(frame(0)))
    assert lane.cost >= 0.01


def test_a_pass_on_a_cpu_beats_between_its_layers():
    """So that one that takes minutes is no stall."""
    now = [0.0]
    heartbeat = Heartbeat(lambda: now[0])

    def beat():
        assert heartbeat.stalled(120) == []
        heartbeat.beat("model")
        now[0] += 100  # what the next layer takes

    engine = Engine(EngineOptions("nano", "cpu"), beat=beat)
    stream = engine.open_stream(["red circle"])
    engine.step([stream], [frame(0)])
    assert now[0] > 100 * 100
