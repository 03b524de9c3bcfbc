"""Find out whether the device and the checkpoint are there, without running a frame or fetching anything."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streaming.errors import MaskcastError, ModelError, UsageError
from streaming.probes import GIB, Finding, Verdict, failed
from streaming.settings import ModelSettings

# A checkpoint of this size loads in a second or two, which proves more than looking at its files.
SMALL_BYTES = 64 << 20


def probe_device(model: ModelSettings) -> list[Finding]:
    """Whether the device exists, and what it is."""
    import torch

    from trackers.checkpoint import resolve_device

    try:
        device = resolve_device(model.device)
    except MaskcastError as error:
        return [failed("device", error)]
    if device.type == "cuda":
        try:
            free, total = torch.cuda.mem_get_info(device)
            name = torch.cuda.get_device_name(device)
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:200]
            return [failed("device", ModelError(f"{device} cannot be used: {reason}; look at nvidia-smi"))]
        return [Finding(Verdict.OK, "device", f"{device}: {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free")]
    detail = f"cpu, {torch.get_num_threads()} threads"
    if model.name == "nano":
        return [Finding(Verdict.OK, "device", detail)]
    return [Finding(Verdict.WARN, "device", f"{detail}: a full-size model takes seconds a frame; use a GPU, or nano")]


def probe_model(model: ModelSettings, prompts: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Whether the checkpoint is present and whole, and can read the prompts of each stream."""
    try:
        folder = _folder(model.name)
        if folder is None:
            return [_absent(model.name)]
        detail, memory = _inspect(model.name, folder)
        findings = [Finding(Verdict.OK, "model", f"{model.name}: {detail}")]
        if model.tracker_from is not None:
            other = _folder(model.tracker_from)
            if other is None:
                findings.append(_absent(model.tracker_from))
            else:
                text, memory = _inspect(model.tracker_from, other)
                findings.append(Finding(Verdict.OK, "model", f"tracker_from {model.tracker_from}: {text}"))
        memory = memory or model.tracker_from is not None
        if not memory and (model.tracker == "memory" or model.hot_start):
            wish = "tracker = memory" if model.tracker == "memory" else "hot_start"
            raise UsageError(f"{model.name} has no tracker weights, which {wish} needs: set tracker_from")
    except MaskcastError as error:
        return [failed("model", error)]
    return [*findings, *_probe_prompts(folder, prompts)]


def probe_nano() -> list[Finding]:
    """Load the embedded checkpoint."""
    from trackers.checkpoint import load_checkpoint

    try:
        load_checkpoint("nano")
    except MaskcastError as error:
        return [failed("nano", error)]
    return [Finding(Verdict.OK, "nano", "the embedded checkpoint loads: try maskcast demo")]


def _folder(name: str) -> Path | None:
    """Where a checkpoint lies on this machine; None for one of the hub that is not in the cache.

    Raises:
        ModelError: it can be nowhere.
    """
    from trackers.checkpoint import EMBEDDED, FILES

    folder = EMBEDDED.get(name) or Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name in EMBEDDED or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"{name}: no such folder; give a folder that holds config.json, or owner/name of a hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{name}: {str(error).splitlines()[0][:200]}") from None


def _absent(name: str) -> Finding:
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in {"1", "true", "yes", "on"}:
        detail = f"{name}: not in the cache, and HF_HUB_OFFLINE forbids to fetch it: `hf download {name}` elsewhere"
        return Finding(Verdict.FAIL, "model", detail, ModelError.exit_code)
    return Finding(
        Verdict.WARN, "model", f"{name}: not in the cache: fetched at the first start, or `hf download {name}`"
    )


def _inspect(name: str, folder: Path) -> tuple[str, bool]:
    """What kind of checkpoint it is, and whether it has a memory tracker.

    Raises:
        ModelError: its files are missing, cut off, or of another architecture.
    """
    from safetensors import SafetensorError, safe_open

    from trackers.checkpoint import DETECTOR_TYPE, VIDEO_TYPE, WEIGHTS, load_checkpoint

    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config["model_type"])
    except FileNotFoundError:
        raise ModelError(f"{name}: {folder} holds no config.json") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(f"{name}: {folder / 'config.json'} cannot be read") from None
    if kind not in {DETECTOR_TYPE, VIDEO_TYPE}:
        raise ModelError(f"{name}: it is a {kind} checkpoint; Maskcast needs {DETECTOR_TYPE} or {VIDEO_TYPE}")
    weights = sorted(folder.glob(WEIGHTS))
    missing = _missing_parts(folder)
    if not weights or missing:
        raise ModelError(f"{name}: {missing or 'its .safetensors file'} is missing; fetch the checkpoint again")
    size = 0
    for file in weights:
        try:
            with safe_open(file, "numpy"):  # compares the header with the length of the file
                size += file.stat().st_size
        except (OSError, SafetensorError):
            raise ModelError(f"{name}: {file.name} is damaged or cut off; fetch it again") from None
    if size <= SMALL_BYTES and config.get("detector_config", config).get("model_type") == DETECTOR_TYPE:
        load_checkpoint(str(folder) if name != "nano" else name)
        return f"{size / 1e6:.0f} MB, {kind}, loads", kind == VIDEO_TYPE
    return f"{size / 1e6:.0f} MB, {kind}, complete", kind == VIDEO_TYPE


def _missing_parts(folder: Path) -> str:
    """The first part that the index of a divided checkpoint names and the folder lacks."""
    for index in folder.glob("*.safetensors.index.json"):
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return index.name
        for part in sorted(map(str, parts)):
            if not (folder / part).is_file():
                return part
    return ""


def _probe_prompts(folder: Path, prompts: Mapping[str, Sequence[str]]) -> list[Finding]:
    if not prompts:
        return []
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        length = int(getattr(config, "detector_config", config).text_config.max_position_embeddings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return [failed("prompts", ModelError(f"the tokenizer cannot be loaded: {reason}"))]
    findings = []
    for stream, phrases in prompts.items():
        for number, phrase in enumerate(phrases):
            tokens = len(tokenizer(phrase).input_ids)
            if tokens > length:
                detail = (
                    f"streams.{stream}.prompts[{number}]: {tokens} tokens, but the model reads {length}; shorten it"
                )
                findings.append(Finding(Verdict.FAIL, "prompts", detail, UsageError.exit_code))
    count = len({phrase for phrases in prompts.values() for phrase in phrases})
    return findings or [Finding(Verdict.OK, "prompts", f"{count} different, all readable")]
