"""The table of ``docs/memory.md``: what the full-size models take, built where nothing is allocated."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from docs.generate.markdown import table

if TYPE_CHECKING:
    import torch

# As published: 32 tokens a prompt, masks of 288 x 288, 8 pairs of frame and prompt decoded together.
CONTEXT, MASK_SIDE = 32, 288
# Smaller ones that a full-size model has beside its own.
RESOLUTIONS, PATCH = (672, 336), 14
PRECISIONS = ("bfloat16", "float32")


@cache
def full_size() -> Any:
    """A `Sam3VideoModel` around a LiteText detector on the meta device."""
    import torch
    from transformers import Sam3LiteTextConfig, Sam3VideoConfig, Sam3VideoModel

    with torch.device("meta"):
        return Sam3VideoModel(Sam3VideoConfig(detector_config=Sam3LiteTextConfig().to_dict()))


def memory_table() -> str:
    """Megabytes by part and precision."""
    import torch

    from trackers.detection.detector import MAX_PAIRS
    from trackers.detection.resolution import MASK_PIXELS_A_PATCH, resize_tracker
    from trackers.memory.memory_bank import FIRST_CAPACITY
    from trackers.memory.propagation import MAX_TRACKS_A_PASS
    from trackers.memory_need import pass_bytes, prompt_bytes, track_bytes, tracking_bytes
    from trackers.rules import Rules

    video = full_size()
    rules = Rules.from_config(video.config)
    config, hidden = video.tracker_model.config, int(video.tracker_model.hidden_dim)
    text = {"text_encoder", "text_projection"}
    parts = [part for name, part in video.detector_model.named_children() if name not in text]
    tracker = [video.tracker_model, video.tracker_neck]

    def row(name: str, bytes_of: Callable[[torch.dtype], float]) -> tuple[str, ...]:
        return (name, *(_megabytes(bytes_of(getattr(torch, precision))) for precision in PRECISIONS))

    track = track_bytes(config, rules)
    rows = [
        row("weights of the detector, the same for S0, S1 and L", lambda dtype: _weights(parts, dtype)),
        row("weights of SAM 3's tracker", lambda dtype: _weights(tracker, dtype)),
        row("a stream with up to 8 tracks", lambda _: FIRST_CAPACITY * track),
        row("a track", lambda _: track),
        row("a prompt", lambda _: prompt_bytes(CONTEXT, hidden)),
        row("the detector in a pass: 8 pairs of frame and prompt", lambda _: pass_bytes(MAX_PAIRS, hidden, MASK_SIDE)),
        row("the tracker in a pass: 16 tracks", lambda _: tracking_bytes(MAX_TRACKS_A_PASS, config, rules)),
    ]
    for resolution in RESOLUTIONS:
        smaller = copy.deepcopy(config)
        resize_tracker(smaller, resolution)
        side = MASK_PIXELS_A_PATCH * resolution // PATCH
        for name, count in (
            ("a track", track_bytes(smaller, rules)),
            ("the detector in a pass", pass_bytes(MAX_PAIRS, hidden, side)),
            ("the tracker in a pass", tracking_bytes(MAX_TRACKS_A_PASS, smaller, rules)),
        ):
            rows.append((f"at {resolution} pixels: {name}", *[_megabytes(count)] * len(PRECISIONS)))
    return table(("MB", "bfloat16, float16", "float32"), rows)


def _weights(modules: Sequence[Any], dtype: torch.dtype) -> int:
    """Bytes of the weights of some modules as the engine holds them."""
    from trackers.precision import narrow

    copies = [copy.deepcopy(module) for module in modules]
    for module in copies:
        narrow(module, dtype)
    return sum(tensor.nbytes for module in copies for tensor in module.parameters())


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f}" if count >= 1e7 else f"{count / 1e6:.2f}"
