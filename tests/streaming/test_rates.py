"""What a stream wants of the model, and what it gets."""

from __future__ import annotations

import pytest

from maskcast.notices import FramesDropped
from streaming import rates as module
from streaming.pipeline.controls import Controls
from streaming.rates import Rates
from tests.frames import tracked


@pytest.fixture
def clock(monkeypatch):
    times = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[0])
    return times


def test_what_is_dropped_before_the_model_was_wanted(clock):
    rates = Rates(Controls(["cat"]), None)
    for notice in (*(tracked(1) for _ in range(10)), FramesDropped("reader", 30), FramesDropped("sink", 500)):
        rates.notify(notice)
    clock[0] += 2
    assert rates.seconds == 2
    assert rates.look() == (20, 5)
    clock[0] += 2
    assert rates.look() == (0, 0), "what was looked at does not count again"


def test_no_more_is_wanted_than_max_rate_and_nothing_while_paused(clock):
    controls = Controls(["cat"])
    rates = Rates(controls, 8.0)
    rates.notify(FramesDropped("reader", 100))
    clock[0] += 1
    assert rates.look() == (8, 0)
    controls.pause(True)
    rates.notify(FramesDropped("reader", 100))
    clock[0] += 1
    assert rates.look() == (0, 0)
