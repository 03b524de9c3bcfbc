"""`maskcast bench`: how many cameras this machine serves with this model, measured within a bounded time."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from maskcast.frame import Frame
from streaming.commands.bench_media import Around, camera_like
from streaming.defaults import MAX_BATCH
from trackers.options import EngineOptions
from trackers.rehearsal import RehearsalEngine
from trackers.stage_times import STAGES, Spent, Stage, StageTimes

if TYPE_CHECKING:
    from trackers.engine import TrackedStream

# Frames until each track remembers as many frames as it can, seven with SAM 3.
WARM_UP = 8
# Passes of which a median is made, at least and at most.
FEWEST, MOST = 3, 40
# Where the first frame takes more than this share of the time, nothing else is begun.
SLOW = 1 / 15


@dataclass(frozen=True)
class Pace:
    """How fast so many streams are followed with so many objects each.

    Attributes:
        streams, objects: how many; objects of each stream.
        seconds: median duration of a round in which each stream gets on by a frame.
        cpu_seconds: median processor time of it, of all threads.
        rounds: of how many.
    """

    streams: int
    objects: int
    seconds: float
    cpu_seconds: float
    rounds: int

    @property
    def frames_per_second(self) -> float:
        """Of all streams together."""
        return self.streams / self.seconds


@dataclass(frozen=True)
class Peer:
    """`transformers.Sam3VideoModel` and Maskcast on the same frames in turns: median seconds a frame of each.

    Of processor time on a CPU, which other work does not lengthen; else of the clock.
    """

    objects: int
    frames: int
    peer_seconds: float
    our_seconds: float


@dataclass
class Measured:
    """All that was measured; what there was no time for is absent.

    Attributes:
        engine: model, device, precision and tracker.
        device: its type, such as `cpu` or `cuda`.
        cores: processors that this process may use.
        prompts: of each stream.
        objects: the most that were tried.
        load_seconds: until the model was there.
        first_seconds: of the first frame, in which much is made for the first time.
        stages: what each stage of the model takes of a frame, with one stream and the most objects; of the first frame
            alone where that took too long. Processor time on a CPU, else the device's.
        around: what a frame takes around the model.
        paces: by number of objects and streams.
        peer: the same model in Transformers, or why it was left out.
    """

    engine: str
    device: str
    cores: int
    prompts: int
    objects: int
    load_seconds: float
    first_seconds: float = 0.0
    stages: dict[Stage, Spent] = field(default_factory=dict)
    around: Around | None = None
    paces: list[Pace] = field(default_factory=list)
    peer: Peer | str = "no time was left"

    @property
    def slow(self) -> bool:
        """Whether nothing but the first frame was measured."""
        return not self.paces


def run_bench(
    options: EngineOptions,
    prompts: Sequence[str],
    *,
    streams: int,
    objects: int,
    seconds: float,
    say: Callable[[str], None],
) -> Measured:
    """Measure for about so many seconds, and one frame at least.

    Args:
        options: of the engine.
        prompts: to look for in each stream.
        streams: most streams.
        objects: most objects of each.
        seconds: to measure for, the time to load the model not included.
        say: is told how it gets on.

    Raises:
        MaskcastError: the model cannot be loaded, or failed.
    """
    began = time.perf_counter()
    engine = RehearsalEngine(options)
    processor = engine.device.type == "cpu"
    engine.stage_times = StageTimes(engine.device, time.process_time if processor else _clock(engine.device))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loaded = time.perf_counter() - began
    measured = Measured(engine.description, engine.device.type, cores, len(prompts), objects, loaded)
    say(f"{engine.description}: loaded in {loaded:.1f} s")
    with TemporaryDirectory() as folder:
        frames, measured.around = camera_like(Path(folder), prompts, objects)
    rehearsal = _Rehearsal(engine, prompts, frames)
    end = time.perf_counter() + seconds
    measured.first_seconds = rehearsal.first()
    measured.stages = engine.stage_times.totals()
    say(f"the first frame took {measured.first_seconds:.2f} s")
    if measured.first_seconds > SLOW * seconds:
        say("nothing else is measured: at this pace it would take too long (--seconds gives it more time)")
        return measured
    _measure_all(rehearsal, measured, streams, end, say)
    return measured


def _measure_all(
    rehearsal: _Rehearsal, measured: Measured, streams: int, end: float, say: Callable[[str], None]
) -> None:
    loads = dict.fromkeys((measured.objects, 0, measured.objects // 2))  # what matters most comes first
    sizes = sorted({streams, *(2**power for power in range(streams.bit_length()) if 2**power <= streams)})
    parts = len(loads) * len(sizes) + 3  # of the time; three for the peer
    for objects in loads:
        stream = rehearsal.seasoned(objects, end)
        if stream is None:
            say(f"no time for {counted(objects, 'object')}")
            continue
        for size in sizes:
            left = end - time.perf_counter()
            parts -= 1
            pace = rehearsal.pace(stream, size, objects, left, left / (parts + 1))
            if pace is None:
                say(f"no time for {counted(size, 'stream')} with {counted(objects, 'object')}")
                continue
            measured.paces.append(pace)
            rate = f"{pace.frames_per_second:.1f} frames/s in all"
            say(f"{counted(size, 'stream')} with {counted(objects, 'object')} in each: {rate}")
            if objects == measured.objects and size == 1:
                measured.stages = rehearsal.stages
                measured.peer = rehearsal.beside_peer(stream, objects, time.perf_counter() + 3 * left / (parts + 3))
                parts -= 3


class _Rehearsal:
    """Runs an engine on the same frames again and again."""

    def __init__(self, engine: RehearsalEngine, prompts: Sequence[str], frames: Sequence[Frame]) -> None:
        self._engine, self._prompts, self._frames = engine, prompts, frames
        self._number = count()
        self.stages: dict[Stage, Spent] = {}  # of the last round of `pace`s: the median of each

    def _next(self) -> Frame:
        number = next(self._number)
        # The same clock for all: no track may end, however long it takes.
        return replace(self._frames[number % len(self._frames)], index=number, pts=number / 1000, audio=())

    def first(self) -> float:
        """Seconds that the first frame takes, without objects."""
        stream = self._engine.open_stream(self._prompts)
        return self._timed([stream], 0)[0]

    def seasoned(self, objects: int, end: float) -> TrackedStream | None:
        """A stream whose tracks remember all that they can; None if that takes longer than until `end`."""
        stream = self._engine.open_stream(self._prompts)
        for _ in range(WARM_UP):
            self._timed([stream], objects)
            if time.perf_counter() > end:
                return None
        return stream

    def _timed(self, streams: Sequence[TrackedStream], objects: int) -> tuple[float, float]:
        """Seconds, and those of the processors, in which each stream gets on by a frame."""

        def work() -> None:
            for start in range(0, len(streams), MAX_BATCH):
                part = streams[start : start + MAX_BATCH]
                frame = self._next()
                self._engine.rehearse(part, [frame] * len(part), objects)

        return self._spent(work)

    def _spent(self, work: Callable[[], None]) -> tuple[float, float]:
        """Seconds, and those of the processors, until the device has done some work."""
        self._wait()
        began, worked = time.perf_counter(), time.process_time()
        work()
        self._wait()
        return time.perf_counter() - began, time.process_time() - worked

    def _wait(self) -> None:
        if self._engine.device.type == "cuda":
            torch.cuda.synchronize(self._engine.device)
        elif self._engine.device.type == "mps":
            torch.mps.synchronize()

    def pace(self, stream: TrackedStream, size: int, objects: int, left: float, share: float) -> Pace | None:
        """The pace of `size` streams like `stream`, from rounds of `share` seconds; None if they need over `left`."""
        streams = [self._engine.copied(stream) for _ in range(size)]
        seconds, _ = self._timed(streams, objects)  # new shapes are made ready
        if FEWEST * seconds > left:
            return None
        end = time.perf_counter() + share
        rounds: list[tuple[float, float]] = []
        stages: list[dict[Stage, Spent]] = []
        before = self._engine.stage_times.totals()
        while len(rounds) < FEWEST or (len(rounds) < MOST and time.perf_counter() < end):
            rounds.append(self._timed(streams, objects))
            after = self._engine.stage_times.totals()
            stages.append(_between(before, after))
            before = after
        self.stages = {stage: _median([spent[stage] for spent in stages]) for stage in STAGES}
        walls, works = zip(*rounds, strict=True)
        return Pace(size, objects, statistics.median(walls), statistics.median(works), len(rounds))

    def beside_peer(self, stream: TrackedStream, objects: int, end: float) -> Peer | str:
        """Transformers' own implementation on the same weights, in turns with ours; or why not."""
        peer = self._engine.peer(self._prompts, objects)
        if peer is None:
            return "the checkpoint is no Sam3VideoModel"
        ours = self._engine.copied(stream)
        processor = self._engine.device.type == "cpu"
        times: dict[str, list[float]] = {"peer": [], "ours": []}
        try:
            for number in count():
                image = self._next().picture.rgb()
                spent = {"peer": self._spent(partial(peer, image)), "ours": self._timed([ours], objects)}
                if number >= WARM_UP:
                    for name, (wall, work) in spent.items():
                        times[name].append(work if processor else wall)
                if time.perf_counter() > end:
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
        torch.mps.synchronize()
        return time.perf_counter()

    return done


def counted(number: int, noun: str) -> str:
    """Such as "1 stream" and "2 streams"."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _between(before: dict[Stage, Spent], after: dict[Stage, Spent]) -> dict[Stage, Spent]:
    return {
        stage: Spent(after[stage].seconds - before[stage].seconds, after[stage].units - before[stage].units)
        for stage in STAGES
    }


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(statistics.median(one.seconds for one in spent), max(one.units for one in spent))
