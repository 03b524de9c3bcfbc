"""Find a checkpoint, check that it is one of ours, and load it: a Hugging Face id, a folder, or `nano`."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from streaming.errors import ModelError, UsageError

DEFAULT_MODEL = "vil-uob/sam3-litetext-s0"
EMBEDDED = {"nano": Path(__file__).parent / "nano"}
DETECTOR_TYPE = "sam3_lite_text"
VIDEO_TYPE = "sam3_video"
# Pickled weights can run code when they are loaded, so only these files are ever fetched or read.
WEIGHTS = "*.safetensors"
FILES = [WEIGHTS, "*.json", "*.txt"]


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint, on the CPU, in float32, in evaluation mode.

    Attributes:
        name: as the user named it.
        revision: changes whenever the weights do; a hub commit or a digest.
        detector: a `Sam3LiteTextModel`.
        tokenizer: the tokenizer saved with it.
        video: what the memory tracker needs, or None if there are no tracker weights: the whole `Sam3VideoModel`
            (whose `detector_model` is `detector`), or the `TrackerWeights` of another checkpoint.
    """

    name: str
    revision: str
    detector: Any
    tokenizer: Any
    video: Any | None


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda:N` into a device that exists.

    Raises:
        UsageError: the name is unknown or the device is absent.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    # Parsed here: `torch.device` keeps the index in 8 bits, so that cuda:999 would be cuda:-25.
    parts = re.fullmatch(r"cpu|cuda(?::(\d{1,3}))?", name)
    if parts is None:
        raise UsageError(f"unknown device {name!r}: use auto, cpu or cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    index = int(parts[1] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        found = f"{count} CUDA device{'s' * (count != 1)} found"
        raise UsageError(f"device {name} is not available ({found}): use --device cpu or auto")
    return torch.device("cuda", index)


def load_checkpoint(name: str = DEFAULT_MODEL, tracker_from: str | None = None) -> Checkpoint:
    """Load a SAM3-LiteText checkpoint.

    Args:
        name: a folder, `nano`, or the id of a Hugging Face repository (its cached copy is used when there is no
            network).
        tracker_from: name of a `sam3_video` checkpoint whose tracker to take, for example `facebook/sam3`; None for
            the checkpoint's own, if it has one.

    Raises:
        ModelError: one cannot be found or fetched, holds another architecture, its weights do not fit, or the two
            do not share their image encoder.
    """
    folder = _locate(name)
    kind = _architecture(folder, name)
    if not list(folder.glob(WEIGHTS)):
        raise ModelError(f"model {name}: no {WEIGHTS} file in it; other weight formats are not loaded for safety")
    import transformers

    # Progress bars and advice of the loader are noise in a service's log; errors still arrive as exceptions.
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model_class: Any = transformers.Sam3VideoModel if kind == VIDEO_TYPE else transformers.Sam3LiteTextModel
    try:
        model, report = model_class.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, local_files_only=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {name}: cannot be loaded: {_first_line(error)}") from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise ModelError(
            f"model {name}: {len(missing)} weights are missing or of another shape (first: {missing[0]}); "
            "the checkpoint does not fit its config.json or this version of transformers"
        )
    model.eval().requires_grad_(requires_grad=False)
    video = model if kind == VIDEO_TYPE else None
    detector: nn.Module = model.detector_model if video is not None else model
    revision = _revision(folder)
    if tracker_from is not None:
        from trackers.composition import load_tracker

        try:
            source = _locate(tracker_from)
            _architecture(source, tracker_from, kinds=(VIDEO_TYPE,), detectors=None)
            video = load_tracker(source, tracker_from, detector)
        except ModelError as error:
            raise ModelError(f"{error}; without its weights --tracker association remains") from error
        revision = hashlib.sha256(f"{revision} {_revision(source)}".encode()).hexdigest()[:40]
    return Checkpoint(name, revision, detector, tokenizer, video)


def _locate(name: str) -> Path:
    if name in EMBEDDED:
        if not (EMBEDDED[name] / "config.json").is_file():
            raise ModelError(f"model {name}: the embedded checkpoint is not part of this installation")
        return EMBEDDED[name]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"model {name}: no such folder; give a folder that holds config.json, or owner/name of a hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except GatedRepoError:
        raise ModelError(
            f"model {name}: its licence must be accepted first: open https://huggingface.co/{name}, accept it, "
            "then run `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(f"model {name}: no such repository on the hub, or it is private: `hf auth login`") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"model {name}: cannot be downloaded and is not in the cache ({_first_line(error)}); on a machine with "
            f"network run `hf download {name} --local-dir FOLDER`, copy FOLDER here and use `--model FOLDER`"
        ) from error


def _architecture(
    folder: Path,
    name: str,
    *,
    kinds: tuple[str, ...] = (DETECTOR_TYPE, VIDEO_TYPE),
    detectors: tuple[str, ...] | None = (DETECTOR_TYPE,),
) -> str:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
        if kind == VIDEO_TYPE:
            kind_of_detector = config["detector_config"]["model_type"]
            if detectors is not None and kind_of_detector not in detectors:
                raise ModelError(f"model {name}: its detector is {kind_of_detector}; Maskcast needs {DETECTOR_TYPE}")
    except FileNotFoundError:
        raise ModelError(f"model {name}: {folder} holds no config.json") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(f"model {name}: config.json cannot be read: {_first_line(error)}") from error
    if kind not in kinds:
        raise ModelError(f"model {name}: it is a {kind} checkpoint; Maskcast needs {' or '.join(kinds)}")
    return str(kind)


def _revision(folder: Path) -> str:
    """A hub snapshot is named by its commit; any other folder by what is in it."""
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.json"), *folder.glob(WEIGHTS)]):
        with file.open("rb") as content:
            digest.update(f"{file.name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()[:40]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
