"""Who comes next at the model, and how the worker uses it."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streaming.turns import Lane, Turns


@dataclass
class Asked:
    lane: Lane[str]


def shares(lanes, turns, *, batch=1):
    """How often each lane gets a turn if all always have a frame."""
    schedule, got = Turns(), dict.fromkeys((lane.stream for lane in lanes), 0)
    for _ in range(turns):
        for one in schedule.choose([Asked(lane) for lane in lanes], batch):
            got[one.lane.stream] += 1
    return list(got.values())


def test_equal_weights_get_equal_shares_whatever_the_batch():
    assert shares([Lane(name, True, 1.0) for name in "abcde"], 100) == [20] * 5
    assert shares([Lane(name, True, 1.0) for name in "abcde"], 100, batch=4) == [80] * 5


def test_weights_are_shares():
    assert shares([Lane("a", True, 3.0), Lane("b", True, 1.0)], 400) == [300, 100]


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=6))
def test_no_share_is_more_than_a_turn_from_what_is_due(weights):
    lanes = [Lane(str(number), True, weight) for number, weight in enumerate(weights)]
    got = shares(lanes, 200)
    for count, weight in zip(got, weights, strict=True):
        # In one turn a lane gains 1/weight of virtual time; nobody is ahead of another by more than such a step.
        assert abs(count / weight - 200 / sum(weights)) <= 1 / weight + 1 / min(weights)


def test_live_goes_first_and_alone():
    live, patient = Lane("live", True, 0.01), Lane("file", False, 100.0)
    schedule = Turns()
    for _ in range(5):
        assert [one.lane for one in schedule.choose([Asked(patient), Asked(live)], 4)] == [live]
    assert [one.lane for one in schedule.choose([Asked(patient)], 4)] == [patient]


def test_who_was_idle_has_saved_up_nothing_and_starves_nobody():
    busy, idle = Lane("busy", True, 1.0), Lane("idle", True, 1.0)
    schedule = Turns()
    for _ in range(1000):
        schedule.choose([Asked(busy)], 1)
    got = [schedule.choose([Asked(busy), Asked(idle)], 1)[0].lane.stream for _ in range(20)]
    assert got.count("busy") in (9, 10, 11)


def test_first_come_first_served_among_equals():
    lanes = [Lane(name, True, 1.0) for name in "ba"]
    assert Turns().choose([Asked(lane) for lane in lanes], 1)[0].lane.stream == "b"
