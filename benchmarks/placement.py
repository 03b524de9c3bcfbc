"""What failures and changing loads do to a fleet of cameras, in a simulation without a model.

    python benchmarks/placement.py [--cameras 1000] [--workers 40] [--weeks 2] [--json]

The placement is the one that `maskcast run` uses, `streaming/cluster/cameras/placement.py`. The peer is rendezvous
hashing (D. G. Thaler, C. V. Ravishankar, 1998), which moves as little when a worker dies and knows nothing of loads.

A camera wants frames like a log-normal of mean 2.5 a second, half as many at night, with slow changes of its own, and
is off for an hour now and then. A worker tracks 100 a second, as a large GPU does with small batches, so by day all
of them are 62 % full; they stand by eight on nodes. Meta's 16,384 H100s had 419 unexpected failures in 54 days (Llama
3, 2024), one in 5.8 years of a GPU; here a worker dies once a week and is begun anew within a minute, a node once a
month for an hour: some hundred times as often, so that there is something to count. A dead worker is noticed after
`NOTICED_SECONDS`; a moved camera delivers again after `BEGIN_SECONDS`. Cameras come and go, too, one of each a day.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import math
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.io import table
from streaming.cluster.cameras.placement import Move, Placement, Reason

DAY, HOUR, STEP = 86400.0, 3600.0, 60.0
MEAN_LOAD, LOAD_SIGMA, CAPACITY, NODE = 2.5, 0.8, 100.0, 8
WORKER_DIES, NODE_DIES, CAMERA_OFF = 7 * DAY, 30 * DAY, 7 * DAY
WORKER_BACK, NODE_BACK, CAMERA_BACK = 60.0, HOUR, HOUR
# As the head does: a poll is answered within a second or, five later, the worker is dead. Then the source is opened
# and the first frame tracked.
NOTICED_SECONDS, BEGIN_SECONDS = 6.0, 5.0


class Hashing:
    """Each stream is on the living worker whose hash with its name is the largest."""

    def __init__(self) -> None:
        self.streams: dict[str, str | None] = {}
        self.workers: list[str] = []
        self.scores: dict[tuple[str, str], bytes] = {}
        self.changed = False

    def worker_joined(self, worker: str, now: float) -> None:
        """A worker is there."""
        del now
        self.workers.append(worker)
        self.changed = True

    def worker_left(self, worker: str) -> None:
        """A worker is gone."""
        self.workers.remove(worker)
        self.changed = True

    def stream_wanted(self, stream: str) -> None:
        """A stream is to run."""
        self.streams[stream] = None
        self.changed = True

    def stream_removed(self, stream: str) -> None:
        """A stream is not to run."""
        del self.streams[stream]

    def measured(self, stream: str, wanted: float, got: float, now: float) -> None:
        """Loads do not matter."""

    def worker_busy(self, worker: str, share: float, now: float) -> None:
        """Nor do workers' speeds."""

    def worker_of(self, stream: str) -> str | None:
        """Where it is."""
        return self.streams.get(stream)

    def _score(self, stream: str, worker: str) -> bytes:
        key = stream, worker
        if key not in self.scores:
            self.scores[key] = hashlib.blake2b(f"{stream} {worker}".encode(), digest_size=8).digest()
        return self.scores[key]

    def decide(self, now: float) -> tuple[Move, ...]:
        """What changes."""
        del now
        if not self.changed:
            return ()
        self.changed, moves = False, []
        for stream, before in self.streams.items():
            to = max(self.workers, key=lambda worker: self._score(stream, worker), default=None)
            if to != before:
                reason = Reason.FILLED if before in self.workers else Reason.WORKER_GONE
                moves.append(Move(stream, to, before, reason if before else Reason.NEW))
                self.streams[stream] = to
        return tuple(moves)


@dataclass
class Camera:
    """A camera: what it wants, frames a second, by day."""

    load: float
    drift: float = 0.0  # of the logarithm
    off: bool = False
    away: float = 0.0  # seconds without a worker
    helped: int = 0  # moves that were to help


