"""Which worker has which stream: a state machine without I/O, threads, or a clock of its own.

Streams without a place are placed heaviest first, each on the worker that is least full then: list scheduling of the
longest first (R. L. Graham, "Bounds on multiprocessing timing anomalies", 1969), which leaves the fullest of `m` equal
workers at most 4/3 - 1/(3m) times as full as the best placement would. A worker that dies gives up its own streams and
no others.

Whatever has been placed stays, but for single moves to a worker that is clearly emptier: off one that is overloaded, or
to one that has joined or lost a stream, which is owed its share. Each has to help: the fuller one of the two becomes
emptier by at least half of what is moved. So while loads do not change, the fullnesses, sorted from the fullest, fall
with each move, and no stream goes to and fro; when they do, pauses bound the moves. A failure of one of `m` workers
that had `k` of `n` streams moves `k` at once and, when a worker comes in its place, n/m one by one at most, rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from streaming.cluster.cameras.suspicion import Suspicion
from streaming.rates import is_overloaded

# Frames/s that a stream is taken to want while none has been measured.
UNKNOWN_LOAD = 1.0
# Seconds in which the first streams wait for the workers that are to come, after the first has: models take different
# times to load, and whatever is placed has to be moved later.
GATHER_SECONDS = 30.0
# A load rises with what is measured, and falls slowly: a camera that is paused or slow for a minute comes back.
RISE_SECONDS, FALL_SECONDS = 10.0, 120.0
# What was measured of a stream longer ago says nothing about its worker now.
FRESH_SECONDS = 60.0
# A worker is overloaded, or is not any more, once that has been measured for so long: passes and cameras stutter.
OVERLOAD_SECONDS = 30.0
# What a worker can track is forgotten when it has not been measured for so long: what slowed it down may be over.
FORGET_SECONDS = 3600.0
# Share of the model's time below which its speed is not told from it.
LEAST_BUSY = 0.05
# Seconds between a move that is to help and the change before it. A moved stream is away for some seconds, 15 at
# most: one at a time. Where nobody is overloaded there is no hurry.
OVERLOADED_PAUSE_SECONDS, CALM_PAUSE_SECONDS = 15.0, 60.0
# Seconds in which a stream that was moved to help is not moved again for that.
REST_SECONDS = 600.0
# How much emptier another worker must be, as a share of the fuller one's fullness: loads are estimates.
GAP = 0.2


class Reason(StrEnum):
    """Why a stream gets another place, for a person."""

    NEW = "placed"
    WORKER_GONE = "its worker is gone"
    NO_WORKER = "no worker is there"
    SUSPECTED = "its workers died again and again, so it waits for a while"
    OVERLOADED = "its worker was overloaded"
    FILLED = "another worker was empty"


@dataclass(frozen=True)
class Move:
    """A stream has another place.

    Attributes:
        stream: its id.
        to: the worker that it is on from now on; None if it waits for one.
        before: the worker that it was on; None if it was on none, or that worker is gone and was told so.
        reason: why.
    """

    stream: str
    to: str | None
    before: str | None
    reason: Reason


@dataclass
class _Stream:
    """A stream. Rates in frames/s."""

    name: str
    worker: str | None = None
    load: float | None = None  # wanted of the model; an estimate
    wanted: float = 0.0  # as measured last, where it is now
    got: float = 0.0
    measured: float = -math.inf  # when; never where it is now
    loaded: float = -math.inf  # when the load was brought up to date
    helped: float = -math.inf  # when it was moved to help


@dataclass
class _Worker:
    """A worker. Capacity in frames/s."""

    name: str
    streams: dict[str, _Stream] = field(default_factory=dict)
    capacity: float | None = None
    rated: float = -math.inf  # when the capacity was measured
    overloaded: bool = False
    owed: int = 0  # streams that may come from workers that are not overloaded
    doubted: float | None = None  # since when what is measured says the opposite of `overloaded`


class Placement:
    """Has every wanted stream on one living worker, as long as there is one that does not die of it.

    Workers and streams come and go, and are measured; `decide` says what changes. All times are seconds of one clock
    that only goes on. A load is the frames a second that a stream wants of the model; a worker's fullness is the sum of
    its streams' loads, beside the frames a second that it can track. That is told from how busy it is, or by what it
    tracks when it is overloaded; workers of which nothing is known are taken to be as fast as the others are.
    """

    def __init__(self, expected: int = 1) -> None:
        """Begin without workers.

        Args:
            expected: how many workers are begun at first: until they have joined, or for `GATHER_SECONDS` after the
                first has, nothing is placed.
        """
        self._workers: dict[str, _Worker] = {}
        self._streams: dict[str, _Stream] = {}
        self._homeless: dict[str, Move] = {}  # streams without a worker: where each was, and why it has none
        self._suspicion = Suspicion()
        self._expected = expected
        self._first: float | None = None  # when the first worker joined; None until it has
        self._gathering = True
        self._changed = -math.inf  # when something was placed or moved last
        self._now = -math.inf  # the last time that was told

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that are there, in the order in which they joined."""
        return tuple(self._workers)

    def worker_of(self, stream: str) -> str | None:
        """The worker that a stream is on; None if it waits for one, or is not known."""
        known = self._streams.get(stream)
        return known.worker if known else None

    def streams_of(self, worker: str) -> tuple[str, ...]:
        """The streams of a worker, in the order in which they came."""
        known = self._workers.get(worker)
        return tuple(known.streams) if known else ()

    def load(self, stream: str) -> float:
        """Frames a second that a stream is taken to want."""
        known = self._streams.get(stream)
        return _load(known, self._typical_load()) if known else 0.0

    def fullness(self, worker: str) -> float:
        """A worker's load as a share of what it can track; only an order if nothing has been measured of any."""
        return self._fullnesses().get(worker, 0.0)

    def overloaded(self, worker: str) -> bool:
        """Whether a worker has been overloaded for some time."""
        known = self._workers.get(worker)
        return known.overloaded if known else False

    def suspected(self, stream: str) -> bool:
        """Whether workers may have died of a stream: it may have to wait, though some live."""
        return self._suspicion.suspected(stream)

    # What happens.

    def worker_joined(self, worker: str, now: float) -> None:
        """A worker is ready. One that is there already has been begun anew: it has none of its streams any more."""
        if worker in self._workers:
            self.worker_left(worker)
        share = math.ceil(len(self._streams) / (len(self._workers) + 1))
        self._workers[worker] = _Worker(worker, owed=share)
        self._first = now if self._first is None else self._first

    def worker_left(self, worker: str) -> None:
        """A worker is dead or has been taken away. Its streams, and no others, get another place."""
        left = self._workers.pop(worker, None)
        if left:
            self._suspicion.died(worker, left.streams, self._now)
        for stream in left.streams.values() if left else ():
            stream.worker, stream.measured = None, -math.inf
            self._homeless[stream.name] = Move(stream.name, None, worker, Reason.WORKER_GONE)

    def stream_wanted(self, stream: str) -> None:
        """A stream is to run. One that does already stays where it is."""
        if stream not in self._streams:
            self._streams[stream] = _Stream(stream)
            self._homeless[stream] = Move(stream, None, None, Reason.NEW)

    def stream_removed(self, stream: str) -> None:
        """A stream is not to run any more."""
        removed = self._streams.pop(stream, None)
        self._suspicion.forget(stream)
        self._homeless.pop(stream, None)
        if removed and removed.worker is not None:
            worker = self._workers[removed.worker]
            del worker.streams[stream]
            worker.owed += 1

    def measured(self, stream: str, wanted: float, got: float, now: float) -> None:
        """What a stream that is online wants of the model where it is, and gets: frames a second.

        Of a stream that is offline nothing is to be told, or it would seem to cost nothing.
        """
        known = self._streams.get(stream)
        if known is None or known.worker is None:
            return
        known.wanted, known.got, known.measured = wanted, got, now
        if known.load is None:
            known.load = wanted
        else:
            pace = RISE_SECONDS if wanted > known.load else FALL_SECONDS
            known.load += (wanted - known.load) * -math.expm1(-max(now - known.loaded, 0.0) / pace)
        known.loaded = now

    def worker_busy(self, worker: str, share: float, now: float) -> None:
        """The share of its time, 0 to 1, in which a worker's model has been at work lately."""
        known = self._workers.get(worker)
        if known is None or share < LEAST_BUSY:
            return
        got = sum(stream.got for stream in _fresh(known, now))
        if got > 0:
            capacity = got / min(share, 1.0)
            # Half the way: passes of many streams are cheaper a frame than passes of one, so this is no constant.
            known.capacity = capacity if known.capacity is None else (known.capacity + capacity) / 2
            known.rated = now

    # What follows from it.

    def decide(self, now: float) -> tuple[Move, ...]:
        """What changes since the last call; it is taken as done. Call it after all that happens, and every second."""
        self._now = now
        self._look(now)
        return tuple(self._place(now)) or tuple(self._help(now))

    def _place(self, now: float) -> Iterator[Move]:
        """Give a place to the streams that have none."""
        if not self._homeless or self._gathers(now):
            return
        typical, full, speeds = self._typical_load(), self._fullnesses(), self._speeds()
        for stream in sorted((self._streams[name] for name in self._homeless), key=lambda one: -_load(one, typical)):
            move = self._homeless[stream.name]
            open_to_it = [one for one in self._workers.values() if self._suspicion.admits(stream.name, one.name, now)]
            if not open_to_it:
                reason = Reason.SUSPECTED if self._workers else Reason.NO_WORKER
                if move.reason is not reason:  # told once
                    self._homeless[stream.name] = Move(stream.name, None, None, reason)
                    yield Move(stream.name, None, move.before, reason)
                continue
            worker = min(open_to_it, key=lambda one: (full[one.name], len(one.streams)))
            full[worker.name] += _load(stream, typical) / speeds[worker.name]
            waited = move.reason in {Reason.NO_WORKER, Reason.SUSPECTED}
            del self._homeless[stream.name]
            self._suspicion.placed(stream.name, worker.name, now)
            yield self._put(stream, worker, now, move.before, Reason.NEW if waited else move.reason)

    def _gathers(self, now: float) -> bool:
        """Whether the first workers are still awaited."""
        if self._gathering and self._first is not None:
            self._gathering = len(self._workers) < self._expected and now - self._first < GATHER_SECONDS
        return self._gathering

    def _look(self, now: float) -> None:
        """See which workers are overloaded, and have been for long enough."""
        for worker in self._workers.values():
            fresh = list(_fresh(worker, now))
            wanted, got = sum(stream.wanted for stream in fresh), sum(stream.got for stream in fresh)
            overloaded = is_overloaded(wanted, got)
            if overloaded == worker.overloaded:
                worker.doubted = None
            elif worker.doubted is None:
                worker.doubted = now
            elif now - worker.doubted >= OVERLOAD_SECONDS:
                worker.overloaded, worker.doubted = overloaded, None
            if got > 0 and (overloaded or got > (worker.capacity or math.inf)):
                worker.capacity, worker.rated = got, now
            elif now - worker.rated > FORGET_SECONDS:
                worker.capacity = None

    def _help(self, now: float) -> Iterator[Move]:
        """Move one stream to a worker that is clearly emptier, if that is due and helps."""
        pause = now - self._changed
        if pause < OVERLOADED_PAUSE_SECONDS:
            return
        full = self._fullnesses()
        ready = sorted((one for one in self._workers.values() if not one.overloaded), key=lambda one: full[one.name])
        for source in sorted(self._workers.values(), key=lambda one: (-one.overloaded, -full[one.name])):
            if not source.overloaded and pause < CALM_PAUSE_SECONDS:
                return
            target = next((one for one in ready if source.overloaded or one.owed), None)
            if target is None or full[source.name] - full[target.name] <= GAP * full[source.name]:
                continue
            if stream := self._best(source, target, now):
                stream.helped = now
                reason = Reason.OVERLOADED if source.overloaded else Reason.FILLED
                yield self._put(stream, target, now, source.name, reason)
                return
        for worker in ready:  # no more would help
            worker.owed = 0

    def _best(self, source: _Worker, target: _Worker, now: float) -> _Stream | None:
        """The stream whose move makes the fuller one of two workers emptiest; None if none helps enough."""
        full, typical, speeds = self._fullnesses(), self._typical_load(), self._speeds()
        before, other = full[source.name], full[target.name]
        best, best_gain = None, 0.0
        for stream in source.streams.values():
            load = _load(stream, typical)
            here, there = load / speeds[source.name], load / speeds[target.name]
            gain = before - max(before - here, other + there)
            rested = now - stream.helped >= REST_SECONDS and not self._suspicion.suspected(stream.name)
            if rested and gain > best_gain and gain >= here / 2:
                best, best_gain = stream, gain
        return best

    def _put(self, stream: _Stream, worker: _Worker, now: float, before: str | None, reason: Reason) -> Move:
        if stream.worker is not None:
            del self._workers[stream.worker].streams[stream.name]
        worker.streams[stream.name] = stream
        worker.owed = max(worker.owed - 1, 0)
        stream.worker, stream.measured = worker.name, -math.inf
        self._changed = now
        return Move(stream.name, worker.name, before, reason)

    def _fullnesses(self) -> dict[str, float]:
        typical, speeds = self._typical_load(), self._speeds()
        return {
            worker.name: sum(_load(stream, typical) for stream in worker.streams.values()) / speeds[worker.name]
            for worker in self._workers.values()
        }

    def _speeds(self) -> dict[str, float]:
        """Frames a second that each worker can track; of those that are not known as of the others, else 1."""
        known = [worker.capacity for worker in self._workers.values() if worker.capacity]
        typical = _mean(known, 1.0)
        return {worker.name: worker.capacity or typical for worker in self._workers.values()}

    def _typical_load(self) -> float:
        return _mean([stream.load for stream in self._streams.values() if stream.load is not None], UNKNOWN_LOAD)


def _load(stream: _Stream, typical: float) -> float:
    return typical if stream.load is None else stream.load


def _fresh(worker: _Worker, now: float) -> Iterable[_Stream]:
    return (stream for stream in worker.streams.values() if now - stream.measured <= FRESH_SECONDS)


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
