"""Check that a checkpoint is one of ours, and load it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from maskcast.errors import ModelError, reason_of
from trackers.defaults import CONTEXT_TOKENS
from trackers.defaults import MODEL as DEFAULT_MODEL
from trackers.detection.architecture import DETECTOR_TYPE, FULL_DETECTOR_TYPE, MODEL, TRACKER, VIDEO_TYPE, kind_of
from trackers.detection.composition import load_tracker
from trackers.detection.config import build_config, read_config
from trackers.detection.context import context_length, longest_context
from trackers.detection.filling import fill
from trackers.detection.location import locate, wanted
from trackers.detection.model_size import build_on_meta
from trackers.detection.resolution import at_resolution
from trackers.detection.tokenizer import check_prompt, load_tokenizer, unknown_words
from trackers.detection.unfilled import Unfilled
from trackers.detection.weights import Weights
from trackers.hub.name import without_revision


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint, on the CPU, in float32, in evaluation mode.

    Attributes:
        name: as the user named it.
        kind: its architecture, `sam3_lite_text`, `sam3` or `sam3_video`.
        size: of its weights' files, in bytes.
        revision: changes whenever a file of it or its resolution does; a hub commit or a digest. Empty if the weights
            were not read.
        detector: a `Sam3LiteTextModel`, or a `Sam3Model`, which differs in the text encoder alone.
        tokenizer: the tokenizer saved with it.
        video: what the memory tracker needs, or None if there are no tracker weights: the whole `Sam3VideoModel`
            (whose `detector_model` is `detector`), or the `TrackerWeights` of another checkpoint.
        origins: where it is from, and the tracker if that is from elsewhere: as the user named them, those of the hub
            with their commits.
        context_tokens: see `EngineOptions`.
    """

    name: str
    kind: str
    size: int
    revision: str
    detector: Any
    tokenizer: Any
    video: Any | None
    origins: tuple[str, ...]
    context_tokens: int = CONTEXT_TOKENS

    @property
    def context_length(self) -> int:
        """Tokens that the text encoder reads, start and end included."""
        return context_length(self._positions, self.context_tokens, self.name)

    @property
    def _positions(self) -> int:
        return int(self.detector.config.text_config.max_position_embeddings)

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that the model cannot read; blanks around it do not count.

        Raises:
            UsageError: see `trackers.detection.tokenizer.check_prompt`.
        """
        check_prompt(self.tokenizer, self.context_length, longest_context(self._positions), prompt.strip())

    def doubt(self, prompt: str) -> str | None:
        """Why a readable prompt will hardly find what was meant; None if nothing speaks against it."""
        doubts = []
        if unknown := " and ".join(map(repr, unknown_words(self.tokenizer, prompt))):
            doubts.append(f"the model {self.name} does not know {unknown} and may find nothing")
            doubts.append(f"use other words, or a model that reads all, such as {without_revision(DEFAULT_MODEL)}")
        if "," in prompt:
            doubts.append("it is one phrase; if several were meant, give each as a prompt of its own")
        return f"prompt {prompt!r}: {'; '.join(doubts)}" if doubts else None


def load_checkpoint(
    name: str,
    tracker_from: str | None = None,
    context_tokens: int = CONTEXT_TOKENS,
    *,
    resolution: int | None = None,
    weights: bool = True,
) -> Checkpoint:
    """Load a SAM3-LiteText or SAM 3 checkpoint.

    Args:
        name: `nano`, a folder, or `owner/name` or `owner/name@revision` of the hub, see `locate`.
        tracker_from: name of a `sam3_video` or `sam2_video` checkpoint whose tracker to take, for example
            `facebook/sam3` or `facebook/sam2.1-hiera-tiny`; None for the checkpoint's own, if it has one.
        context_tokens: see `EngineOptions`.
        resolution: see `EngineOptions`.
        weights: False to look at everything as for a run, but fetch nothing and read no weights, only their shapes: the
            models are then made of zeros that take no memory.

    Raises:
        ModelError: one cannot be found or fetched, holds another architecture, its weights do not fit, or a SAM 3
            tracker was trained on another image encoder.
        UsageError: it cannot read prompts of `context_tokens`, or has no such resolution.
        NotFetchedError: it would have to be fetched, and `weights` is False.
    """
    folders = locate(wanted(name, tracker_from), fetch=weights)
    folder = folders[0]
    found = read_config(folder)
    kind = kind_of(found, name, MODEL)
    config = build_config(found, name)
    resized = at_resolution(config, resolution, name)
    text_config = (config.detector_config if kind == VIDEO_TYPE else config).text_config
    context_length(int(text_config.max_position_embeddings), context_tokens, name)
    held = Weights(folder, read=weights)
    with quiet_transformers():
        model = _build(kind, config, held, name)
        video = model if kind == VIDEO_TYPE else None
        detector = model if video is None else model.detector_model
        tokenizer = load_tokenizer(folder, int(detector.config.text_config.vocab_size))
        revision = folder.revision() if weights else ""
        for source in folders[1:]:
            try:
                video = load_tracker(source, held, model.config, read=weights)
            except ModelError as error:
                raise error.advising(str(TRACKER.otherwise)) from error
            revision = hashlib.sha256(f"{revision} {source.revision()}".encode()).hexdigest()[:40] if weights else ""
    if resized and weights:  # memories are of another size and of other features
        revision = hashlib.sha256(f"{revision} at {resolution}".encode()).hexdigest()[:40]
    origins = tuple(found.origin for found in folders)
    return Checkpoint(name, kind, held.size, revision, detector, tokenizer, video, origins, context_tokens)


def _build(kind: str, config: Any, weights: Weights, name: str) -> Any:
    """The model of a configuration, filled with these weights and no others."""
    import transformers

    model_class: Any = {
        DETECTOR_TYPE: transformers.Sam3LiteTextModel,
        FULL_DETECTOR_TYPE: transformers.Sam3Model,
        VIDEO_TYPE: transformers.Sam3VideoModel,
    }[kind]
    model = build_on_meta(lambda: model_class(config), weights, "", name)
    if not fill(model, weights):
        model = _renamed(model_class, config, weights, name)
    model.eval().requires_grad_(requires_grad=False)
    return model


def _renamed(model_class: Any, config: Any, weights: Weights, name: str) -> Any:
    """The model filled by Transformers, which knows names of earlier releases and says what does not fit."""
    try:
        with Unfilled():
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
        raise ModelError(f"cannot be loaded: {reason_of(error)}", where=f"model {name}") from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        what = f"{len(missing)} weights are missing or of another shape (first: {missing[0]})"
        advice = "the checkpoint does not fit its config.json or this version of transformers"
        raise ModelError(what, where=f"model {name}", advice=advice)
    return model


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let Transformers show no progress bars and give no advice for a while; its errors are exceptions.

    Afterwards it is as the rest of the process wants it.
    """
    from transformers.utils.logging import EmptyTqdm, set_tqdm_hook

    library = logging.getLogger("transformers")
    level = library.level
    hook = set_tqdm_hook(lambda _, arguments, options: EmptyTqdm(*arguments, **options))  # type: ignore[no-untyped-call]
    library.setLevel(logging.ERROR)
    try:
        yield
    finally:
        library.setLevel(level)
        set_tqdm_hook(hook)
