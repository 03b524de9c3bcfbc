"""The table of ``docs/memory.md``: what the full-size models take, built where nothing is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from docs.generate.markdown import table

# As published: 32 tokens a prompt, masks of 288 x 288, 8 pairs of frame and prompt decoded together.
CONTEXT, MASK_SIDE = 32, 288
PRECISIONS = {"bfloat16, float16": 2, "float32": 4}


@cache
def full_size() -> Any:
    """A `Sam3VideoModel` around a LiteText detector on the meta device."""
    import torch
    from transformers import Sam3LiteTextConfig, Sam3VideoConfig, Sam3VideoModel

    with torch.device("meta"):
        return Sam3VideoModel(Sam3VideoConfig(detector_config=Sam3LiteTextConfig().to_dict()))


def memory_table() -> str:
    """Megabytes by part and precision."""
    from trackers.detection.detector import MAX_PAIRS
    from trackers.memory.memory_bank import FIRST_CAPACITY
    from trackers.memory_need import pass_bytes, prompt_bytes, track_bytes
    from trackers.rules import Rules

    video = full_size()
    rules = Rules.from_config(video.config)
    config, hidden = video.tracker_model.config, int(video.tracker_model.hidden_dim)
    text = {"text_encoder", "text_projection"}
    parts = [part for name, part in video.detector_model.named_children() if name not in text]
    detector = sum(_numbers(part) for part in parts)
    tracker = _numbers(video.tracker_model) + _numbers(video.tracker_neck)

    def row(name: str, bytes_of: Mapping[int, float]) -> tuple[str, ...]:
        return (name, *(_megabytes(bytes_of[size]) for size in PRECISIONS.values()))

    sizes = PRECISIONS.values()
    tracks = {size: track_bytes(config, rules, size) for size in sizes}
    rows = [
        row("weights of the detector, the same for S0, S1 and L", {size: detector * size for size in sizes}),
        row("weights of SAM 3's tracker", {size: tracker * size for size in sizes}),
        row("a stream with up to 8 tracks", {size: FIRST_CAPACITY * tracks[size] for size in sizes}),
        row("a track", tracks),
        row("a prompt", {size: prompt_bytes(CONTEXT, hidden, size) for size in sizes}),
        row(
            "a pass at its peak: 8 pairs of frame and prompt",
            {size: pass_bytes(MAX_PAIRS, hidden, MASK_SIDE, size) for size in sizes},
        ),
    ]
    return table(("MB", *PRECISIONS), rows)


def _numbers(module: Any) -> int:
    return sum(int(tensor.numel()) for tensor in module.parameters())


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f}" if count >= 1e7 else f"{count / 1e6:.2f}"
