"""Rounds: what is missing is asked for again, and nothing is waited for without a bound."""

import asyncio

import pytest

from maskcast.errors import ModelError
from streaming.cluster.videos import execution as module
from streaming.cluster.videos.execution import Execution
from streaming.cluster.videos.ledger import Identity
from streaming.cluster.videos.plan import Beat, Doing, Outcome, Video, View

VIDEOS = [Video(name, f"/{name}.mp4", Identity(f"/{name}.mp4", 1, "1")) for name in ("a", "b", "c")]


class Method:
    def __init__(self, answer):
        self.remote = answer


class Fake:
    """A foreman that shows these views one after the other, and the last for ever."""

    def __init__(self, *views):
        self.views, self.stopped = list(views), False
        self.look, self.stop = Method(self._look), Method(self._stop)

    async def _look(self, seen):
        return self.views.pop(0) if len(self.views) > 1 else self.views[0]

    async def _stop(self):
        self.stopped = True


class Rounds(Execution):
    """Its rounds are led by these foremen."""

    def __init__(self, *foremen):
        self.ended_as, self.foremen, self.asked = {}, list(foremen), []
        super().__init__(None, 2, {}, lambda outcome: self.ended_as.update({outcome.stream: outcome}), lambda _: None)

    async def _round(self, stop):
        self.asked.append(sorted(self._missing))
        return await self._follow(self.foremen.pop(0), stop)


def done(*names):
    return tuple(Outcome(name, frames=3) for name in names)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(module, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(module, "BEGIN_SECONDS", 0.05)
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)


READY = Beat("node/1", "ready", 1)


async def test_a_round_in_which_nothing_moves_is_given_up_and_the_rest_asked_for_again():
    hangs = Fake(View(beats=(READY,)), View(done("a"), beats=(READY,), attempts={"b": 1}), View(beats=(READY,)))
    rounds = Rounds(hangs, Fake(View(done("b", "c"), beats=(READY,))))
    await rounds.run(VIDEOS, asyncio.Event())
    assert rounds.asked == [["a", "b", "c"], ["b", "c"]]
    assert [rounds.ended_as[name].error for name in "abc"] == [None] * 3


async def test_as_long_as_frames_come_nothing_is_given_up():
    moving = [View(beats=(Beat("node/1", "ready", number, (Doing("a", number, None),)),)) for number in range(120)]
    rounds = Rounds(Fake(*moving, View(done("a", "b", "c"), beats=(READY,))))
    await rounds.run(VIDEOS, asyncio.Event())
    assert len(rounds.asked) == 1


async def test_after_three_rounds_without_a_video_the_rest_are_errors():
    first = Fake(View(done("a"), beats=(READY,)), View(ended=True, error="all actors died"))
    rounds = Rounds(first, *(Fake(View(ended=True, error="all actors died")) for _ in range(3)))
    await rounds.run(VIDEOS, asyncio.Event())
    assert len(rounds.asked) == 4
    assert rounds.ended_as["b"].error == "/b.mp4: not tracked: all actors died"
    assert rounds.ended_as["a"].error is None


async def test_why_no_worker_can_begin_is_raised_once_and_later_costs_one_worker():
    failing = View(failures=(ModelError("not fetched", where="node"),))
    with pytest.raises(ModelError, match="not fetched"):
        await Rounds(Fake(failing)).run(VIDEOS, asyncio.Event())
    rounds = Rounds(Fake(View(beats=(READY,)), failing), Fake(View(done("a", "b", "c"))))
    await rounds.run(VIDEOS, asyncio.Event())
    assert rounds._workers == 1
    assert len(rounds.ended_as) == 3


async def test_what_a_worker_stopped_by_itself_is_missing_still():
    lonely = Fake(View((Outcome("a", interrupted=True), *done("b", "c")), beats=(READY,), ended=True))
    rounds = Rounds(lonely, Fake(View(done("a"))))
    await rounds.run(VIDEOS, asyncio.Event())
    assert rounds.asked == [["a", "b", "c"], ["a"]]


async def test_an_interrupt_waits_for_what_is_being_written_but_not_for_ever():
    stop, stopped = asyncio.Event(), Outcome("b", frames=7, interrupted=True)
    foreman = Fake(View(done("a"), beats=(READY,)), View((stopped,), beats=(READY,)), View(beats=(READY,)))
    rounds = Rounds(foreman)
    asyncio.get_running_loop().call_later(0.0, stop.set)
    async with asyncio.timeout(30):
        await rounds.run(VIDEOS, stop)
    assert foreman.stopped
    assert rounds.ended_as["a"].interrupted is False
    assert rounds.ended_as["b"] == stopped
    assert rounds.ended_as["c"].interrupted
