"""Is this checkout faster than an earlier one? The demo's clip, tracked by each in turns.

    python benchmarks/commits.py EARLIER_CHECKOUT [--prompts "red circle" star] [--frames 80] [--runs 7] [--json]

Each run is a process of its own: the pipeline of `maskcast track` without an output, with the threads that the command
would have. The first frames, until each track remembers as much as it can, are not counted. Machines that others use
too wander by more than most changes gain: so the runs alternate, and what counts is the median of the ratios of
neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
WARM_UP = 16

# Runs in a checkout, which may be older than this file: so it asks for nothing but what has long been there.
TRACKER = """
import sys
from streaming import process
process.wait_politely()
process.keep_memory()
getattr(process, "share_processors", lambda: None)()
import asyncio, time
from maskcast.notices import TrackedFrame
from sources import open_source
from streaming.commands.demo import CLIP
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.jobs import run_jobs
from streaming.pipeline.worker import Worker, engine_loader
from trackers.options import EngineOptions

frames, warm_up, *prompts = sys.argv[1:]
times = []

def note(notice):
    if isinstance(notice, TrackedFrame):
        times.append((time.perf_counter(), time.process_time()))

async def main():
    worker = Worker(engine_loader(EngineOptions("nano", "cpu")))
    await worker.start()
    job = Job(
        lambda: open_source(str(CLIP)), lambda _: (), Controls(prompts), notify=note, max_frames=int(frames)
    )
    (report,) = await run_jobs(worker, [], [job], asyncio.Event())
    worker.close()
    assert not report.errors, report.errors

asyncio.run(main())
(began, spent), (ended, spent_at_last) = times[int(warm_up)], times[-1]
counted = len(times) - int(warm_up) - 1
print(counted / (ended - began), (spent_at_last - spent) / counted, flush=True)
process.leave(0)
"""


def measured(checkout: Path, frames: int, prompts: list[str]) -> tuple[float, float]:
    """Frames a second, and seconds of processors a frame, of a run in a checkout."""
    command = [sys.executable, "-c", TRACKER, str(frames), str(WARM_UP), *prompts]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    ended = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rate, spent = map(float, ended.stdout.split())
    return rate, spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("earlier", type=Path, help="another checkout, such as one that `git worktree add` made")
    parser.add_argument("--prompts", nargs="+", default=["red circle", "star"])
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    ratios, rates = [], []
    for _ in range(options.runs):
        (before, spent), (now, spends) = (
            measured(checkout, options.frames, options.prompts) for checkout in (options.earlier.resolve(), HERE)
        )
        ratios.append(now / before)
        rates.append((before, now))
        print(
            f"{before:6.2f} → {now:6.2f} frames/s, {ratios[-1]:.2f} x; "
            f"{spent * 1e3:.0f} → {spends * 1e3:.0f} ms of processors a frame",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.2f} x, {min(ratios):.2f} to {max(ratios):.2f}")
    if options.json:
        print(json.dumps({"benchmark": "commits", "rates": rates, "ratio": statistics.median(ratios)}))


if __name__ == "__main__":
    main()
