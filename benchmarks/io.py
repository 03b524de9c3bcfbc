"""How fast is everything but the model? Decode → overlay of 10 masks → encode, beside FFmpeg transcoding the same file.

    python benchmarks/io.py clip.mp4 [--preset medium] [--crf 23] [--runs 3] [--json]

Both sides use libx264 with the same preset and rate factor and their default number of threads, in turns; the medians
are compared. Ten drawn masks that wander over the picture are also harder to encode than the clip was, whoever encodes
them: so FFmpeg transcodes the annotated video, too. The steps in between are timed alone, in seconds of one processor,
which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.picture import Planes
from maskcast.result import Result, Track, TrackState
from sinks import open_sink
from sinks.messages import rle
from sinks.messages.frame import frame_message
from sinks.video.overlay import draw
from sources import open_source
from streaming.pipeline.controls import Controls
from streaming.pipeline.job import Job
from streaming.pipeline.report import Report
from streaming.pipeline.stream import run_stream
from streaming.pipeline.worker import Worker
from streaming.process import leave

if TYPE_CHECKING:
    from trackers.engine import Engine

T = TypeVar("T")

MASKS = 10
TARGET = 0.9


class Run(NamedTuple):
    """One transcoding: seconds on the clock, seconds of all processors, bytes of the result."""

    wall: float
    cpu: float
    size: int


class Tracks:
    """Masks of people-sized ellipses, 100 x 200 pixels at 720p, that turn and wander."""

    def __init__(self, width: int, height: int) -> None:
        """Prepare the shapes for frames of this size, so that making them is not measured."""
        self.size = (height, width)
        axes = (height * 50 // 720, height * 100 // 720)
        self._shapes = [self._ellipse(axes, angle) for angle in range(0, 360, 12)]

    def _ellipse(self, axes: tuple[int, int], angle: int) -> NDArray[np.bool_]:
        canvas = np.zeros((2 * axes[1] + 9, 2 * axes[1] + 9), np.uint8)
        cv2.ellipse(canvas, (axes[1] + 4, axes[1] + 4), axes, angle, 0, 360, 1, -1)
        return Mask.from_array(canvas.astype(np.bool_), canvas.shape[:2]).crop

    def at(self, frame: int) -> tuple[Track, ...]:
        """The tracks of a frame."""
        return tuple(self._track(number, frame) for number in range(MASKS))

    def _track(self, number: int, frame: int) -> Track:
        crop = self._shapes[(3 * number + frame // 2) % len(self._shapes)]
        height, width = self.size
        h, w = crop.shape
        x = (97 * number + (number % 5 + 1) * frame) % (width - w)
        y = (61 * number + (number % 3 + 1) * frame) % (height - h)
        score = 0.5 + (number * 7 + frame) % 50 / 100
        return Track(number + 1, "person", TrackState.CONFIRMED, score, Mask(self.size, x, y, crop))


class Oracle:
    """An engine that finds the same ten objects in every frame, at once."""

    def __init__(self, tracks: Tracks) -> None:
        """Answer with `tracks`."""
        self._tracks = tracks

    def open_stream(self, prompts: Sequence[str]) -> object:
        """Nothing to keep."""
        del prompts
        return object()

    def see(self, streams: Sequence[object], frames: Sequence[Frame]) -> Sequence[Frame]:
        """Nothing to see."""
        del streams
        return frames

    def follow(self, seen: Sequence[Frame]) -> list[list[Result]]:
        """One result a frame."""
        return [[Result(frame, self._tracks.at(frame.index))] for frame in seen]

    def close_stream(self, stream: object) -> list[Result]:
        """Nothing was held back."""
        del stream
        return []


def worker_without_model(tracks: Tracks, **options: Any) -> Worker:
    """The model's threads with an `Oracle` in the model's place."""
    return Worker(lambda: cast("Engine", Oracle(tracks)), **options)


def maskcast(clip: Path, output: Path, preset: str, crf: int, tracks: Tracks) -> Run:
    """Run the real pipeline without a model."""
    job = Job(
        open_source=lambda: open_source(str(clip)),
        open_sinks=lambda _: [open_sink(str(output), codec="libx264", quality=crf, preset=preset)],
        controls=Controls(["person"]),
    )

    async def run() -> Report:
        worker = worker_without_model(tracks)
        await worker.start()
        try:
            return await run_stream(job, worker, asyncio.Event())
        finally:
            worker.close()

    def work() -> None:
        report = asyncio.run(run())
        if report.errors:
            raise report.errors[0]

    return measured(work, output, resource.RUSAGE_SELF)


def ffmpeg(clip: Path, output: Path, preset: str, crf: int) -> Run:
    """Transcode with the FFmpeg on this machine, audio copied."""
    command = ["ffmpeg", "-v", "error", "-y", "-nostdin", "-i", str(clip), "-map", "0:v:0", "-map", "0:a?"]
    command += ["-c:v", "libx264", "-preset", preset, "-crf", str(crf), "-pix_fmt", "yuv420p", "-c:a", "copy"]
    return measured(lambda: subprocess.run([*command, str(output)], check=True), output, resource.RUSAGE_CHILDREN)


def measured(work: Callable[[], object], output: Path, who: int) -> Run:
    """Time `work`, which writes `output`."""
    before, start = resource.getrusage(who), time.perf_counter()
    work()
    wall, after = time.perf_counter() - start, resource.getrusage(who)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, output.stat().st_size)


def stages(clip: Path, tracks: Tracks) -> dict[str, float]:
    """Median milliseconds of one processor a frame, of each step that Maskcast adds to decoding and encoding."""
    times: dict[str, list[float]] = {"copy": [], "draw": [], "rle": [], "message": []}

    def timed(name: str, step: Callable[[], T]) -> T:
        start = time.thread_time()
        value = step()
        times[name].append((time.thread_time() - start) * 1e3)
        return value

    source = open_source(str(clip))
    try:
        for frame in islice(iter(source), 100):
            result = Result(frame, tracks.at(frame.index))
            planes = timed("copy", partial(copied, frame.picture.yuv420p()))
            timed("draw", partial(draw, planes, frame.picture.colour, result.tracks))
            timed("rle", partial(encoded, result))
            timed("message", partial(published, result))
    finally:
        source.close()
    return {name: statistics.median(values) for name, values in times.items()}


def copied(planes: Planes) -> Planes:
    """What is drawn on, since the decoder's own picture must stay as it is."""
    return Planes(*(plane.copy() for plane in planes))


