"""Give a detector the tracker of another checkpoint that was trained on the same image encoder.

LiteText checkpoints are detectors; the tracker's weights are in SAM 3 video checkpoints. The tracker reads the
detector's image features, so the two must share their image encoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from streaming.errors import ModelError

BACKBONE = "vision_encoder.backbone."
# Weights stored in bfloat16 by one of the two differ by up to 2**-8 of their size.
TOLERANCE = 0.01


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


def load_tracker(folder: Path, name: str, detector: Any) -> TrackerWeights:
    """Read only the tracker from a `sam3_video` folder, whatever its detector is.

    Args:
        folder: holds config.json and safetensors files.
        name: as the user named it, for messages.
        detector: the `Sam3LiteTextModel` that the tracker is to work with.

    Raises:
        ModelError: it is damaged, or was trained on another image encoder than the detector's.
    """
    try:
        return _load(folder, name, detector)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise ModelError(f"tracker {name}: cannot be loaded: {reason}") from error


def _load(folder: Path, name: str, detector: Any) -> TrackerWeights:
    import transformers
    from transformers.models.sam3.modeling_sam3 import Sam3VisionNeck

    config: Any = transformers.Sam3VideoConfig.from_pretrained(folder, local_files_only=True)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"tracker {name}: no *.safetensors file in it; other weight formats are not loaded for safety")
    with ExitStack() as stack:
        opened = [stack.enter_context(safe_open(file, "pt")) for file in files]
        _check_encoder(opened, name, detector)
        config.tracker_config.image_size = detector.config.image_size
        auto: Any = transformers.AutoModel
        tracker = auto.from_config(config.tracker_config, remove_vision_encoder=True)
        neck: Any = Sam3VisionNeck(config.detector_config.vision_config)
        for module, prefix in ((tracker, "tracker_model."), (neck, "tracker_neck.")):
            # Some versions of Transformers write the prefix twice, and read both.
            weights = {
                key.removeprefix(prefix).removeprefix(prefix): tensor.float()
                for key, tensor in _tensors(opened, prefix)
            }
            missing = sorted(module.state_dict().keys() - weights.keys())
            if missing:
                raise ModelError(
                    f"tracker {name}: {len(missing)} weights are missing (first: {prefix}{missing[0]}); "
                    "it is no sam3_video checkpoint with a tracker"
                )
            module.load_state_dict(weights, strict=False)
            module.eval().requires_grad_(requires_grad=False)
    return TrackerWeights(config, tracker, neck)


def _tensors(opened: list[Any], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for file in opened:
        for key in file.keys():  # noqa: SIM118 - not a dictionary
            if key.startswith(prefix):
                yield key, file.get_tensor(key)


def _check_encoder(opened: list[Any], name: str, detector: Any) -> None:
    """Compare the first, a middle and the last matrix of the image encoders."""
    own = {key: value for key, value in detector.state_dict().items() if key.startswith(BACKBONE) and value.ndim > 1}
    keys = sorted(own)
    for key in {keys[0], keys[len(keys) // 2], keys[-1]}:
        pairs = list(_tensors(opened, f"detector_model.{key}"))
        same = bool(pairs) and pairs[0][1].shape == own[key].shape
        if same:
            theirs, ours = pairs[0][1].float(), own[key].float().cpu()
            same = bool(torch.linalg.norm(theirs - ours) <= TOLERANCE * torch.linalg.norm(ours))
        if not same:
            raise ModelError(
                f"tracker {name}: it was trained on another image encoder than the model's ({key} differs); "
                "take both from checkpoints of the same family"
            )
