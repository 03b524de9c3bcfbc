"""What `maskcast bench` has measured: as a table, as a verdict in words, and as one JSON object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from streaming.commands.bench import Measured, counted
from streaming.commands.bench_media import HEIGHT, WIDTH
from streaming.commands.bottleneck import a_unit, stage_words
from trackers.pace import Pace
from trackers.stage_times import UNITS

# Frames a second at which people and vehicles are followed well.
RATE = 5.0


@dataclass(frozen=True)
class Verdict:
    """How many cameras are served.

    Attributes:
        cameras: so many, at `frames_per_second` each.
        frames_per_second: `RATE`; less where not even one camera is served at it, 0 where that was not measured.
        at_least: whether more were not tried.
        text: the same in words, and what limits.
    """

    cameras: int
    frames_per_second: float
    at_least: bool
    text: str


def verdict(measured: Measured) -> Verdict:
    """Judge from what was measured; between two numbers of streams, from the larger one's pace."""
    stage = max(measured.stages, key=lambda stage: measured.stages[stage].seconds)
    words, advice = stage_words(stage, measured.device)
    because = f"what limits is {words}; {advice}"
    if measured.slow:
        first = measured.first_seconds
        return Verdict(0, 0.0, False, f"this machine takes {first:.1f} s for a frame: too slow for a camera; {because}")
    paces = [pace for pace in measured.paces if pace.objects == measured.objects] or measured.paces
    objects = f"with {counted(paces[0].objects, 'object')}"
    served = max(_served(pace) for pace in paces)
    most = max(pace.streams for pace in paces)
    room = min(_processors(pace, measured) for pace in paces if pace.streams == most)
    if room < served:
        served, because = room, f"what limits are the processors, of which {measured.cores} were used"
    if served == 0:
        alone = min(paces, key=lambda pace: pace.streams)
        rate = alone.frames_per_second
        text = f"this machine serves no camera at {RATE:g} frames/s {objects}: one at {rate:.1f} frames/s; {because}"
        return Verdict(1, rate, False, text)
    more = served >= most
    number = f"{'at least ' if more else ''}{counted(served, 'camera')}"
    text = f"this machine serves {number} at {RATE:g} frames/s {objects} in each"
    return Verdict(served, RATE, more, text if more else f"{text}; {because}")


def _served(pace: Pace) -> int:
    return min(int(pace.frames_per_second / RATE), pace.streams)


def _processors(pace: Pace, measured: Measured) -> int:
    """Cameras that the processors have time for, with decoding and publishing beside the model."""
    around = measured.around
    others = around.decode + around.convert + around.message if around else 0.0
    return int(measured.cores / (RATE * (pace.cpu_seconds / pace.streams + others)))


def table(measured: Measured) -> Iterable[str]:
    """Lines for a person."""
    clock = "processor time" if measured.device == "cpu" else f"time of the {measured.device} device"
    whose = "the first frame" if measured.slow else f"a frame with {counted(measured.objects, 'object')}"
    yield f"{measured.engine}; {counted(measured.prompts, 'prompt')}, pictures of {WIDTH} x {HEIGHT}"
    yield ""
    yield f"the model, ms of {clock} for {whose}:"
    for stage, spent in measured.stages.items():
        unit = UNITS[stage]
        each = f"{spent.seconds / spent.units * 1e3:8.2f} {a_unit(stage)}" if unit != "frame" and spent.units else ""
        if spent.units:
            yield f"  {stage:<12}{spent.seconds * 1e3:10.2f}{each}"
    if measured.around:
        yield f"around it, ms of processor time for a frame with {counted(measured.objects, 'object')}:"
        for name, seconds in asdict(measured.around).items():
            yield f"  {name:<12}{seconds * 1e3:10.2f}"
    if measured.paces:
        yield "frames/s of all streams together, in two stages, by streams (down) and objects of each (across):"
        loads = sorted({pace.objects for pace in measured.paces})
        yield "  " + " " * 8 + "".join(f"{load:>9}" for load in loads)
        for size in sorted({pace.streams for pace in measured.paces}):
            rates = {pace.objects: pace.frames_per_second for pace in measured.paces if pace.streams == size}
            yield f"  {size:>8}" + "".join(f"{rates[load]:>9.1f}" if load in rates else f"{'-':>9}" for load in loads)
    yield _peer(measured)
    yield verdict(measured).text


def _peer(measured: Measured) -> str:
    peer = measured.peer
    if isinstance(peer, str):
        return f"beside transformers.Sam3VideoModel: not measured, {peer}"
    ours, theirs = peer.our_seconds * 1e3, peer.peer_seconds * 1e3
    return (
        f"beside transformers.Sam3VideoModel, one stream with {counted(peer.objects, 'object')}: "
        f"{theirs:.1f} ms there, {ours:.1f} ms here, {theirs / ours:.2f} times as fast"
    )


def as_json(measured: Measured) -> dict[str, Any]:
    """The object that `--json` prints, see docs/bench.md."""
    peer = measured.peer
    return {
        "schema": "maskcast.bench/2",
        "engine": measured.engine,
        "device": measured.device,
        "cores": measured.cores,
        "prompts": measured.prompts,
        "width": WIDTH,
        "height": HEIGHT,
        "load_seconds": measured.load_seconds,
        "first_seconds": measured.first_seconds,
        "stages": [
            {"stage": stage, "seconds": spent.seconds, "unit": UNITS[stage], "units": spent.units}
            for stage, spent in measured.stages.items()
        ],
        "around": asdict(measured.around) if measured.around else None,
        "paces": [asdict(pace) for pace in measured.paces],
        "peer": None if isinstance(peer, str) else asdict(peer) | {"ratio": peer.peer_seconds / peer.our_seconds},
        "verdict": asdict(verdict(measured)),
    }
