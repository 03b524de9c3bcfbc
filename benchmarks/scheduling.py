"""How well a fleet of workers is used by a folder of videos, in a simulation without a model.

    python benchmarks/scheduling.py [--videos 1000] [--workers 64] [--folders 5] [--json]

`maskcast track --workers` hands out the longest video first, and the next one to whichever worker has a place free:
list scheduling (R. L. Graham, 1969), which takes at most 4/3 - 1/(3m) times as long on `m` workers as the best
schedule. The peers hand out the same videos to the same workers in the order of their names (which says nothing of
their length), by the size of the files (whose bit rates differ), or share them out beforehand, every 64th to one
worker, as scripts do.

The lengths are log-normal with the median of a random sample of YouTube, 64 s (R. McGrady et al., "Dialing for
Videos", 2023), and the mean of YouTube-8M's eight million videos of 500,000 hours, 225 s (S. Abu-El-Haija et al.,
2016); that data set itself has videos of 120 to 500 s, so the second folder is cut there. A video takes as long as it
is: about what a large GPU tracks of one at 30 frames/s. Between two videos a worker opens files for `GAP_SECONDS`,
and at first it loads the model for `LOAD_SECONDS`. With several videos at once on one worker, its passes are shared:
then it does `GAIN` times as much as with one, which is an assumption, and each video takes longer.

The tail begins when nothing is left to hand out. Until then `used` counts how much of what the workers could do is
done.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.io import table

MEDIAN, MEAN = 64.0, 225.0
SIGMA = math.sqrt(2 * math.log(MEAN / MEDIAN))
SHORTEST, LONGEST = 120.0, 500.0
# Of the logarithm of bit rates: of two videos of one length, one is often twice as large.
BIT_RATES = 0.5
LOAD_SECONDS, GAP_SECONDS = 60.0, 1.0
# What a worker does with all its places taken, beside what it does with one: where frames share passes.
GAIN = 1.5


@dataclass
class Schedule:
    """What became of a folder. Seconds.

    Attributes:
        end: when the last video was done.
        tail: when the last video was handed out.
        used: share of what the workers could do that they did, until then.
        alone: how long a single worker was at work at the end.
        best: no schedule ends sooner.
    """

    end: float
    tail: float
    used: float
    alone: float
    best: float


class Worker:
    """Tracks up to `places` videos at once, which share what it can do evenly."""

    def __init__(self, places: int, gain: float) -> None:
        self.places, self.gain = places, gain if places > 1 else 1.0
        self.left: dict[int, float] = {}  # seconds of work left of each video that is being tracked
        self.opening: dict[int, float] = {}  # when those come to work
        self.now = self.done = 0.0

    @property
    def most(self) -> float:
        """What it does in a second at best."""
        return self.speed(self.places)

    def speed(self, videos: int) -> float:
        """What it does in a second with so many videos."""
        if videos == 0:
            return 0.0
        return 1.0 + (self.gain - 1.0) * (videos - 1) / max(self.places - 1, 1)

    @property
    def taken(self) -> int:
        """Places that are not free."""
        return len(self.left) + len(self.opening)

    def next(self) -> float:
        """When something happens to it next."""
        opened = min(self.opening.values(), default=math.inf)
        if not self.left:
            return opened
        return min(opened, self.now + min(self.left.values()) * len(self.left) / self.speed(len(self.left)))

    def done_by(self, now: float) -> float:
        """Seconds of work that it has done by then; nothing happens before."""
        return self.done + (now - self.now) * self.speed(len(self.left))

    def go_on(self, until: float, works: Sequence[float]) -> None:
        """Work; nothing happens before `until`."""
        if self.left:
            share = (until - self.now) * self.speed(len(self.left)) / len(self.left)
            self.done += share * len(self.left)
            self.left = {video: left - share for video, left in self.left.items() if left - share > 1e-6}
        self.now = until
        for video in [video for video, at in self.opening.items() if at <= until]:
            del self.opening[video]
            self.left[video] = works[video]


def run(works: Sequence[float], queues: Sequence[deque[int]], places: int, gain: float) -> Schedule:
    """Hand out videos.

    Args:
        works: seconds that each video takes.
        queues: what is to be handed out to whom, first come first served: one for all workers, or one each.
        places: videos that a worker tracks at once.
        gain: see `GAIN`.
    """
    workers = [Worker(places, gain) for _ in queues]
    for worker in workers:
        worker.now = LOAD_SECONDS
    now, tail, done, ends = LOAD_SECONDS, math.inf, 0.0, [0.0] * len(workers)
    while True:
        free = [(worker.taken, number) for number, worker in enumerate(workers) if worker.taken < places]
        heapq.heapify(free)
        while free:
            taken, number = heapq.heappop(free)
            if queues[number]:
                workers[number].opening[queues[number].popleft()] = now + GAP_SECONDS
                ends[number] = math.inf
                if taken + 1 < places:
                    heapq.heappush(free, (taken + 1, number))
        if tail > now and not any(queues):
            tail, done = now, sum(worker.done_by(now) for worker in workers)
        now = min(worker.next() for worker in workers)
        if now == math.inf:
            break
        for number, worker in enumerate(workers):
            if worker.next() <= now:
                worker.go_on(now, works)
                if not worker.taken:
                    ends[number] = now
    most = sum(worker.most for worker in workers)
    best = LOAD_SECONDS + GAP_SECONDS + max(sum(works) / most, *works)
    *_, before, end = sorted([0.0, *ends])
    return Schedule(end, tail, done / (most * tail), end - before, best)


def folder(kind: str, count: int, seed: int) -> list[float]:
    """The lengths of the videos of one folder, in seconds, in the order of their names."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    lengths: list[float] = []
    while len(lengths) < count:
        length = dice.lognormvariate(math.log(MEDIAN), SIGMA)
        if kind == "as they are" or SHORTEST <= length <= LONGEST:
            lengths.append(length)
    return lengths


