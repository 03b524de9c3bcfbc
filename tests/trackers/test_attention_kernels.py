"""Torch's choice of attention kernels, which is one for the whole process, while two threads are at work."""

import threading

import pytest
import torch

from tests import tiny
from tests.patience import patient
from trackers.attention_kernels import few_kernels
from trackers.engine import Engine
from trackers.memory.tracker import MemoryTracker
from trackers.options import EngineOptions


def allowed():
    return torch.backends.cuda.cudnn_sdp_enabled()


def test_who_leaves_first_changes_nothing_for_who_stays_and_the_last_puts_it_back():
    before, entered, leave, seen = allowed(), threading.Event(), threading.Event(), []

    def other():
        with few_kernels():
            entered.set()
            leave.wait(patient(60))
            seen.append(allowed())

    thread = threading.Thread(target=other)
    with few_kernels():
        thread.start()
        assert entered.wait(patient(60))
    seen.append(allowed())
    leave.set()
    thread.join(patient(60))
    assert (before, seen, allowed()) == (True, [False, False], True)


def test_it_is_put_back_also_after_a_failure():
    with pytest.raises(ZeroDivisionError), few_kernels():
        1 / 0  # noqa: B018
    assert allowed()


def test_a_tracker_that_measures_kernels_as_it_is_made_has_those_of_a_pass(tmp_path, monkeypatch):
    seen = []

    def made(*arguments, **named):
        seen.append(allowed())
        return MemoryTracker(*arguments, **named)

    monkeypatch.setattr("trackers.engine.MemoryTracker", made)
    # Whatever else asks for the class itself.
    monkeypatch.setattr("trackers.engine.Engine._room", lambda _: "")
    Engine(EngineOptions(str(tiny.save_video(tmp_path)), "cpu"))
    assert seen == [False]
    assert allowed()
