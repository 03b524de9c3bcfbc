"""`maskcast bench`: how many cameras this machine serves with this model, measured within a bounded time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from streaming.commands.bench_media import Around, camera_like
from streaming.defaults import MAX_BATCH
from trackers.options import EngineOptions
from trackers.pace import Pace, Peer, Rounds
from trackers.rehearsal import RehearsalEngine
from trackers.stage_times import Spent, Stage

# Where the first frame takes more than this share of the time, nothing else is begun.
SLOW = 1 / 15


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
    engine = RehearsalEngine(options, say=say)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    loaded = time.perf_counter() - began
    measured = Measured(engine.description, engine.device.type, cores, len(prompts), objects, loaded)
    say(f"{engine.description}: loaded in {loaded:.1f} s")
    with TemporaryDirectory() as folder:
        frames, measured.around = camera_like(Path(folder), prompts, objects)
    rehearsal = Rounds(engine, prompts, frames, MAX_BATCH)
    end = time.perf_counter() + seconds
    measured.first_seconds = rehearsal.first()
    measured.stages = engine.stage_times.totals()
    say(f"the first frame took {measured.first_seconds:.2f} s")
    if measured.first_seconds > SLOW * seconds:
        say("nothing else is measured: at this pace it would take too long (--seconds gives it more time)")
        return measured
    _measure_all(rehearsal, measured, streams, end, say)
    return measured


def _measure_all(rehearsal: Rounds, measured: Measured, streams: int, end: float, say: Callable[[str], None]) -> None:
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


def counted(number: int, noun: str) -> str:
    """Such as "1 stream" and "2 streams"."""
    return f"{number} {noun}{'s' * (number != 1)}"
