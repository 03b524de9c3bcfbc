"""How fast streams are followed: rounds of a rehearsal timed, and Transformers' own implementation beside them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, cycle

import torch

from maskcast.frame import Frame
from trackers.device import wait_for
from trackers.engine import Seen, TrackedStream
from trackers.rehearsal import RehearsalEngine
from trackers.stage_times import STAGES, Spent, Stage, StageTimes

# Frames until each track remembers as many frames as it can, seven with SAM 3.
WARM_UP = 8
# Passes of which a median is made, at least and at most.
FEWEST, MOST = 3, 40


@dataclass(frozen=True)
class Pace:
    """How fast so many streams are followed with so many objects each.

    Attributes:
        streams, objects: how many; objects of each stream.
        seconds: median duration of a round in which each stream gets on by a frame, one half of a pass after the other.
        cpu_seconds: median processor time of it, of all threads.
        rounds: of how many.
        frames_per_second: of all streams together, while one pass is seen and another followed, as a service does it.
    """

    streams: int
    objects: int
    seconds: float
    cpu_seconds: float
    rounds: int
    frames_per_second: float


@dataclass(frozen=True)
class Peer:
    """`transformers.Sam3VideoModel` and Maskcast on the same frames in turns: median seconds a frame of each.

    Of processor time on a CPU, which other work does not lengthen; else of the clock.
    """

    objects: int
    frames: int
    peer_seconds: float
    our_seconds: float


class Rounds:
    """Runs an engine on the same frames again and again.

    Attributes:
        stages: of the rounds of the last `pace`, the median of each.
    """

    def __init__(self, engine: RehearsalEngine, prompts: Sequence[str], frames: Sequence[Frame], batch: int) -> None:
        """Have the engine's stages timed by processor time on a CPU, else by the device's own.

        Args:
            engine: which.
            prompts: of each stream.
            frames: to track in, in turns.
            batch: most streams in one pass.
        """
        self._engine, self._prompts, self._frames, self._batch = engine, prompts, frames, batch
        self._number = count()
        self.stages: dict[Stage, Spent] = {}
        processor = engine.device.type == "cpu"
        engine.stage_times = StageTimes(engine.device, time.process_time if processor else _clock(engine.device))

    def _next(self) -> Frame:
        number = next(self._number)
        # The same clock for all: no track may end, however long it takes.
        return replace(self._frames[number % len(self._frames)], index=number, pts=number / 1000, audio=())

    def first(self) -> float:
        """Seconds that the first frame takes, without objects."""
        stream = self._engine.open_stream(self._prompts)
        return self.timed([stream], 0)[0]

    def seasoned(self, objects: int, end: float) -> TrackedStream | None:
        """A stream whose tracks remember all that they can; None if that takes longer than until `end`."""
        stream = self._engine.open_stream(self._prompts)
        for _ in range(WARM_UP):
            self.timed([stream], objects)
            if time.perf_counter() > end:
                return None
        return stream

    def timed(self, streams: Sequence[TrackedStream], objects: int) -> tuple[float, float]:
        """Seconds, and those of the processors, in which each stream gets on by a frame."""

        def work() -> None:
            for start in range(0, len(streams), self._batch):
                part = streams[start : start + self._batch]
                frame = self._next()
                self._engine.rehearse(part, [frame] * len(part), objects)

        return self._spent(work)

    def _spent(self, work: Callable[[], None]) -> tuple[float, float]:
        """Seconds, and those of the processors, until the device has done some work."""
        wait_for(self._engine.device)
        began, worked = time.perf_counter(), time.process_time()
        work()
        wait_for(self._engine.device)
        return time.perf_counter() - began, time.process_time() - worked

    def pace(self, stream: TrackedStream, size: int, objects: int, left: float, share: float) -> Pace | None:
        """The pace of `size` streams like `stream`, in `share` seconds; None if it needs over `left`."""
        streams = [self._engine.copied(stream) for _ in range(size)]
        seconds, _ = self.timed(streams, objects)  # new shapes are made ready
        if 2 * FEWEST * seconds > left:
            return None
        end = time.perf_counter() + share / 2
        rounds: list[tuple[float, float]] = []
        stages: list[dict[Stage, Spent]] = []
        before = self._engine.stage_times.totals()
        while len(rounds) < FEWEST or (len(rounds) < MOST and time.perf_counter() < end):
            rounds.append(self.timed(streams, objects))
            after = self._engine.stage_times.totals()
            stages.append(_between(before, after))
            before = after
        self.stages = {stage: _median([spent[stage] for spent in stages]) for stage in STAGES}
        walls, works = zip(*rounds, strict=True)
        rate = self._in_two_stages(streams, share / 2)
        return Pace(size, objects, statistics.median(walls), statistics.median(works), len(rounds), rate)

    def _in_two_stages(self, streams: Sequence[TrackedStream], share: float) -> float:
        """Frames a second, on the clock: one pass is seen while another is followed.

        For `share` seconds, and `FEWEST` rounds at least, of streams that have come round before.
        """
        passes = cycle([streams[start : start + self._batch] for start in range(0, len(streams), self._batch)])
        done = 0
        with ThreadPoolExecutor(1, thread_name_prefix="see") as pool:

            def see() -> Future[Seen]:
                part = next(passes)
                return pool.submit(self._engine.see, part, [self._next()] * len(part))

            coming = see()
            began = time.perf_counter()
            while done < FEWEST * len(streams) or time.perf_counter() < began + share:
                seen, coming = coming.result(), see()
                self._engine.follow(seen)
                done += len(seen.streams)
            wait_for(self._engine.device)
            return done / (time.perf_counter() - began)

    def beside_peer(self, stream: TrackedStream, objects: int, end: float, least: int = 0) -> Peer | str:
        """Transformers' own implementation on the same weights, in turns with ours; or why not.

        Args:
            stream: ours.
            objects: in it.
            end: on the clock `time.perf_counter`.
            least: rounds to measure, whatever the time.
        """
        peer = self._engine.peer(self._prompts, objects)
        if peer is None:
            return "the checkpoint is no Sam3VideoModel"
        ours = self._engine.copied(stream)
        processor = self._engine.device.type == "cpu"
        times: dict[str, list[float]] = {"peer": [], "ours": []}
        try:
            for number in count():
                image = self._next().picture.rgb()
                spent = {"peer": self._spent(partial(peer, image)), "ours": self.timed([ours], objects)}
                if number >= WARM_UP:
                    for name, (wall, work) in spent.items():
                        times[name].append(work if processor else wall)
                if time.perf_counter() > end and len(times["ours"]) >= least:
                    break
        except torch.OutOfMemoryError:
            return "it does not fit into the memory"
        finally:
            del peer
            gc.collect()
        if len(times["ours"]) < FEWEST:
            return "no time was left"
        return Peer(objects, len(times["ours"]), statistics.median(times["peer"]), statistics.median(times["ours"]))


def _clock(device: torch.device) -> Callable[[], float]:
    """Seconds, when the device has done what it was given; CUDA has events of its own instead."""
    if device.type != "mps":
        return time.perf_counter

    def done() -> float:
        wait_for(device)
        return time.perf_counter()

    return done


def _between(before: dict[Stage, Spent], after: dict[Stage, Spent]) -> dict[Stage, Spent]:
    return {
        stage: Spent(after[stage].seconds - before[stage].seconds, after[stage].units - before[stage].units)
        for stage in STAGES
    }


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(statistics.median(one.seconds for one in spent), max(one.units for one in spent))
