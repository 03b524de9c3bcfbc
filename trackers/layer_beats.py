"""Signs of life of a pass that takes minutes."""

from __future__ import annotations

from collections.abc import Callable

from trackers.detection.checkpoint import Checkpoint


def beat_between_layers(checkpoint: Checkpoint, beat: Callable[[], None]) -> None:
    """Call `beat` after each layer; the longest of them at full size takes seconds on a CPU."""
    video = checkpoint.video
    models = [checkpoint.detector, *((video.tracker_model, video.tracker_neck) if video else ())]
    for model in models:
        for module in model.modules() if model is not None else ():
            if next(module.children(), None) is None:
                module.register_forward_hook(lambda *_: beat())
