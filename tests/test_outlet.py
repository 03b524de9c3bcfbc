"""A sink that hangs, wherever it does so, is given up alone."""

import asyncio
import threading

import pytest

import streaming.outlet
from sinks.sink import BlockingSink, Sink
from streaming.errors import SinkError
from streaming.outlet import Outlet
from streaming.types import Box, Event, EventKind, Result
from tests.frames import frame
from tests.patience import patient
from tests.test_pipeline import Frames, Model, Record, job, run

BOUNDS = ("START_SECONDS", "NOTE_SECONDS", "WRITE_SECONDS", "FINISH_SECONDS", "HUNG_FINISH_SECONDS")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for bound in BOUNDS:
        monkeypatch.setattr(streaming.outlet, bound, 1.0)


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


def test_a_sink_that_hangs_is_given_up_alone_wherever_it_hangs():
    good = Record()
    bad = [Stuck("start"), Stuck("write"), Stuck("finish")]
    (report,) = run([job(Frames(20), good, *bad)], Eventful())
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


def test_one_that_does_not_heed_its_cancellation_is_left_behind():
    said, places = [], ("start", "note", "write", "finish")

    async def main():
        for place in places:
            sink = Hanging(place)
            outlet = Outlet(sink, Frames().info, said.append)
            await outlet.start()
            event = Event(EventKind.STARTED, 1, "cat", 0.5, Box(1, 1, 2, 2))
            await outlet.put(Result(frame(0), (), (event,)))
            await outlet.finish(None)
            sink.go.set()  # or the end of the event loop would wait for it

    asyncio.run(main())
    assert [str(error).split(":")[0] for error in said] == [f"async {place}" for place in places]
    assert all(isinstance(error, SinkError) for error in said)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_sink_that_raises_what_ends_processes_ends_only_itself(raised):
    class Odd(Record):
        async def write(self, result):
            raise raised

    good, odd = Record(), Odd()
    (report,) = run([job(Frames(5), good, odd)])
    assert good.indices == list(range(5))
    assert odd.finished == 1
    assert len(report.errors) == 1
    assert str(report.errors[0]).startswith("record: RuntimeError: ")
