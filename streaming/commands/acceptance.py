"""`maskcast check --model`: whether a checkpoint, on this machine, finds what the published one is known to find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from maskcast.errors import ModelError
from maskcast.threads import in_daemon_thread
from streaming.commands.fetch import fetch_first
from streaming.commands.reference_pictures import reference_picture
from streaming.event_loop import run_until_stopped
from streaming.pipeline.stopping import unless
from streaming.process import INTERRUPTED
from trackers.hub.name import without_revision
from trackers.options import EngineOptions

if TYPE_CHECKING:
    from trackers.detection.acceptance import Match


def run_acceptance(options: EngineOptions, say: Callable[[str], None]) -> tuple[list[str], int]:
    """Ask a model for what is known of two pictures, with each length of context that it can read.

    The model is fetched first if it is not in the cache; so are the pictures, into the cache folder of Maskcast.

    Returns:
        A line for each answer, the verdict, and the exit code: 0 also for a model of which nothing is known.

    Raises:
        SourceError: a picture cannot be had.
        ModelError: the model cannot be had, or answers otherwise than the published one.
        UsageError: an option cannot be served.
    """
    lines: list[str] = []

    async def main(stop: asyncio.Event) -> None:
        from trackers.device import resolve_device

        resolve_device(options.device)  # one that is not there is told before two gigabytes are fetched
        await fetch_first(options, stop, say)
        if not stop.is_set():
            found = await unless(stop, in_daemon_thread(lambda: _asked(options), "accept"))
            lines.extend(found or [])

    run_until_stopped(main)
    return lines, 0 if lines else INTERRUPTED


def _asked(options: EngineOptions) -> list[str]:
    from trackers.detection import acceptance
    from trackers.detection.checkpoint import load_checkpoint
    from trackers.device import resolve_device

    pictures = [reference_picture(question.picture) for question in acceptance.QUESTIONS]
    device = resolve_device(options.device)
    known = acceptance.KNOWN.get(without_revision(options.model))
    wanted: Sequence[Match | None] = known or [None] * len(pictures)
    found = acceptance.answers(load_checkpoint(options.model), device, pictures, wanted)
    lines = []
    for question, number in zip(acceptance.QUESTIONS, range(len(pictures)), strict=True):
        for context, matches in found.items():
            lines.append(f"{question.phrase!r}, {context} tokens: {_shown(matches[number])}")
        if known:
            lines.append(f"{question.phrase!r}, expected: {_shown(known[number])}")
    if not known:
        return [*lines, f"nothing is known of {options.model} to compare with"]

    def rank(context: int) -> tuple[bool, float]:
        pairs = list(zip(found[context], known, strict=True))
        return not all(acceptance.fits(*pair) for pair in pairs), sum(acceptance.distance(*pair) for pair in pairs)

    best = min(found, key=rank)
    if rank(best)[0]:
        what = f"it does not find what the published one finds: {'; '.join(lines)}"
        advice = f"try `maskcast fetch --verify {options.model}`, and --device cpu"
        raise ModelError(what, where=f"model {options.model}", advice=advice)
    score, iou = acceptance.SCORE_TOLERANCE, acceptance.LEAST_BOX_IOU
    fit = f"it finds what the published one finds (scores within {score}, boxes at IoU {iou} or more)"
    return [*lines, f"{fit}; {best} tokens fit best"]


def _shown(match: Match | None) -> str:
    if match is None:
        return "nothing"
    return f"score {match.score:.4f}, box {', '.join(f'{side:.2f}' for side in match.box)}"
