"""Who comes next at the model, and how the worker uses it."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streaming.pipeline.fair_queue import FairQueue, Lane


@dataclass
class Request:
    lane: Lane[str]


def shares(lanes, passes, *, batch=1):
    """How many frames each lane has tracked if all always have one."""
    schedule, got = FairQueue(), dict.fromkeys((lane.stream for lane in lanes), 0)
    for lane in lanes:
        lane.cost = 1.0  # as after a first pass
    for _ in range(passes):
        chosen = [one.lane for one in schedule.choose([Request(lane) for lane in lanes], batch)]
        schedule.charge(chosen, float(len(chosen)), schedule.expect(chosen, 0.0))
        for lane in chosen:
            got[lane.stream] += 1
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
        # In one pass a lane gains 1/weight of virtual time; nobody is ahead of another by more than such a step.
        assert abs(count / weight - 200 / sum(weights)) <= 1 / weight + 1 / min(weights)


def test_live_goes_first_and_alone():
    live, patient = Lane("live", True, 0.01), Lane("file", False, 100.0)
    schedule = FairQueue()
    for _ in range(5):
        assert [one.lane for one in schedule.choose([Request(patient), Request(live)], 4)] == [live]
    assert [one.lane for one in schedule.choose([Request(patient)], 4)] == [patient]


def test_who_was_idle_has_saved_up_nothing_and_starves_nobody():
    busy, idle = Lane("busy", True, 1.0), Lane("idle", True, 1.0)
    schedule = FairQueue()
    for _ in range(1000):
        schedule.choose([Request(busy)], 1)
        schedule.charge([busy], 1.0, [0.0])
    got = []
    for _ in range(20):
        (one,) = schedule.choose([Request(busy), Request(idle)], 1)
        schedule.charge([one.lane], 1.0, [0.0])
        got.append(one.lane.stream)
    assert got.count("busy") in (9, 10, 11)


def test_first_come_first_served_among_equals():
    lanes = [Lane(name, True, 1.0) for name in "ba"]
    assert FairQueue().choose([Request(lane) for lane in lanes], 1)[0].lane.stream == "b"


def test_a_pass_is_charged_by_prompts_over_weights_and_a_first_turn_as_the_one_before_it():
    many, heavy, new = Lane("many", True, 1.0, 3), Lane("heavy", True, 2.0, 1), Lane("new", True, 1.0, 2)
    schedule = FairQueue()
    schedule.charge([many, heavy], 60.0, [0.0, 0.0])  # the model warms up
    assert (many.time, heavy.time) == (0.0, 0.0)
    schedule.charge([many, heavy], 4.0, [0.0, 0.0])
    assert (many.time, heavy.time) == (3.0, 0.5)
    schedule.charge([new], 60.0, [0.0])
    assert new.time == 2.0
    assert (many.cost, heavy.cost, new.cost) == (3.0, 1.0, 60.0)


def test_a_pass_under_way_is_charged_as_the_last_and_set_right_when_it_is_known():
    """Or a costly stream would be chosen again before its pass is over."""
    costly, cheap = Lane("costly", True, 2.0), Lane("cheap", True, 1.0)
    schedule = FairQueue()
    costly.cost, cheap.cost = 10.0, 1.0
    expected = schedule.expect([costly], 7.0)
    assert (expected, costly.time, costly.done) == ([5.0], 5.0, 7.0)
    chosen = schedule.choose([Request(costly), Request(cheap)], 1)
    assert [one.lane.stream for one in chosen] == ["cheap"]
    schedule.charge([costly], 12.0, expected)
    assert (costly.time, costly.cost) == (6.0, 12.0)


class Simulated:
    """A model and cameras in simulated time; each lane's pass costs what its prompts cost."""

    def __init__(self, seconds, cameras, batch=4):
        self.lanes = [Lane(name, True, 1.0, prompts) for name, (prompts, _) in cameras.items()]
        self.period = {name: period for name, (_, period) in cameras.items()}
        self.frames, self.busy = dict.fromkeys(cameras, 0), dict.fromkeys(cameras, 0.0)
        schedule = FairQueue()
        schedule.lanes += self.lanes
        now, asks, idle_since = 0.0, dict.fromkeys(cameras, 0.0), 0.0
        while now < seconds:
            requests = [Request(lane) for lane in sorted(self.lanes, key=lambda lane: asks[lane.stream])]
            requests = [one for one in requests if asks[one.lane.stream] <= now]
            coming = [moment for moment in asks.values() if moment > now]
            if not requests:
                now = min(coming)
                continue
            if (wait := schedule.patience(requests, now)) > 0:
                now = min([now + wait, *coming])
                continue
            since = min(asks[one.lane.stream] for one in requests)
            chosen = [one.lane for one in schedule.choose(requests, batch, now - max(idle_since, since))]
            took = 0.05 * sum(lane.prompts for lane in chosen)
            now += took
            idle_since = now
            schedule.charge(chosen, took, schedule.expect(chosen, now))
            for lane in chosen:
                self.frames[lane.stream] += 1
                self.busy[lane.stream] += 0.05 * lane.prompts
                # The newest frame, if one came meanwhile; a moment later, for the event loop is in between.
                period = self.period[lane.stream]
                asks[lane.stream] = max(now + 0.005, (asks[lane.stream] // period + 1) * period)


def test_a_stream_with_many_prompts_leaves_its_neighbours_their_share():
    alone = Simulated(60, {"a": (1, 0.05), "b": (1, 0.05)})
    beside = Simulated(60, {"a": (32, 0.05), "b": (1, 0.05)})
    assert beside.frames["b"] > 0.8 * alone.frames["b"], "half of the model, as before"
    assert 0.4 < beside.busy["a"] / 60 < 0.6, "nor does the costly one starve"
    slow = Simulated(60, {"a": (32, 0.05), "b": (1, 0.1), "c": (1, 0.1), "d": (4, 0.1)})
    assert slow.busy["a"] / 60 > 0.2
    assert min(slow.frames["b"], slow.frames["c"]) > 0.4 * 600


def test_the_model_does_not_wait_long_for_streams_that_do_not_come():
    quiet = Simulated(60, {"a": (32, 0.05), "b": (1, 5.0)})
    assert quiet.busy["a"] / 60 > 0.85
    assert quiet.frames["b"] >= 11
    equal = Simulated(60, dict.fromkeys("abcdef", (1, 0.04)))
    assert sum(equal.busy.values()) / 60 > 0.85
    assert max(equal.frames.values()) - min(equal.frames.values()) <= 2
