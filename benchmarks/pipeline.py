"""What do two stages gain? A clip, tracked offline: the next frame is seen while one is followed, or after it.

    python benchmarks/pipeline.py [CLIP] [--model nano] [--prompts "red circle" star] [--frames 60] [--runs 3] [--json]

Both are `maskcast track` without an output: decoding, conversion, the model, the event loop. The peer is the same
engine whose first half only hands its frames on and whose second half does all the work, so the frames go through the
same queues. They run in turns in one process; medians on the clock. Each stage has the threads that OpenMP is given
(`OMP_NUM_THREADS`; by default half of the processors, as `maskcast` sets it). The tracks are compared.

A camera alone at the model, at a rate that it keeps up with, is measured too: what a frame takes from its decoding to
its result, which two stages must not lengthen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from maskcast.frame import Frame
from maskcast.notices import Notice, TrackedFrame
from maskcast.result import Result
from sources import open_source
from sources.source import Source
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import run_jobs
from streaming.pipeline.worker import Worker
from streaming.process import keep_memory, leave, share_processors, wait_politely

DEMO = Path(__file__).resolve().parent.parent / "streaming" / "commands" / "demo.mp4"
WARM_UP = 16  # frames until each track remembers as much as it can
KEPT_UP = 0.6  # of the rate that the serial engine reaches, a camera that it keeps up with has so much


@dataclass
class Run:
    """One clip through the model.

    Attributes:
        ends: `time.perf_counter` of each result.
        latencies: seconds from decoding to result, frame by frame.
        tracks: ids and mask areas of each frame, to be compared.
    """

    ends: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    tracks: list[list[tuple[int, int, tuple[int, int]]]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Frames a second after the warm-up."""
        return (len(self.ends) - 1 - WARM_UP) / (self.ends[-1] - self.ends[WARM_UP])

    @property
    def latency(self) -> float:
        """Median milliseconds after the warm-up."""
        return 1e3 * statistics.median(self.latencies[WARM_UP:])

    def note(self, notice: Notice) -> None:
        """Hear of a frame."""
        if isinstance(notice, TrackedFrame):
            self.ends.append(time.perf_counter())
            self.latencies.append(time.monotonic() - notice.frame.decoded_at)
            for result in notice.results:
                self.tracks.append([(one.id, one.mask.area, (one.mask.x, one.mask.y)) for one in result.tracks])


class Serial:
    """An engine that does all of its work in the second half of a pass, and is otherwise the one that it wraps."""

    def __init__(self, engine: Any) -> None:
        """Wrap `engine`."""
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        """As the one that is wrapped."""
        return getattr(self._engine, name)

    def see(self, streams: Sequence[Any], frames: Sequence[Frame]) -> tuple[Sequence[Any], Sequence[Frame]]:
        """Nothing yet."""
        return streams, frames

    def follow(self, seen: tuple[Sequence[Any], Sequence[Frame]]) -> list[list[Result]]:
        """Everything."""
        return self._engine.step(*seen)  # type: ignore[no-any-return]


class Camera:
    """The frames of a clip as a camera would give them."""

    def __init__(self, source: Source, rate: float) -> None:
        """Give `rate` frames a second of `source`."""
        self.info = replace(source.info, live=True)
        self._source, self._rate = source, rate

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each at its time."""
        began = time.monotonic()
        for number, frame in enumerate(self._source):
            time.sleep(max(began + number / self._rate - time.monotonic(), 0.0))
            yield replace(frame, decoded_at=time.monotonic())

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()


class Clip:
    """The first frames of a clip."""

    def __init__(self, clip: Path, frames: int) -> None:
        """Open it."""
        self._source, self._frames = open_source(str(clip)), frames
        self.info = self._source.info

    def __iter__(self) -> Iterator[Frame]:
        """So many frames."""
        return islice(iter(self._source), self._frames)

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()


def track(engine: Any, source: Source, prompts: Sequence[str]) -> Run:
    """One clip, or camera, through the pipeline."""

    async def work() -> Run:
        run, worker = Run(), Worker(lambda: engine)
        await worker.start()
        job = Job(lambda: source, lambda _: (), Controls(prompts), notify=run.note)
        live = source.info.live
        (report,) = await run_jobs(worker, [job] if live else [], [] if live else [job], asyncio.Event())
        worker.close()
        if report.errors:
            raise report.errors[0]
        return run

    return asyncio.run(work())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompts", nargs="+", default=["red circle", "star"])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    if arguments.frames <= WARM_UP + 1:
        parser.error(f"--frames must be more than {WARM_UP + 1}")

    wait_politely()
    share_processors()
    keep_memory()
    from trackers.engine import Engine
    from trackers.options import EngineOptions

    engine = Engine(EngineOptions(arguments.model, arguments.device))
    sides = {"one after the other": Serial(engine), "in two stages": engine}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    latencies: dict[str, list[float]] = {name: [] for name in sides}
    first: list[Any] = []
    for _ in range(arguments.runs):
        for name, side in sides.items():
            run = track(side, Clip(arguments.clip, arguments.frames), arguments.prompts)
            first = first or run.tracks
            if run.tracks != first:
                raise SystemExit("the tracks differ")
            rates[name].append(run.rate)
    pace = KEPT_UP * statistics.median(rates["one after the other"])
    for _ in range(arguments.runs):
        for name, side in sides.items():
            camera = Camera(Clip(arguments.clip, arguments.frames), pace)
            latencies[name].append(track(side, camera, arguments.prompts).latency)
    print(f"{engine.description}; {arguments.frames} frames, {len(arguments.prompts)} prompts, {arguments.runs} runs")
    print(f"{'':22}{'frames/s':>10}{f'latency at {pace:.1f} frames/s':>30}")
    medians = {name: (statistics.median(rates[name]), statistics.median(latencies[name])) for name in sides}
    for name, (rate, latency) in medians.items():
        print(f"{name:22}{rate:>10.2f}{latency:>27.0f} ms")
    (before, slower), (after, faster) = medians.values()
    print(f"{'gain':22}{after / before:>9.2f}x{faster / slower:>29.2f}x")
    if arguments.json:
        measured = {name: {"frames_per_second": rate, "latency_ms": ms} for name, (rate, ms) in medians.items()}
        print(json.dumps({"sides": measured, "gain": after / before, "latency_ratio": faster / slower}))


if __name__ == "__main__":
    main()
    leave(0)  # decoders and models may still be at work on their threads