def orders(works: Sequence[float], seed: int, workers: int) -> dict[str, list[deque[int]]]:
    """What is handed out, by each of the sides."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    sizes = [work * dice.lognormvariate(0.0, BIT_RATES) for work in works]

    def shared(key: Callable[[int], float]) -> list[deque[int]]:
        return [deque(sorted(range(len(works)), key=key))] * workers

    return {
        "longest first": shared(lambda video: -works[video]),
        "largest file first": shared(lambda video: -sizes[video]),
        "by name": shared(lambda video: video),
        "shared out before": [deque(range(number, len(works), workers)) for number in range(workers)],
    }


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--folders", type=int, default=5, help="how many of each kind, of which the median is shown")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()

    measured = []
    for kind in ("as they are", "120 to 500 s"):
        for places in (1, 4):
            found: dict[str, list[Schedule]] = {}
            lengths = [folder(kind, options.videos, seed) for seed in range(options.folders)]
            for seed, works in enumerate(lengths):
                for name, queues in orders(works, seed, options.workers).items():
                    found.setdefault(name, []).append(run(works, queues, places, GAIN))
            longest = statistics.median(map(max, lengths))
            print(f"\n{options.videos} videos, {kind} (longest {longest:.0f} s), {options.workers} workers", end="")
            print(f", {places} at once on each:")
            rows = [["handed out", "used before the tail", "least", "tail begins", "ends", "one alone", "ends / best"]]
            for name, schedules in found.items():
                used = [schedule.used for schedule in schedules]
                over = [schedule.end / schedule.best for schedule in schedules]
                row = {
                    "used": statistics.median(used),
                    "least_used": min(used),
                    "tail": statistics.median(schedule.tail for schedule in schedules),
                    "end": statistics.median(schedule.end for schedule in schedules),
                    "alone": statistics.median(schedule.alone for schedule in schedules),
                    "over_best": statistics.median(over),
                    "most_over_best": max(over),
                }
                measured.append({"kind": kind, "at_once": places, "order": name, "longest": longest, **row})
                rows.append(
                    [
                        name,
                        f"{row['used']:.1%}",
                        f"{row['least_used']:.1%}",
                        f"{row['tail']:.0f} s",
                        f"{row['end']:.0f} s",
                        f"{row['alone']:.0f} s",
                        f"{row['over_best']:.2f}",
                    ]
                )
            print(table(rows))
    bound = 4 / 3 - 1 / (3 * options.workers)
    print(f"\nGraham's bound for the longest first, one at once: {bound:.3f} times the best.")
    if options.json:
        rounded = [
            {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
            for row in measured
        ]
        print(json.dumps({"benchmark": "scheduling", "bound": round(bound, 4), "rows": rounded}))


if __name__ == "__main__":
    main()
