"""A source, a model and a sink whose speed and failures the test sets, and the run of a stream made of them."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from fractions import Fraction
from itertools import count

from maskcast.errors import SinkError, UsageError
from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import run_jobs
from streaming.pipeline.worker import Worker
from tests.frames import frame
from tests.patience import patient


class Frames:
    """A source of blank frames; records how far it was read."""

    def __init__(self, number=10, *, live=False, interval=0.0, error=None, stream="test"):
        self.info = StreamInfo(stream, 160, 96, Fraction(1, 1000), Fraction(25), number, live=live)
        self.number, self.interval, self.error = number, interval, error
        self.read, self.closed = 0, threading.Event()

    def __iter__(self):
        for index in count() if self.number is None else range(self.number):
            if self.closed.wait(self.interval):
                return
            self.read += 1
            yield frame(index, stream=self.info.stream)
        if self.error:
            raise self.error

    def close(self):
        self.closed.set()


class Model:
    """An engine that says nothing of what it sees."""

    def __init__(self, seconds=0.0, fail_at=None, held=0):
        self.seconds, self.fail_at, self.held = seconds, fail_at, held
        self.batches, self.waiting, self.changes = [], {}, []

    class Stream:
        """What it keeps of a stream."""

        def __init__(self, prompts):
            self.prompts = prompts

    def open_stream(self, prompts):
        if not prompts:
            raise UsageError("no prompt")
        stream = self.Stream(prompts)
        self.waiting[stream] = []
        return stream

    def step(self, streams, frames):
        self.batches.append(len(frames))
        time.sleep(self.seconds)
        results = []
        for stream, picture in zip(streams, frames, strict=True):
            if picture.index == self.fail_at:
                raise RuntimeError("a bad day\nwith details")
            self.waiting[stream].append(Result(picture))
            ready = self.waiting[stream][: max(len(self.waiting[stream]) - self.held, 0)]
            del self.waiting[stream][: len(ready)]
            results.append(ready)
        return results

    def see(self, streams, frames):
        """Nothing: a test says in `step` what a pass does."""
        return streams, frames

    def follow(self, seen):
        return self.step(*seen)

    def set_prompts(self, stream, prompts):
        stream.prompts = tuple(prompts)
        self.changes.append(stream.prompts)
        return [Event(EventKind.ENDED, 1, "cat", 0.5, Box(1, 1, 2, 2))]

    def close_stream(self, stream):
        return self.waiting.pop(stream)


class Requested(Model):
    """While it opens a stream, a request asks for other prompts: too late for it, and not to be missed."""

    def __init__(self, controls, **options):
        super().__init__(**options)
        self.controls, self.loop = controls, asyncio.get_running_loop()

    def open_stream(self, prompts):
        self.loop.call_soon_threadsafe(self.controls.set_prompts, ["dog"])
        return super().open_stream(prompts)


class Record(Sink):
    def __init__(self, *, seconds=0.0, fail_at=None, fail_start=False, fail_finish=False):
        super().__init__("record")
        self.seconds, self.fail_at = seconds, fail_at
        self.fail_start, self.fail_finish = fail_start, fail_finish
        self.indices, self.reason, self.finished = [], None, 0

    async def start(self, info):
        if self.fail_start:
            raise SinkError("record: cannot start")

    async def write(self, result):
        await asyncio.sleep(self.seconds)
        if result.frame.index == self.fail_at:
            raise OSError(28, "No space left on device")
        self.indices.append(result.frame.index)

    async def finish(self, reason):
        self.finished += 1
        self.reason = reason
        if self.fail_finish:
            raise SinkError("record: cannot finish")


def job(source, *sinks, prompts=("cat",), **options):
    open_source = source if callable(source) else lambda: source
    return Job(open_source, lambda info: sinks, **({"controls": Controls(prompts)} | options))


async def run(jobs, model=None, *, live=(), stop_after=None):
    stop = asyncio.Event()
    worker = Worker(lambda: model or Model())
    await worker.start()
    if stop_after is not None:
        asyncio.get_running_loop().call_later(stop_after, stop.set)
    try:
        return await asyncio.wait_for(run_jobs(worker, live, jobs, stop), patient(30))
    finally:
        worker.close()


async def tracked(worker, lane, begin):
    """What becomes of a frame in both stages of the model."""
    return await asyncio.wrap_future(await worker.take(lane, begin))


def ready(one):
    """What a converter hands out, for a frame that needs no conversion."""
    converted = Future()
    converted.set_result(one)
    return converted
