"""Who is counted wrong, and what counting costs.

    python benchmarks/zones.py [--scenarios 1000] [--json]

Random walkers with ground truth (`tests/streaming/zones/simulator.py`, which says what is fair) pass zones and a line,
with one kind of trouble each. The peer is supervision: its LineZone and its PolygonZone get the same confirmed tracks,
with the same anchor. A PolygonZone says who is inside; an object comes in when its id is inside and was not when it was
seen last. LineZone has a threshold of sightings on the other side: it runs with its default of 1, and with 3. It knows
lines of two points alone, so only those are compared. A scenario is wrong if any of its numbers is: of a zone how many
came in, of a line how many crossed it in each direction.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import supervision
from supervision import Detections, LineZone, Point, PolygonZone, Position

from benchmarks.io import table
from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.places import Line, Places, Zone
from maskcast.result import EventKind, Result, Track, TrackState
from streaming.zones.stage import ZonesStage
from tests.streaming.zones.simulator import GROUPS, HEIGHT, KINDS, LOST_AFTER, START, WIDTH, Scenario, scenario

POSITIONS = {"bottom": Position.BOTTOM_CENTER, "centre": Position.CENTER}
THRESHOLDS = (1, 3)
# Of the measurement of time: 720p, as many tracks as a crowded street has and more places than anybody draws.
SIZE, TRACKS, PLACES, FRAMES = (720, 1280), 30, 10, 150


def ours(places: Places) -> tuple[ZonesStage, Callable[[Result], Counter[tuple[str, ...]]]]:
    """A stage, and what it counts at a result."""
    stage = ZonesStage(places, groups=GROUPS, lost_after=LOST_AFTER, since=START)

    def count(result: Result) -> Counter[tuple[str, ...]]:
        return Counter(
            (event.place or "", event.direction or "in")
            for event in stage.apply(result).events
            if event.kind in {EventKind.ENTERED, EventKind.CROSSED}
        )

    return stage, count


def theirs(places: Places, threshold: int, size: tuple[int, int]) -> Callable[[Result], Counter[tuple[str, ...]]]:
    """What supervision counts at a result."""
    height, width = size
    lines = [
        (
            line,
            # What it calls in is to the left of the line as it is drawn, our second direction.
            LineZone(
                *(Point(x * width, y * height) for x, y in line.points),
                triggering_anchors=[POSITIONS[line.anchor]],
                minimum_crossing_threshold=threshold,
            ),
        )
        for line in places.lines
        if len(line.points) == 2
    ]
    zones = [
        (
            zone,
            PolygonZone(
                (np.array(zone.points) * (width, height)).round().astype(np.int64),
                triggering_anchors=[POSITIONS[zone.anchor]],
            ),
        )
        for zone in places.zones
    ]
    inside: dict[tuple[str, int], bool] = {}

    def count(result: Result) -> Counter[tuple[str, ...]]:
        found: Counter[tuple[str, ...]] = Counter()
        tracks = [track for track in result.tracks if track.state is TrackState.CONFIRMED]
        boxes = [(*track.mask.bbox[:2], *np.add(track.mask.bbox[:2], track.mask.bbox[2:])) for track in tracks]
        detections = Detections(
            xyxy=np.array(boxes, np.float64).reshape(-1, 4),
            tracker_id=np.array([track.id for track in tracks], int),
            class_id=np.zeros(len(tracks), int),
        )
        for line, counter in lines:
            second, first = counter.trigger(detections)
            found[line.name, line.directions[0]] += int(first.sum())
            found[line.name, line.directions[1]] += int(second.sum())
        for zone, area in zones:
            for track, now in zip(tracks, area.trigger(detections), strict=True):
                found[zone.name, "in"] += bool(now) and not inside.get((zone.name, track.id), False)
                inside[zone.name, track.id] = bool(now)
        return found

    return count


def sides() -> dict[str, Callable[[Scenario], Counter[tuple[str, ...]]]]:
    """What each side counts in a scenario."""

    def all_of(count: Callable[[Result], Counter[tuple[str, ...]]], case: Scenario) -> Counter[tuple[str, ...]]:
        return +sum(map(count, case.results), Counter())

    found: dict[str, Callable[[Scenario], Counter[tuple[str, ...]]]] = {
        "maskcast": lambda case: all_of(ours(case.places)[1], case)
    }
    for threshold in THRESHOLDS:
        found[f"supervision {threshold}"] = lambda case, threshold=threshold: all_of(
            theirs(case.places, threshold, (HEIGHT, WIDTH)), case
        )
    return found


def truth(case: Scenario) -> Counter[tuple[str, ...]]:
    """What happened, as the sides tell it."""
    return +Counter({(zone, "in"): count for zone, count in case.entered.items()} | dict(case.crossed))


def crowd() -> Iterator[Result]:
    """Tracks that walk to and fro, each over half of the picture, at 25 frames/s."""
    random = np.random.default_rng(0)
    start, speed = random.uniform(0.2, 0.8, (TRACKS, 2)), random.uniform(-0.2, 0.2, (TRACKS, 2))
    height, width = SIZE
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    mask = np.ones((160, 60), np.bool_)
    for index in range(FRAMES):
        middle = np.abs((start + speed * index / 25) % 2 - 1) * (width - 60, height - 160)
        middle += random.normal(0, 2, (TRACKS, 2))
        tracks = [
            Track(number + 1, "person", TrackState.CONFIRMED, 0.9, Mask(SIZE, max(int(x), 0), max(int(y), 0), mask))
            for number, (x, y) in enumerate(middle)
        ]
        pts = index / 25
        yield Result(Frame("street", index, pts, noon + timedelta(seconds=pts), None), tuple(tracks))  # type: ignore[arg-type]


def cost() -> dict[str, float]:
    """Milliseconds of processor time a frame, of each side in turns; the least of three runs."""
    random = np.random.default_rng(1)
    corners = random.uniform(0.1, 0.7, (PLACES, 2))
    square = np.array([(0, 0), (0.25, 0), (0.3, 0.25), (0, 0.25)])
    zones = [
        Zone(f"zone {number}", tuple((x, y) for x, y in (corner + square).tolist()), dwell=2.0)
        for number, corner in enumerate(corners[: PLACES // 2])
    ]
    lines = [
        Line(f"line {number}", ((x, 0.1), (x + 0.2, 0.9)))
        for number, (x, _) in enumerate(corners[PLACES // 2 :].tolist())
    ]
    places = Places(tuple(zones), tuple(lines))
    results = list(crowd())
    best: dict[str, float] = {}
    for _ in range(3):
        for name, count in {
            "maskcast": ours(places)[1],
            "supervision": theirs(places, 1, SIZE),
        }.items():
            began = time.process_time()
            for result in results:
                count(result)
            spent = (time.process_time() - began) / len(results) * 1000
            best[name] = min(best.get(name, spent), spent)
    return best


def main() -> None:
    """Count, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scenarios", type=int, default=1000)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    wrong: dict[str, Counter[str]] = {name: Counter() for name in sides()}
    off: dict[str, Counter[str]] = {name: Counter() for name in sides()}
    number, happened = Counter[str](), Counter[str]()
    for seed in range(options.scenarios):
        case = scenario(seed)
        known = truth(case)
        shorter = len(case.places.lines[0].points) == 2
        number[case.kind] += 1
        happened[case.kind] += known.total()
        for name, count in sides().items():
            found = count(case)
            differences = {
                key: abs(found[key] - known[key])
                for key in found.keys() | known.keys()
                if shorter or name == "maskcast" or key[0] != case.places.lines[0].name
            }
            wrong[name][case.kind] += any(differences.values())
            off[name][case.kind] += sum(differences.values())
    rows = [["scenarios wrong (counts too many or missing)", "of", "counts", *wrong]]
    for kind in (*KINDS, "all"):
        chosen = KINDS if kind == "all" else (kind,)
        rows.append(
            [
                kind if kind != "all" else "together",
                str(sum(number[one] for one in chosen)),
                str(sum(happened[one] for one in chosen)),
                *(
                    f"{sum(wrong[name][one] for one in chosen)} ({sum(off[name][one] for one in chosen)})"
                    for name in wrong
                ),
            ]
        )
    print(table(rows))
    spent = cost()
    print(f"\n{TRACKS} tracks at {PLACES} places, processor time a frame; supervision {supervision.__version__}:")
    print(table([["", "ms"], *([name, f"{value:.3f}"] for name, value in spent.items())]))
    if options.json:
        print(
            json.dumps(
                {
                    "benchmark": "zones",
                    "scenarios": dict(number),
                    "counts": dict(happened),
                    "wrong": {name: {kind: counts[kind] for kind in KINDS} for name, counts in wrong.items()},
                    "milliseconds": {name: round(value, 4) for name, value in spent.items()},
                }
            )
        )


if __name__ == "__main__":
    main()
