"""Months in minutes: `maskcast run` with real cameras and a real broker that fail all the time, watched from outside.

Three RTSP cameras, Mosquitto, recording, metrics. Every few seconds something breaks: a camera is killed, stopped or
served anew with another picture size, the broker is killed, `control` is flooded, prompts change, the settings are
reloaded with a stream more or less. Memory, file descriptors and threads are read from the system; the exit code is 1
where a bound is broken. There is no peer: nothing else does all of this; `benchmarks/tracking.py` holds the tracker's
memory against the reference implementation's.

python benchmarks/soak.py --seconds 600 --json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from scipy.stats import theilslopes

from tests import broker as brokers
from tests.left_behind import consistent, readable
from tests.paths import ROOT
from tests.patience import eventually
from tests.rtsp import Camera, camera
from tests.service import Service, still_life
from tests.subscriber import Subscriber

NAMES = ("north", "east", "south")
KEEP_FILES = 6
# What may change: allocators and caches settle, which the first quarter is for. A stream more holds more, so that only
# samples without it are compared. The process keeps free memory for the next frames and returns it every half minute:
# a leak shows in what is in use, in the least of each minute, because a pass through the model takes 150 MB at times.
SAMPLE_SECONDS = 0.5
WINDOW = 60.0
FEWEST = 20  # samples of a window that say something
IN_USE_SLOPE = 0.1  # MB a minute of the least in each window, Theil-Sen, at the lower end of its 95 % interval
RESIDENT_GROWTH = 0.05  # of the median, between the second and the last quarter
FEW = 4  # descriptors or threads by which the medians of these quarters may differ


class Sample(NamedTuple):
    """What the process holds at a moment."""

    seconds: float
    resident: float  # MB
    in_use: float  # MB of the C heap
    descriptors: int
    threads: int


def sample(running: Service, began: float) -> Sample:
    """Ask the system, and the process itself for what only it knows."""
    process = running.process.pid
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    resident = int(fields["VmRSS"].split()[0]) / 1024
    descriptors = len(os.listdir(f"/proc/{process}/fd"))  # noqa: PTH208 - names are enough
    in_use = running.metric("maskcast_heap_in_use_bytes") / 1024**2
    return Sample(time.monotonic() - began, resident, in_use, descriptors, int(fields["Threads"]))


class Faults:
    """Breaks something and repairs it."""

    def __init__(self, cameras: dict[str, Camera], broker: Any, listener: Subscriber, running: Service) -> None:
        """Break these."""
        self._cameras, self._broker, self._listener, self._running = cameras, broker, listener, running
        self._chance = random.Random(3)  # noqa: S311
        self.done: dict[str, int] = {}
        self.settings = ""
        self.extra = ""
        self.clips: list[Path] = []

    def all(self) -> Iterator[Callable[[], None]]:
        """One kind of fault after the other, until cancelled."""
        yield from itertools.cycle(
            [self.kill_camera, self.change_prompts, self.stop_camera, self.flood, self.reload, self.kill_broker]
        )

    def _one(self) -> Camera:
        return self._cameras[self._chance.choice(NAMES)]

    def kill_camera(self) -> None:
        """A camera reboots, and sometimes comes back with another picture size."""
        one = self._one()
        one.kill()
        time.sleep(2)
        one.restart(self._chance.choice(self.clips))

    def stop_camera(self) -> None:
        """A camera hangs without closing its connection."""
        one = self._one()
        one.pause()
        time.sleep(4)
        one.resume()

    def kill_broker(self) -> None:
        """The broker is away for some seconds."""
        self._broker.stop()
        time.sleep(5)
        self._broker.start()

    def flood(self) -> None:
        """Somebody sends nonsense as fast as he can."""
        for number in range(5000):
            self._listener.publish(f"site/{NAMES[number % 3]}/control", b"[" * (number % 9000))

    def change_prompts(self) -> None:
        """Somebody looks for something else."""
        prompts = self._chance.choice([["object"], ["circle", "square"], ["object", "ring"]])
        self._listener.publish(f"site/{self._chance.choice(NAMES)}/control", {"action": "set", "prompts": prompts})

    def reload(self) -> None:
        """A stream comes, or goes again."""
        self.extra = "" if self.extra else self.settings[self.settings.index("[streams.") :].split("[streams.", 2)[1]
        table = f"[streams.{self.extra}".replace(NAMES[0], "extra", 1) if self.extra else ""
        self._running.reload(self.settings + table)


def least(samples: list[Sample]) -> list[tuple[float, float]]:
    """The minute and the least heap in use of each `WINDOW` with enough samples."""
    windows: dict[int, list[float]] = {}
    for one in samples:
        windows.setdefault(int(one.seconds // WINDOW), []).append(one.in_use)
    return [(number * WINDOW / 60, min(part)) for number, part in sorted(windows.items()) if len(part) >= FEWEST]


def broken_bounds(samples: list[Sample], seconds: float, videos: list[Path]) -> tuple[dict[str, float], list[str]]:
    """The figures, and what is wrong with them.

    Args:
        samples: of all times at which the process had the same streams.
        seconds: how long it ran.
        videos: what was recorded and kept.
    """
    early = [s for s in samples if seconds / 4 <= s.seconds < seconds / 2]
    late = [s for s in samples if s.seconds >= seconds * 3 / 4]
    minutes, floors = zip(*least([s for s in samples if s.seconds >= seconds / 4]), strict=True)
    slope, _, low, high = theilslopes(floors, minutes)

    def change(field: str) -> tuple[float, float]:
        before, after = (statistics.median(getattr(s, field) for s in part) for part in (early, late))
        return before, after

    resident, descriptors, threads = change("resident"), change("descriptors"), change("threads")
    figures = {
        "resident_mb_early": resident[0],
        "resident_mb_late": resident[1],
        "resident_mb_most": max(s.resident for s in samples),
        "in_use_mb_first": floors[0],
        "in_use_mb_last": floors[-1],
        "in_use_mb_per_minute": float(slope),
        "in_use_mb_per_minute_low": float(low),
        "in_use_mb_per_minute_high": float(high),
        "descriptors_early": descriptors[0],
        "descriptors_late": descriptors[1],
        "threads_early": threads[0],
        "threads_late": threads[1],
        "videos": float(len(videos)),
    }
    wrong = []
    if low > IN_USE_SLOPE:
        wrong.append(f"memory in use grows: {slope:.2f} MB a minute, at least {low:.2f}")
    if resident[1] > resident[0] * (1 + RESIDENT_GROWTH):
        wrong.append(f"the process grows: {resident[0]:.0f} to {resident[1]:.0f} MB")
    for name, (before, after) in (("descriptors", descriptors), ("threads", threads)):
        if after > before + FEW:
            wrong.append(f"{name} grow: {before:.0f} to {after:.0f}")
    if len(videos) > KEEP_FILES + 1:
        wrong.append(f"{len(videos)} videos, of which {KEEP_FILES} were to be kept")
    wrong += [f"{video.name} cannot be read" for video in videos if not readable(video)]
    return figures, wrong


def soak(folder: Path, seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Run it all; the figures, and what is wrong."""
    with ExitStack() as stack:
        clips = [ROOT / "streaming" / "commands" / "demo.mp4", folder / "still.mp4"]
        still_life(clips[1])
        home = folder / "broker"
        broker = stack.enter_context(brokers.running(home, lines=brokers.keeping(home)))
        cameras = {name: stack.enter_context(camera(clips[0], "--loop")) for name in NAMES}
        # Not `control`: behind a flood, events would wait in the broker, which forgets the last second when killed.
        listener = Subscriber(broker.port, topics=("+/events", "+/status"))
        stack.callback(listener.close)
        settings = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}/site"\nhome_assistant = true\n' + "".join(
            f'[streams.{name}]\nsource = "{one.url()}"\nprompts = ["object"]\nsilence_timeout = 2.0\n'
            for name, one in cameras.items()
        )
        settings += f'[streams.south.recording]\nfolder = "videos"\nsegment_seconds = 10.0\nkeep_files = {KEEP_FILES}\n'
        running = Service(folder, settings, fresh=True)
        running.start()
        stack.callback(running.kill)
        running.wait_until_ready()
        faults = Faults(cameras, broker, listener, running)
        faults.settings, faults.clips = settings, clips
        began, samples, plan = time.monotonic(), list[Sample](), faults.all()
        next_fault = began + 10
        while time.monotonic() < began + seconds:
            if not faults.extra:
                samples.append(sample(running, began))
            if time.monotonic() >= next_fault:
                fault = next(plan)
                fault()
                faults.done[fault.__name__] = faults.done.get(fault.__name__, 0) + 1
                next_fault = time.monotonic() + 8
            time.sleep(SAMPLE_SECONDS)
        latency = running.get("/metrics")[1]
        tracked = running.metric("maskcast_frames_total")
        reconnects = running.metric("maskcast_reconnects_total")
        wrong = []
        try:
            eventually(lambda: running.metric("maskcast_journal_events") == 0, 60, "all events are delivered")
            code = running.stop()
            wrong += [f"it ended with {code}"] if code else []
            eventually(lambda: listener.last("north", "status").get("reason") == "stopped", 15, "the last status")
        except AssertionError as error:
            wrong.append(str(error))
        events = 0
        for name in NAMES:
            try:
                order, _ = consistent(listener.of(name, "events"))
                events += len(order)
            except AssertionError as error:
                wrong.append(f"events of {name}: {error}")
        if "Traceback" in running.text():
            wrong.append("the log holds a traceback")
        videos = sorted((folder / "videos" / "south").iterdir())
        figures, broken = broken_bounds(samples, seconds, videos)
        figures |= {"seconds": seconds, "frames": tracked, "events": float(events), "reconnects": reconnects}
        figures |= {"p95_total_seconds": _quantile(latency, 0.95)}
        return {**figures, "faults": faults.done}, wrong + broken


def _quantile(metrics: str, share: float) -> float:
    """The bucket of the histogram of the whole latency that holds this share of the frames."""
    lines = [line for line in metrics.splitlines() if "latency_seconds_bucket" in line and 'stage="total"' in line]
    buckets = [(line.split('le="')[1].split('"')[0], float(line.split()[-1])) for line in lines]
    count = buckets[-1][1] if buckets else 0.0
    return next((float(bound) for bound, number in buckets if number >= share * count), float("inf"))


def main() -> None:
    """Print the figures; the exit code is 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it behind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures, wrong = soak(folder, options.seconds)
    for name, value in figures.items():
        print(f"{name:28} {value if isinstance(value, dict) else round(value, 3)}")
    for line in wrong:
        print(f"BROKEN: {line}")
    if options.json:
        print(json.dumps({**figures, "broken": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
