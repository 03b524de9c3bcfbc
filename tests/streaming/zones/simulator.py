"""Walkers with ground truth, and what a tracker says of them: misses, flicker, other ids, other names.

The truth comes from the path that a walker really takes, by shapely, and not from what is tested. A scenario is one
that can be known at all:

- Each walker begins two and a half margins from every border, and lines do not fold back upon themselves.
- Each time that a walker is on one side of a border, it goes two and a half margins from it, or stays within
  0.15 of one ("on the border"), and it keeps three margins from the free ends of lines.
- What it does is still there when of its true sightings each is replaced by the median of half a second, or of three:
  nobody knows of what two sightings do not bear out.
- Boxes flicker by up to 5 % of their size on each side all the time, and by up to 60 % for less than 0.16 s, in at most
  a third of the sightings of any half second or of any three in a row; once in more than a second, and not within half
  a second or three sightings of where a track begins or ends. Nobody walks along a border, on it, meanwhile.
- A walker that returns under another id is not further from where it would be than what it was away for explains, and
  nobody else was lost there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import numpy as np
import shapely

from maskcast.frame import Frame
from maskcast.mask import Mask
from maskcast.places import Line, Places, Zone
from maskcast.result import Result, Track, TrackState

WIDTH, HEIGHT = 640, 360
MARGIN, LEAST_PIXELS = 0.1, 3.0  # the rule's
DEEP, SHALLOW, END = 2.5, 0.15, 3.0
LOST_AFTER = 3.0
STEP = 0.02  # seconds between points of the true path
GROUPS = {"with helmet": "head", "without helmet": "head"}
START = datetime(2026, 11, 26, 12, tzinfo=UTC)
KINDS = (
    "plain", "flicker", "occlusion", "dropped frames", "one frame a second", "other ids", "standing on it",
    "group flips", "leaving the picture", "all at once",
)  # fmt: skip


@dataclass
class Walker:
    """One object: its true boxes ``(n, 4)`` (left, top, right, bottom; not cut off) at `times`."""

    times: np.ndarray
    boxes: np.ndarray
    size: tuple[float, float]
    fragments: list[tuple[float, float]] = field(default_factory=list)

    def anchors(self, anchor, times):
        left, top, right, bottom = self.visible(times).T
        y = bottom if anchor == "bottom" else (top + bottom) / 2
        return np.stack([(left + right) / 2, y], axis=1).clip(0.05, [WIDTH - 0.05, HEIGHT - 0.05])

    def visible(self, times):
        boxes = np.stack([np.interp(times, self.times, column) for column in self.boxes.T], axis=1)
        return boxes.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])


@dataclass
class Scenario:
    """Results of a tracker, and what really happened."""

    kind: str
    places: Places
    results: list[Result]
    entered: Counter
    left: Counter
    crossed: Counter


def scenario(seed, kind=None):
    """One that can be known; the same for the same seed."""
    random = Random(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    while True:
        found = _attempt(random, kind)
        if found is not None:
            return found


def _attempt(random, kind):
    every = kind == "all at once"
    rate = 1.0 if kind == "one frame a second" else random.choice([1, 2, 3, 5, 8, 10, 12.5, 15, 25, 30])
    seconds = 12.0 + 18 / rate
    places = _places(random, border=kind == "leaving the picture")
    frames = np.arange(0, seconds, 1 / rate) + 0.001
    if kind == "dropped frames" or (every and random.random() < 0.5):
        lost = random.uniform(0.2, 0.6)
        frames = frames[np.array([random.random() > lost for _ in frames])]
        if len(frames) < 5:
            return None
    walkers = []
    for number in range(random.choice([1, 1, 2, 3])):
        gaps = {"occlusion": 0.7, "other ids": 1.0, "all at once": 0.6}.get(kind, 0.0) if number == 0 else 0.0
        for _ in range(25):
            walker = _walker(random, kind, places, seconds, rate)
            shown = _shown(random, walker, frames, gaps)
            stories = None if shown is None else _stories(walker, shown, places)
            if stories:
                walkers.append((walker, shown, stories))
                break
        else:
            return None
    renamed = kind == "other ids" or (every and random.random() < 0.5)
    if renamed and not _returns_alone(walkers):
        return None
    entered, left, crossed = Counter(), Counter(), Counter()
    for _, _, (enters, leaves, crosses) in walkers:
        entered += enters
        left += leaves
        crossed += crosses
    results = _results(random, kind, walkers, frames, renamed=renamed)
    return Scenario(kind, places, results, entered, left, crossed)


def _places(random, *, border):
    def point(low=0.1, high=0.9):
        return random.uniform(low, high), random.uniform(low, high)

    zones = []
    for number in range(random.choice([1, 2])):
        while True:
            if border:
                x, width, depth = random.uniform(0, 0.6), random.uniform(0.25, 0.4), random.uniform(0.25, 0.5)
                corners = random.choice(
                    [
                        ((x, 1.0), (x, 1 - depth), (x + width, 1 - depth), (x + width, 1.0)),
                        ((0.0, x), (depth, x), (depth, x + width), (0.0, x + width)),
                    ]
                )
            else:
                corners = tuple(point(0.05, 0.95) for _ in range(random.choice([3, 4, 5])))
            polygon = shapely.Polygon(corners)
            if polygon.is_valid and polygon.area > 0.04 and shapely.maximum_inscribed_circle(polygon).length > 0.09:
                break
        anchor = random.choice(["bottom", "bottom", "centre"])
        zones.append(Zone(f"zone {number}", corners, anchor=anchor))
    while True:
        if random.random() < 0.3:
            ends = random.choice([((0.5, 0.0), (0.5, 1.0)), ((0.0, 0.6), (1.0, 0.6))])
        else:
            ends = tuple(point() for _ in range(random.choice([2, 2, 3])))
        line = shapely.LineString(ends)
        if line.length > 0.35 and line.is_simple and _bends_gently(ends):
            break
    directions = ("in", "out")
    return Places(
        tuple(zones), (Line("line", ends, anchor=random.choice(["bottom", "centre"]), directions=directions),)
    )


def _bends_gently(points):
    steps = np.diff(np.array(points) * (WIDTH, HEIGHT), axis=0)
    steps /= np.hypot(*steps.T)[:, None]
    return all(first @ second > -0.3 for first, second in pairwise(steps))


def _walker(random, kind, places, seconds, rate):
    height = random.uniform(25, 80)
    width = height * random.uniform(0.3, 1.2)
    speed = random.uniform(0.4, 1.5) * height
    if rate <= 2:
        speed = random.uniform(0.3, 0.8) * height
    standing = kind == "standing on it" or (kind == "all at once" and random.random() < 0.5)
    where = places.lines[0] if random.random() < 0.7 else random.choice(places.zones)

    def somewhere():
        return np.array([random.uniform(width, WIDTH - width), random.uniform(height, HEIGHT - height / 2)])

    def on_border():
        closed = isinstance(where, Zone)
        outline = (shapely.LinearRing if closed else shapely.LineString)(np.array(where.points) * (WIDTH, HEIGHT))
        place = outline.interpolate(random.uniform(0.2, 0.8), normalized=True)
        aside = random.uniform(0.02, 0.07) * MARGIN * np.array([width, height])  # exactly on it is on neither side
        return np.array([place.x, place.y + (0 if where.anchor == "bottom" else height / 2)]) + aside

    def outside():
        if random.random() < 0.5:
            return np.array([random.uniform(0, WIDTH), HEIGHT + height * 1.2])
        return np.array([-width, random.uniform(height, HEIGHT)])

    at, time = somewhere(), 0.0
    times, feet = [0.0], [at]
    stop = random.uniform(0.6, 1.0) * seconds
    while time < stop:
        if kind == "leaving the picture" and time > 0.3 * seconds:
            goal = outside()
        elif standing and random.random() < 0.6:
            goal = on_border()
        else:
            goal = somewhere()
        time += max(float(np.hypot(*(goal - at))) / speed, 0.1)
        times.append(time)
        feet.append(goal)
        at = goal
        if random.random() < (0.9 if standing else 0.25):
            time += random.uniform(0.5, 4)
            times.append(time)
            feet.append(goal)
        if kind == "leaving the picture" and (goal[0] < 0 or goal[1] > HEIGHT + height):
            break
    feet = np.array(feet)
    boxes = np.stack([feet[:, 0] - width / 2, feet[:, 1] - height, feet[:, 0] + width / 2, feet[:, 1]], axis=1)
    fine = np.arange(0, min(times[-1], seconds), STEP)
    boxes = np.stack([np.interp(fine, times, column) for column in boxes.T], axis=1)
    return Walker(fine, boxes, (width, height))


def _shown(random, walker, frames, gaps):
    """The times at which it is seen: where enough of it is in the picture, and not in gaps."""
    frames = frames[frames <= walker.times[-1]]
    left, top, right, bottom = walker.visible(frames).T
    share = (right - left).clip(0) * (bottom - top).clip(0) / (walker.size[0] * walker.size[1])
    frames = frames[share > 0.25]
    cuts = []
    if random.random() < gaps:
        for _ in range(random.choice([1, 1, 2])):
            start = random.uniform(0.1, 0.8) * walker.times[-1]
            cuts.append((start, start + random.choice([0.0, random.uniform(0, 2.0)])))
    walker.fragments = []
    kept, begin = [], 0.0
    for start, end in [*sorted(cuts), (1e9, 1e9)]:
        part = frames[(frames >= begin) & (frames < start)]
        if len(part) < 5 or part[-1] - part[0] < 1.2:
            return None
        walker.fragments.append((part[0], part[-1]))
        kept.append(part)
        begin = end
    times = np.concatenate(kept)
    return times if np.diff(times).max() < LOST_AFTER - 0.1 else None


def _median(times, points):
    """What is borne out: the median of half a second or of three sightings around each, less at the ends."""
    out = points.copy()
    out[0] = np.median(points[times <= times[0] + 0.25], axis=0)
    out[-1] = np.median(points[times >= times[-1] - 0.25], axis=0)
    for index in range(1, len(points) - 1):
        reach = max(1, min((np.abs(times - times[index]) <= 0.3).sum() // 2, index, len(points) - 1 - index))
        out[index] = np.median(points[index - reach : index + reach + 1], axis=0)
    return out


def _stories(walker, shown, places):
    """What it does: zones entered, left and lines crossed; None where nobody can know."""
    entered, left, crossed = Counter(), Counter(), Counter()
    fine = walker.times[(walker.times >= shown[0]) & (walker.times <= shown[-1])]
    for place in (*places.zones, *places.lines):
        true = _story(place, walker.anchors(place.anchor, fine), walker.size, DEEP)
        seen = _median(shown, walker.anchors(place.anchor, shown))
        if true is None or _story(place, _dense(seen), walker.size, DEEP - 0.3) != true:
            return None
        if isinstance(place, Line):
            crossed += Counter((place.name, direction) for direction in true)
        else:
            entered[place.name] += true.count("in")
            left[place.name] += true.count("in")  # whoever came in leaves at the end
    return entered, left, crossed


def _dense(points):
    at = np.arange(len(points))
    between = np.linspace(0, len(points) - 1, 12 * (len(points) - 1) + 1)
    return np.stack([np.interp(between, at, column) for column in points.T], axis=1)


def _story(place, points, size, deep):
    """Directions of a line that is crossed, or ``in`` and ``out`` of a zone; None if it is too close to tell."""
    scale = 1 / np.maximum(MARGIN * np.array(size), LEAST_PIXELS)
    corners = np.array(place.points) * (WIDTH, HEIGHT)
    scaled = points * scale
    if isinstance(place, Line):
        geometry = shapely.LineString(corners * scale)
        for end in (corners[0], corners[-1]):
            if (end > 0).all() and (end < [WIDTH, HEIGHT]).all() and (np.hypot(*(scaled - end * scale).T).min() < END):
                return None
        distance = shapely.distance(shapely.points(scaled), geometry)
        steps = shapely.linestrings(np.stack([scaled[:-1], scaled[1:]], axis=1))
        cuts = np.flatnonzero(shapely.intersects(steps, geometry))
        turns = [_turn(corners * scale, scaled[cut], scaled[cut + 1]) for cut in cuts]
    else:
        polygon = shapely.Polygon(corners * scale)
        frame = shapely.box(0, 0, *(np.array([WIDTH, HEIGHT]) * scale)).exterior.buffer(1e-6)
        distance = shapely.distance(shapely.points(scaled), polygon.exterior.difference(frame))
        inside = shapely.contains_xy(polygon, scaled)
        cuts = np.flatnonzero(inside[:-1] != inside[1:])
        turns = [1 if inside[cut + 1] else -1 for cut in cuts]
    if distance[0] < deep:
        return None
    bounds = [0, *(cuts + 1), len(points)]
    net, story = 0, []
    committed = False
    for number, (start, end) in enumerate(pairwise(bounds)):
        if number:
            net += turns[number - 1]
        far = distance[start:end].max() if end > start else 0.0
        if far <= SHALLOW:
            if np.ptp(scaled[start:end], axis=0).max(initial=0.0) > 1:
                return None
            continue
        if far < deep:
            return None
        if isinstance(place, Line):
            if not committed and net:
                return None
            if net:
                story.append(place.directions[0 if net > 0 else 1])
        elif not committed or net:
            now = "in" if inside[start] else "out"
            if now == "in" or committed:
                story.append(now)
        committed, net = True, 0
    return story if committed else None


def _turn(corners, before, after):
    segments = shapely.linestrings(np.stack([corners[:-1], corners[1:]], axis=1))
    edge = int(np.argmin(shapely.distance(segments, shapely.linestrings(np.stack([before, after])))))
    along, step = corners[edge + 1] - corners[edge], after - before
    return 1 if along[0] * step[1] - along[1] * step[0] > 0 else -1


def _returns_alone(walkers):
    """Whether each object that returns under another id is near where it would be, and nobody else was lost there."""
    for walker, _, _ in walkers:
        for (begin, last), (first, _) in zip(walker.fragments[:-1], walker.fragments[1:], strict=True):
            gap, length = first - last, max(walker.size)

            def middle(time, walker=walker):
                left, top, right, bottom = walker.visible(np.array([time]))[0]
                return np.array([(left + right) / 2, (top + bottom) / 2])

            back = max(begin, last - 1.0)
            speed = (middle(last) - middle(back)) / (last - back)
            ahead = np.stack([middle(last), middle(last) + 1.2 * gap * speed + 1e-6])
            if shapely.LineString(ahead).distance(shapely.Point(middle(first))) > 0.7 * length * (0.5 + 0.5 * gap):
                return False
            for other, shown, _ in walkers:
                if other is not walker and shown[-1] < first < shown[-1] + LOST_AFTER + 1:
                    return False
    return True


def _results(random, kind, walkers, frames, *, renamed):
    every = kind == "all at once"
    noisy = kind != "plain"
    bursts = [
        _bursts(random, walker, shown) if kind in {"flicker", "group flips"} or every else {}
        for walker, shown, _ in walkers
    ]
    flips = kind == "group flips" or (every and random.random() < 0.5)
    names = list(GROUPS)
    ids, seen_times = {}, Counter()
    results = []
    for index, time in enumerate(frames):
        tracks = []
        for number, (walker, shown, _) in enumerate(walkers):
            at = int(np.searchsorted(shown, time))
            if at >= len(shown) or shown[at] != time:
                continue
            fragment = sum(time >= first for first, _ in walker.fragments) if renamed else 1
            track_id = ids.setdefault((number, fragment), len(ids) + 1)
            seen_times[track_id] += 1
            box = walker.visible(np.array([time]))[0]
            amount = 0.05 if noisy else 0.0
            left, top, right, bottom = bursts[number].get(at) or [random.uniform(-amount, amount) for _ in range(4)]
            width, height = walker.size
            mask = _mask(box + np.array([left * width, top * height, right * width, bottom * height]))
            name = random.choice(names) if flips and random.random() < 0.2 else names[number % 2]
            state = TrackState.CONFIRMED if seen_times[track_id] >= 3 else TrackState.TENTATIVE
            if mask.area:
                tracks.append(Track(track_id, name, state, 0.9, mask))
        frame = Frame("street", index, float(time), START + timedelta(seconds=float(time)), None)
        results.append(Result(frame, tuple(sorted(tracks, key=lambda track: track.id))))
    end = float(frames[-1])
    for index, late in enumerate((0.5, LOST_AFTER + 0.6, LOST_AFTER + 1), len(frames)):  # until all have ended
        results.append(Result(Frame("street", index, end + late, START + timedelta(seconds=end + late), None)))
    return results


def _bursts(random, walker, shown):
    """By number of a sighting: how far each border is off, in shares of the size."""
    found, free = {}, 0.0
    for first, last in walker.fragments:
        inner = [at for at, time in enumerate(shown) if first <= time <= last][3:-3]
        count = 0
        for at in inner:
            time = shown[at]
            if time < max(free, first + 0.6) or time > last - 0.8 or count < 6:
                count += 1
                continue
            if random.random() < 0.4:
                jump = [random.uniform(-0.6, 0.6) for _ in range(4)]
                if jump[2] - jump[0] < -0.7 or jump[3] - jump[1] < -0.7:  # nearly nothing is left of it
                    continue
                flickers = [other for other in inner if time <= shown[other] < time + 0.16]
                while any(_share(shown, flickers, end) > 1 / 3 for end in range(at, min(at + 20, len(shown)))):
                    flickers.pop()
                found |= dict.fromkeys(flickers, jump)
                free, count = time + 1.2, 0
    return found


def _share(shown, flickers, end):
    """Of the sightings of half a second up to one, or of three: the share that are flickers."""
    window = max(int((shown[: end + 1] >= shown[end] - 0.5).sum()), 3)
    return sum(end - window < at <= end for at in flickers) / window


def _mask(box):
    left, top, right, bottom = (int(number) for number in np.round(box.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])))
    if right <= left or bottom <= top:
        return Mask((HEIGHT, WIDTH), 0, 0, np.zeros((0, 0), np.bool_))
    return Mask((HEIGHT, WIDTH), left, top, np.ones((bottom - top, right - left), np.bool_))
