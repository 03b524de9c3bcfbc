"""The two queues of a device: what one half made is there for the other, and is not taken from under it."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch

from tests.patience import patient
from trackers.half_queues import HalfQueues, tensors

log = []


class FakeStream:
    """Notes what it is asked."""

    def __init__(self, device, priority):
        self.name = "following" if priority < 0 else "seeing"

    def synchronize(self):
        log.append(f"wait for {self.name}")

    def wait_event(self, event):
        log.append(f"{self.name} behind {event.stream.name}")


class FakeEvent:
    """On one of them."""

    def record(self, stream):
        self.stream = stream


class FakeTensor(torch.Tensor):
    """Notes who reads it."""

    def record_stream(self, stream):
        log.append(f"{stream.name} reads {len(self)}")


@dataclass
class Made:
    """As detections and features are."""

    logits: torch.Tensor
    pyramid: tuple
    other: int = 3


@pytest.fixture
def queues(monkeypatch):
    """Those of a CUDA device that only says what it does."""

    @contextmanager
    def current(stream):
        log.append(f"begin {stream.name}")
        yield
        log.append(f"end {stream.name}")

    log.clear()
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "stream", current)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append(f"wait for {device}"))
    return HalfQueues(torch.device("cuda", 1))


def test_every_tensor_is_found_however_deep():
    one, two, three = torch.zeros(3)
    assert list(tensors(([Made(one, (two, None))], "x", three))) == [one, two, three]


def test_on_cuda_the_second_half_waits_for_the_first_and_keeps_what_it_reads(queues):
    def fake(count):
        return torch.zeros(count).as_subclass(FakeTensor)

    with queues.seeing():
        moment = queues.behind()
    with queues.following():
        queues.take(moment, [Made(fake(1), (fake(2),))], fake(3))
    assert log == [
        "begin seeing",
        "end seeing",
        "begin following",
        "following behind seeing",
        *(f"following reads {count}" for count in (1, 2, 3)),
        "wait for following",
        "end following",
    ]


def test_on_cuda_what_both_halves_read_changes_only_while_the_device_is_idle(queues):
    with queues.alone():
        log.append("change")
    assert log == ["wait for cuda:1", "begin following", "change", "end following", "wait for cuda:1"]


@pytest.mark.parametrize(("device", "together"), [("cpu", True), ("mps", False)])
def test_on_mps_the_halves_take_turns(device, together):
    queues, inside, leave = HalfQueues(torch.device(device)), threading.Event(), threading.Event()

    def see():
        with queues.seeing():
            inside.set()
            leave.wait(patient(60))

    thread = threading.Thread(target=see)
    with queues.following():
        thread.start()
        assert inside.wait(patient(10) if together else 0.1) is together
    assert inside.wait(patient(60))
    leave.set()
    thread.join()
