"""Give a detector the tracker of another checkpoint that was trained on the same image encoder.

LiteText checkpoints are detectors; the tracker's weights are in SAM 3 video checkpoints. The tracker reads the
detector's image features, so the two must share their image encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from maskcast.errors import ModelError, reason_of
from trackers.detection.architecture import TRACKER, VIDEO_TYPE, kind_of
from trackers.detection.config import build_config, read_config
from trackers.detection.folder import CheckpointFolder
from trackers.detection.model_size import check_size
from trackers.detection.weights import Weights

BACKBONE = "vision_encoder.backbone."
# Weights stored in bfloat16 by one of the two differ by up to 2**-8 of their size.
RELATIVE_TOLERANCE = 0.01


@dataclass(frozen=True)
class TrackerWeights:
    """The parts of a `Sam3VideoModel` that the memory tracker uses, named as there.

    Attributes:
        config: a `Sam3VideoConfig`.
        tracker_model: a `Sam3TrackerVideoModel` without an image encoder.
        tracker_neck: a `Sam3VisionNeck`.
    """

    config: Any
    tracker_model: Any
    tracker_neck: Any


def load_tracker(
    folder: CheckpointFolder, own: Weights, own_kind: str, detector: Any, *, read: bool = True
) -> TrackerWeights:
    """Read only the tracker from a `sam3_video` folder, whatever its detector is.

    Args:
        folder: of the other checkpoint.
        own: weights of the checkpoint whose detector the tracker is to work with.
        own_kind: its architecture.
        detector: that detector's configuration, a `Sam3LiteTextConfig`.
        read: False to read no weights but the three that are compared; see `Weights`.

    Raises:
        ModelError: it is damaged, or was trained on another image encoder than the detector's.
    """
    name = folder.name
    found = read_config(folder)
    kind_of(found, name, TRACKER)
    weights = Weights(folder, read=read)
    _check_encoder(weights, name, own, "detector_model." if own_kind == VIDEO_TYPE else "")
    config = build_config(found, name)
    try:
        return _load(weights, config, name, detector)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot be loaded: {reason_of(error)}", where=f"tracker {name}") from error


def _load(weights: Weights, config: Any, name: str, detector: Any) -> TrackerWeights:
    import transformers
    from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

    config.tracker_config.image_size = detector.image_size
    makers: tuple[tuple[Callable[[], Any], str], ...] = (
        (
            lambda: transformers.Sam3TrackerVideoModel(config.tracker_config, remove_vision_encoder=True),
            "tracker_model.",
        ),
        (lambda: Sam3VisionNeck(config.detector_config.vision_config), "tracker_neck."),
    )
    modules = []
    for make, prefix in makers:
        check_size(make, weights, prefix, name)
        module = make()
        # Some versions of Transformers write the prefix twice, and read both.
        tensors = {
            key.removeprefix(prefix).removeprefix(prefix): tensor.float()
            for key, tensor in weights.tensors(prefix).items()
        }
        missing = sorted(module.state_dict().keys() - tensors.keys())
        if missing:
            what = f"{len(missing)} weights are missing (first: {prefix}{missing[0]})"
            advice = "it is no sam3_video checkpoint with a tracker"
            raise ModelError(what, where=f"tracker {name}", advice=advice)
        module.load_state_dict(tensors, strict=False)
        modules.append(module.eval().requires_grad_(requires_grad=False))
    return TrackerWeights(config, *modules)


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
