"""One model under several streams: passes that are shared, and those that fail."""

import asyncio
import threading
import weakref

from maskcast.errors import TooLargeError
from maskcast.notices import FramesDropped, TrackedFrame
from streaming.defaults import MAX_BATCH
from streaming.pipeline.jobs import run_jobs
from streaming.pipeline.worker import Worker
from tests.frames import frame
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model, Record, job, ready, run, tracked


async def test_live_streams_share_batches_in_fair_turns():
    model = Model(seconds=0.02)
    sinks = [Record() for _ in range(3)]
    jobs = [
        job(Frames(80, live=True, interval=0.01, stream=f"s{i}"), s, prompts=(f"cat {i}",)) for i, s in enumerate(sinks)
    ]
    await run([], model, live=jobs)
    assert max(model.batches) in range(2, MAX_BATCH + 1)
    lengths = [len(sink.indices) for sink in sinks]
    assert max(lengths) <= 2 * min(lengths)


async def test_the_worker_outlives_those_who_stop_waiting():
    worker = Worker(lambda: Model(seconds=0.2))
    await worker.start()
    stream, _ = await worker.open_stream(["cat"])
    waiting = asyncio.create_task(tracked(worker, stream, lambda: ready(frame(0))))
    queued = asyncio.create_task(tracked(worker, stream, lambda: ready(frame(1))))
    await asyncio.sleep(0.05)
    waiting.cancel()
    queued.cancel()
    result = await tracked(worker, stream, lambda: ready(frame(2)))
    assert [one.frame.index for one in result.results] == [2]


class Stuck(Model):
    """A model that hangs until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def step(self, streams, frames):
        self.go.wait(patient(60))
        return super().step(streams, frames)


async def test_what_a_hanging_model_never_sees_is_counted_meanwhile():
    model, told = Stuck(), []

    worker = Worker(lambda: model)
    await worker.start()
    source = Frames(None, live=True, interval=0.01)
    watched = job(source, Record(), max_frames=1, notify=told.append)
    running = asyncio.create_task(run_jobs(worker, [watched], [], asyncio.Event()))
    await eventually_async(lambda: sum(notice.count for notice in told if isinstance(notice, FramesDropped)) > 5)
    assert not any(isinstance(notice, TrackedFrame) for notice in told), "no pass is over yet"
    model.go.set()
    await running
    worker.close()


class Small(Model):
    """Takes one frame at a time, and fails on one stream."""

    class Features:
        """What a pass holds on the device."""

    too_large = None  # the features of the last pass that was too large

    def step(self, streams, frames):
        if len(frames) > 1:
            self.batches.append(len(frames))
            features = self.Features()
            self.too_large = weakref.ref(features)
            raise TooLargeError("out of memory")
        assert self.too_large is None or self.too_large() is None, "what did not fit is still there"
        if frames[0].stream == "sick":
            raise RuntimeError("a bad day")
        return super().step(streams, frames)


async def test_what_does_not_fit_together_is_done_one_by_one_and_a_failure_is_its_own_streams_alone():
    model = Small(seconds=0.02)
    sinks = {name: Record() for name in ("well", "sick", "fine")}
    jobs = [job(Frames(20, stream=name), sink) for name, sink in sinks.items()]
    failures = []

    worker = Worker(lambda: model)
    await worker.start()
    reports = await run_jobs(worker, jobs, [], asyncio.Event())
    failures.append(worker.thread.failures)
    worker.close()
    assert max(model.batches) > 1
    assert [len(report.errors) for report in reports] == [0, 1, 0]
    assert [len(sink.indices) for sink in sinks.values()] == [20, 0, 20]
    assert failures == [0], "those that came after it went well"


async def test_a_pass_that_fails_is_one_failure_however_many_share_it():
    worker = Worker(lambda: Model(fail_at=0), max_batch=4, batch_wait=0.2)
    await worker.start()
    await run_jobs(worker, [job(Frames(3), Record()) for _ in range(4)], [], asyncio.Event())
    worker.close()
    assert worker.thread.failures < 4
