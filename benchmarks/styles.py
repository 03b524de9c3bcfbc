"""What hiding objects costs: 720p, ten masks, each style and zones beside the outlines that are drawn without them.

    python benchmarks/styles.py [--frames 200] [--width 1280 --height 720] [--json]

The frames are noise, which costs as much as any picture. Each frame is drawn in all ways in turns, so that what else
the machine does falls on all of them; milliseconds of one processor, medians. Copying the picture is not in them: that
is done in any case. `nothing` is a frame without objects under `blur`: what lies outside of masks' boxes is free.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.io import MASKS, Tracks, copied, table
from maskcast.frame import Frame
from maskcast.picture import Colour, Image, Planes
from maskcast.places import Line, Places, Tally, Zone
from maskcast.result import Result
from sinks.video.render import draw_result
from sinks.video.style import STYLES, Styles

PEER = "outline"
# Milliseconds more than the peer.
TARGETS = {"outline, places": 2.0, "blur": 5.0}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = Places(
    (
        Zone("crossing", ((0.15, 0.35), (0.5, 0.3), (0.62, 0.75), (0.1, 0.9))),
        Zone("gate", ((0.7, 0.1), (0.9, 0.1), (0.9, 0.4), (0.7, 0.4))),
    ),
    (Line("road", ((0.62, 0.45), (0.98, 0.62))), Line("door", ((0.3, 0.1), (0.35, 0.5), (0.3, 0.9)))),
)


class Noise:
    """A picture of random samples."""

    colour = Colour()

    def __init__(self, width: int, height: int) -> None:
        """Make it."""
        self.width, self.height = width, height
        random = np.random.default_rng(0)
        half = ((height + 1) // 2, (width + 1) // 2)
        self._planes = Planes(*(random.integers(16, 236, size, np.uint8) for size in ((height, width), half, half)))

    def rgb(self) -> Image:
        """Never asked for."""
        raise NotImplementedError

    def yuv420p(self) -> Planes:
        """Its samples."""
        return self._planes


def tally(frame: int) -> Tally:
    """Counts that change every second, as labels that are drawn anew."""
    number = frame // 25
    inside = {zone.name: {"person": number % 7} for zone in PLACES.zones}
    entered = {zone.name: {"person": number} for zone in PLACES.zones}
    crossed = {line.name: {way: {"person": number} for way in line.directions} for line in PLACES.lines}
    return Tally(NOW, inside, entered, crossed, PLACES)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    cv2.setNumThreads(1)

    picture, tracks = Noise(options.width, options.height), Tracks(options.width, options.height)
    ways: dict[str, Styles] = {style: Styles(style) for style in STYLES}
    ways |= {"outline, places": Styles(), "nothing": Styles("blur")}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for index in range(options.frames):
        frame = Frame("noise", index, index / 25, NOW, picture)
        result, placed = Result(frame, tracks.at(index)), tally(index)
        for name, styles in ways.items():
            planes = copied(picture.yuv420p())
            shown = replace(result, tracks=()) if name == "nothing" else result
            shown = replace(result, tally=placed) if name == "outline, places" else shown
            start = time.thread_time()
            draw_result(planes, picture.colour, shown, styles)
            times[name].append((time.thread_time() - start) * 1e3)
    medians = {name: statistics.median(values) for name, values in times.items()}

    rows = [[f"{options.width}x{options.height}, {MASKS} masks", "CPU ms/frame", "more than outline", "target"]]
    for name, value in medians.items():
        more, target = value - medians[PEER], TARGETS.get(name)
        met = "" if target is None else f"{target:g}: {'met' if more <= target else 'missed'}"
        rows.append([name, f"{value:.2f}", f"{more:+.2f}", met])
    print(table(rows))
    if options.json:
        sizes = {"width": options.width, "height": options.height, "frames": options.frames, "masks": MASKS}
        milliseconds = {name: round(value, 3) for name, value in medians.items()}
        print(json.dumps({"benchmark": "styles", **sizes, "ms_per_frame": milliseconds, "targets_more": TARGETS}))


if __name__ == "__main__":
    main()
