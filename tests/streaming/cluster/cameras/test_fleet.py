"""Workers and streams over failures, with workers that a test scripts: no Ray, no model."""

import asyncio
import logging
import pickle

import pytest

from maskcast.errors import MaskcastError, ModelError, WorkerLeftError
from streaming.cluster.cameras import fleet as fleets
from streaming.cluster.cameras.fleet import Fleet
from streaming.cluster.cameras.messages import Batch, StreamLoad, WorkerFacts, WorkerLoad
from streaming.cluster.cameras.worker_link import HOPELESS_FAILURES
from tests.patience import eventually_async


class Scripted:
    """A worker that says what it is told to say."""

    def __init__(self, number, refusal=None):
        self.number, self.refusal = number, refusal
        self.dead, self.killed, self.load, self.silent = False, False, None, False
        self.asked = []

    async def call(self, method, *arguments, seconds):
        self.asked.append((method, *arguments))
        await asyncio.sleep(0.001)
        if self.dead:
            raise WorkerLeftError("its process has died")
        if method == "start":
            return self.refusal or WorkerFacts(f"node-{self.number}", self.number, "cpu", True)
        if self.silent:
            raise TimeoutError
        load, self.load = self.load, None
        return pickle.dumps(Batch(0, 0.0, load=load)) if method == "poll" else None

    async def kill(self):
        self.killed = True


@pytest.fixture
async def begun(monkeypatch):
    """Makes a fleet whose workers are kept, in the order in which they began."""
    monkeypatch.setattr(fleets, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(fleets, "LOOK_SECONDS", 0.01)
    made = []

    async def begin(count, refusals=()):
        workers, refused = [], list(refusals)

        async def one():
            workers.append(Scripted(len(workers) + 1, refused.pop(0) if refused else None))
            return workers[-1]

        made.append(Fleet(one, count))
        await made[-1].start()
        return made[-1], workers

    yield begin
    for one in made:
        await one.close()


def load(*, failures=0, death=None, streams=None):
    return WorkerLoad(2.0, streams or {}, failures, death, None, None, 1)


async def test_streams_of_a_dead_worker_go_to_another_and_it_is_begun_anew(begun, caplog):
    fleet, workers = await begun(2)
    await eventually_async(lambda: len(fleet.links()) == 2)
    seats = {name: fleet.seat(name) for name in ("a", "b", "c")}
    before = {name: seat.link for name, seat in seats.items()}
    assert {link.name for link in before.values()} == {"worker-1", "worker-2"}
    lost = before["a"]
    line = lost.open(7)
    victim = next(worker for worker in workers if worker.number == lost.facts.pid)
    victim.dead = True
    with pytest.raises(WorkerLeftError, match="its worker is gone"):
        await line.next()
    await eventually_async(lambda: victim.killed and len(fleet.links()) == 2)
    for name, seat in seats.items():
        assert seat.link.gone is None
        assert before[name] is lost or seat.link is before[name], "others stay where they are"
    (view,) = [view for view in fleet.views() if view.name == lost.name]
    assert (view.up, view.deaths) == (True, 1)
    (told,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "is gone: its process has died; its streams go to others: a" in told.getMessage()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"silent": True}, "it has not answered for 6 s"),
        ({"load": load(death=ModelError("the model's thread has ended"))}, "the model's thread has ended"),
        ({"load": load(failures=HOPELESS_FAILURES)}, "its model failed 10 times in a row"),
    ],
)
async def test_a_worker_of_no_more_use_is_ended_and_the_only_one_comes_back(begun, change, reason):
    fleet, workers = await begun(1)
    seat = fleet.seat("a")
    first = seat.link
    for name, value in change.items():
        setattr(workers[0], name, value)
    await eventually_async(lambda: first.gone == reason and workers[0].killed)
    await eventually_async(lambda: seat.link not in {first, None})
    assert len(workers) == 2
    assert fleet.without is None


async def test_one_worker_that_cannot_be_begun_is_tried_again_while_another_serves(begun):
    fleet, _ = await begun(2, [ModelError("not in the cache")])
    await eventually_async(lambda: len(fleet.links()) == 2)
    assert "not in the cache" in str(fleet.failure)


async def test_if_no_worker_can_be_begun_the_start_says_why(begun):
    with pytest.raises(ModelError, match=r"worker-[12]: not in the cache") as caught:
        await begun(2, [ModelError("not in the cache")] * 50)
    assert caught.value.exit_code == ModelError.exit_code


async def test_if_none_can_be_begun_any_more_it_is_hopeless(begun, monkeypatch):
    monkeypatch.setattr(fleets, "LONGEST_PAUSE_SECONDS", 0.02)
    gone = MaskcastError("its process has died")
    fleet, workers = await begun(1, [None, *[gone] * 8])
    seat = fleet.seat("a")
    assert not fleet.hopeless
    workers[0].dead = True
    await eventually_async(lambda: fleet.hopeless)
    assert str(fleet.failure) == "worker-1: its process has died"
    assert seat.waits == "waiting for a worker: no worker is there"
    await eventually_async(fleet.links)
    assert not fleet.hopeless


async def test_workers_are_told_of_an_orderly_end(begun):
    fleet, workers = await begun(2)
    await eventually_async(lambda: len(fleet.links()) == 2)
    await fleet.close()
    assert all(("close",) in worker.asked and worker.killed for worker in workers)


async def test_what_is_measured_of_a_stream_counts_only_while_it_runs(begun):
    fleet, workers = await begun(1)
    seat = fleet.seat("a")
    workers[0].load = load(streams={3: StreamLoad(9.0, 8.0, 0.5)})
    await eventually_async(lambda: seat.link.load)
    assert fleet._placement.load("a") == 1.0, "not measured"
    seat.running = 3
    workers[0].load = load(streams={3: StreamLoad(9.0, 8.0, 0.5)})
    await eventually_async(lambda: fleet._placement.load("a") == 9.0)
    fleet.forget("a")
    assert fleet.views()[0].streams == ()