@dataclass
class Found:
    """What was counted."""

    failures: int = 0
    lost: int = 0  # streams of workers that died
    moved: int = 0  # because of that
    others: int = 0  # that were moved at the same time, though theirs lived
    fills: list[int] = field(default_factory=list)  # moves to each worker that came, one by one
    most_fills: int = 0  # that a worker may be owed
    overload_moves: int = 0
    uneven: list[float] = field(default_factory=list)  # the fullest worker beside the mean
    wanted: float = 0.0
    got: float = 0.0
    overloaded: float = 0.0  # worker-seconds
    steps: int = 0


class Simulation:
    """Weeks of a fleet."""

    def __init__(self, placement: Placement | Hashing, cameras: int, workers: int, seed: int) -> None:
        self.dice, self.placement = random.Random(seed), placement  # noqa: S311 - no secret
        self.found, self.now = Found(), 0.0
        self.cameras: dict[str, Camera] = {}
        self.events: list[tuple[float, int, str, str]] = []
        self.number = 0
        self.living: dict[str, None] = {}
        self.filling: Counter[str] = Counter()
        self.nodes = {f"worker {number}": f"node {number // NODE}" for number in range(workers)}
        for worker in self.nodes:
            self.join(worker)
        for _ in range(cameras):
            self.add()
        for node in sorted(set(self.nodes.values())):
            self.later(NODE_DIES, "node dies", node)
        self.later(DAY, "camera comes", "")
        self.later(DAY, "camera goes", "")
        self.take(placement.decide(0.0))

    def later(self, mean: float, what: str, who: str) -> None:
        """Something happens, after so many seconds on average."""
        self.at(self.dice.expovariate(1 / mean), what, who)

    def at(self, seconds: float, what: str, who: str) -> None:
        """Something happens, after so many seconds."""
        self.number += 1
        heapq.heappush(self.events, (self.now + seconds, self.number, what, who))

    def join(self, worker: str) -> None:
        """A worker comes."""
        self.living[worker] = None
        self.placement.worker_joined(worker, self.now)
        self.later(WORKER_DIES, "worker dies", worker)
        if self.now:
            self.found.most_fills = max(self.found.most_fills, math.ceil(len(self.cameras) / len(self.living)))

    def add(self) -> None:
        """A camera comes."""
        name = f"camera {self.number}"
        spread = self.dice.lognormvariate(-(LOAD_SIGMA**2) / 2, LOAD_SIGMA)
        self.cameras[name] = Camera(min(MEAN_LOAD * spread, 25.0))
        self.placement.stream_wanted(name)
        self.later(CAMERA_OFF, "camera off", name)

    def take(self, moves: tuple[Move, ...], lost: frozenset[str] = frozenset()) -> None:
        """Do what was decided."""
        found = self.found
        found.lost += len(lost)
        for move in moves:
            camera = self.cameras[move.stream]
            camera.away += BEGIN_SECONDS * (move.reason is not Reason.NEW)
            if move.stream in lost:
                found.moved += 1
            elif lost and move.reason is not Reason.NEW:
                found.others += 1
            elif move.reason is Reason.FILLED:
                self.filling[move.to or ""] += 1
            elif move.reason is Reason.OVERLOADED:
                found.overload_moves += 1
            camera.helped += move.reason in {Reason.OVERLOADED, Reason.FILLED}

    def die(self, workers: list[str], back: float) -> None:
        """Workers die at once, and are back after so many seconds."""
        workers = [worker for worker in workers if worker in self.living]
        if not workers:
            return
        lost = frozenset(name for name in self.cameras if self.placement.worker_of(name) in workers)
        for name in lost:
            self.cameras[name].away += NOTICED_SECONDS
        for worker in workers:
            del self.living[worker]
            self.placement.worker_left(worker)
            self.found.fills.append(self.filling.pop(worker, 0))
            self.at(back, "worker back", worker)
        self.found.failures += 1
        self.take(self.placement.decide(self.now), lost)

    def happen(self, what: str, who: str) -> None:
        """One event."""
        match what:
            case "worker dies":
                self.die([who], WORKER_BACK)
            case "node dies":
                self.die([worker for worker, node in self.nodes.items() if node == who], NODE_BACK)
                self.later(NODE_DIES, what, who)
            case "worker back":
                self.join(who)
            case "camera comes":
                self.add()
                self.later(DAY, what, who)
            case "camera goes":
                gone = self.dice.choice(list(self.cameras))
                del self.cameras[gone]
                self.placement.stream_removed(gone)
                self.later(DAY, what, who)
            case "camera off" if who in self.cameras:
                self.cameras[who].off = True
                self.at(CAMERA_BACK, "camera on", who)
            case "camera on" if who in self.cameras:
                self.cameras[who].off = False
                self.later(CAMERA_OFF, "camera off", who)

    def measure(self) -> None:
        """A minute passes: what each camera wants, and gets."""
        hour = self.now % DAY / HOUR
        light = 0.75 - 0.25 * math.cos(hour / 24 * 2 * math.pi)
        wanted: dict[str, dict[str, float]] = {worker: {} for worker in self.living}
        for name, camera in self.cameras.items():
            camera.drift += self.dice.gauss(0.0, 0.01) - 0.001 * camera.drift
            worker = self.placement.worker_of(name)
            if worker is None:
                camera.away += STEP
            elif not camera.off:
                wanted[worker][name] = camera.load * light * math.exp(camera.drift)
        sums = {worker: sum(of.values()) for worker, of in wanted.items()}
        for worker, of in wanted.items():
            share = min(1.0, CAPACITY / sums[worker]) if of else 1.0
            for name, load in of.items():
                self.placement.measured(name, load, load * share, self.now)
            self.placement.worker_busy(worker, min(sums[worker] / CAPACITY, 1.0), self.now)
        found = self.found
        found.steps += 1
        found.wanted += sum(sums.values())
        found.got += sum(min(total, CAPACITY) for total in sums.values())
        found.overloaded += STEP * sum(total > CAPACITY for total in sums.values())
        if sums:
            found.uneven.append(max(sums.values()) / max(statistics.fmean(sums.values()), 1e-9))

    def run(self, weeks: float) -> dict[str, Any]:
        """Let it run; what was found."""
        end = weeks * 7 * DAY
        while self.now < end:
            until = self.now + STEP
            while self.events and self.events[0][0] <= until:
                self.now, _, what, who = heapq.heappop(self.events)
                self.happen(what, who)
                self.take(self.placement.decide(self.now))
            self.now = until
            self.measure()
            self.take(self.placement.decide(self.now))
        found, cameras = self.found, list(self.cameras.values())
        fills = found.fills + [self.filling[worker] for worker in self.living]
        away = sorted(camera.away / weeks for camera in cameras)
        return {
            "failures": found.failures,
            "streams of the dead, a failure": found.lost / max(found.failures, 1),
            "of which moved": found.moved / max(found.lost, 1),
            "others moved with them": found.others,
            "moves to a worker that came, most": max(fills),
            "allowed": found.most_fills,
            "moves for overload, a day": found.overload_moves / weeks / 7,
            "moves to help a camera, a week, most": max(camera.helped for camera in cameras) / weeks,
            "seconds away a camera and week, mean": statistics.fmean(away),
            "seconds away a camera and week, most": away[-1],
            "fullest worker / mean, median": statistics.median(found.uneven),
            "fullest worker / mean, 99 %": sorted(found.uneven)[int(0.99 * (len(found.uneven) - 1))],
            "share of frames not tracked": 1 - found.got / found.wanted,
            "share of time a worker is overloaded": found.overloaded / (found.steps * STEP * len(self.nodes)),
        }


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cameras", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=40)
    parser.add_argument("--weeks", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()

    sides: dict[str, dict[str, Any]] = {}
    for name, placement in (("maskcast", Placement(options.workers)), ("rendezvous hashing", Hashing())):
        began = time.process_time()
        sides[name] = Simulation(placement, options.cameras, options.workers, options.seed).run(options.weeks)
        print(f"{name}: {options.weeks:g} weeks in {time.process_time() - began:.0f} s", file=sys.stderr)
    rows = [[f"{options.cameras} cameras, {options.workers} workers, {options.weeks:g} weeks", *sides]]
    rows += [[key, *(f"{found[key]:.4g}" for found in sides.values())] for key in sides["maskcast"]]
    print(table(rows))
    if options.json:
        rounded = {name: {key: round(value, 5) for key, value in found.items()} for name, found in sides.items()}
        print(json.dumps({"benchmark": "placement", "sides": rounded}))


if __name__ == "__main__":
    main()
