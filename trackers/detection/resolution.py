"""At how many pixels a model looks: its own number, or a smaller one for speed.

No weight hangs on it: SAM 3's ViT tiles its position embeddings over the patches that there are and scales the rotary
positions of its global layers to the window (`Sam3ViTEmbeddings`, `Sam3ViTRoPEAttention.precompute_positions`); the
tracker's positions are counted, not scaled. So a resolution is a matter of the configuration alone.
"""

from __future__ import annotations

from typing import Any

from maskcast.errors import ModelError, UsageError
from trackers.detection.architecture import VIDEO_TYPE
from trackers.detection.folder import CONFIG

# A mask has so many pixels along a patch: `Sam3TrackerVideoPromptEncoder.mask_input_size`.
MASK_PIXELS_A_PATCH = 4


def possible(detector: Any) -> list[int]:
    """Resolutions of a model in pixels, ascending: whole windows of patches, up to the model's own.

    Args:
        detector: a `Sam3LiteTextConfig` or `Sam3Config`.
    """
    backbone = detector.vision_config.backbone_config
    own, step = int(backbone.image_size), int(backbone.patch_size) * int(backbone.window_size)
    return sorted({*range(step, own, step), own})


def at_resolution(config: Any, resolution: int | None, name: str) -> bool:
    """Let a configuration describe the same model at another resolution, in place.

    Args:
        config: a `Sam3LiteTextConfig`, `Sam3Config` or `Sam3VideoConfig`.
        resolution: side of what the model looks at, in pixels; None for its own.
        name: of the checkpoint, for messages.

    Returns:
        Whether it is another than the model's own.

    Raises:
        UsageError: the model has no such resolution.
        ModelError: its configuration gives it no square patches and windows.
    """
    if resolution is None:
        return False
    whole = config.model_type == VIDEO_TYPE
    detector = config.detector_config if whole else config
    try:
        known = possible(detector)
    except TypeError as error:
        raise ModelError(f"its {CONFIG} gives it no square pictures", where=f"model {name}") from error
    if resolution not in known:
        numbers = f"{', '.join(map(str, known[:-1]))} or {known[-1]}" if len(known) > 1 else f"{known[0]} alone"
        raise UsageError(f"resolution {resolution} is none of model {name}", advice=f"it has {numbers}")
    if resolution == known[-1]:
        return False
    detector.image_size = resolution
    side = resolution // int(detector.vision_config.backbone_config.patch_size)
    detector.vision_config.backbone_feature_sizes = [[scale * side, scale * side] for scale in (4, 2, 1)]
    if whole:
        resize_tracker(config.tracker_config, resolution)
        config.low_res_mask_size = MASK_PIXELS_A_PATCH * side
    return True


def resize_tracker(tracker: Any, resolution: int) -> None:
    """Let a `Sam3TrackerVideoConfig` describe the same tracker at a resolution, in place."""
    tracker.image_size = resolution  # and with it the sizes of its prompt encoder and of its feature maps
    tracker.memory_attention_rope_feat_sizes = list(tracker.vision_config.backbone_feature_sizes[-1])
