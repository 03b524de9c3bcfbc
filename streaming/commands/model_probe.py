"""Find out whether the device and the checkpoint are there, without running a frame or fetching anything."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maskcast.errors import MaskcastError, ModelError, UsageError
from streaming.commands.probes import Finding, Verdict, failed
from streaming.settings.model import ModelSettings

if TYPE_CHECKING:
    from trackers.detection.checkpoint import Checkpoint


def probe_device(model: ModelSettings) -> list[Finding]:
    """Whether the device exists, and what it is."""
    from trackers.device import describe, resolve_device
    from trackers.precision import resolve_precision

    try:
        device = resolve_device(model.device)
        precision = str(resolve_precision(model.precision, device)).removeprefix("torch.")
        detail = f"{describe(device)}, {precision}"
    except MaskcastError as error:
        return [failed("device", error)]
    if device.type != "cpu" or model.name == "nano":
        return [Finding(Verdict.OK, "device", detail)]
    return [Finding(Verdict.WARN, "device", f"{detail}: a full-size model takes seconds a frame; use a GPU, or nano")]


def probe_model(model: ModelSettings, prompts: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Whether the checkpoint is present and whole, fits what is asked for, and can read the prompts of each stream."""
    from trackers.choice import choose
    from trackers.detection.location import NotFetchedError

    try:
        choice = choose(model.options, weights=False)
    except NotFetchedError as error:
        return [_absent(str(error))]
    except MaskcastError as error:
        return [failed("model", error)]
    found = choice.checkpoint
    borrowed = "" if model.tracker_from is None else f", tracker from {model.tracker_from}"
    detail = f"{model.name}: {found.size / 1e6:.0f} MB, {found.kind}{borrowed}, complete; tracker {choice.tracker}"
    return [Finding(Verdict.OK, "model", detail), *_probe_prompts(found, prompts)]


def probe_nano() -> list[Finding]:
    """Load the embedded checkpoint."""
    from trackers.detection.checkpoint import load_checkpoint

    try:
        load_checkpoint("nano")
    except MaskcastError as error:
        return [failed("nano", error)]
    return [Finding(Verdict.OK, "nano", "the embedded checkpoint loads: try maskcast demo")]


def _absent(which: str) -> Finding:
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in {"1", "true", "yes", "on"}:
        detail = f"{which}, and HF_HUB_OFFLINE forbids to fetch it: `hf download` it elsewhere"
        return Finding(Verdict.FAIL, "model", detail, ModelError.exit_code)
    return Finding(Verdict.WARN, "model", f"{which}: fetched at the first start, or by `hf download`")


def _probe_prompts(checkpoint: Checkpoint, prompts: Mapping[str, Sequence[str]]) -> list[Finding]:
    findings = []
    for stream, phrases in prompts.items():
        for number, phrase in enumerate(phrases):
            try:
                checkpoint.check_prompt(phrase)
            except UsageError as error:
                findings.append(failed("prompts", error.at(f"streams.{stream}.prompts[{number}]")))
    count = len({phrase for phrases in prompts.values() for phrase in phrases})
    return findings or ([Finding(Verdict.OK, "prompts", f"{count} different, all readable")] if count else [])
