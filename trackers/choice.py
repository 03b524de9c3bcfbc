"""Whether a checkpoint will do for what is asked, and which tracker then follows, by what rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

from maskcast.errors import UsageError
from trackers.defaults import MOST_DETECT_EVERY_FRAMES, MOST_HOT_START_FRAMES, PropagateName, TrackerName
from trackers.detection.checkpoint import Checkpoint, load_checkpoint
from trackers.options import EngineOptions
from trackers.rules import Rules

# The least checkpoint with weights of a memory tracker for which nobody has to ask.
OPEN_TRACKER = "facebook/sam2.1-hiera-tiny"


@dataclass(frozen=True)
class Choice:
    """What an engine is made of.

    Attributes:
        checkpoint: the model.
        rules: its own, with what was asked for.
        tracker: how objects are followed.
    """

    checkpoint: Checkpoint
    rules: Rules
    tracker: TrackerName


def choose(options: EngineOptions, *, weights: bool = True) -> Choice:
    """Load a checkpoint and decide how it is used, or say why not. The engine and `check` both ask here.

    Args:
        options: what was asked for.
        weights: False to find out whether it would work, see `load_checkpoint`.

    Raises:
        UsageError: a number is out of its bounds, there is no such tracker, the checkpoint has no weights for it, or
            it knows no hot start of that length or no such resolution.
        ModelError: the checkpoint cannot be used.
    """
    _check_bounds(options)
    checkpoint = load_checkpoint(
        options.model, options.tracker_from, options.context_tokens, resolution=options.resolution, weights=weights
    )
    rules = Rules.from_config(checkpoint.video.config) if checkpoint.video else Rules()
    rules = replace(
        rules, hot_start=options.hot_start, lost_after=options.lost_after, adaptive=options.propagate == "adaptive"
    )
    if (threshold := options.threshold) is not None:
        # Both: a match between the two would be found and never start a track.
        rules = replace(rules, score_threshold_detection=threshold, new_det_thresh=threshold)
    return Choice(checkpoint, rules, _tracker(options, checkpoint, rules))


def _check_bounds(options: EngineOptions) -> None:
    """Refuse numbers that no model can serve, before one is loaded."""
    if options.threshold is not None and not 0 <= options.threshold < 1:
        raise UsageError(f"threshold must be at least 0 and below 1, not {options.threshold}")
    if not 0 <= options.hot_start <= MOST_HOT_START_FRAMES:
        raise UsageError(f"hot start must be 0 to {MOST_HOT_START_FRAMES} frames, not {options.hot_start}")
    every = options.detect_every
    if not isinstance(every, int) or not 1 <= every <= MOST_DETECT_EVERY_FRAMES:
        what = f"detect_every must be 1 to {MOST_DETECT_EVERY_FRAMES} frames, not {options.detect_every}"
        raise UsageError(what)
    if options.propagate not in get_args(PropagateName):
        raise UsageError(
            f"unknown propagate {options.propagate!r}", advice=f"use {' or '.join(get_args(PropagateName))}"
        )
    if options.compile not in (None, True, False):
        raise UsageError(f"compile must be True, False or None, not {options.compile!r}")
    if not options.lost_after >= 0:  # NaN is none either
        raise UsageError(f"lost_after must be 0 or more seconds, not {options.lost_after}")


def how_to_remember(checkpoint: Checkpoint) -> str:
    """Advice for who needs the memory tracker and has another."""
    if checkpoint.video is not None:
        return "use --tracker memory"
    return f"use --tracker-from {OPEN_TRACKER}, which is open to all"


def _tracker(options: EngineOptions, checkpoint: Checkpoint, rules: Rules) -> TrackerName:
    name = options.tracker
    if name not in (None, *get_args(TrackerName)):
        raise UsageError(f"unknown tracker {name!r}", advice=f"use {' or '.join(get_args(TrackerName))}")
    if name == "memory" and checkpoint.video is None:
        advice = f"use --tracker association, or --tracker-from {OPEN_TRACKER}"
        raise UsageError(f"model {checkpoint.name} has no memory tracker weights", advice=advice)
    if name == "association" or checkpoint.video is None:
        asked = {
            "a hot start": rules.hot_start > 0,
            "detect_every": options.detect_every > 1,
            "adaptive propagation": rules.adaptive,
        }
        for what, wanted in asked.items():
            if wanted:
                raise UsageError(f"{what} needs the memory tracker", advice=how_to_remember(checkpoint))
        return "association"
    # A track can be missed or doubled in at most one frame less than it is held back, of those that are looked at.
    shortest = max(rules.hotstart_unmatch_thresh, rules.hotstart_dup_thresh) * options.detect_every + 1
    if 0 < rules.hot_start < shortest:
        what = f"a hot start of {rules.hot_start} frames could take no track back"
        raise UsageError(what, advice=f"use 0, or {shortest} or more")
    return "memory"