def encoded(result: Result) -> list[str]:
    """All masks as COCO's run lengths."""
    return [rle.encode(track.mask) for track in result.tracks]


def published(result: Result) -> bytes:
    """The whole message, masks included."""
    return frame_message(result).json_bytes()


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--preset", default="medium", help="of libx264, on both sides")
    parser.add_argument("--crf", type=int, default=23, help="rate factor of libx264, on both sides")
    parser.add_argument("--runs", type=int, default=3, help="of each side, in turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("no ffmpeg on this machine to compare with (Debian: apt install ffmpeg)")

    source = open_source(str(options.clip))
    info = source.info
    frames = sum(1 for _ in source)
    tracks = Tracks(info.width, info.height)
    runs: dict[str, list[Run]] = {"ffmpeg": [], "maskcast": [], "ffmpeg on the annotated video": []}
    transcode, same, annotate = runs["ffmpeg"], runs["ffmpeg on the annotated video"], runs["maskcast"]
    with tempfile.TemporaryDirectory() as folder:
        output, annotated = Path(folder) / "out.mp4", Path(folder) / "annotated.mp4"
        for _ in range(options.runs):
            transcode.append(ffmpeg(options.clip, output, options.preset, options.crf))
            annotate.append(maskcast(options.clip, annotated, options.preset, options.crf, tracks))
            same.append(ffmpeg(annotated, output, options.preset, options.crf))
    alone = stages(options.clip, tracks)

    medians = {
        name: Run(*(statistics.median(values) for values in zip(*some, strict=True))) for name, some in runs.items()
    }
    ours = medians["maskcast"]
    ratios = {
        "ratio": medians["ffmpeg"].wall / ours.wall,
        "ratio_cpu": medians["ffmpeg"].cpu / ours.cpu,
        "ratio_same_pictures": medians["ffmpeg on the annotated video"].wall / ours.wall,
        "ratio_same_pictures_cpu": medians["ffmpeg on the annotated video"].cpu / ours.cpu,
    }
    print(f"{options.clip.name}: {frames} frames of {info.width}x{info.height}, libx264 {options.preset} {options.crf}")
    rows = [["", "seconds", "frames/s", "CPU ms/frame", "MB", "maskcast's speed", "by CPU"]]
    rows += [
        [
            name,
            f"{run.wall:.2f}",
            f"{frames / run.wall:.1f}",
            f"{run.cpu / frames * 1e3:.1f}",
            f"{run.size / 1e6:.2f}",
            f"{run.wall / ours.wall:.2f}",
            f"{run.cpu / ours.cpu:.2f}",
        ]
        for name, run in medians.items()
    ]
    print(table(rows))
    met = "met" if ratios["ratio"] >= TARGET else "missed"
    print(f"ratio {ratios['ratio']:.2f} of ffmpeg's speed on the same clip (target {TARGET}: {met})")
    print(table([[f"{MASKS} masks", "CPU ms/frame"], *([name, f"{value:.2f}"] for name, value in alone.items())]))
    if options.json:
        print(
            json.dumps(
                {
                    "benchmark": "io",
                    "clip": options.clip.name,
                    "frames": frames,
                    "width": info.width,
                    "height": info.height,
                    "preset": options.preset,
                    "crf": options.crf,
                    "runs": options.runs,
                    "masks": MASKS,
                    "target": TARGET,
                    **{name: round(value, 3) for name, value in ratios.items()},
                    "sides": {
                        name: {key: round(value, 3) for key, value in run._asdict().items()}
                        for name, run in medians.items()
                    },
                    "ms_per_frame": {name: round(value, 3) for name, value in alone.items()},
                }
            )
        )


if __name__ == "__main__":
    main()
    leave(0)  # decoders and models may still be at work on their threads
