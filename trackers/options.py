"""What a person may choose of an engine. Imports no torch: the command line and the settings read it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from trackers.defaults import (
    CONTEXT_TOKENS,
    DETECT_EVERY_FRAMES,
    DEVICE,
    HOT_START_FRAMES,
    LOST_AFTER_SECONDS,
    MODEL,
    PRECISION,
    PROPAGATE,
    ContextTokens,
    PrecisionName,
    PropagateName,
    TrackerName,
)


@dataclass(frozen=True)
class EngineOptions:
    """Which model runs where, and how it follows.

    Attributes:
        model: `nano`, a folder, or `owner/name` or `owner/name@revision` of the Hugging Face hub.
        device: `auto`, `cpu`, `cuda:N` or `mps`, see `resolve_device`.
        tracker: `memory` or `association`; None for the best that the checkpoint allows.
        tracker_from: name of a checkpoint whose tracker to take, see `load_checkpoint`; None for the model's own.
        hot_start: frames by which the memory tracker holds results back, see `Rules.hot_start`.
        lost_after: seconds of media time after which a lost track ends, see `Rules.lost_after`.
        threshold: score in [0, 1) above which detections count and start tracks; None for the checkpoint's own two.
        precision: `auto`, `float32`, `bfloat16` or `float16`, see `resolve_precision`.
        context_tokens: tokens to which LiteText pads every prompt, start and end included: 32 as Transformers does, 16
            as the authors' code does, 77 for the longest prompts; see `trackers.detection.context`.
        detect_every: every how many frames of a stream the detector looks; tracks are propagated between, by the memory
            tracker alone. See `trackers.detection.turns`.
        propagate: `always`, as SAM 3 does, or `adaptive`: not the tracks whose place a detection says plainly, by the
            memory tracker alone. See `trackers.memory.adaptive`.
        resolution: side in pixels of what the model looks at, whole windows of patches; None for its own, see
            `trackers.detection.resolution`.
        compile: whether passes are compiled before the first frame, see `trackers.compilation`; None for on CUDA only.
    """

    model: str = MODEL
    device: str = DEVICE
    tracker: TrackerName | None = None
    tracker_from: str | None = None
    hot_start: int = HOT_START_FRAMES
    lost_after: float = LOST_AFTER_SECONDS
    precision: PrecisionName = PRECISION
    threshold: float | None = None
    context_tokens: ContextTokens = CONTEXT_TOKENS
    resolution: int | None = None
    detect_every: int = DETECT_EVERY_FRAMES
    propagate: PropagateName = PROPAGATE
    compile: bool | None = None


class EngineKeywords(TypedDict, total=False):
    """The same as keyword arguments of the Python API; None stands for the default."""

    model: str | None
    device: str | None
    tracker: TrackerName | None
    tracker_from: str | None
    hot_start: int | None
    lost_after: float | None
    precision: PrecisionName | None
    threshold: float | None
    context_tokens: ContextTokens | None
    resolution: int | None
    detect_every: int | None
    propagate: PropagateName | None
    compile: bool | None


def options_of(keywords: EngineKeywords) -> EngineOptions:
    """The options that keyword arguments name; a keyword that is no option is a ``TypeError``."""
    given: dict[str, Any] = {name: value for name, value in keywords.items() if value is not None}
    return EngineOptions(**given)
