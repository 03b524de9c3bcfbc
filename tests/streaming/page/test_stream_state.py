"""What the page is told of a stream."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from maskcast.notices import (
    FramesDropped,
    PauseChanged,
    PlacesChanged,
    SourceStatus,
    StreamBegan,
    TalliesChanged,
    TotalsReset,
    TrackedFrame,
)
from maskcast.places import Line, Places, Tally, Zone
from maskcast.prompts import Prompt
from maskcast.stream_info import StreamInfo
from streaming import rates
from streaming.page.stream_state import SILENCE_SECONDS, StreamState
from streaming.pipeline.controls import Controls
from tests.frames import frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = Places(
    (Zone("gate", ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9)), dwell=5.0),), (Line("road", ((0.0, 0.5), (1.0, 0.5))),)
)


@pytest.fixture
def clock(monkeypatch):
    times = [100.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: times[0])
    return times


def tracked(done: float = 0.25) -> TrackedFrame:
    return TrackedFrame(replace(frame(), decoded_at=0.0), [], 0.0, done, 0.0)


def test_before_anything_happened_it_is_what_the_settings_say():
    state = StreamState(
        Controls(["person", Prompt("red car", name="car", min_area=0.1, avoid=("bus",))], PLACES),
        actions=("pause", "set"),
    ).describe()
    assert json.loads(json.dumps(state, allow_nan=False)) == {
        "online": False,
        "reason": "starting",
        "since": state["since"],
        "paused": False,
        "live": True,
        "prompts": [
            {"text": "person", "name": "person"},
            {"text": "red car", "name": "car", "min_area": 0.1, "avoid": ["bus"]},
        ],
        "control": ["pause", "set"],
        "rate": {"wanted": 0.0, "tracked": 0.0},
        "overloaded": False,
        "latency": None,
        "zones": {"gate": {"points": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], "dwell": 5.0}},
        "lines": {"road": {"points": [[0.0, 0.5], [1.0, 0.5]]}},
        "tally": None,
        "recording": False,
        "changed": False,
    }


def test_it_is_as_it_was_told_and_shows_no_credentials():
    state = StreamState(Controls(["cat"]), live=False)
    state.notify(SourceStatus(True))
    state.notify(StreamBegan(StreamInfo("door", 160, 96, Fraction(1, 1000), Fraction(25), None, live=True)))
    assert (state.describe()["online"], state.describe()["reason"], state.describe()["live"]) == (True, None, True)
    since = state.describe()["since"]
    state.notify(SourceStatus(True))
    assert state.describe()["since"] == since, "that is no change"
    state.notify(SourceStatus(False, "rtsp://admin:verysecret@10.0.0.1/live: refused"))
    assert "10.0.0.1" in state.describe()["reason"]
    assert "verysecret" not in json.dumps(state.describe())


def test_rates_and_latency_are_those_of_the_last_second(clock):
    state = StreamState(Controls(["cat"]))
    for _ in range(5):
        state.notify(tracked(0.1))
        state.notify(FramesDropped("reader", 1))
    assert state.describe()["rate"] == {"wanted": 0.0, "tracked": 0.0}, "not yet a second"
    clock[0] += 1
    state.notify(tracked(0.7))
    told = state.describe()
    assert told["rate"] == {"wanted": 11.0, "tracked": 6.0}
    assert told["overloaded"] is True
    assert told["latency"] == pytest.approx(0.2)
    clock[0] += SILENCE_SECONDS
    told = state.describe()
    assert (told["rate"], told["overloaded"], told["latency"]) == ({"wanted": 0.0, "tracked": 0.0}, False, None)


def test_what_was_counted_comes_with_its_places_and_what_changed_is_said():
    controls = Controls(["cat"], PLACES)
    state = StreamState(controls)
    tally = Tally(NOW, {"gate": {"cat": 2}}, {"gate": {"cat": 7}}, {"road": {"left": {"cat": 1}}}, PLACES)
    state.notify(TalliesChanged(tally))
    told = state.describe()
    assert told["tally"] == {
        "since": "2026-01-01T00:00:00.000Z",
        "inside": {"gate": {"cat": 2}},
        "entered": {"gate": {"cat": 7}},
        "crossed": {"road": {"left": {"cat": 1}}},
    }
    assert told["changed"] is False
    state.notify(TotalsReset(replace(tally, entered={"gate": {"cat": 0}})))
    assert state.describe()["tally"]["entered"] == {"gate": {"cat": 0}}
    controls.places = Places(PLACES.zones)
    told = state.describe()
    assert (told["changed"], told["lines"], told["zones"].keys()) == (True, {}, {"gate"}), "wanted"
    state.notify(PlacesChanged(replace(tally, crossed={})))
    assert state.describe()["tally"]["crossed"] == {}
    state.notify(PlacesChanged(None))
    assert state.describe()["tally"] is None
    state = StreamState(controls)
    controls.set_prompts(["dog"])
    assert state.describe()["changed"] is True
    controls.pause(True)
    before = state.describe()["since"]
    state.notify(PauseChanged(True))
    assert state.describe()["paused"] is True
    assert state.describe()["since"] >= before


def test_a_stream_of_a_cluster_says_which_worker_has_it():
    workers = iter(["worker 1", None])
    state = StreamState(Controls(["person"]), worker=lambda: next(workers))
    assert state.describe()["worker"] == "worker 1"
    assert "worker" not in state.describe()
