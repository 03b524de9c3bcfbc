"""What do workers gain, and what do they cost? Short videos by plain `maskcast track`, one worker, and two.

    python benchmarks/scale.py [--videos 24] [--frames 100] [--runs 3] [--pinned | --free] [--json]

The same command as a person gives it, as a process of its own, in turns: without `--workers` (the peer), with one
worker, with two. Each process has one thread for OpenMP. A worker keeps more than one core busy: it detects in one
frame while it follows in the one before, decodes and encodes. So what a second core gains is measured with processes
that are held to cores (`taskset`'s system call): plain and one worker on one core, two workers on two. What is gained
on the machine as it is is measured too (free).

The clock runs from the command to its exit, and is read when the model is there and when the last video is done. The
outputs of all are compared with those of the plain command: MOTChallenge byte by byte, JSON Lines without `time`, the
moment at which the source was opened.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE / "training"))
from clips import ClipRules, render_clip  # noqa: E402 - the renderer of the model's own training clips

FRAMES_A_SECOND = 15
SEED = 18
PROMPTS = ("circle", "star", "square")


@dataclass(frozen=True)
class Side:
    """One of the ways to track all videos.

    Attributes:
        name: of it.
        workers: how many; 0 for the plain command.
        cores: to which its processes are held; 0 for none.
    """

    name: str
    workers: int
    cores: int = 0


PINNED = (Side("plain, one core", 0, 1), Side("one worker, one core", 1, 1), Side("two workers, two cores", 2, 2))
FREE = (Side("plain", 0), Side("one worker", 1), Side("two workers", 2))


@dataclass(frozen=True)
class Run:
    """A command, from its start to its exit, in seconds.

    Attributes:
        ready: until the first model was loaded.
        tracking: from there until the last video was done.
        leaving: from there to the exit.
    """

    ready: float
    tracking: float
    leaving: float

    @property
    def wall(self) -> float:
        """All of it."""
        return self.ready + self.tracking + self.leaving


def make_videos(folder: Path, number: int, frames: int) -> int:
    """Render and encode; the lengths differ, from half of `frames` to one and a half.

    Returns:
        Frames of all.
    """
    lengths = np.linspace(frames / 2, frames * 1.5, number).round().astype(int)
    for index, length in enumerate(np.random.default_rng(SEED).permutation(lengths)):
        clip = render_clip(np.random.default_rng((SEED, index)), ClipRules(frames=int(length)))
        with av.open(str(folder / f"clip-{index:02}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=FRAMES_A_SECOND, options={"crf": "20", "preset": "fast"})
            stream.height, stream.width = clip.frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.time_base = Fraction(1, FRAMES_A_SECOND)
            for image in clip.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
    return int(lengths.sum())


def measured(side: Side, videos: Path, out: Path, model: str) -> Run:
    """Run the command and read the clock at what it says.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", "streaming", "track", str(videos), "--model", model, "--device", "cpu"]
    for prompt in PROMPTS:
        command += ["--prompt", prompt]
    for kind in ("jsonl", "txt"):
        command += ["--out", str(out / f"{{stream}}.{kind}")]
    if side.workers:
        command += ["--workers", str(side.workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    cores = sorted(os.sched_getaffinity(0))[: side.cores] if side.cores else os.sched_getaffinity(0)
    said: list[tuple[float, str]] = []
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=out.parent,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - this process has one thread
    ) as running:
        assert running.stderr
        said.extend((time.perf_counter() - began, line) for line in running.stderr)
    wall = time.perf_counter() - began
    if running.returncode:
        sys.exit(f"{side.name} failed:\n{''.join(line for _, line in said)}")
    # The engine's description is the first line of the plain command, and the second of one with workers; what became
    # of the videos begins behind the last one.
    ready = said[1 if side.workers else 0][0]
    head = "video " if side.workers else "clip-"
    done = next(moment for moment, line in said if line.startswith(head))
    return Run(ready, done - ready, wall - done)


def results(out: Path) -> dict[str, bytes]:
    """What was written, without the moment at which a source was opened."""
    written = {}
    for file in sorted(out.glob("clip-*")):
        content = file.read_bytes()
        if file.suffix == ".jsonl":
            lines = [json.loads(line) for line in content.splitlines()]
            content = json.dumps([{**line, "time": None} for line in lines]).encode()
        written[file.name] = content
    return written


def median_ratio(runs: Sequence[Run], peers: Sequence[Run], part: str) -> float:
    """The median of the ratios of neighbours in time: others use the machine, too."""
    return statistics.median(getattr(run, part) / getattr(peer, part) for run, peer in zip(runs, peers, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--frames", type=int, default=100, help="of a video, on average")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--runs", type=int, default=3)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--pinned", action="store_true", help="only with processes held to cores")
    which.add_argument("--free", action="store_true", help="only on the machine as it is")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    groups = [*([] if options.free else [PINNED]), *([] if options.pinned else [FREE])]
    sides = [side for group in groups for side in group]
    runs: dict[str, list[Run]] = {side.name: [] for side in sides}
    reference: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as temporary:
        videos = Path(temporary) / "videos"
        videos.mkdir()
        frames = make_videos(videos, options.videos, options.frames)
        print(f"{options.videos} videos, {frames} frames, {len(os.sched_getaffinity(0))} cores", flush=True)
        for turn in range(options.runs):
            for side in sides:
                out = Path(temporary) / f"{side.name} {turn}"
                out.mkdir()
                run = measured(side, videos, out, options.model)
                runs[side.name].append(run)
                written = results(out)
                reference = reference or written
                complete = {Path(name).stem for name in written if name.endswith(".jsonl")}
                if len(complete) != options.videos or written != reference:
                    sys.exit(f"{side.name}: other results than {sides[0].name}")
                print(
                    f"{side.name:24} {run.wall:6.1f} s, {frames / run.wall:5.1f} frames/s: "
                    f"{run.ready:.1f} until a model was there, {run.tracking:.1f} tracking, {run.leaving:.1f} leaving",
                    flush=True,
                )

    told: dict[str, dict[str, float]] = {}
    for plain, one, two in groups:
        told["held to cores" if plain.cores else "free"] = {
            "overhead": median_ratio(runs[one.name], runs[plain.name], "wall") - 1,
            "overhead while tracking": median_ratio(runs[one.name], runs[plain.name], "tracking") - 1,
            "gain of two workers over one": median_ratio(runs[one.name], runs[two.name], "wall"),
            "gain while tracking": median_ratio(runs[one.name], runs[two.name], "tracking"),
            "gain of two workers over plain": median_ratio(runs[plain.name], runs[two.name], "wall"),
        }
    for name, figures in told.items():
        for what, figure in figures.items():
            print(f"{name}: {what} {figure:+.1%}" if "overhead" in what else f"{name}: {what} {figure:.2f} x")
    print("all outputs are equal")
    if options.json:
        seconds = {name: [vars(run) | {"wall": run.wall} for run in some] for name, some in runs.items()}
        print(json.dumps({"benchmark": "scale", "frames": frames, "seconds": seconds, "ratios": told, "equal": True}))


if __name__ == "__main__":
    main()
