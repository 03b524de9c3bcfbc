"""What a checkpoint's config.json says, reduced to what may reach Transformers: bounded numbers of known models."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from maskcast.errors import ModelError, reason_of
from trackers.defaults import MOST_RESOLUTION
from trackers.detection.architecture import DETECTOR_TYPE, FULL_DETECTOR_TYPE, SAM2_TYPE, VIDEO_TYPE
from trackers.detection.folder import CONFIG, MOST_CONFIG_BYTES, CheckpointFolder
from trackers.rules import Rules

# Largest values by the words in a key's name; the first that fits counts. Behind each the largest that is published
# (facebook/sam3, sam3-litetext-l, facebook/sam2.1-hiera-large). Products are bounded by `build_on_meta`.
_MOST = (
    ("layers", 128),  # 32
    ("blocks_per_stage", 128),  # 36
    ("background_size", 288),  # 14
    ("stages", 16),  # 3
    ("depth", 16),  # 3
    ("feature_sizes", 1152),  # 288
    ("feat_sizes", 1152),  # 72
    ("image_size", MOST_RESOLUTION),  # 1008
    ("patch_size", 64),  # 14
    ("window_size", 288),  # 24
    ("low_res_mask_size", 1152),  # 288
    ("kernel_size", 64),  # 11
    ("vocab_size", 1_000_000),  # 49,408
    ("max_position_embeddings", 1024),  # 77
    ("num_queries", 4096),  # 200
    ("roi_size", 64),  # 7
    ("_size", 16_384),  # 4736
    ("_dim", 16_384),  # 2048
    ("channels", 4096),  # 64
    ("embeddings", 1024),  # 4
    ("outputs", 64),  # 3
    ("stride", 64),  # 16
    ("padding", 64),  # 3
    ("maskmem", 64),  # 7
    ("cond_frame", 64),  # 4
    ("pointers", 256),  # 16
    ("max_tracks", 1024),  # 64
)
# These are never zero; others may be -1 for "none" or "all".
_SIZES = ("_size", "_sizes", "_dim", "_layers")
_MOST_OTHERWISE = 100_000  # max_num_objects: 10,000
_LONGEST_LIST = 128

_ROPE_TYPES = frozenset({"default", "axial"})
# Older names that Transformers still reads, and what it derives.
_ALSO = frozenset({"image_size", "rope_theta", "memory_attention_rope_theta"})
# Maskcast's own, which a checkpoint that was made for it may set beside the library's, and whether they are booleans.
_RULES = {field.name: field.type == "bool" for field in fields(Rules)}


def read_config(folder: CheckpointFolder) -> dict[str, Any]:
    """What config.json holds, of which nothing but `model_type` has been looked at.

    Raises:
        ModelError: there is none, it cannot be read, or is of an architecture that is not known here.
    """
    try:
        found = folder.json(CONFIG, MOST_CONFIG_BYTES)
    except FileNotFoundError:
        raise ModelError(f"{folder.path} holds no {CONFIG}", where=f"model {folder.name}") from None
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise ModelError(f"{CONFIG} cannot be read: it names no model_type", where=f"model {folder.name}")
    return found


def build_config(found: dict[str, Any], name: str) -> Any:
    """A `PreTrainedConfig` of the known keys alone.

    Code, files and repositories that a configuration can name (`auto_map`, `attn_implementation`, `dtype`,
    `quantization_config`, ...) are left out, so that none is imported, opened or fetched.

    Args:
        found: by `read_config`, of a kind that `kind_of` let pass.
        name: of the checkpoint, for messages.

    Raises:
        ModelError: a number in it is not one of a real model.
    """
    import transformers

    config_class = {
        DETECTOR_TYPE: transformers.Sam3LiteTextConfig,
        FULL_DETECTOR_TYPE: transformers.Sam3Config,
        VIDEO_TYPE: transformers.Sam3VideoConfig,
        SAM2_TYPE: transformers.Sam2VideoConfig,
    }[found["model_type"]]
    try:
        return config_class(**_clean(found, config_class, name, ""))
    except ModelError:
        raise
    except Exception as error:  # checks of its own, which raise much
        raise ModelError(f"{CONFIG} cannot be used: {reason_of(error)}", where=f"model {name}") from error


def _clean(found: dict[str, Any], config_class: Any, name: str, where: str) -> dict[str, Any]:
    from transformers import PreTrainedConfig
    from transformers.activations import ACT2FN

    general = {field.name for field in fields(PreTrainedConfig)}
    known = ({field.name for field in fields(config_class)} - general) | set(config_class.attribute_map) | _ALSO
    if config_class.model_type == VIDEO_TYPE:
        known |= _RULES.keys()
    parts = config_class.sub_configs_defaults
    cleaned: dict[str, Any] = {}
    for key, value in found.items():
        place = f"{where}{key}"
        if key in parts:
            cleaned[key] = _part(value, parts[key], name, place)
        elif key not in known or value is None:
            continue
        elif key == "rope_parameters":
            cleaned[key] = _rope(value, name, place)
        elif key.endswith("_act"):
            if not isinstance(value, str) or value not in ACT2FN:  # a closed list of Transformers' own
                raise _bad(name, place, value)
            cleaned[key] = value
        elif key in _RULES and (isinstance(value, list) or isinstance(value, bool) is not _RULES[key]):
            raise _bad(name, place, value)
        else:
            cleaned[key] = _number(value, key, name, place)
    return cleaned


def _part(value: Any, specification: Any, name: str, where: str) -> Any:
    """A configuration within another."""
    from transformers import PreTrainedConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if value is None:
        return None
    if not isinstance(value, dict):
        raise _bad(name, where, value)
    if issubclass(specification.config_class, PreTrainedConfig):
        return _clean(value, specification.config_class, name, f"{where}.")
    kind = value.get("model_type", specification.model_type)
    allowed = {specification.model_type, *([DETECTOR_TYPE] if where == "detector_config" else [])}
    if kind not in allowed:
        what = f"{where} in {CONFIG} is a {str(kind)[:80]}"
        raise ModelError(what, where=f"model {name}", advice=f"Maskcast knows {min(allowed)}")
    return {"model_type": kind, **_clean(value, CONFIG_MAPPING[kind], name, f"{where}.")}


def _rope(value: Any, name: str, where: str) -> dict[str, Any]:
    theta, kind = (
        (value.get("rope_theta", 1e4), value.get("rope_type", "axial")) if isinstance(value, dict) else (0, "")
    )
    if kind not in _ROPE_TYPES or not isinstance(theta, int | float) or not 1 <= theta <= 1e9:
        raise _bad(name, where, value)
    return {"rope_theta": float(theta), "rope_type": kind}


def _number(value: Any, key: str, name: str, where: str) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and len(value) <= _LONGEST_LIST:
        return [_number(item, key, name, where) for item in value]
    if isinstance(value, int):
        most = next((most for word, most in _MOST if word in key), _MOST_OTHERWISE)
        lowest = 1 if key.endswith(_SIZES) else -1
        if lowest <= value <= most:
            return value
        raise _bad(name, where, value, f" must be from {lowest} to {most}")
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise _bad(name, where, value)


def _bad(name: str, where: str, value: Any, allowed: str = " is none of a model that is known here") -> ModelError:
    shown = ascii(value) if not isinstance(value, int) or abs(value) < 10**20 else "a very large number"
    return ModelError(f"{where[:120]} = {shown[:60]} in {CONFIG}{allowed}", where=f"model {name}")
