"""Find out whether the device and the checkpoint are there, without running a frame or fetching weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maskcast.errors import MaskcastError, UsageError
from maskcast.prompts import Prompt
from streaming.commands.probes import Finding, Verdict, failed
from streaming.lean_imports import import_lean
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
    return [Finding(Verdict.WARN, "device", f"{detail}: a full-size model takes seconds a frame; use a GPU")]


def probe_model(model: ModelSettings, prompts: Mapping[str, Sequence[Prompt]]) -> list[Finding]:
    """Whether the checkpoint is present and whole, fits what is asked for, and can read the prompts of each stream."""
    from trackers.choice import choose
    from trackers.detection.location import NotFetchedError

    import_lean()

    try:
        choice = choose(model.options, weights=False)
    except NotFetchedError:
        return [_absent(model)]
    except MaskcastError as error:
        return [failed("model", error)]
    found = choice.checkpoint
    borrowed = "".join(f", tracker from {origin}" for origin in found.origins[1:])
    size = f"{found.size / 1e6:.0f} MB"
    detail = f"{found.origins[0]}: {size}, {found.kind}{borrowed}, complete; tracker {choice.tracker}"
    return [Finding(Verdict.OK, "model", detail), *_probe_prompts(found, prompts)]


def probe_nano() -> list[Finding]:
    """Load the embedded checkpoint."""
    from trackers.detection.checkpoint import load_checkpoint

    import_lean()
    try:
        load_checkpoint("nano")
    except MaskcastError as error:
        return [failed("nano", error)]
    return [Finding(Verdict.OK, "nano", "the embedded checkpoint loads: try maskcast demo")]


def _absent(model: ModelSettings) -> Finding:
    """What is not here: whether the hub would give it, and how much that is."""
    from trackers.detection.location import Remote, examine, wanted

    try:
        found = examine(wanted(model.name, model.tracker_from), fetch=True)
    except MaskcastError as error:
        return failed("model", error)
    missing = [place for place in found if isinstance(place, Remote)]
    size = sum(place.bytes for place in missing) / 1e6
    names = [place.text for place in missing]
    detail = f"{' and '.join(names)}: not in the cache, {size:.0f} MB to fetch: `maskcast fetch {' '.join(names)}`"
    return Finding(Verdict.WARN, "model", detail)


def _probe_prompts(checkpoint: Checkpoint, prompts: Mapping[str, Sequence[Prompt]]) -> list[Finding]:
    findings = []
    for stream, wanted in prompts.items():
        for number, prompt in enumerate(wanted):
            for key, phrase in (
                ("", prompt.text),
                *((f".avoid[{place}]", one) for place, one in enumerate(prompt.avoid)),
            ):
                where = f"streams.{stream}.prompts[{number}]{key}"
                try:
                    checkpoint.check_prompt(phrase)
                except UsageError as error:
                    findings.append(failed("prompts", error.at(where)))
                else:
                    if doubt := checkpoint.doubt(phrase):
                        findings.append(Finding(Verdict.WARN, "prompts", f"{where}: {doubt}"))
    count = len({phrase for wanted in prompts.values() for one in wanted for phrase in (one.text, *one.avoid)})
    return findings or ([Finding(Verdict.OK, "prompts", f"{count} different, all readable")] if count else [])
