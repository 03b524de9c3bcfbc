"""Give a detector the tracker of another checkpoint.

LiteText checkpoints are detectors; the tracker's weights are in others. SAM 3's tracker reads the detector's image
features, so the two must have been trained on the same image encoder. SAM 2's brings an image encoder of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskcast.errors import ModelError, reason_of
from trackers.detection.architecture import SAM2_TYPE, TRACKER, VIDEO_TYPE, kind_of
from trackers.detection.config import build_config, read_config
from trackers.detection.folder import CheckpointFolder
from trackers.detection.model_size import build_on_meta
from trackers.detection.resolution import resize_tracker
from trackers.detection.weights import Weights

BACKBONE = "vision_encoder.backbone."
# Weights stored in bfloat16 by one of the two differ by up to 2**-8 of their size.
RELATIVE_TOLERANCE = 0.01


@dataclass(frozen=True)
class TrackerWeights:
    """The parts of a model that the memory tracker uses, named as in `Sam3VideoModel`.

    Attributes:
        config: a `Sam3VideoConfig`, or another configuration that may have fields of `Rules`.
        tracker_model: a `Sam3TrackerVideoModel` without an image encoder, or a `Sam2VideoModel`.
        tracker_neck: a `Sam3VisionNeck`; None if the tracker's own image encoder makes its features.
    """

    config: Any
    tracker_model: Any
    tracker_neck: Any


def load_tracker(folder: CheckpointFolder, own: Weights, config: Any, *, read: bool = True) -> TrackerWeights:
    """Read only the tracker from a `sam3_video` folder, whatever its detector is, or from a `sam2_video` one.

    Args:
        folder: of the other checkpoint.
        own: weights of the checkpoint whose detector the tracker is to work with.
        config: and its configuration, a `Sam3LiteTextConfig` or a `Sam3VideoConfig`.
        read: False to read no weights but the three that are compared; see `Weights`.

    Raises:
        ModelError: it is damaged, or was trained on another image encoder than the detector's.
    """
    name = folder.name
    found = read_config(folder)
    kind = kind_of(found, name, TRACKER)
    weights = Weights(folder, read=read)
    whole = config.model_type == VIDEO_TYPE
    if kind == VIDEO_TYPE:
        _check_encoder(weights, name, own, "detector_model." if whole else "")
    built = build_config(found, name)
    try:
        if kind == SAM2_TYPE:
            return _load_sam2(weights, built, name, config)
        return _load_sam3(weights, built, name, config.detector_config if whole else config)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot be loaded: {reason_of(error)}", where=f"tracker {name}") from error


def _load_sam3(weights: Weights, config: Any, name: str, detector: Any) -> TrackerWeights:
    import transformers
    from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

    resize_tracker(config.tracker_config, detector.image_size)
    makers: tuple[tuple[Callable[[], Any], str], ...] = (
        (
            lambda: transformers.Sam3TrackerVideoModel(config.tracker_config, remove_vision_encoder=True),
            "tracker_model.",
        ),
        (lambda: Sam3VisionNeck(config.detector_config.vision_config), "tracker_neck."),
    )
    modules = []
    for make, prefix in makers:
        build_on_meta(make, weights, prefix, name)
        tensors = {key.removeprefix(prefix): tensor for key, tensor in weights.tensors(prefix).items()}
        modules.append(_filled(make(), tensors, name, prefix))
    return TrackerWeights(config, *modules)


def _load_sam2(weights: Weights, config: Any, name: str, own: Any) -> TrackerWeights:
    import transformers

    def make() -> Any:
        return transformers.Sam2VideoModel(config)

    build_on_meta(lambda: _fitting(make()), weights, "", name)
    # SAM 2 knows no rules: those of the detector's checkpoint hold, but what two appearances must agree by was measured
    # on features that this tracker does not see.
    rules = copy(own)
    rules.reidentify_appearance = None
    return TrackerWeights(rules, _filled(make(), weights.tensors(), name, ""), None)


def _fitting(model: Any) -> nn.Module:
    """A `Sam2VideoModel` on the meta device, if its image encoder makes what its tracker reads.

    Raises:
        ValueError: it does not.
    """
    config = model.config
    size, (height, width) = config.image_size, model.prompt_encoder.image_embedding_size
    levels = model.vision_encoder(torch.zeros(1, 3, size, size, device="meta")).fpn_hidden_states
    wanted = [(1, model.hidden_dim, scale * height, scale * width) for scale in (4, 2, 1)]
    if [tuple(level.shape) for level in levels] != wanted:
        raise ValueError("its image encoder makes other feature maps than its mask decoder reads")
    if list(config.memory_attention_rope_feat_sizes) != [height, width]:
        raise ValueError("memory_attention_rope_feat_sizes are not those of its feature maps")
    return model  # type: ignore[no-any-return]


def _filled(module: Any, tensors: dict[str, Tensor], name: str, prefix: str) -> Any:
    """A module with these weights, in float32."""
    missing = sorted(module.state_dict().keys() - tensors.keys())
    if missing:
        what = f"{len(missing)} weights are missing (first: {prefix}{missing[0]})"
        advice = "it is no checkpoint with a whole tracker"
        raise ModelError(what, where=f"tracker {name}", advice=advice)
    module.load_state_dict({key: tensor.float() for key, tensor in tensors.items()}, strict=False)
    return module.eval().requires_grad_(requires_grad=False)


def _check_encoder(weights: Weights, name: str, own: Weights, own_prefix: str) -> None:
    """Compare the first, a middle and the last matrix of the image encoders."""
    start = f"{own_prefix}{BACKBONE}"
    keys = sorted(key for key, shape in own.shapes.items() if key.startswith(start) and len(shape) > 1)
    for key in {keys[0], keys[len(keys) // 2], keys[-1]}:
        bare = key.removeprefix(own_prefix)
        other = f"detector_model.{bare}"
        same = weights.shapes.get(other) == own.shapes[key]
        if same:
            theirs, ours = weights.tensor(other).float(), own.tensor(key).float()
            same = bool(torch.linalg.norm(theirs - ours) <= RELATIVE_TOLERANCE * torch.linalg.norm(ours))
        if not same:
            what = f"it was trained on another image encoder than the model's ({bare} differs)"
            advice = "take both from checkpoints of the same family"
            raise ModelError(what, where=f"tracker {name}", advice=advice)
