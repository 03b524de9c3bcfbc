"""Why a run is no faster, in words: what each part took of a frame, and which of them the others waited for.

Source, model and sinks work beside each other, so the slowest of them sets the pace of them all; in the model, the
slower of its two halves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from streaming.pipeline.report import Report

if TYPE_CHECKING:  # the command starts without torch
    from trackers.stage_times import Spent, Stage

# What a stage does, and what makes it shorter where it is not the device itself.
_WORDS: dict[Stage, tuple[str, str]] = {
    "preprocess": ("bringing pictures to the model's size", "smaller pictures take less"),
    "encode": ("the image encoder", "fewer frames take less"),
    "decode": ("looking for the prompts", "fewer prompts take less"),
    "propagate": ("following the objects", "fewer objects, or --tracker association, take less"),
    "associate": ("matching what is found with the tracks", "fewer objects take less"),
    "remember": ("remembering the objects", "fewer objects, or --tracker association, take less"),
    "publish": ("cutting the masks out", "fewer objects take less"),
}
# The half of the model that sees; the other one follows.
_SEEING: tuple[Stage, ...] = ("preprocess", "encode", "decode")
# These are what a GPU is made for; the rest is hardly faster there.
_ON_A_GPU: tuple[Stage, ...] = ("encode", "decode", "propagate", "remember")


def explained(reports: Sequence[Report], spent: Mapping[Stage, Spent], device: str) -> list[str]:
    """What each part took of a frame, and what set the pace; nothing where there was no frame.

    Args:
        reports: of all streams of the run.
        spent: what the model's stages took, of all frames that it has seen.
        device: type of the model's device, `cpu` or `cuda`.
    """
    frames = sum(report.frames for report in reports)
    seconds = sum(report.seconds for report in reports)
    if not frames or not seconds:
        return []
    source = sum(report.source_seconds for report in reports)
    model = sum(report.model_seconds for report in reports)
    sinks = Counter[str]()
    for report in reports:
        sinks.update(report.sink_seconds)
    parts = [("source", source), ("model", model), *sinks.items()]
    lines = [f"time a frame: {', '.join(f'{name} {taken / frames * 1e3:.1f} ms' for name, taken in parts)}"]
    if stages := stage_times(spent):
        lines.append(f"of the model: {', '.join(stages)}")

    name, slowest = max(sinks.items(), key=lambda item: item[1], default=("", 0.0))
    if all(report.live and not report.dropped for report in reports if report.frames):
        lines.append(f"what limits: nothing here, the source delivers {frames / seconds:.1f} frames/s")
    elif source > max(model, slowest):
        lines.append(f"what limits: {_share('reading the source', source, seconds)}")
    elif slowest > model:
        lines.append(f"what limits: {_share(f'writing {name}', slowest, seconds)}")
    else:
        lines.append(f"what limits: {_model(spent, model, seconds, device)}")
    return lines


def _model(spent: Mapping[Stage, Spent], model: float, seconds: float, device: str) -> str:
    halves = [{stage: taken.seconds for stage, taken in spent.items() if (stage in _SEEING) == sees} for sees in (1, 0)]
    half = max(halves, key=lambda half: sum(half.values()))
    stage, whole = max(half, key=lambda stage: half[stage]), sum(half.values())
    if not whole:
        return _share("the model", model, seconds)
    words, advice = stage_words(stage, device)
    # Streams that share a pass wait for it together: of their half's time the stage has its share.
    return f"{_share(words, model * half[stage] / whole, seconds)}; {advice}"


def stage_words(stage: Stage, device: str) -> tuple[str, str]:
    """What a stage of the model does on this type of device, and what would make it shorter."""
    words, advice = _WORDS[stage]
    return words, "use a GPU" if device == "cpu" and stage in _ON_A_GPU else advice


def a_unit(stage: Stage) -> str:
    """Such as "a prompt", for what one of the stage's units takes."""
    from trackers.stage_times import UNITS

    return f"{'an' if UNITS[stage] == 'object' else 'a'} {UNITS[stage]}"


def stage_times(spent: Mapping[Stage, Spent]) -> list[str]:
    """What each stage took of a frame, and where that is something else, of one of its units."""
    from trackers.stage_times import UNITS

    frames = spent["encode"].units
    parts = []
    for stage, taken in spent.items():
        if taken.units and frames:
            each = ""
            if UNITS[stage] != "frame" and taken.units != frames:
                each = f" ({taken.seconds / taken.units * 1e3:.1f} {a_unit(stage)})"
            parts.append(f"{stage} {taken.seconds / frames * 1e3:.1f} ms{each}")
    return parts


def _share(what: str, seconds: float, whole: float) -> str:
    return f"{what}, {min(seconds / whole, 1.0):.0%} of the time"
