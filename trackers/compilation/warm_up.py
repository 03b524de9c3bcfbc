"""Before the first frame: every pass is seen once, compiled, and made ready in all its sizes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from maskcast.errors import unforeseen
from trackers.compilation.artefacts import keep_artefacts
from trackers.compilation.cuda_graph import CudaGraph
from trackers.compilation.fixed_sizes import Call, FixedSizes
from trackers.compilation.rehearsal import rehearse_detector, rehearse_tracker
from trackers.detection.detector import Detector
from trackers.detection.text import TextEmbedding
from trackers.memory.tracker import MemoryTracker
from trackers.memory.widths import fixed_widths
from trackers.precision import products
from trackers.row_pass import passes_of

logger = logging.getLogger(__name__)

BACKEND = "inductor"
# After so many seconds what is left goes uncompiled. A full-size model takes some minutes, and seconds from the second
# start on, as artefacts are kept.
MOST_SECONDS = 900.0
# Programs of one method: kinds of arguments, each for one row and for several, of all engines of a process.
MOST_PROGRAMS = 256


@dataclass(frozen=True)
class _Pass:
    """A pass, what stands in its place, and what captures its calls; None where nothing does."""

    name: str
    place: FixedSizes
    capture: Callable[[Call], Call] | None


@torch.inference_mode()
def compile_model(
    detector: Detector,
    tracker: MemoryTracker | None,
    prompt: TextEmbedding,
    *,
    say: Callable[[str], None] = logger.info,
    backend: str | Callable[..., Any] = BACKEND,
) -> None:
    """Put what was compiled in the place of all passes, or where that fails the next best, and say so.

    No other thread may use the device meanwhile.

    Args:
        detector: whose passes one stage runs.
        tracker: whose passes another stage runs at the same time; None for one without any.
        prompt: any, of the length that all prompts are padded to.
        say: told how far it has got.
        backend: of `torch.compile`.
    """
    stages: list[Sequence[object]] = [(detector.encoder, detector.decoder, detector.mask_head)]
    if tracker is not None:
        table = tracker.new_table()
        tracker.propagation.widths = fixed_widths(table.spatial, table.pointers)
        stages.append((tracker.propagation, tracker.encoder))
    device = detector.device
    passes = _replaced(stages, device)
    features = rehearse_detector(detector, prompt)
    if tracker is not None:
        rehearse_tracker(tracker, features)
    keep_artefacts()
    began = time.monotonic()
    say(f"compiling the model for {device}: minutes at first, then seconds; --no-compile leaves it out")
    with products(device, detector.encoder.precision):
        for number, one in enumerate(passes, start=1):
            _prepare(one, backend if time.monotonic() - began < MOST_SECONDS else None)
            say(f"compiled {number} of {len(passes)} passes in {time.monotonic() - began:.0f} s")


def _replaced(stages: Sequence[Sequence[object]], device: torch.device) -> list[_Pass]:
    """All passes, with something in their place that can be made ready."""
    passes = []
    for stage in stages:
        capture = graphs(device)
        for owner in stage:
            for name, sizes in passes_of(owner):
                place = FixedSizes(getattr(owner, name), sizes)
                setattr(owner, name, place)
                passes.append(_Pass(f"{type(owner).__name__}.{name}", place, capture))
    return passes


def graphs(device: torch.device) -> Callable[[Call], Call] | None:
    """What captures calls of which one is replayed at a time, so that they share their memory; None without CUDA."""
    if device.type != "cuda":
        return None
    return partial(CudaGraph, device=device, pool=torch.cuda.graph_pool_handle())


def _prepare(one: _Pass, backend: str | Callable[..., Any] | None) -> None:
    """Make one pass ready: compiled, else captured as it is written, else not in fixed sizes at all."""
    from torch._dynamo import config

    name, place = one.name, one.place
    if backend is None:
        logger.warning("%s stays uncompiled: %.0f s are over; the next start goes on from here", name, MOST_SECONDS)
    functions = [torch.compile(place.method, fullgraph=True, backend=backend)] if backend is not None else []
    if one.capture is not None:
        functions.append(place.method)
    for function in functions:
        try:
            with config.patch(recompile_limit=MOST_PROGRAMS, accumulated_recompile_limit=MOST_PROGRAMS):
                place.prepare(function, one.capture or _called)
        except Exception as error:  # noqa: BLE001 - whatever a compiler or a driver raises, the method still works
            logger.warning(
                "%s cannot be %s: %s", name, "captured" if function == place.method else "compiled", unforeseen(error)
            )
        else:
            return


def _called(call: Call) -> Call:
    """Without graphs a call stays a call; the first one compiles."""
    call()
    return call
