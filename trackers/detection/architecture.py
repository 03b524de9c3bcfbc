"""Which architectures will do, by what config.json alone says, so that nobody fetches gigabytes of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maskcast.errors import ModelError

DETECTOR_TYPE = "sam3_lite_text"
VIDEO_TYPE = "sam3_video"
# SAM 3's own detector, with a full text encoder.
FULL_DETECTOR_TYPE = "sam3"
# SAM 2 and 2.1, of which the tracker is loaded, image encoder included.
SAM2_TYPE = "sam2_video"


@dataclass(frozen=True)
class Role:
    """What a checkpoint is named for.

    Attributes:
        kinds: architectures that will do.
        detectors: and those of the detector within a `sam3_video` one.
        otherwise: what remains without it, as advice; None if nothing does.
    """

    kinds: tuple[str, ...]
    detectors: tuple[str, ...]
    otherwise: str | None = None


# By `--model` and by `--tracker-from`.
MODEL = Role(kinds=(DETECTOR_TYPE, FULL_DETECTOR_TYPE, VIDEO_TYPE), detectors=(DETECTOR_TYPE, FULL_DETECTOR_TYPE))
TRACKER = Role(
    kinds=(VIDEO_TYPE, SAM2_TYPE),
    detectors=(DETECTOR_TYPE, FULL_DETECTOR_TYPE),
    otherwise="without its weights --tracker-from facebook/sam2.1-hiera-tiny, which is open, or --tracker association "
    "remains",
)

# What the hub tags such a repository by, and the weights themselves name as their format.
MLX = "mlx"
# What follows objects and finds none by a phrase.
_TRACKERS = frozenset(
    {"sam", "sam2", "sam2_video", "sam3_tracker", "sam3_tracker_video", "edgetam", "edgetam_video", "sam_hq"}
)
# What only the drafts of huggingface/transformers#44320 wrote into `text_config`, and what they did not write yet.
_DRAFT_TYPE = "sam3_lite_text_mobileclip"
_DRAFT_KEYS, _MERGED_KEY = frozenset({"context_length", "model_name"}), "use_repmixer_blocks"


def kind_of(found: dict[str, Any], name: str, role: Role) -> str:
    """The architecture of a checkpoint.

    Args:
        found: what its config.json holds, by `read_config`.
        name: of the checkpoint, for messages.
        role: what it is named for.

    Raises:
        ModelError: it is another, or in a form that cannot be loaded.
    """
    kind = str(found["model_type"])
    if (method := _quantized(found)) is not None:
        advice = "take the checkpoint that it was made from"
        raise ModelError(f"its weights are quantized ({method[:40]})", where=f"model {name}", advice=advice)
    if kind.startswith(("sam3_1", "sam3.1")):  # huggingface/transformers#45110
        advice = "Transformers has no model for it yet: take facebook/sam3"
        raise ModelError("it is SAM 3.1, which has another tracker", where=f"model {name}", advice=advice)
    if kind not in role.kinds:
        what, needed = f"it is a {kind[:80]} checkpoint", f"Maskcast needs {' or '.join(role.kinds)}"
        if role == MODEL and kind in _TRACKERS:
            what = f"{what}, which finds nothing by a phrase"
        if role == MODEL and kind in TRACKER.kinds:
            needed = f"--tracker-from takes it; as a model {needed}"
        raise ModelError(what, where=f"model {name}", advice=needed)
    inner = found.get("detector_config") if kind == VIDEO_TYPE else found
    detector = inner.get("model_type") if isinstance(inner, dict) else None
    if kind == VIDEO_TYPE and detector not in role.detectors:
        what = f"its detector is {str(detector)[:80]}"
        raise ModelError(what, where=f"model {name}", advice=f"Maskcast needs {' or '.join(role.detectors)}")
    if detector == DETECTOR_TYPE and _is_draft(inner):
        what = "it was written by a draft of SAM3-LiteText in Transformers, under other names"
        raise ModelError(what, where=f"model {name}", advice="take vil-uob/sam3-litetext-s0, -s1 or -l")
    return kind


def of_mlx(name: str) -> ModelError:
    """Weights for Apple's MLX, also those that are not quantized: their axes are in another order."""
    advice = "take the checkpoint that it was made from"
    return ModelError("its weights are made for MLX", where=f"model {name}", advice=advice)


def _quantized(found: dict[str, Any]) -> str | None:
    """How its weights are packed; None if they are not. MLX has a key of its own for it."""
    for key in ("quantization_config", "quantization"):
        packed = found.get(key)
        if packed:
            method = packed.get("quant_method") if isinstance(packed, dict) else None
            return str(method or ("MLX" if key == "quantization" else "bitsandbytes"))
    return None


def _is_draft(detector: Any) -> bool:
    text = detector.get("text_config")
    if not isinstance(text, dict):
        return False
    return text.get("model_type") == _DRAFT_TYPE or (_MERGED_KEY not in text and not _DRAFT_KEYS.isdisjoint(text))
