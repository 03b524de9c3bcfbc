"""Which worker has which stream: whatever comes, goes, dies and changes."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streaming.cluster.cameras.placement import (
    CALM_PAUSE_SECONDS,
    GATHER_SECONDS,
    OVERLOAD_SECONDS,
    OVERLOADED_PAUSE_SECONDS,
    REST_SECONDS,
    Move,
    Placement,
    Reason,
)
from streaming.cluster.cameras.suspicion import FIRST_HOLD_SECONDS, MOST_DEATHS, TRIAL_SECONDS, WITHIN_SECONDS

HELP = {Reason.OVERLOADED, Reason.FILLED}
LOADS = st.floats(0.5, 30.0)


def placed(loads: dict[str, float], workers: int) -> Placement:
    """Streams whose loads are known on workers, as they are placed when their worker comes back after all others."""
    placement = Placement()
    placement.worker_joined("first", 0.0)
    for name in loads:
        placement.stream_wanted(name)
    placement.decide(0.0)
    for name, load in loads.items():
        placement.measured(name, load, load, 0.0)
    for number in range(workers):
        placement.worker_joined(str(number), 0.0)
    placement.worker_left("first")
    placement.decide(0.0)
    return placement


def settle(placement: Placement, since: float) -> list[Move]:
    """All moves until there are none for longer than any pause."""
    moves, now, last = [], since, since
    while now - last <= REST_SECONDS + CALM_PAUSE_SECONDS:
        now += OVERLOADED_PAUSE_SECONDS
        if found := placement.decide(now):
            moves += found
            last = now
    return moves


def overload(placement: Placement, worker: str, second: int) -> tuple[Move, ...]:
    """Each stream of `worker` wants ten frames/s and gets five, each of the others gets the one that it wants."""
    for other in placement.workers:
        for name in placement.streams_of(other):
            wanted, got = (10.0, 5.0) if other == worker else (1.0, 1.0)
            placement.measured(name, wanted, got, second)
    return placement.decide(second)


class Fleet(RuleBasedStateMachine):
    """Anything happens in any order; what must always hold is held against the moves alone."""

    def __init__(self) -> None:
        super().__init__()
        self.placement = Placement()
        self.now = 0.0
        self.wanted: set[str] = set()
        self.living: set[str] = set()
        self.places: dict[str, str | None] = {}  # as told
        self.helped: dict[str, float] = {}
        self.last = -REST_SECONDS  # when something moved last

    def decide(self, may_move: set[str] | None = None) -> None:
        """Take the moves in; `may_move` are all that may be among them, None if a single other one may be."""
        moves = self.placement.decide(self.now)
        assert len({move.stream for move in moves}) == len(moves)
        for move in moves:
            assert move.stream in self.wanted
            assert move.to is None or move.to in self.living
            assert move.before == self.places.get(move.stream)
            assert move.to != move.before or move.reason in {Reason.WORKER_GONE, Reason.NO_WORKER, Reason.SUSPECTED}
            self.places[move.stream] = move.to
        if helping := [move for move in moves if move.reason in HELP]:
            assert all(self.placement.suspected(name) for name in may_move or ())  # they wait meanwhile
            (move,) = moves
            assert self.now - self.last >= OVERLOADED_PAUSE_SECONDS
            assert self.now - self.helped.get(move.stream, -REST_SECONDS) >= REST_SECONDS
            self.helped[move.stream] = self.now
        elif moves:
            assert may_move is None or {move.stream for move in moves} <= may_move
        if moves and (helping or any(move.to for move in moves)):
            self.last = self.now

    def waiting(self) -> set[str]:
        return {name for name in self.wanted if self.places.get(name) is None}

    @rule(worker=st.sampled_from("ABCD"))
    def join(self, worker: str) -> None:
        lost = {name for name, place in self.places.items() if place == worker}
        self.placement.worker_joined(worker, self.now)
        self.living.add(worker)
        self.decide((lost | self.waiting()) or None)

    @rule(worker=st.sampled_from("ABCD"))
    def die(self, worker: str) -> None:
        mine = {name for name, place in self.places.items() if place == worker}
        self.placement.worker_left(worker)
        self.living.discard(worker)
        if mine:
            self.decide(mine | self.waiting())

    @rule(stream=st.integers(0, 12).map(str))
    def want(self, stream: str) -> None:
        self.decide()
        new = stream not in self.wanted
        self.placement.stream_wanted(stream)
        self.wanted.add(stream)
        if new:
            before = {worker: self.placement.fullness(worker) for worker in self.living}
            self.decide({stream} | self.waiting())
            if self.living:
                assert before[self.places[stream] or ""] == min(before.values())

    @rule(stream=st.integers(0, 12).map(str))
    def remove(self, stream: str) -> None:
        self.placement.stream_removed(stream)
        self.wanted.discard(stream)
        self.places.pop(stream, None)
        self.helped.pop(stream, None)

    @rule(wanted=LOADS, share=st.floats(0.1, 1.0), seconds=st.floats(0.0, 100.0), data=st.data())
    def measure(self, wanted: float, share: float, seconds: float, data: st.DataObject) -> None:
        if running := sorted(name for name in self.wanted if self.places.get(name)):
            self.placement.measured(data.draw(st.sampled_from(running)), wanted, wanted * share, self.now)
        self.now += seconds
        self.decide()

    @rule(worker=st.sampled_from("ABCD"), share=st.floats(0.0, 1.0))
    def work(self, worker: str, share: float) -> None:
        self.placement.worker_busy(worker, share, self.now)

    @invariant()
    def each_stream_has_one_place(self) -> None:
        assert set(self.placement.workers) == self.living
        for name in self.wanted:
            place = self.placement.worker_of(name)
            assert place == self.places.get(name)
            if not self.living:
                assert place is None
            elif place is None:
                assert self.placement.suspected(name)
            else:
                assert place in self.living
        everywhere = [name for worker in self.living for name in self.placement.streams_of(worker)]
        assert sorted(everywhere) == sorted(name for name in self.wanted if self.places.get(name))


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(st.lists(LOADS, min_size=1, max_size=6), st.integers(1, 3))
@settings(deadline=None)
def test_placed_at_once_no_worker_is_fuller_than_grahams_bound(loads, workers):
    placement = placed({str(number): load for number, load in enumerate(loads)}, workers)
    fullest = max(placement.fullness(worker) for worker in placement.workers)
    best = min(
        max(sum(load for load, place in zip(loads, places, strict=True) if place == one) for one in range(workers))
        for places in product(range(workers), repeat=len(loads))
    )
    assert fullest <= best * (4 / 3 - 1 / (3 * workers)) * (1 + 1e-9)


@given(st.lists(LOADS, min_size=1, max_size=30), st.integers(2, 6))
@settings(deadline=None)
def test_a_failure_moves_the_streams_of_the_dead_worker_and_as_many_again_at_most(loads, workers):
    placement = placed({str(number): load for number, load in enumerate(loads)}, workers)
    settle(placement, 0.0)
    lost = placement.streams_of("0")
    placement.worker_left("0")
    assert {move.stream for move in placement.decide(1e4)} == set(lost)
    assert not settle(placement, 1e4)
    placement.worker_joined("0", 1e5)
    filled = settle(placement, 1e5)
    assert all(move.to == "0" and move.reason is Reason.FILLED for move in filled)
    assert len({move.stream for move in filled}) == len(filled) <= math.ceil(len(loads) / workers)
    assert not settle(placement, 1e6)


@given(st.lists(LOADS, min_size=1, max_size=20), st.lists(st.floats(1.0, 50.0), min_size=2, max_size=5))
@settings(deadline=None)
def test_loads_that_stay_come_to_rest_whatever_the_workers_can_do(loads, speeds):
    placement = Placement(len(speeds))
    for number in range(len(speeds)):
        placement.worker_joined(str(number), 0.0)
    for number in range(len(loads)):
        placement.stream_wanted(str(number))
    placement.decide(0.0)
    seen, now, last = set(), 0.0, 0.0
    while now - last <= 2 * REST_SECONDS:
        now += 10.0
        for number, speed in enumerate(speeds):
            mine = placement.streams_of(str(number))
            full = sum(loads[int(name)] for name in mine) / speed
            for name in mine:
                placement.measured(name, loads[int(name)], loads[int(name)] / max(full, 1.0), now)
            if mine:
                placement.worker_busy(str(number), min(full, 1.0), now)
        if placement.decide(now):
            last = now
            state = tuple(placement.streams_of(str(number)) for number in range(len(speeds)))
            assert tuple(map(frozenset, state)) not in seen
            seen.add(tuple(map(frozenset, state)))
    assert len(seen) <= 3 * len(loads)


def test_the_first_streams_wait_for_the_first_workers():
    placement = Placement(expected=2)
    for name in "abcd":
        placement.stream_wanted(name)
    assert placement.decide(0.0) == ()
    placement.worker_joined("1", 5.0)
    assert placement.decide(5.0) == ()
    placement.worker_joined("2", 9.0)
    assert [(move.stream, move.to) for move in placement.decide(9.0)] == [
        ("a", "1"),
        ("b", "2"),
        ("c", "1"),
        ("d", "2"),
    ]


def test_a_worker_that_does_not_come_is_not_waited_for_without_end():
    placement = Placement(expected=2)
    placement.stream_wanted("a")
    placement.worker_joined("1", 5.0)
    assert placement.decide(4.9 + GATHER_SECONDS) == ()
    (move,) = placement.decide(5.0 + GATHER_SECONDS)
    assert move == Move("a", "1", None, Reason.NEW)


def test_streams_wait_when_no_worker_is_left_and_are_told_so_once():
    placement = placed({"a": 1.0, "b": 1.0}, 1)
    placement.worker_left("0")
    assert placement.decide(1.0) == tuple(Move(name, None, "0", Reason.NO_WORKER) for name in "ab")
    assert placement.decide(2.0) == ()
    placement.worker_joined("0", 3.0)
    assert placement.decide(3.0) == tuple(Move(name, "0", None, Reason.NEW) for name in "ab")


def test_a_worker_that_joins_again_has_lost_its_streams():
    placement = placed({"a": 1.0}, 1)
    placement.worker_joined("0", 1.0)
    assert placement.decide(1.0) == (Move("a", "0", "0", Reason.WORKER_GONE),)


def test_overload_is_helped_when_it_lasts_by_one_stream_at_a_time():
    placement = placed(dict.fromkeys("abcdefgh", 1.0), 2)
    for second in range(1, 1 + int(OVERLOAD_SECONDS)):
        assert overload(placement, "0", second) == ()
    second += 1
    (move,) = overload(placement, "0", second)
    assert (move.before, move.to, move.reason) == ("0", "1", Reason.OVERLOADED)
    assert placement.overloaded("0")
    assert not placement.overloaded("1")
    assert placement.decide(second + OVERLOADED_PAUSE_SECONDS - 1) == ()
    (move,) = overload(placement, "0", second + int(OVERLOADED_PAUSE_SECONDS))
    assert (move.before, move.to) == ("0", "1")


def test_a_short_overload_moves_nothing():
    placement = placed(dict.fromkeys("abcd", 10.0), 2)
    mine = placement.streams_of("0")
    for second in range(100):
        for name in mine:
            placement.measured(name, 10.0, 5.0 if second % 20 < 15 else 10.0, second)
        assert placement.decide(second) == ()


def test_nothing_moves_when_all_are_overloaded():
    placement = placed(dict.fromkeys("abcdef", 10.0), 2)
    for second in range(200):
        for name in "abcdef":
            placement.measured(name, 10.0, 3.0 if placement.worker_of(name) == "0" else 8.0, second)
        assert placement.decide(second) == ()
    assert all(placement.overloaded(worker) for worker in "01")


def test_a_slower_worker_gets_less():
    """Two GPUs of which one is twice as fast: how busy they are says so before any is overloaded."""
    placement = placed(dict.fromkeys("abcdef", 10.0), 2)
    for name in "abcdef":
        placement.measured(name, 10.0, 10.0, 1.0)
    placement.worker_busy("0", 0.9, 1.0)
    placement.worker_busy("1", 0.3, 1.0)
    assert placement.fullness("0") == pytest.approx(0.9)
    assert placement.fullness("1") == pytest.approx(0.3)
    placement.stream_wanted("new")
    assert placement.decide(2.0)[0].to == "1"


def test_a_camera_that_is_slow_keeps_its_load_for_a_minute():
    placement = placed({"a": 10.0, "b": 10.0}, 2)
    placement.measured("a", 0.0, 0.0, 60.0)
    assert placement.load("a") > 6.0
    for minute in range(2, 60):
        placement.measured("a", 0.0, 0.0, minute * 60.0)
    assert placement.load("a") < 0.1
    placement.measured("a", 10.0, 10.0, 3660.0)
    assert placement.load("a") > 9.0


def test_a_removed_stream_leaves_room():
    placement = placed({"a": 10.0, "b": 10.0}, 2)
    gone = placement.streams_of("0")[0]
    placement.stream_removed(gone)
    assert placement.worker_of(gone) is None
    placement.stream_wanted("c")
    assert placement.decide(1.0) == (Move("c", "0", None, Reason.NEW),)


def test_a_stream_that_kills_its_workers_does_not_take_down_the_fleet():
    """One of 40 cameras on four workers crashes whatever runs it, after some seconds; workers come back in ten."""
    placement, now = Placement(4), 0.0
    for number in range(4):
        placement.worker_joined(str(number), now)
    names = [f"camera {number}" for number in range(40)]
    for name in names:
        placement.stream_wanted(name)
    moved, deaths = Counter[str](), []
    killer, since = names[17], 0.0
    back: dict[str, float] = {}
    for _ in range(4 * 3600):
        now += 1.0
        for worker, at in list(back.items()):
            if now >= at:
                placement.worker_joined(worker, now)
                del back[worker]
        for move in placement.decide(now):
            moved[move.stream] += move.before is not None
            since = now if move.stream == killer else since
        where = placement.worker_of(killer)
        if where and now - since >= 5.0:
            placement.worker_left(where)
            deaths.append(now)
            back[where] = now + 10.0
            for move in placement.decide(now):
                moved[move.stream] += move.before is not None
                since = now if move.stream == killer else since
        if now == 3600.0:
            soon = len(deaths)
    assert soon <= MOST_DEATHS + 4  # three to be sure, one trial, and the pauses double
    assert len(deaths) <= soon + 3  # an hour is the longest pause
    assert all(placement.worker_of(name) for name in names if name != killer)
    del moved[killer]
    assert max(moved.values()) <= len(deaths)
    assert sum(moved.values()) <= (10 + 10) * len(deaths)


def test_whoever_was_beside_the_culprit_is_acquitted():
    """Two cameras on the only worker, of which one kills it: the other one runs again after the trials."""
    placement, now = Placement(), 0.0
    placement.stream_wanted("culprit")
    placement.stream_wanted("innocent")
    for _ in range(MOST_DEATHS):
        placement.worker_joined("1", now)
        assert len(placement.decide(now)) == 2
        placement.worker_left("1")
        now += 5.0
    placement.worker_joined("1", now)
    tried = [move.stream for move in placement.decide(now) if move.to]
    assert len(tried) == 1  # one at a time
    for _ in range(3):
        now += 1.0
        if placement.worker_of("culprit"):
            placement.worker_left("1")
            placement.worker_joined("1", now)
        placement.decide(now)
        now += TRIAL_SECONDS
        placement.decide(now)
    assert placement.worker_of("innocent") == "1"
    assert not placement.suspected("innocent")
    assert placement.worker_of("culprit") is None
    assert placement.suspected("culprit")
    now += FIRST_HOLD_SECONDS
    assert [(move.stream, move.to) for move in placement.decide(now)] == [("culprit", "1")]
    placement.stream_removed("culprit")
    placement.stream_wanted("culprit")  # with other settings, say
    assert not placement.suspected("culprit")


def test_deaths_that_lie_apart_blame_nobody():
    placement, now = placed({"a": 1.0, "b": 1.0}, 1), 0.0
    for _ in range(3 * MOST_DEATHS):
        now += WITHIN_SECONDS / 2 + 1
        placement.decide(now)
        placement.worker_joined("0", now)
        assert {move.to for move in placement.decide(now)} == {"0"}
