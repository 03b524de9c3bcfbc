"""The clock of the engine's stages: complete, cheap, and without a wait for the device."""

import itertools
import threading
import time
from contextlib import suppress

import pytest
import torch

from tests.frames import frame
from tests.lockstep import scene
from trackers import stage_times
from trackers.engine import Engine
from trackers.options import EngineOptions
from trackers.stage_times import MOST_OPEN, STAGES, Spent, StageTimes, measured

CPU = torch.device("cpu")


def ticking(device=CPU):
    return StageTimes(device, clock=itertools.count().__next__)  # each look takes a second


def test_stages_add_up_and_count_their_units():
    times = ticking()
    with times.running():
        for units in (2, 3):
            with measured("decode", units):
                pass
        with measured("encode", 1), measured("propagate", 7):
            pass
    spent = times.totals()
    assert spent["decode"] == Spent(2.0, 5)
    assert spent["encode"] == Spent(3.0, 1), "what runs within a stage is part of it"
    assert spent["propagate"] == Spent(1.0, 7)
    assert spent["remember"] == Spent()
    assert list(spent) == list(STAGES)


def test_a_stage_that_fails_is_not_counted():
    times = ticking()
    with pytest.raises(ValueError), times.running(), measured("encode", 1):
        raise ValueError
    assert times.totals()["encode"] == Spent()
    with measured("encode", 1):  # nobody runs: nobody counts
        pass
    assert times.totals()["encode"] == Spent()


def test_each_thread_has_its_own():
    mine, others = ticking(), ticking()

    def other():
        with others.running(), measured("encode", 1):
            pass

    with mine.running():
        thread = threading.Thread(target=other, name="other")
        thread.start()
        thread.join()
    assert mine.totals()["encode"] == Spent()
    assert others.totals()["encode"] == Spent(1.0, 1)


class FakeEvent:
    """An event that the device has passed when the test says so."""

    passed = False
    moments = itertools.count()

    def __init__(self, *, enable_timing):
        assert enable_timing

    def record(self, stream):
        assert stream == "stream of cuda:1"
        self.moment = next(self.moments)

    def query(self):
        return FakeEvent.passed

    def elapsed_time(self, end):
        return (end.moment - self.moment) * 1000  # milliseconds

    def synchronize(self):
        raise AssertionError("the pipeline does not wait")


def test_on_cuda_the_device_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    times = StageTimes(torch.device("cuda", 1))
    with times.running(), measured("encode", 4):
        pass
    assert times.totals()["encode"] == Spent(), "the device has not got there"
    monkeypatch.setattr(FakeEvent, "passed", True)
    with times.running(), measured("encode", 4):
        pass
    assert times.totals()["encode"] == Spent(2.0, 8)
    monkeypatch.setattr(FakeEvent, "passed", False)
    with times.running():
        for _ in range(MOST_OPEN + 5):
            with measured("decode", 1):
                pass
    assert len(times._open) == MOST_OPEN, "a device that hangs fills no memory"


def test_two_threads_that_collect_at_once_count_each_stage_once(monkeypatch):
    meet = threading.Barrier(2)

    class Slow(FakeEvent):
        def query(self):
            with suppress(
                threading.BrokenBarrierError
            ):  # where the other thread asks for the same event meanwhile, both would take it
                meet.wait(0.05)
            return True

    monkeypatch.setattr(torch.cuda, "Event", Slow)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    times = StageTimes(torch.device("cuda", 1))
    times.add("encode", 4, *(Slow(enable_timing=True) for _ in range(2)))
    times._open[0][2].record("stream of cuda:1")
    times._open[0][3].record("stream of cuda:1")
    failures = []

    def collect():
        try:
            with times.running():
                pass
        except IndexError as error:
            failures.append(error)

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert times.totals()["encode"] == Spent(1.0, 4)


@pytest.fixture
def one_thread():
    """All work on the thread of the test, whose own time other processes do not lengthen."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("tracker", ["memory", "association"])
def test_the_stages_are_the_pass(video_checkpoint, tracker):
    """Nothing that takes time is left out, and nothing is counted twice."""
    engine = Engine(EngineOptions(str(video_checkpoint), "cpu", tracker))
    engine.stage_times = StageTimes(CPU, clock=time.thread_time)
    streams = [engine.open_stream(["person", "a car"]), engine.open_stream(["dog"])]
    images = scene(6)
    began = time.thread_time()
    found = 0
    for index, image in enumerate(images):
        results = engine.step(streams, [frame(index, image, stream=name) for name in ("a", "b")])
        found += sum(len(result.tracks) for listed in results for result in listed)
    whole = time.thread_time() - began
    spent = engine.stage_times.totals()
    total = sum(stage.seconds for stage in spent.values())
    assert 0.8 * whole < total <= whole
    assert found > 0
    assert spent["preprocess"].units == spent["encode"].units == 2 * len(images)
    assert spent["decode"].units == 3 * len(images)
    assert spent["publish"].units >= found
    assert (spent["propagate"].units > 0) == (spent["remember"].units > 0) == (tracker == "memory")


def test_it_costs_less_than_a_two_hundredth_of_a_frame():
    """Of a frame of the smallest model there is."""
    engine = Engine(EngineOptions("nano", "cpu"))
    stream = engine.open_stream(["red circle"])
    image = scene(1)[0]
    engine.step([stream], [frame(0, image)])

    def cheapest(call, rounds):
        times = []
        for index in range(rounds):
            began = time.process_time()
            call(index)
            times.append(time.process_time() - began)
        return min(times)

    a_frame = cheapest(lambda index: engine.step([stream], [frame(index + 1, image)]), 5)

    def all_stages(_):
        with engine.stage_times.running():
            for stage in STAGES:
                with measured(stage, 1):
                    pass

    assert cheapest(all_stages, 200) < a_frame / 200


def test_every_stage_has_a_unit():
    assert set(stage_times.UNITS) == set(STAGES)
