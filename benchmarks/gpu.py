"""How fast is the model on this device, and how far from what the device could do? Beside `Sam3VideoModel`, streaming.

    python benchmarks/gpu.py [--config tiny|full] [--objects 0 1 5 10 16 30 64] [--prompts 1 3 8] [--streams 1 4 8]
                             [--modes eager compiled graphs] [--resolutions 1008 672] [--seconds 5] [--json]

The weights are random and the same on both sides, which see the same frames in turns in one process; the detector does
its work, but is told how many objects there are (`trackers/rehearsal.py`). One load is varied at a time: objects with
one prompt in one stream, then prompts and streams with five objects in each. `--config full` (the default with CUDA)
has the size of SAM 3 at 1008 pixels; it needs no PyAV, broker or web server, only what `trackers` needs.

Of each load: milliseconds until every stream has got on by a frame (processor time on a CPU, else the clock), those of
each stage on the device, frames a second one pass after the other and in two stages (on the clock), launches and waits,
peak memory, and the floor: its floating-point operations at the rate at which this device has just multiplied matrices.
The reference runs one stream, under the same autocast as ours, in turns with the first mode.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.tracking import full_model
from maskcast.errors import MaskcastError
from maskcast.frame import Frame
from tests import tiny
from tests.frames import frame
from tests.lockstep import scene
from trackers.device import wait_for
from trackers.engine import TrackedStream
from trackers.options import EngineOptions
from trackers.pace import FEWEST, Peer, Rounds
from trackers.rehearsal import RehearsalEngine
from trackers.stage_times import STAGES

WORDS = ("person", "car", "dog", "bicycle", "bag", "bus", "cat", "truck")
MODES = ("eager", "compiled", "graphs")
BASE = 5  # objects of each stream where prompts or streams are varied
BATCH = 4  # streams in one pass, as a service has it
FRAMES, ZOOM = 24, 8  # of 160 x 96 pixels, enlarged to about 720p
MILLI, MEGA, GIGA, TERA = 1e3, 1e6, 1e9, 1e12

# Calls of the CUDA runtime and driver that start work, and that wait for it; a round's own waits are for the whole
# device and do not count.
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")
WAITS = ("cudaStreamSynchronize", "cudaEventSynchronize")
# Operators that compute nothing begin with one of these.
VIEWS = ("view", "reshape", "as_strided", "empty", "expand", "slice", "select", "transpose", "permute", "unsqueeze")


class Load(NamedTuple):
    """What is followed: streams, prompts of each, and objects of each."""

    streams: int
    prompts: int
    objects: int


@dataclass(frozen=True)
class Roofline:
    """What the device does at best, measured here.

    Attributes:
        flops: a second, in a product of two large matrices in `dtype`.
        dtype: what the model multiplies in.
        bytes: a second that are read or written in a large copy.
    """

    flops: float
    dtype: torch.dtype
    bytes: float


def roofline(device: torch.device) -> Roofline:
    """Multiply and copy."""
    cuda = device.type == "cuda"
    side, megabytes, dtype = (8192, 1024, torch.bfloat16) if cuda else (1024, 64, torch.float32)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = _best(partial(torch.mm, left, right), device)
    copy = _best(partial(target.copy_, source), device)
    return Roofline(2 * side**3 / product, dtype, 2 * source.nbytes / copy)


def _best(work: Callable[[], object], device: torch.device) -> float:
    """Least seconds of some calls."""
    times = []
    for _ in range(10):
        wait_for(device)
        began = time.perf_counter()
        work()
        wait_for(device)
        times.append(time.perf_counter() - began)
    return min(times)


@contextmanager
def model(config: str) -> Iterator[str]:
    """A folder with a checkpoint of random weights."""
    with tempfile.TemporaryDirectory() as folder:
        video = full_model() if config == "full" else tiny.video_model()
        video.save_pretrained(folder)
        tiny.tokenizer().save_pretrained(folder)
        del video
        gc.collect()
        yield folder


def frames() -> list[Frame]:
    """What is looked at."""
    return [frame(index, image.repeat(ZOOM, 0).repeat(ZOOM, 1)) for index, image in enumerate(scene(FRAMES))]


def open_engine(folder: str, mode: str, resolution: int | None) -> RehearsalEngine | str:
    """The engine in a mode; or why there is none."""
    cuda = torch.cuda.is_available()
    if mode == "graphs" and not cuda:
        return "only CUDA has graphs"
    options = EngineOptions(model=folder, resolution=resolution, compile=mode != "eager")
    uncaptured = patch("trackers.compilation.warm_up.graphs", return_value=None)
    with uncaptured if mode == "compiled" else nullcontext():
        return RehearsalEngine(options)


class Subject:
    """One engine under one load."""

    def __init__(self, engine: RehearsalEngine, load: Load, pictures: Sequence[Frame]) -> None:
        """Follow until every track remembers all that it can."""
        self.engine, self.load = engine, load
        self.rounds = Rounds(engine, WORDS[: load.prompts], pictures, BATCH)
        stream = self.rounds.seasoned(load.objects, math.inf)
        assert stream is not None, "there is no end to its time"
        self.stream: TrackedStream = stream

    def pace(self, seconds: float) -> dict[str, Any]:
        """Times and memory of rounds."""
        cuda = self.engine.device.type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.engine.device)
        pace = self.rounds.pace(self.stream, self.load.streams, self.load.objects, math.inf, 2 * seconds)
        assert pace is not None, "all the time is left"
        spent = pace.seconds if cuda else pace.cpu_seconds
        stages = self.rounds.stages
        return {
            "ms": spent * MILLI,
            "frames_per_second": self.load.streams / spent,
            "in_two_stages": pace.frames_per_second,
            "rounds": pace.rounds,
            "stages_ms": {stage: stages[stage].seconds * MILLI for stage in STAGES},
            "peak_mb": torch.cuda.max_memory_allocated(self.engine.device) / MEGA if cuda else None,
        }

    def _round(self) -> Callable[[], object]:
        """One round, of streams of its own, with all shapes made ready."""
        streams = [self.engine.copied(self.stream) for _ in range(self.load.streams)]
        once = partial(self.rounds.timed, streams, self.load.objects)
        once()
        return once

    def counts(self) -> dict[str, int | None]:
        """Launches and waits of a round; on a CPU, where nothing waits, operators that compute."""
        work, cuda = self._round(), self.engine.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
        with profile(activities=activities) as seen:
            work()
        events = seen.events() or []
        if cuda:
            calls = Counter(event.name for event in events)
            launches = sum(number for name, number in calls.items() if name.startswith(LAUNCHES))
            return {"launches": launches, "waits": sum(calls[name] for name in WAITS)}
        leaves = [event.name for event in events if event.name.startswith("aten::") and not event.cpu_children]
        computing = [name for name in leaves if not name.removeprefix("aten::").startswith(VIEWS)]
        return {"launches": len(computing), "waits": None}

    def operations(self) -> int:
        """Floating-point operations of a round, of what is not compiled."""
        work = self._round()
        with FlopCounterMode(display=False) as counter:
            work()
        return int(counter.get_total_flops())

    def beside_peer(self, seconds: float) -> Peer | str:
        """The reference and ours in turns."""
        return self.rounds.beside_peer(self.stream, self.load.objects, time.perf_counter() + seconds, FEWEST)


class Table:
    """Rows, printed as they come."""

    def __init__(self, best: Roofline, seconds: float) -> None:
        """Measure each load for about so many seconds."""
        self._best, self._seconds = best, seconds
        self._operations: dict[tuple[int | None, Load], int] = {}
        self._peers: dict[tuple[int | None, Load], Peer | str] = {}
        self.rows: list[dict[str, Any]] = []
        named = " ".join(f"{stage:>10}" for stage in STAGES)
        counted = " ".join(f"{name:>7}" for name in ("pixels", *Load._fields))
        self._say(
            f"{'mode':>8} {counted} {'ms':>8} {'frames/s':>8} {'2 stages':>8} {named} {'launches':>8} {'waits':>5} "
            f"{'MB':>7} {'GFLOP':>7} {'floor':>8} {'reference':>10} {'faster':>6}"
        )

    def _say(self, line: str) -> None:
        print(line, flush=True)

    def add(self, engine: RehearsalEngine, mode: str, resolution: int | None, load: Load, shown: list[Frame]) -> None:
        """Measure a load. What depends on no mode is measured in the first one."""
        subject, key = Subject(engine, load, shown), (resolution, load)
        row: dict[str, Any] = {"mode": mode, "resolution": resolution, **load._asdict()}
        row |= subject.pace(self._seconds) | subject.counts()
        if mode == "eager":
            self._operations[key] = subject.operations()
        ours = row["ms"]
        if load.streams == 1 and key not in self._peers:
            peer = self._peers[key] = subject.beside_peer(self._seconds)
            ours = peer.our_seconds * MILLI if isinstance(peer, Peer) else ours  # in turns with the reference
        operations, peer = self._operations.get(key), self._peers.get(key)
        row["gflop"] = operations / GIGA if operations else None
        row["floor_ms"] = operations / self._best.flops * MILLI if operations else None
        row["reference_ms"] = peer.peer_seconds * MILLI if isinstance(peer, Peer) else None
        row["faster"] = row["reference_ms"] / ours if row["reference_ms"] else None
        self.rows.append(row)
        times = " ".join(f"{row['stages_ms'][stage]:>10.2f}" for stage in STAGES)
        counts = " ".join(f"{count:>7}" for count in (resolution or "own", *load))
        self._say(
            f"{mode:>8} {counts} {row['ms']:>8.2f} {row['frames_per_second']:>8.1f} {row['in_two_stages']:>8.1f} "
            f"{times} {row['launches']:>8} {_cell(row['waits'], 5, 0)} {_cell(row['peak_mb'], 7, 0)} "
            f"{_cell(row['gflop'], 7, 1)} {_cell(row['floor_ms'], 8, 2)} "
            f"{_cell(row['reference_ms'], 10, 1)} {_cell(row['faster'], 6, 2)}"
        )
        if isinstance(peer, str):
            self._say(f"no reference: {peer}")


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def loads(objects: Sequence[int], prompts: Sequence[int], streams: Sequence[int]) -> list[Load]:
    """Each number varied alone."""
    listed = [Load(1, 1, count) for count in objects]
    listed += [Load(1, count, BASE) for count in prompts]
    listed += [Load(count, 1, BASE) for count in streams]
    return list(dict.fromkeys(listed))


def measure(folder: str, arguments: argparse.Namespace, best: Roofline) -> dict[str, Any]:
    """All loads at all resolutions in all modes."""
    shown, skipped = frames(), []
    table = Table(best, arguments.seconds)
    for resolution in arguments.resolutions or [None]:
        for mode in arguments.modes:
            began = time.perf_counter()
            try:
                engine = open_engine(folder, mode, resolution)
            except MaskcastError as error:
                engine = str(error)
            if isinstance(engine, str):
                skipped.append(f"{mode}: {engine}")
                print(f"{mode} left out: {engine}", flush=True)
                continue
            print(f"{mode}: ready in {time.perf_counter() - began:.1f} s, {engine.description}", flush=True)
            for load in loads(arguments.objects, arguments.prompts, arguments.streams):
                try:
                    table.add(engine, mode, resolution, load, shown)
                except MaskcastError as error:
                    skipped.append(f"{mode} {load}: {error}")
                    print(f"{mode} {load} left out: {error}", flush=True)
            del engine
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return {"rows": table.rows, "skipped": skipped}


def main() -> None:
    """Parse the command line and run."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=["tiny", "full"], default="full" if cuda else "tiny")
    parser.add_argument("--objects", type=int, nargs="*", default=[0, 1, 5, 10, 16, 30, 64])
    parser.add_argument("--prompts", type=int, nargs="*", default=[1, 3, 8], choices=range(1, len(WORDS) + 1))
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 4, 8])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES if cuda else MODES[:1])
    parser.add_argument("--resolutions", type=int, nargs="+", help="pixels; the model's own by default")
    parser.add_argument("--seconds", type=float, default=5.0, help="for which each load is measured")
    parser.add_argument("--threads", type=int, help="of PyTorch on the CPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device("cuda:0" if cuda else "cpu")
    name = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    best = roofline(device)
    dtype = str(best.dtype).removeprefix("torch.")
    print(
        f"{name}, PyTorch {torch.__version__}, {arguments.config}: {best.flops / TERA:.2f} TFLOP/s in {dtype}, "
        f"{best.bytes / GIGA:.0f} GB/s",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as cache, model(arguments.config) as folder:
        os.environ["XDG_CACHE_HOME"] = cache  # random weights leave nothing behind
        report = measure(folder, arguments, best)
    if arguments.json:
        limits = {"tflops": best.flops / TERA, "dtype": dtype, "gb_per_second": best.bytes / GIGA}
        head = {"benchmark": "gpu", "device": name, "torch": torch.__version__, "config": arguments.config}
        print(json.dumps({**head, "roofline": limits, **report}))


if __name__ == "__main__":
    main()
