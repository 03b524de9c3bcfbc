"""A sink that hangs, wherever it does so, is given up alone; of a live stream, until it answers."""

import asyncio
import gc
import threading
from dataclasses import replace

import pytest

import streaming.pipeline.outlet
from maskcast.errors import SinkError
from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from sinks.sink import BlockingSink, Sink
from streaming.pipeline.outlet import Outlet
from tests.frames import frame
from tests.patience import eventually_async, patient
from tests.pipelines import Frames, Model, Record, job, run

BOUNDS = ("START_SECONDS", "NOTE_SECONDS", "WRITE_SECONDS", "FINISH_SECONDS", "HUNG_FINISH_SECONDS")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for bound in BOUNDS:
        monkeypatch.setattr(streaming.pipeline.outlet, bound, 1.0)


class Hanging(Sink):
    """Never returns from one of its calls, and does not heed that it is cancelled."""

    def __init__(self, place):
        super().__init__(f"async {place}")
        self.place, self.go = place, asyncio.Event()

    async def _come_to(self, place):
        while place == self.place and not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                continue

    async def start(self, info):
        await self._come_to("start")

    async def note(self, result):
        await self._come_to("note")

    async def write(self, result):
        await self._come_to("write")

    async def finish(self, reason):
        await self._come_to("finish")


class Stuck(BlockingSink):
    """Its thread hangs in one of its calls until it is let go."""

    def __init__(self, place):
        super().__init__(f"blocking {place}")
        self.place, self.go, self.finished = place, threading.Event(), threading.Event()

    def _come_to(self, place):
        if place == self.place:
            self.go.wait(patient(60))

    def start_blocking(self, info):
        self._come_to("start")

    def write_blocking(self, result):
        self._come_to("write")

    def finish_blocking(self, reason):
        self._come_to("finish")
        self.finished.set()


class Eventful(Model):
    """Something happens in every frame."""

    def step(self, streams, frames):
        return [[Result(one, (), (Event(EventKind.STARTED, 1, "cat", 0.5, Box(1, 1, 2, 2)),))] for one in frames]


async def test_a_sink_that_hangs_is_given_up_alone_wherever_it_hangs():
    good = Record()
    bad = [Stuck("start"), Stuck("write"), Stuck("finish")]
    (report,) = await run([job(Frames(20), good, *bad)], Eventful())
    assert good.indices == list(range(20))
    assert good.finished == 1
    assert {str(error) for error in report.errors} == {
        "blocking start: opening it has not ended in 1 s: given up; look at its disk or its server",
        "blocking write: writing has not ended in 1 s: given up; look at its disk or its server",
        "blocking finish: closing it has not ended in 1 s: given up; look at its disk or its server",
    }
    assert not any(one.finished.is_set() for one in bad)
    for one in bad:
        one.go.set()
        assert one.finished.wait(60), "a disk that wakes up later still gets a whole file"


async def test_one_that_does_not_heed_its_cancellation_is_left_behind():
    said, places = [], ("start", "note", "write", "finish")

    for place in places:
        sink = Hanging(place)
        outlet = Outlet(sink, Frames().info, said.append)
        await outlet.start()
        event = Event(EventKind.STARTED, 1, "cat", 0.5, Box(1, 1, 2, 2))
        await outlet.put(Result(frame(0), (), (event,)))
        await outlet.finish(None)
        sink.go.set()  # or the end of the event loop would wait for it
    assert [str(error).split(":")[0] for error in said] == [f"async {place}" for place in places]
    assert all(isinstance(error, SinkError) for error in said)


@pytest.mark.parametrize("sink", [Record(fail_start=True), Record(fail_at=1)], ids=["start", "write"])
async def test_one_of_whose_failure_nobody_can_be_told_holds_up_nobody(sink):
    """Such as a person whose terminal is gone. The event loop's log has the last word."""
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context["exception"]))

    def tell(_error):
        raise BrokenPipeError

    outlet = Outlet(sink, Frames().info, tell)
    async with asyncio.timeout(patient(30)):
        await outlet.start()
        for index in range(20):
            await outlet.put(Result(frame(index), (), ()))
        await outlet.finish(None)
    assert sink.finished == 1
    del outlet
    gc.collect()
    assert [type(one) for one in said] == [BrokenPipeError]


@pytest.mark.parametrize("place", ["start", "write"])
async def test_of_a_live_stream_one_that_answers_again_is_fed_again(place):
    said, written = [], []

    class Counted(Stuck):
        def write_blocking(self, result):
            super().write_blocking(result)
            written.append(result.frame.index)

    sink = Counted(place)
    outlet = Outlet(sink, replace(Frames().info, live=True), said.append)
    await outlet.start()
    await outlet.put(Result(frame(0), (), ()))
    await eventually_async(lambda: said)
    for index in range(1, 20):
        await asyncio.wait_for(outlet.put(Result(frame(index), (), ())), patient(60))
    sink.go.set()
    await eventually_async(lambda: 19 in written)
    await outlet.put(Result(frame(20), (), ()))
    await outlet.finish(None)
    assert sink.finished.is_set()
    assert outlet.error is None
    assert outlet.dropped + len(written) == 21
    assert written[-1] == 20
    doing = {"start": "opening it", "write": "writing"}[place]
    (error,) = said
    assert f"{place}: {doing} has not ended in 1 s: it is left out until it answers; look at its disk" in str(error)


@pytest.mark.parametrize("place", ["start", "write"])
async def test_of_a_live_stream_one_that_never_answers_is_told_of_once_and_left_behind(place):
    said = []

    sink = Stuck(place)
    outlet = Outlet(sink, replace(Frames().info, live=True), said.append)
    await outlet.start()
    await outlet.put(Result(frame(0), (), ()))
    await eventually_async(lambda: said)
    for index in range(1, 7):
        await asyncio.wait_for(outlet.put(Result(frame(index), (), ()), wait=True), patient(60))
    await outlet.finish(None)
    assert not sink.finished.is_set()
    assert outlet.error is said[0]
    sink.go.set()
    assert await asyncio.to_thread(sink.finished.wait, patient(60))
    assert len(said) == 1


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_a_sink_that_raises_what_ends_processes_ends_only_itself(raised):
    class Odd(Record):
        async def write(self, result):
            raise raised

    good, odd = Record(), Odd()
    (report,) = await run([job(Frames(5), good, odd)])
    assert good.indices == list(range(5))
    assert odd.finished == 1
    assert len(report.errors) == 1
    assert str(report.errors[0]).startswith("record: RuntimeError: ")
