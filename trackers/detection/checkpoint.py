"""Find a checkpoint, check that it is one of ours, and load it: a Hugging Face id, a folder, or `nano`."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maskcast.errors import ModelError
from trackers.detection.config import (
    DETECTOR_TYPE,
    VIDEO_TYPE,
    build_config,
    kind_of,
    read_config,
)
from trackers.detection.folder import CONFIG, FILES, CheckpointFolder
from trackers.detection.model_size import check_size
from trackers.detection.tokenizer import load_tokenizer
from trackers.detection.weights import Weights

EMBEDDED = {"nano": Path(__file__).parents[1] / "nano"}


class NotFetchedError(ModelError):
    """A checkpoint of the hub that is not, or not whole, in the cache, where nothing may be fetched."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint, on the CPU, in float32, in evaluation mode.

    Attributes:
        name: as the user named it.
        kind: its architecture, `sam3_lite_text` or `sam3_video`.
        size: of its weights' files, in bytes.
        revision: changes whenever a file of it does; a hub commit or a digest. Empty if the weights were not read.
        detector: a `Sam3LiteTextModel`.
        tokenizer: the tokenizer saved with it.
        video: what the memory tracker needs, or None if there are no tracker weights: the whole `Sam3VideoModel`
            (whose `detector_model` is `detector`), or the `TrackerWeights` of another checkpoint.
    """

    name: str
    kind: str
    size: int
    revision: str
    detector: Any
    tokenizer: Any
    video: Any | None


def load_checkpoint(name: str, tracker_from: str | None = None, *, weights: bool = True) -> Checkpoint:
    """Load a SAM3-LiteText checkpoint.

    Args:
        name: a folder, `nano`, or the id of a Hugging Face repository (its cached copy is used when there is no
            network).
        tracker_from: name of a `sam3_video` checkpoint whose tracker to take, for example `facebook/sam3`; None for
            the checkpoint's own, if it has one.
        weights: False to look at everything as for a run, but fetch nothing and read no weights, only their shapes: the
            models are then made of zeros that take no memory.

    Raises:
        ModelError: one cannot be found or fetched, holds another architecture, its weights do not fit, or the two
            do not share their image encoder.
        NotFetchedError: it would have to be fetched, and `weights` is False.
    """
    folder = _locate(name, fetch=weights)
    found = read_config(folder)
    kind = kind_of(found, name, kinds=(DETECTOR_TYPE, VIDEO_TYPE), detectors=(DETECTOR_TYPE,))
    held = Weights(folder, read=weights)
    config = build_config(found, name)
    model = _build(kind, config, held, name)
    video = model if kind == VIDEO_TYPE else None
    detector = model if video is None else model.detector_model
    tokenizer = load_tokenizer(folder, int(detector.config.text_config.vocab_size))
    revision = folder.revision() if weights else ""
    if tracker_from is not None:
        from trackers.detection.composition import load_tracker

        try:
            source = _locate(tracker_from, fetch=weights)
            video = load_tracker(source, held, kind, detector.config, read=weights)
        except NotFetchedError:
            raise
        except ModelError as error:
            raise ModelError(f"{error}; without its weights --tracker association remains") from error
        revision = hashlib.sha256(f"{revision} {source.revision()}".encode()).hexdigest()[:40] if weights else ""
    return Checkpoint(name, kind, held.size, revision, detector, tokenizer, video)


def _build(kind: str, config: Any, weights: Weights, name: str) -> Any:
    """The model of a configuration, filled with these weights and no others."""
    import transformers

    # Progress bars and advice of the loader are noise in a service's log; errors still arrive as exceptions.
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model_class: Any = transformers.Sam3VideoModel if kind == VIDEO_TYPE else transformers.Sam3LiteTextModel
    check_size(lambda: model_class(config), weights, "", name)
    try:
        # Without a folder: it would look for files of its own choice there.
        model, report = model_class.from_pretrained(
            None,
            config=config,
            state_dict=weights.tensors(),
            dtype=torch.float32,
            attn_implementation="sdpa",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=True,
        )
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"model {name}: cannot be loaded: {_first_line(error)}") from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise ModelError(
            f"model {name}: {len(missing)} weights are missing or of another shape (first: {missing[0]}); "
            "the checkpoint does not fit its config.json or this version of transformers"
        )
    model.eval().requires_grad_(requires_grad=False)
    return model


def _locate(name: str, *, fetch: bool) -> CheckpointFolder:
    if name in EMBEDDED:
        if not (EMBEDDED[name] / CONFIG).is_file():
            raise ModelError(f"model {name}: the embedded checkpoint is not part of this installation")
        return CheckpointFolder(name, EMBEDDED[name])
    # os.path's questions, unlike pathlib's, have an answer for every string, such as one that is too long.
    folder = os.path.expanduser(name)  # noqa: PTH111
    if os.path.isdir(folder):  # noqa: PTH112
        return CheckpointFolder(name, Path(folder))
    if os.path.isfile(folder) or name.startswith((".", "/", "~")) or name.count("/") != 1:  # noqa: PTH113
        raise ModelError(f"model {name}: no such folder; give a folder that holds config.json, or owner/name of a hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        snapshot = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=not fetch))
    except GatedRepoError:
        raise ModelError(
            f"model {name}: its licence must be accepted first: open huggingface.co/{name} in a browser, accept it, "
            "then run `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(f"model {name}: no such repository on the hub, or it is private: `hf auth login`") from None
    except Exception as error:  # of the hub, of the disk, or of httpx where a connection breaks
        if not fetch and isinstance(error, LocalEntryNotFoundError):
            raise NotFetchedError(f"model {name}: not in the cache") from None
        raise ModelError(
            f"model {name}: cannot be downloaded and is not in the cache ({_first_line(error)}); on a machine with "
            f"network run `hf download {name} --local-dir FOLDER`, copy FOLDER here and use `--model FOLDER`"
        ) from error
    found = CheckpointFolder(name, snapshot, commit=snapshot.name)
    if not fetch and not found.is_whole():  # the rest of it will be fetched, too
        raise NotFetchedError(f"model {name}: not whole in the cache")
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
