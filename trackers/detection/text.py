"""Prompts become embeddings once: cached in memory and on disk, by model revision, prompt and context."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskcast.files import cache_of, write_whole
from trackers.detection.checkpoint import Checkpoint
from trackers.detection.context import encode_prompt

logger = logging.getLogger(__name__)

# Of a safetensors file with two tensors.
_MOST_HEAD_BYTES = 4096


@dataclass(frozen=True)
class TextEmbedding:
    """What the detector needs to know of a prompt.

    Attributes:
        features: ``(L, C)`` token embeddings projected to the detector's hidden size.
        mask: ``(L,)`` bool, True for tokens that are not padding.
        threshold: score above which it is found; None for the detector's own.
    """

    features: Tensor
    mask: Tensor
    threshold: float | None = None


def cache_folder() -> Path:
    """Where embeddings are kept."""
    return cache_of("text")


class TextEncoder:
    """Embeds prompts with a checkpoint's text encoder, which stays on the CPU and runs once a prompt.

    The text never meets the image before the detector's fusion layers, so its embedding depends on the prompt and
    the weights alone and can be kept.
    """

    # Prompts in memory, and files of each checkpoint. Anyone who may send control messages can make new ones, so both
    # are bounded: 1,000 of 32 tokens take 33 MB, of 77 tokens 79 MB. Past that the oldest goes.
    _CAPACITY = 1_000

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        """Embeddings are handed out on `device` in `dtype`."""
        self._checkpoint = checkpoint
        self._device, self._dtype = device, dtype
        self._memory: dict[str, TextEmbedding] = {}
        self._folder = cache_folder() / checkpoint.revision
        self._width = int(checkpoint.detector.text_projection.out_features)
        self.encoded = 0  # how often the text encoder really ran

    def embed(self, prompt: str) -> TextEmbedding:
        """The embedding of a prompt; surrounding white space does not count.

        Raises:
            UsageError: see `Checkpoint.check_prompt`.
        """
        prompt = prompt.strip()
        if prompt not in self._memory:
            self._checkpoint.check_prompt(prompt)
            if doubt := self._checkpoint.doubt(prompt):
                logger.warning(doubt)
            digest = hashlib.sha256(prompt.encode()).hexdigest()
            file = self._folder / f"{digest}-{self._checkpoint.context_length}.safetensors"
            features, mask = self._load(file) or self._encode(prompt, file)
            if len(self._memory) >= self._CAPACITY:
                del self._memory[next(iter(self._memory))]
            self._memory[prompt] = TextEmbedding(features.to(self._device, self._dtype), mask.to(self._device))
        return self._memory[prompt]

    def _load(self, file: Path) -> tuple[Tensor, Tensor] | None:
        """What an earlier process has kept; None if it is absent, or anything else than an embedding of this model."""
        shape = self._checkpoint.context_length, self._width
        most_bytes = self._checkpoint.context_length * (4 * self._width + 1) + _MOST_HEAD_BYTES
        try:
            # To open a pipe would wait for its writer, with all threads of Python held.
            if not file.is_file() or file.stat().st_size > most_bytes:
                return None
            tensors = load_file(file)
            features, mask = tensors["features"], tensors["mask"]
        except (OSError, SafetensorError, KeyError):
            return None
        whole = features.shape == shape and features.dtype == torch.float32 and bool(features.isfinite().all())
        return (features, mask.bool()) if whole and mask.shape == shape[:1] and mask.dtype == torch.uint8 else None

    def _encode(self, prompt: str, file: Path) -> tuple[Tensor, Tensor]:
        one = self._checkpoint
        features, mask = encode_prompt(one.detector, one.tokenizer, prompt, one.context_length)
        self.encoded += 1
        with suppress(OSError, SafetensorError):  # a read-only or full disk costs only the next start some milliseconds
            # Two processes may write the same text at once; what is not whole then, `_load` does not take.
            tensors = {"features": features, "mask": mask.to(torch.uint8)}
            write_whole(file, lambda part: save_file(tensors, part))
            self._prune(file.parent)
        return features, mask

    def _prune(self, folder: Path) -> None:
        with os.scandir(folder) as entries:
            files = [(entry.stat().st_mtime_ns, entry.path) for entry in entries]
        for _, path in sorted(files)[: -self._CAPACITY]:
            Path(path).unlink(missing_ok=True)
